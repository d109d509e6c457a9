"""Hashes of e-mail addresses and phone numbers in the database: one customer each, gone with card or erasure."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from opscore.database import Database
from opscore.domain.customer_commands import EraseCustomer, RegisterCustomer, SetContactCard
from opscore.settings import Settings
from opscore.writer import Outcome, Request, Writer
from tests.shop import OWNER, Shop


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    writer = Writer(database, settings)
    writer.start()
    try:
        yield Shop.open(writer)
    finally:
        writer.stop()


def contacts(database: Database) -> int:
    with database.connect() as connection:
        row = connection.execute("SELECT count(*) FROM claims WHERE kind = 'contact'").fetchone()
    assert row is not None
    return int(row[0])


def test_a_new_card_and_an_erasure_free_the_old_address_even_within_one_batch(database: Database, shop: Shop) -> None:
    first, second = (
        shop.do(RegisterCustomer(store_id=shop.store_id, channel="shop"), key=f"register {n}") for n in range(2)
    )
    shop.do(SetContactCard(customer_id=first, consent=True, email="a@example.org", phone="0171 1"), key="card")
    assert contacts(database) == 2
    refused = shop.give(SetContactCard(customer_id=second, consent=True, email="A@example.org"), key="taken")
    assert refused.refusal is not None
    assert refused.refusal.code == "CONTACT_TAKEN"
    commands = (
        SetContactCard(customer_id=first, consent=True, email="b@example.org"),
        SetContactCard(customer_id=second, consent=True, email="a@example.org"),
        EraseCustomer(customer_id=first),
        SetContactCard(customer_id=second, consent=True, email="b@example.org"),
    )
    answers: list[Future[Outcome]] = [
        shop.writer.submit(Request(command, OWNER, f"together {n}")) for n, command in enumerate(commands)
    ]
    assert [answer.result(30).refusal for answer in answers] == [None] * 4
    assert contacts(database) == 1
