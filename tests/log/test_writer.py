"""The write path: one order of events, one effect per key, refusals that leave nothing, answers after the commit."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from opscore.audit import verify
from opscore.database import Database
from opscore.domain.command import COMMANDS, Actor, Origin, Role, UnitOfWork
from opscore.domain.customer_commands import EraseCustomer
from opscore.domain.order import Order
from opscore.domain.order_commands import CancelOrder, PayOrder
from opscore.domain.order_events import CancelReason
from opscore.domain.order_placing import PlaceLine
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import RegisterSku
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.values import Part, in_full
from opscore.log.canonical import canonical
from opscore.log.event_log import EventFilter, EventLog
from opscore.log.personal import SubjectErased
from opscore.settings import Settings
from opscore.writer import Busy, NotDeciding, Outcome, Request, Writer
from tests.shop import OWNER, Shop


@contextmanager
def running(database: Database, settings: Settings) -> Iterator[Writer]:
    writer = Writer(database, settings)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


@pytest.fixture
def writer(database: Database, settings: Settings) -> Iterator[Writer]:
    with running(database, settings) as started:
        yield started


@pytest.fixture
def shop(writer: Writer) -> Shop:
    return Shop.open(writer)


@pytest.fixture
def log(database: Database) -> EventLog:
    return EventLog(database.pool.connection)


def count(database: Database, table: str = "events") -> int:
    with database.connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


# One order of events -------------------------------------------------------------------------------------------------


def test_positions_are_dense_times_strictly_rise_and_the_chain_holds(database: Database, shop: Shop) -> None:
    sku = shop.sku(stock=50)
    answers = [shop.writer.submit(Request(shop.order((sku, 1)), OWNER, str(n))) for n in range(40)]
    assert all(answer.result(30).refusal is None for answer in answers)
    with database.connect() as connection:
        rows = connection.execute("SELECT position, recorded_at FROM events ORDER BY position").fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert all(earlier[1] < later[1] for earlier, later in itertools.pairwise(rows))
    assert verify(database, workers=1).findings == ()


def test_one_decision_over_several_aggregates_lies_together_in_the_log(shop: Shop, log: EventLog) -> None:
    first, second = shop.sku(), shop.sku()
    outcome = shop.give(shop.order((first, 1), (second, 2)), key="one order")
    events = [event for event in log.select(EventFilter(), limit=1000) if event.idempotency_key == "one order"]
    assert {event.stream_type for event in events} == {"Order", "Sku"}
    assert [event.position for event in events] == list(range(outcome.position - len(events) + 1, outcome.position + 1))


def test_each_event_keeps_who_when_where_and_why(shop: Shop, log: EventLog) -> None:
    happened = datetime(2010, 12, 24, 17, 30, tzinfo=UTC)
    sku = shop.sku()
    shop.do(
        ReceiveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(5), unit_cost=Decimal("1.25")),
        key="old receipt",
        actor=Actor(id="keeper", role=Role.WAREHOUSE),
        origin=Origin.IMPORT,
        occurred_at=happened,
        correlation_id="delivery 7",
        causation_position=3,
    )
    event = log.select(EventFilter(actor="keeper"))[-1]
    assert (event.type, event.occurred_at, event.time_zone, event.origin) == (
        "StockReceived",
        happened,
        "Europe/London",
        "import",
    )
    assert (event.correlation_id, event.causation_position, event.store_id) == ("delivery 7", 3, shop.store_id)
    assert event.recorded_at > happened


# One effect per key --------------------------------------------------------------------------------------------------


def test_twenty_copies_of_one_command_have_one_effect(database: Database, shop: Shop) -> None:
    sku = shop.sku()
    before = count(database)
    command = shop.order((sku, 1))
    start = threading.Barrier(20)
    answers: list[Outcome] = []

    def send() -> None:
        start.wait()
        answers.append(shop.writer.ask(Request(command, OWNER, "the same")))

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(answer.aggregate_id, answer.position) for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 19
    assert count(database) == before + 2  # The order and its reservation.


def test_a_retry_after_a_restart_gives_the_first_answer_again(database: Database, settings: Settings) -> None:
    with running(database, settings) as writer:
        shop = Shop.open(writer)
        command = shop.order((shop.sku(), 1))
        first = shop.give(command, key="once")
    events = count(database)
    with running(database, settings) as writer:
        again = writer.ask(Request(command, OWNER, "once"))
    assert (again.aggregate_id, again.position, again.refusal) == (first.aggregate_id, first.position, None)
    assert again.replayed and not first.replayed
    assert count(database) == events


def test_a_decided_refusal_is_given_again_even_when_it_would_be_accepted_now(shop: Shop) -> None:
    sku = shop.sku(stock=1)
    command = shop.order((sku, 2))
    first = shop.give(command, key="too many")
    shop.do(ReceiveStock(sku_id=sku, location_id=shop.location_id, quantity=Decimal(9)))
    again = shop.give(command, key="too many")
    assert first.refusal is not None and first.refusal.code == "STOCK_INSUFFICIENT"
    assert again.refusal == first.refusal and again.replayed
    assert shop.give(command, key="another key").refusal is None


def test_the_same_key_with_another_body_is_refused(database: Database, shop: Shop) -> None:
    sku = shop.sku()
    shop.do(shop.order((sku, 1)), key="mine")
    before = count(database)
    other = shop.give(shop.order((sku, 2)), key="mine")
    assert other.refusal is not None and other.refusal.code == "IDEMPOTENCY_KEY_REUSED"
    assert count(database) == before


def test_what_was_said_is_the_same_to_a_program_that_knows_more_fields() -> None:
    class Earlier(Part):
        quantity: Decimal
        note: str | None = None

    class Later(Earlier):
        batch: str | None = None
        parts: tuple[str, ...] = ()

    assert canonical(Earlier(quantity=Decimal(2))) == canonical(Later(quantity=Decimal(2)))
    assert canonical(Later(quantity=Decimal(2), batch="B1")) != canonical(Later(quantity=Decimal(2)))


def test_every_part_of_a_command_leaves_out_what_stands_at_its_default() -> None:
    found: set[type[msgspec.Struct]] = set()

    def visit(type_: Any) -> None:
        if isinstance(type_, msgspec.inspect.StructType):
            found.add(type_.cls)
            for each in type_.fields:
                visit(each.type)
        for name in ("type", "item_type", "item_types", "types", "value_type"):
            inner = getattr(type_, name, ())
            for each in inner if isinstance(inner, tuple) else (inner,):
                visit(each)

    for command in COMMANDS.values():
        visit(msgspec.inspect.type_info(command))
    assert PlaceLine in found and len(found) > len(COMMANDS) > 100
    assert [kind.__name__ for kind in found if not kind.__struct_config__.omit_defaults] == []


def test_a_command_that_an_earlier_program_kept_with_every_field_is_known_again(
    database: Database, settings: Settings, shop: Shop
) -> None:
    sku = shop.sku()
    command = shop.order((sku, 1))
    first = shop.give(command, key="mine")
    in_words = canonical(["placeOrder", in_full(command), None, None])
    assert b'"coupon_code":null' in in_words
    with database.connect("admin", autocommit=True) as connection:
        connection.execute(
            "UPDATE commands SET request_hash = %s WHERE key = 'mine'",
            (hmac.new(shop.writer._request_key, in_words, hashlib.sha256).digest(),),
        )
    again = shop.give(command, key="mine")
    assert (again.refusal, again.position, again.aggregate_id) == (None, first.position, first.aggregate_id)
    other = shop.give(shop.order((sku, 2)), key="mine")
    assert other.refusal is not None and other.refusal.code == "IDEMPOTENCY_KEY_REUSED"


def test_keys_are_scoped_to_actor_and_store(shop: Shop) -> None:
    sku = shop.sku()
    other = Actor(id="somebody else", role=Role.MANAGER)
    assert (
        shop.give(shop.order((sku, 1)), key="k").aggregate_id
        != shop.give(shop.order((sku, 1)), key="k", actor=other).aggregate_id
    )
    branch = Shop.open(shop.writer, "Branch")
    outcome = branch.give(RegisterSku(store_id=branch.store_id, code="A", name="A", category="gifts"), key="k")
    assert outcome.refusal is None and not outcome.replayed


# Refusals and mistakes -----------------------------------------------------------------------------------------------


def test_a_refusal_writes_its_outcome_no_event_and_takes_nothing_else_down(database: Database, shop: Shop) -> None:
    sku = shop.sku(stock=1)
    before = count(database)
    batch = [shop.writer.submit(Request(shop.order((sku, quantity)), OWNER, str(uuid4()))) for quantity in (5, 1, 1)]
    codes = [outcome.refusal and outcome.refusal.code for outcome in (each.result(30) for each in batch)]
    assert codes == ["STOCK_INSUFFICIENT", None, "STOCK_INSUFFICIENT"]
    assert count(database) > before


def test_a_refusal_names_the_input_at_fault_and_what_to_do(shop: Shop) -> None:
    first, second = shop.sku(), shop.sku(stock=3)
    refusal = shop.give(shop.order((first, 1), (second, 4))).refusal
    assert refusal is not None
    assert refusal.path[:2] == ("lines", 1)
    assert second in refusal.ids
    assert "3" in refusal.message


def test_a_version_that_has_moved_on_is_refused_as_stale(shop: Shop, log: EventLog) -> None:
    sku = shop.sku()
    order = shop.do(shop.order((sku, 1)))
    pay = PayOrder(order_id=order, amount_minor=1000, method="card", provider_reference="p1")
    stale = shop.give(pay, expected_version=7)
    assert stale.refusal is not None and stale.refusal.code == "STALE_VERSION"
    assert shop.give(pay, expected_version=1).refusal is None
    paid = log.aggregate(Order, order)
    assert paid is not None and paid.version > 1


def test_a_role_that_may_not_is_refused_in_the_writer_too(shop: Shop) -> None:
    refusal = shop.give(shop.order((shop.sku(), 1)), actor=Actor(id="auditor", role=Role.AUDITOR)).refusal
    assert refusal is not None and refusal.code == "NOT_AUTHORISED"


def test_another_stores_staff_find_nothing(shop: Shop) -> None:
    order = shop.do(shop.order((shop.sku(), 1)))
    stranger = Actor(id="stranger", role=Role.MANAGER, stores=frozenset({uuid4()}))
    refusal = shop.give(CancelOrder(order_id=order, reason=CancelReason.CUSTOMER), actor=stranger).refusal
    assert refusal is not None and refusal.code == "NOT_FOUND"


def test_what_happened_in_the_future_is_refused(shop: Shop) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    refusal = shop.give(shop.order((shop.sku(), 1)), occurred_at=tomorrow).refusal
    assert refusal is not None and (refusal.code, refusal.path) == ("INVALID_FIELD", ("occurred_at",))


@pytest.mark.parametrize("role", [Role.STOREFRONT, Role.CUSTOMER])
def test_buyers_do_not_say_that_they_bought_before_so_no_offer_that_is_over_can_be_had(shop: Shop, role: Role) -> None:
    sku, ann = shop.sku(), shop.customer()
    buyer = Actor(id="buyer", role=role, stores=frozenset({shop.store_id}), customer_id=ann)
    command = shop.order((sku, 1), customer_id=ann)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    refusal = shop.give(command, actor=buyer, occurred_at=an_hour_ago).refusal
    assert refusal is not None and (refusal.code, refusal.path) == ("INVALID_FIELD", ("occurred_at",))
    assert shop.give(command, actor=buyer, occurred_at=datetime.now(UTC) - timedelta(minutes=1)).refusal is None


def test_a_mistake_in_one_decision_fails_that_command_alone(
    database: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = shop.sku(stock=10)
    real = Sku.reserve

    def broken(self: Sku, *args: object, **kwargs: object) -> None:
        real(self, *args, **kwargs)
        raise ArithmeticError("a bug after the first event")

    monkeypatch.setattr(Sku, "reserve", broken)
    failing = shop.writer.submit(Request(shop.order((sku, 4)), OWNER, "broken"))
    with pytest.raises(ArithmeticError):
        failing.result(30)
    monkeypatch.undo()
    # Nothing of it stayed behind in the cache: all ten can still be sold, and under the same key.
    assert shop.give(shop.order((sku, 10)), key="whole").refusal is None
    assert verify(database, workers=1).holds


def test_a_mistake_after_an_erasure_leaves_the_person_as_they_were(
    database: Database, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = shop.customer()
    with database.connect() as connection:
        sealed = shop.writer.keyring.seal(connection, ann, "Ann")

    def broken(self: EraseCustomer, work: UnitOfWork) -> None:
        work.erase(self.customer_id)
        raise ArithmeticError("a bug after the erasure")

    with monkeypatch.context() as patch:
        patch.setattr(EraseCustomer, "decide", broken)
        with pytest.raises(ArithmeticError):
            shop.give(EraseCustomer(customer_id=ann))
    with database.connect() as connection:
        assert shop.writer.keyring.open(connection, ann, sealed) == "Ann"
        shop.do(EraseCustomer(customer_id=ann))
        with pytest.raises(SubjectErased):
            shop.writer.keyring.open(connection, ann, sealed)


def test_an_order_that_was_placed_in_the_same_batch_keeps_its_customer_from_being_erased(shop: Shop) -> None:
    ann, lamp = shop.customer(), shop.sku()
    # An order that is over, and one of somebody else, do not count.
    shop.do(CancelOrder(order_id=shop.do(shop.order((lamp, 1), customer_id=ann))))
    shop.do(shop.order((lamp, 1), customer_id=shop.customer()))
    commands = (shop.order((lamp, 1), customer_id=ann), EraseCustomer(customer_id=ann))

    answers = [shop.writer.submit(Request(command, OWNER, str(uuid4()))) for command in commands]
    placed, erased = (answer.result(30) for answer in answers)

    assert placed.refusal is None and placed.aggregate_id is not None
    assert erased.refusal is not None and erased.refusal.code == "OPEN_ORDERS"
    assert erased.refusal.ids == (placed.aggregate_id,)
    shop.do(CancelOrder(order_id=placed.aggregate_id))
    shop.do(EraseCustomer(customer_id=ann))


def test_data_that_the_database_rejects_fails_that_command_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sku = shop.sku(stock=10)
    with shop.writer.queue.changed:  # One batch: the thread finds all three at once.
        futures = [
            shop.writer.submit(Request(command, OWNER, str(uuid4())))
            for command in (
                shop.order((sku, 1)),
                # A NUL is text to Python and none to PostgreSQL.
                shop.order((sku, 1), channel="a\x00b"),
                shop.order((sku, 1)),
            )
        ]
    assert futures[0].result(30).refusal is None
    with pytest.raises(psycopg.Error):
        futures[1].result(30)
    assert futures[2].result(30).refusal is None


# Several writers -----------------------------------------------------------------------------------------------------


def test_two_writers_on_one_database_see_each_others_events_and_never_oversell(
    database: Database, settings: Settings, shop: Shop
) -> None:
    sku = shop.sku(stock=50)
    with running(database, settings) as other:
        outcomes: list[Outcome] = []
        for start in range(0, 200, 20):
            futures: list[Future[Outcome]] = []
            for number in range(start, start + 20):
                writer = (shop.writer, other)[number % 2]
                futures.append(writer.submit(Request(shop.order((sku, 1)), OWNER, str(number))))
            outcomes += [future.result(60) for future in futures]
        codes = [outcome.refusal.code if outcome.refusal else None for outcome in outcomes]
        assert codes.count(None) == 50
        assert codes.count("STOCK_INSUFFICIENT") == 150
        assert shop.writer.statistics.foreign_events + other.statistics.foreign_events > 0
    assert verify(database, workers=1).holds


def test_a_process_that_meets_an_event_it_does_not_know_stops_deciding(database: Database, shop: Shop) -> None:
    sku = shop.sku()
    with database.connect("admin") as connection:
        connection.execute(
            "INSERT INTO events SELECT position + 1, gen_random_uuid(), 1, 'Order', 'OrderTeleported', 1, store_id,"
            " now(), now(), 'UTC', 'newer version', 'live', 'k', NULL, NULL, '{}', hash"
            " FROM events ORDER BY position DESC LIMIT 1"
        )
    with pytest.raises(NotDeciding, match="OrderTeleported"):
        shop.give(shop.order((sku, 1)))
    with pytest.raises(NotDeciding):
        shop.writer.submit(Request(shop.order((sku, 1)), OWNER, "later"))


# Connection, queue, end ----------------------------------------------------------------------------------------------


def test_a_lost_connection_is_found_out_and_nothing_is_done_twice(database: Database, shop: Shop) -> None:
    sku = shop.sku(stock=1000)
    futures = []
    for number in range(60):
        futures.append(shop.writer.submit(Request(shop.order((sku, 1)), OWNER, str(number))))
        if number % 20 == 10:
            with database.connect("admin") as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
    assert all(future.result(60).refusal is None for future in futures)
    assert shop.writer.statistics.reconnects > 0
    with database.connect() as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE type = 'OrderPlaced'").fetchone()
    assert row == (60,)
    assert verify(database, workers=1).holds


def test_a_full_queue_says_so_and_the_command_can_be_sent_again(database: Database, settings: Settings) -> None:
    small = settings.model_copy(update={"queue_size": 2})
    writer = Writer(database, small)  # Not started: nothing leaves the queue.
    command = RegisterSku(store_id=uuid4(), code="A", name="A", category="gifts")
    waiting = [writer.submit(Request(command, OWNER, str(number))) for number in range(2)]
    with pytest.raises(Busy, match="same key"):
        writer.submit(Request(command, OWNER, "one too many"))
    # An import does not take the places of live commands.
    waiting.append(writer.submit(Request(command, OWNER, "import", origin=Origin.IMPORT)))
    writer.start()
    assert [future.result(30).refusal.code for future in waiting if future.result(30).refusal] == ["NOT_FOUND"] * 3
    writer.stop()


def test_stopping_decides_what_is_queued_and_takes_nothing_more(database: Database, settings: Settings) -> None:
    writer = Writer(database, settings)
    writer.start()
    shop = Shop.open(writer)
    sku = shop.sku()
    futures = [writer.submit(Request(shop.order((sku, 1)), OWNER, str(number))) for number in range(30)]
    writer.stop()
    assert all(future.result(0).refusal is None for future in futures)
    with pytest.raises(Busy):
        writer.submit(Request(shop.order((sku, 1)), OWNER, "late"))


def test_live_commands_overtake_an_import(shop: Shop) -> None:
    sku = shop.sku(stock=10_000)
    order: list[str] = []
    with shop.writer.queue.changed:
        imports = [
            shop.writer.submit(Request(shop.order((sku, 1)), OWNER, f"i{n}", origin=Origin.IMPORT)) for n in range(600)
        ]
        live = shop.writer.submit(Request(shop.order((sku, 1)), OWNER, "live"))
        imports[300].add_done_callback(lambda _: order.append("import"))
        live.add_done_callback(lambda _: order.append("live"))
    for future in (*imports, live):
        future.result(60)
    assert order == ["live", "import"]


# Snapshots -----------------------------------------------------------------------------------------------------------


def test_a_long_stream_is_read_from_its_snapshot_and_verify_folds_it_again(
    database: Database, shop: Shop, log: EventLog
) -> None:
    sku = shop.sku(stock=2000)
    futures = [shop.writer.submit(Request(shop.order((sku, 1)), OWNER, str(number))) for number in range(600)]
    for future in futures:
        future.result(60)
    shop.writer.stop()
    assert count(database, "snapshots") >= 1
    found = log.aggregate(Sku, sku)
    folded = None
    for event in log.events.get(sku):
        folded = event.mutate(folded)
    assert found == folded
    report = verify(database, workers=1)
    assert report.snapshots >= 1 and report.holds
    with database.connect("admin") as connection:
        connection.execute("UPDATE snapshots SET state = replace(state::text, '\"gifts\"', '\"toys\"')::json")
    assert [finding.check for finding in verify(database, workers=1).findings] == ["snapshots"] * report.snapshots


def test_a_snapshot_of_another_fold_is_ignored(database: Database, shop: Shop, log: EventLog) -> None:
    sku = shop.sku()
    kept = log.aggregate(Sku, sku)
    assert kept is not None
    log.take_snapshot_of(kept)
    with database.connect("admin") as connection:
        connection.execute(
            "UPDATE snapshots SET fold_digest = 'older', state = replace(state::text, '\"gifts\"', '\"toys\"')::json"
        )
    again = log.aggregate(Sku, sku)
    assert again == kept


def test_an_aggregate_reads_as_of_version_position_and_time(shop: Shop, log: EventLog) -> None:
    order = shop.do(shop.order((shop.sku(), 1)))
    placed = log.head()
    shop.do(PayOrder(order_id=order, amount_minor=1000, method="card", provider_reference="p1"))
    now = log.aggregate(Order, order)
    for then in (
        log.aggregate(Order, order, version=1),
        log.aggregate(Order, order, position=placed.position),
        log.aggregate(Order, order, at=placed.recorded_at),
    ):
        assert then is not None and now is not None
        assert then.version == 1 and now.version > 1
    assert log.aggregate(Order, order, position=1) is None
    assert log.aggregate(Sku, order) is None
