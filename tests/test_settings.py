"""Settings and the master key: defaults that work, faults that are named, a key that is made once and kept private."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from opscore.settings import Settings, SetupError, load_settings, unknown_settings


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the person who runs the tests takes part."""
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_a_default_and_says_what_it_is_for() -> None:
    Settings()
    assert all(field.description for field in Settings.model_fields.values())
    assert not any(field.is_required() for field in Settings.model_fields.values())


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCORE_SCHEMA_NAME", "shop")
    monkeypatch.setenv("OPSCORE_PORT", "8123")
    settings = load_settings()
    assert (settings.schema_name, settings.app_role, settings.keys_schema) == ("shop", "shop_app", "shop_keys")
    assert settings.port == 8123


def test_faults_are_named_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCORE_PORT", "high")
    monkeypatch.setenv("OPSCORE_SCHEMA_NAME", 'x"; DROP TABLE events')
    with pytest.raises(SetupError, match=r"OPSCORE_SCHEMA_NAME.*OPSCORE_PORT"):
        load_settings()


def test_what_is_named_like_a_setting_and_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCORE_MASTERKEY", "x")
    monkeypatch.setenv("OPSCORE_PORT", "8123")
    (tmp_path / ".env").write_text("opscore_trusted_document_only=true\nOPSCORE_ZZZ=1\nother=1\nOPSCORE_HOST=h\n")
    assert unknown_settings() == [
        "OPSCORE_MASTERKEY is no setting of opscore and takes no effect (did you mean MASTER_KEY?).",
        "OPSCORE_TRUSTED_DOCUMENT_ONLY is no setting of opscore and takes no effect (did you mean "
        "TRUSTED_DOCUMENTS_ONLY?).",
        "OPSCORE_ZZZ is no setting of opscore and takes no effect.",
    ]
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert unknown_settings() == []


def test_secrets_are_not_shown() -> None:
    settings = Settings(database_url=SecretStr("postgresql://me:hunter2@db/shop"), master_key=SecretStr("a" * 44))
    assert "hunter2" not in repr(settings)
    assert "aaaa" not in repr(settings)


def test_the_key_file_is_made_once_for_many_and_is_nobody_elses(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(settings.master_key_bytes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["master.key"]
    assert (tmp_path / "data" / "master.key").stat().st_mode & 0o777 == 0o600


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.master_key_bytes()
    (tmp_path / "master.key").chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        settings.master_key_bytes()


def test_a_shared_database_gets_no_key_made_up_for_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr("postgresql://me@db/shop"))
    with pytest.raises(SetupError, match="OPSCORE_MASTER_KEY"):
        settings.master_key_bytes()
    assert not (tmp_path / "master.key").exists()


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 31).decode(), "ä" * 44, ""])
def test_a_key_of_another_length_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match="32 bytes"):
        Settings(master_key=SecretStr(text)).master_key_bytes()


def test_a_given_key_is_used_as_it_is() -> None:
    assert Settings(master_key=SecretStr(base64.b64encode(b"k" * 32).decode())).master_key_bytes() == b"k" * 32


def test_a_file_of_settings_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SetupError, match=r"\.env is no text in UTF-8"):
        load_settings()


def test_a_key_file_that_is_no_text_is_refused_as_no_key(tmp_path: Path) -> None:
    key = tmp_path / "master.key"
    key.write_bytes(b"\xff" * 44)
    key.chmod(0o600)
    with pytest.raises(SetupError, match="must hold 32 bytes in base64"):
        Settings(data_dir=tmp_path).master_key_bytes()


def test_a_blank_address_is_not_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSCORE_HOST", "")
    with pytest.raises(SetupError, match="OPSCORE_HOST"):
        load_settings()
