"""Personal data reads back under its key, and never again once the key is destroyed."""

from __future__ import annotations

from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag

from opscore.database import Database
from opscore.log.personal import Keyring, SubjectErased, WrongMasterKey
from opscore.settings import Settings


@pytest.fixture
def keyring(database: Database, settings: Settings) -> Keyring:
    return Keyring(settings.master_key_bytes(), database.schema)


def test_sealed_text_opens_under_its_subject_only(database: Database, keyring: Keyring) -> None:
    ann, ben = uuid4(), uuid4()
    with database.connect() as connection:
        sealed = keyring.seal(connection, ann, "Ann, 1 High Street")
        keyring.seal(connection, ben, "Ben")
        assert "High Street" not in sealed
        assert keyring.open(connection, ann, sealed) == "Ann, 1 High Street"
        with pytest.raises(InvalidTag):
            keyring.open(connection, ben, sealed)


def test_the_same_text_never_seals_alike(database: Database, keyring: Keyring) -> None:
    ann = uuid4()
    with database.connect() as connection:
        assert keyring.seal(connection, ann, "Ann") != keyring.seal(connection, ann, "Ann")


def test_an_erased_subject_can_neither_be_read_nor_come_back(database: Database, keyring: Keyring) -> None:
    ann = uuid4()
    with database.connect() as connection:
        sealed = keyring.seal(connection, ann, "Ann")
        keyring.erase(connection, ann)
        with pytest.raises(SubjectErased):
            keyring.open(connection, ann, sealed)
        with pytest.raises(SubjectErased):
            keyring.seal(connection, ann, "Ann again")


def test_someone_erased_before_a_key_was_made_gets_none(database: Database, keyring: Keyring) -> None:
    ann = uuid4()
    with database.connect() as connection:
        keyring.erase(connection, ann)
        with pytest.raises(SubjectErased):
            keyring.seal(connection, ann, "Ann")


def test_a_key_of_a_rolled_back_decision_is_not_kept(database: Database, keyring: Keyring) -> None:
    ann = uuid4()
    with database.connect() as connection:
        with connection.transaction(force_rollback=True):
            sealed = keyring.seal(connection, ann, "Ann")
        with pytest.raises(SubjectErased):
            keyring.open(connection, ann, sealed)


def test_another_master_key_opens_nothing_and_says_which_setting_is_wrong(database: Database, keyring: Keyring) -> None:
    ann = uuid4()
    with database.connect() as connection:
        sealed = keyring.seal(connection, ann, "Ann")
        with pytest.raises(WrongMasterKey, match="OPSCORE_MASTER_KEY"):
            Keyring(bytes(32), database.schema).open(connection, ann, sealed)


def test_keyed_hashes_are_equal_under_one_master_key_only(database: Database, keyring: Keyring) -> None:
    same = Keyring(Settings(_env_file=None, master_key=database.settings.master_key).master_key_bytes(), "other")
    assert keyring.keyed_hash("ann@example.org") == same.keyed_hash("ann@example.org")
    assert keyring.keyed_hash("ann@example.org") != Keyring(bytes(32), "other").keyed_hash("ann@example.org")
