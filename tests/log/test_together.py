"""Commands that are recorded all or none: one transaction, nothing half-written, and no key is spent in vain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st

from opscore.audit import verify
from opscore.database import Database
from opscore.domain.command import UnitOfWork
from opscore.domain.customer_commands import RegisterCustomer
from opscore.domain.order_placing import PlaceOrder
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import RegisterSku
from opscore.log.event_log import EventFilter, EventLog
from opscore.settings import Settings
from opscore.writer import Outcome, Request, Writer
from tests.shop import OWNER, Shop


@pytest.fixture
def writer(database: Database, settings: Settings) -> Iterator[Writer]:
    started = Writer(database, settings)
    started.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def shop(writer: Writer) -> Shop:
    return Shop.open(writer)


@contextmanager
def one_batch(shop: Shop, database: Database) -> Iterator[None]:
    """Have whatever is submitted inside decided as one batch."""
    with database.connect(autocommit=False) as connection:
        connection.execute("SELECT 1 FROM log_lock FOR UPDATE")
        # Taken alone by the writer, which then waits for the lock while the queue fills.
        filler = shop.writer.submit(Request(RegisterCustomer(store_id=shop.store_id, channel="web"), OWNER, new()))
        while shop.writer.queue_length:
            pass
        yield
        connection.rollback()
    assert filler.result(30).refusal is None


def new() -> str:
    return str(uuid4())


def rows(database: Database) -> tuple[int, int, int]:
    """Return how many events, answered keys and claims there are."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM commands), (SELECT count(*) FROM claims)"
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def together(shop: Shop, *commands: tuple[str, PlaceOrder | RegisterSku]) -> list[Outcome]:
    """Give commands with their keys, all or none."""
    return shop.writer.submit_together([Request(command, OWNER, key) for key, command in commands]).result(30)


def code(outcome: Outcome) -> str | None:
    return None if outcome.refusal is None else outcome.refusal.code


def test_commands_that_are_all_accepted_lie_together_and_each_keeps_its_own_key(database: Database, shop: Shop) -> None:
    sku = shop.sku(stock=100)
    before = rows(database)
    orders = [("a", shop.order((sku, 4))), ("b", shop.order((sku, 6)))]

    outcomes = together(shop, *orders)

    assert [code(each) for each in outcomes] == [None, None]
    assert [each.position for each in outcomes] == [before[0] + 2, before[0] + 4]
    assert rows(database)[:2] == (before[0] + 4, before[1] + 2)
    again = together(shop, *orders)
    assert [(each.aggregate_id, each.position, each.replayed) for each in again] == [
        (each.aggregate_id, each.position, True) for each in outcomes
    ]
    assert shop.give(orders[0][1], key="a").replayed
    assert rows(database)[:2] == (before[0] + 4, before[1] + 2)


def test_one_refusal_leaves_nothing_of_any_not_even_their_keys(database: Database, shop: Shop) -> None:
    sku = shop.sku(stock=10)
    before = rows(database)

    outcomes = together(shop, ("a", shop.order((sku, 4))), ("b", shop.order((sku, 7))), ("c", shop.order((sku, 6))))

    assert [code(each) for each in outcomes] == ["REJECTED_WITH_OTHERS", "STOCK_INSUFFICIENT", "REJECTED_WITH_OTHERS"]
    assert all(each.aggregate_id is None and each.position == before[0] for each in outcomes)
    assert rows(database) == before
    mended = together(shop, ("a", shop.order((sku, 4))), ("b", shop.order((sku, 5))), ("c", shop.order((sku, 1))))
    assert [code(each) for each in mended] == [None, None, None]
    assert verify(database, workers=1).findings == ()


def test_a_command_that_comes_twice_is_not_said_to_be_done_when_all_are_rejected(
    database: Database, shop: Shop
) -> None:
    sku = shop.sku(stock=10)
    before = rows(database)
    order = ("a", shop.order((sku, 4)))

    outcomes = together(shop, order, order, ("b", shop.order((sku, 60))))

    assert [code(each) for each in outcomes] == ["REJECTED_WITH_OTHERS", "REJECTED_WITH_OTHERS", "STOCK_INSUFFICIENT"]
    assert [(each.aggregate_id, each.replayed) for each in outcomes] == [(None, False)] * 3
    assert rows(database) == before
    assert [each.replayed for each in together(shop, order, order)] == [False, True]


