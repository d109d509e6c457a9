"""Process managers over the real log: once each, in order, across restarts and processes, never for imports."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.database import Database
from opscore.domain.agreement_events import Agreement, AgreementParty, AgreementStatus
from opscore.domain.agreements import AskRenewal, GiveNotice, SignAgreement
from opscore.domain.command import Origin
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import CreditSpend, EarnPoints, ExpirePoints
from opscore.domain.followups import DUE_RULES, FOLLOW_UPS, FollowUp, Look, Step
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    DeliverOrder,
    PackParcel,
    PayOrder,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_events import OrderCompleted
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_state import OrderStatus
from opscore.domain.sku import Sku
from opscore.domain.store import Store
from opscore.domain.store_commands import SetPolicy
from opscore.followups import FollowUps
from opscore.log.event_log import EventFilter, EventLog
from opscore.settings import Settings
from opscore.writer import Writer
from tests.shop import Shop

LATER = timedelta(hours=1)
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted"
"""Gives a row while a transaction waits for another one."""


@pytest.fixture
def writer(database: Database, settings: Settings) -> Iterator[Writer]:
    writer = Writer(database, settings)
    writer.start()
    yield writer
    writer.stop()


@pytest.fixture
def shop(writer: Writer) -> Shop:
    shop = Shop.open(writer)
    rules: dict[str, Any] = {"rules": {"purchase": {"minor_per_point": 100}}}
    shop.do(SetPolicy(store_id=shop.store_id, kind="points", params=rules))
    return shop


@pytest.fixture
def log(database: Database) -> EventLog:
    return EventLog(database.pool.connection)


@pytest.fixture
def followups(database: Database, writer: Writer) -> Iterator[FollowUps]:
    running = FollowUps(database, writer)
    yield running
    running.close()


def delivered(shop: Shop, customer_id: UUID, quantity: int = 1) -> UUID:
    """Take an order up to its delivery."""
    sku_id = shop.sku()
    order_id = shop.do(shop.order((sku_id, quantity), customer_id=customer_id))
    shop.do(PayOrder(order_id=order_id, amount_minor=1000 * quantity, method="card"))
    shop.do(ConfirmOrder(order_id=order_id))
    scanned = (ScannedLine(line=1, sku_id=sku_id, quantity=Decimal(quantity)),)
    shop.do(PackParcel(order_id=order_id, location_id=shop.location_id, lines=scanned, parcel_id=order_id))
    shop.do(ShipOrder(order_id=order_id, parcel_id=order_id, courier="DPD", waybill=f"D{order_id}"))
    shop.do(DeliverOrder(order_id=order_id, parcel_id=order_id))
    return order_id


def completed(shop: Shop, customer_id: UUID, quantity: int = 1) -> UUID:
    """Take an order up to its completion."""
    return shop.do(CompleteOrder(order_id=delivered(shop, customer_id, quantity)))


def customer(log: EventLog, customer_id: UUID) -> Customer:
    found = log.aggregate(Customer, customer_id)
    assert found is not None
    return found


def status(log: EventLog, order_id: UUID) -> OrderStatus:
    found = log.aggregate(Order, order_id)
    assert found is not None
    return found.status


def test_what_follows_names_its_cause_and_happened_with_it(shop: Shop, log: EventLog, followups: FollowUps) -> None:
    ann = shop.customer()
    completed(shop, ann, 3)
    followups.run_until_idle()
    (cause,) = log.select(EventFilter(types=["OrderCompleted"]))
    (credited,) = log.select(EventFilter(types=["SpendCredited"]))
    assert (credited.causation_position, credited.occurred_at) == (cause.position, cause.occurred_at)
    assert (credited.actor, credited.idempotency_key) == ("followups", f"after_completion:{cause.position}:spend")
    assert (customer(log, ann).spend_minor, customer(log, ann).balance) == ({"GBP": 3000}, 30)
    assert followups.lag() == 0


def test_a_restart_and_a_lost_checkpoint_repeat_nothing(
    shop: Shop, log: EventLog, database: Database, writer: Writer, followups: FollowUps
) -> None:
    ann = shop.customer()
    completed(shop, ann)
    followups.run_until_idle()
    head = log.head().position
    with database.connect() as connection:
        connection.execute("UPDATE policy_checkpoints SET position = 0")
    again = FollowUps(database, writer)
    again.run_until_idle()
    again.close()
    assert log.head().position == head
    assert customer(log, ann).balance == 10


def test_imports_lead_to_nothing(shop: Shop, log: EventLog, followups: FollowUps) -> None:
    ann, sku_id = shop.customer(), shop.sku()
    line = RecordedLine(sku_id=sku_id, quantity=Decimal(1), unit_price=Decimal(5))
    command = RecordOrder(
        store_id=shop.store_id, customer_id=ann, lines=(line,), shipped=True, delivered=True, completed=True
    )
    shop.do(command, origin=Origin.IMPORT)
    followups.run_until_idle(datetime.now(UTC) + timedelta(days=30))
    assert customer(log, ann).spend_minor == {}
    assert followups.lag() == 0


def test_points_that_come_back_after_they_lapsed_lapse_again(
    shop: Shop, log: EventLog, database: Database, writer: Writer
) -> None:
    ann, now = shop.customer(), datetime.now(UTC)
    earn = EarnPoints(customer_id=ann, rule="manual", reference="1", points=100, reason="a present")
    shop.do(earn, occurred_at=now - timedelta(days=366))
    order = shop.order((shop.sku(), 1), customer_id=ann, points_to_spend=40)
    order_id = shop.do(order, occurred_at=now - timedelta(days=2))
    followups = FollowUps(database, writer, due_rules=[rule for rule in DUE_RULES if rule.name == "expire_points"])
    followups.run_until_idle()
    assert (customer(log, ann).balance, customer(log, ann).points_by_order.keys()) == (0, {order_id})
    shop.do(CancelOrder(order_id=order_id))
    assert customer(log, ann).balance == 40
    followups.run_until_idle()
    followups.close()
    assert customer(log, ann).balance == 0
    assert [event.data["amount"] for event in log.select(EventFilter(types=["PointsExpired"]))] == [60, 40]


def test_what_falls_due_anew_while_another_process_gives_it_stays_due(
    shop: Shop, database: Database, writer: Writer
) -> None:
    ann, now = shop.customer(), datetime.now(UTC)
    earn = EarnPoints(customer_id=ann, rule="manual", reference="1", points=100, reason="a present")
    shop.do(earn, occurred_at=now - timedelta(days=366))
    order = shop.order((shop.sku(), 1), customer_id=ann, points_to_spend=40)
    order_id = shop.do(order, occurred_at=now - timedelta(days=2))
    rules = [rule for rule in DUE_RULES if rule.name == "expire_points"]
    noting = FollowUps(database, writer, due_rules=rules)
    noting.run_once(now - LATER * 48)  # Noted, and not yet given.
    with database.connect(autocommit=False) as other:
        # Another process holds what is due, has had it decided, and is about to note that it is over.
        other.execute("SELECT FROM due_times FOR UPDATE")
        shop.do(ExpirePoints(customer_id=ann))
        shop.do(CancelOrder(order_id=order_id))
        thread = threading.Thread(target=noting.run_once, args=(now - LATER * 48,))
        thread.start()
        with database.connect() as watching:
            until = time.monotonic() + 30
            while thread.is_alive() and not watching.execute(WAITING).fetchone():
                assert time.monotonic() < until
                time.sleep(0.01)
        other.execute("DELETE FROM due_times")
        other.commit()
        thread.join()
    noting.run_until_idle()
    noting.close()
    assert customer(EventLog(database.pool.connection), ann).balance == 0


def test_an_unpaid_order_expires_at_its_time(shop: Shop, log: EventLog, followups: FollowUps) -> None:
    sku_id = shop.sku(stock=5)
    at = datetime.now(UTC) - LATER
    unpaid = shop.do(shop.order((sku_id, 2)), occurred_at=at)
    paid = shop.do(shop.order((sku_id, 1)), occurred_at=at)
    fresh = shop.do(shop.order((sku_id, 1)))
    shop.do(PayOrder(order_id=paid, amount_minor=1000, method="card"))
    followups.run_until_idle()
    assert [status(log, each) for each in (unpaid, paid, fresh)] == [
        OrderStatus.CANCELLED,
        OrderStatus.PAID,
        OrderStatus.PLACED,
    ]
    sku = log.aggregate(Sku, sku_id)
    assert sku is not None and sku.sellable == 3
    followups.run_until_idle()
    assert len(log.select(EventFilter(types=["OrderExpired"]))) == 1


def test_a_delivered_order_completes_by_itself_and_then_earns(
    shop: Shop, log: EventLog, database: Database, followups: FollowUps
) -> None:
    shop.do(SetPolicy(store_id=shop.store_id, kind="order_terms", params={"auto_complete_days": 0}))
    ann = shop.customer()
    order_id = delivered(shop, ann)
    followups.run_until_idle()
    assert status(log, order_id) is OrderStatus.COMPLETED
    followups.run_until_idle()
    assert customer(log, ann).balance == 10
    with database.connect() as connection:
        left = connection.execute("SELECT policy FROM due_times ORDER BY policy").fetchall()
    assert [row[0] for row in left] == ["expire_order", "expire_points"]


def test_what_is_not_due_yet_waits(shop: Shop, log: EventLog, followups: FollowUps) -> None:
    order_id = delivered(shop, shop.customer())
    followups.run_until_idle(datetime.now(UTC) + timedelta(days=9))
    assert status(log, order_id) is OrderStatus.DELIVERED


def test_two_processes_share_the_work_and_give_each_command_once(
    shop: Shop, log: EventLog, database: Database, settings: Settings, writer: Writer
) -> None:
    customers = [shop.customer() for _ in range(4)]
    for ann in customers:
        completed(shop, ann)
    other = Writer(database, settings)
    other.start()
    both = [FollowUps(database, writer), FollowUps(database, other)]
    for each in both:
        each.start()
    deadline = time.monotonic() + 20
    while both[0].lag() and time.monotonic() < deadline:
        time.sleep(0.02)
    for each in both:
        each.stop()
        assert not each.is_alive and each.error is None
    other.stop()
    assert [customer(log, ann).balance for ann in customers] == [10, 10, 10, 10]
    assert len(log.select(EventFilter(types=["SpendCredited"]))) == 4


def test_a_fault_in_a_rule_holds_the_reader_and_skips_nothing(
    shop: Shop, log: EventLog, database: Database, writer: Writer
) -> None:
    ann = shop.customer()
    first, second = completed(shop, ann), completed(shop, ann)
    broken = threading.Event()
    broken.set()

    def then(event: Any, look: Look) -> Iterator[Step]:
        if broken.is_set() and event.originator_id == second:
            raise ZeroDivisionError("a fault in a rule")
        yield Step(
            CreditSpend(customer_id=event.customer_id, order_id=event.originator_id, amount_minor=1, currency="GBP")
        )

    rule = FollowUp(name="faulty", reads=(OrderCompleted,), then=then)
    followups = FollowUps(database, writer, follow_ups=(rule,), due_rules=())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            followups.run_once()
    assert list(customer(log, ann).credits) == [first]
    broken.clear()
    followups.run_until_idle()
    followups.close()
    assert list(customer(log, ann).credits) == [first, second]
    assert len(log.select(EventFilter(types=["SpendCredited"]))) == 2


def test_a_refusal_is_an_answer_and_the_reader_goes_on(
    shop: Shop, log: EventLog, database: Database, writer: Writer
) -> None:
    ann = shop.customer()
    order_id = completed(shop, ann)
    shop.do(CreditSpend(customer_id=ann, order_id=order_id, amount_minor=7, currency="GBP"))
    followups = FollowUps(database, writer, follow_ups=FOLLOW_UPS[:1], due_rules=())
    followups.run_until_idle()
    assert followups.lag() == 0
    followups.close()
    assert (customer(log, ann).spend_minor, customer(log, ann).balance) == ({"GBP": 7}, 10)


def test_agreements_are_extended_and_end_by_themselves_at_their_time(
    shop: Shop, log: EventLog, followups: FollowUps
) -> None:
    def day(month: int, number: int) -> datetime:
        return datetime(2024, month, number, 12, tzinfo=UTC)

    signed = dict.fromkeys(("owner_signed_on", "agency_signed_on", "term_from"), day(1, 1).date())
    terms = {"owner": "Jade Ltd", "agency": "Gifts Ltd", "owner_people": ("li",), "monthly_fee_minor": 100_00}
    shop.do(
        SignAgreement(store_id=shop.store_id, **terms, **signed, term_to=date(2024, 3, 31), currency="GBP"),
        occurred_at=day(1, 2),
    )

    def known() -> tuple[UUID, Agreement]:
        store = log.aggregate(Store, shop.store_id)
        assert store is not None
        return next(iter(store.agreements.items()))

    of = {"store_id": shop.store_id, "agreement_id": known()[0]}
    shop.do(AskRenewal(**of, party=AgreementParty.AGENCY, term_to=date(2025, 3, 31)), occurred_at=day(2, 20))
    followups.run_until_idle()

    # Nobody answered: three months more, which are over by now as well.
    assert [each.type for each in log.select(EventFilter(types=["AgreementExtended", "AgreementEnded"]))] == [
        "AgreementExtended",
        "AgreementEnded",
    ]
    (ended,) = log.select(EventFilter(types=["AgreementEnded"]))
    assert (known()[1].status, known()[1].last_day) == (AgreementStatus.ENDED, date(2024, 6, 30))
    assert (ended.actor, known()[1].unpaid_minor) == ("followups", 6 * 100_00)


def test_a_notice_ends_an_agreement_and_the_end_of_its_term_does_nothing_more(
    shop: Shop, log: EventLog, followups: FollowUps
) -> None:
    at = datetime(2024, 1, 2, 12, tzinfo=UTC)
    signed = dict.fromkeys(("owner_signed_on", "agency_signed_on", "term_from"), at.date())
    terms = {"owner": "Jade Ltd", "agency": "Gifts Ltd", "owner_people": ("li",), "monthly_fee_minor": 100_00}
    shop.do(
        SignAgreement(store_id=shop.store_id, **terms, **signed, term_to=date(2024, 12, 31), currency="GBP"),
        occurred_at=at,
    )
    store = log.aggregate(Store, shop.store_id)
    assert store is not None
    of = {"store_id": shop.store_id, "agreement_id": next(iter(store.agreements))}
    notice = GiveNotice(**of, party=AgreementParty.AGENCY, effective_on=date(2024, 2, 29), reason="over")
    shop.do(notice, occurred_at=at + timedelta(days=1))
    followups.run_until_idle()
    (ended,) = log.select(EventFilter(types=["AgreementEnded"]))
    assert ended.data["ending"] == "noticed"