def test_whoever_waits_no_longer_takes_nobody_elses_answer_away(database: Database, shop: Shop) -> None:
    sku = shop.sku(stock=10)
    with one_batch(shop, database):
        given = [shop.writer.submit(Request(shop.order((sku, 1)), OWNER, new())) for _ in range(3)]
        pair = shop.writer.submit_together([Request(shop.order((sku, 1)), OWNER, new()) for _ in range(2)])
        last = shop.writer.submit(Request(shop.order((sku, 1)), OWNER, new()))
        # As the event loop does to what it waited for, when whoever asked is gone.
        given[1].cancel()
        pair.cancel()
    assert [code(each.result(30)) for each in (given[0], given[2], last)] == [None] * 3
    assert len(EventLog(database.pool.connection).select(EventFilter(types=["OrderPlaced"]))) == 6


def test_names_that_a_rejected_command_took_are_free_again_in_the_same_batch(database: Database, shop: Shop) -> None:
    article = RegisterSku(store_id=shop.store_id, code="X", name="Article", category="gifts")
    with one_batch(shop, database):
        rejected = shop.writer.submit_together([Request(article, OWNER, new()), Request(article, OWNER, new())])
        taken = shop.writer.submit(Request(article, OWNER, new()))

    assert [code(each) for each in rejected.result(30)] == ["REJECTED_WITH_OTHERS", "REFERENCE_TAKEN"]
    assert code(taken.result(30)) is None


def test_a_command_answered_before_is_answered_again_and_a_reused_key_rejects_the_rest(
    database: Database, shop: Shop
) -> None:
    sku = shop.sku(stock=10)
    first = shop.give(shop.order((sku, 1)), key="a")
    before = rows(database)

    outcomes = together(shop, ("a", shop.order((sku, 1))), ("b", shop.order((sku, 1))))
    assert [(code(each), each.replayed) for each in outcomes] == [(None, True), (None, False)]
    assert outcomes[0].aggregate_id == first.aggregate_id

    reused = together(shop, ("a", shop.order((sku, 1))), ("c", shop.order((sku, 1))), ("b", shop.order((sku, 2))))
    assert [code(each) for each in reused] == [None, "REJECTED_WITH_OTHERS", "IDEMPOTENCY_KEY_REUSED"]
    assert rows(database)[:2] == (before[0] + 2, before[1] + 1)


def test_a_mistake_in_one_of_them_fails_these_alone(
    database: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = shop.sku(stock=13)
    before = rows(database)
    decide = PlaceOrder.decide

    def mistaken(self: PlaceOrder, work: UnitOfWork) -> UUID:
        decided = decide(self, work)
        if self.lines[0].quantity == 3:
            raise ZeroDivisionError
        return decided

    monkeypatch.setattr(PlaceOrder, "decide", mistaken)
    with one_batch(shop, database):
        single = shop.writer.submit(Request(shop.order((sku, 2)), OWNER, new()))
        group = shop.writer.submit_together(
            [Request(shop.order((sku, 8)), OWNER, new()), Request(shop.order((sku, 3)), OWNER, new())]
        )
        after = shop.writer.submit(Request(shop.order((sku, 8)), OWNER, new()))

    assert isinstance(group.exception(30), ZeroDivisionError)
    assert (code(single.result(30)), code(after.result(30))) == (None, None)
    # The one that waited for the lock, and the two orders with their reservations.
    assert rows(database)[0] == before[0] + 1 + 4


quantities = st.integers(1, 6)
given_together = st.lists(quantities, min_size=1, max_size=4)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(st.one_of(quantities, given_together), min_size=1, max_size=8))
def test_whatever_is_given_in_a_batch_what_is_remembered_is_what_the_log_says(
    database: Database, shop: Shop, batch: list[int | list[int]]
) -> None:
    sku = shop.sku(stock=12)
    left, expected = 12, []
    for one in batch:
        wanted = one if isinstance(one, list) else [one]
        tried, fits = left, []
        for quantity in wanted:
            fits.append(quantity <= tried)
            tried -= quantity if fits[-1] else 0
        left = tried if all(fits) else left
        expected.append(
            ["STOCK_INSUFFICIENT" if not each else None if all(fits) else "REJECTED_WITH_OTHERS" for each in fits]
        )
    with one_batch(shop, database):
        futures = [
            shop.writer.submit_together([Request(shop.order((sku, each)), OWNER, new()) for each in one])
            if isinstance(one, list)
            else shop.writer.submit(Request(shop.order((sku, one)), OWNER, new()))
            for one in batch
        ]
    answered = [future.result(30) for future in futures]

    assert [[code(each) for each in (one if isinstance(one, list) else [one])] for one in answered] == expected
    found = EventLog(database.pool.connection).aggregate(Sku, sku)
    assert found is not None and found.sellable == Decimal(left)
    # The next decision is on what is remembered: one more than is left cannot be had, what is left can.
    assert code(shop.give(shop.order((sku, left + 1)))) == "STOCK_INSUFFICIENT"
    assert left == 0 or code(shop.give(shop.order((sku, left)))) is None
