"""What is said of a command before anybody fills it in is what happens to it: laws, and the lives of each aggregate."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec import inspect as msgspec_inspect

from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import PlanCampaign
from opscore.domain.campaign_events import CampaignGoal
from opscore.domain.command import COMMANDS, STATE_CHECKS, Actor, Command, Role
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import BlockCustomer, EarnPoints, EraseCustomer, JoinMembership, MergeCustomers
from opscore.domain.customer_events import BlockReason, MembershipSource
from opscore.domain.order import Order
from opscore.domain.order_commands import CancelOrder, PayOrder
from opscore.domain.readiness import DONE_ALREADY, Readiness, readiness
from opscore.domain.refusals import Refusal
from opscore.domain.sku import Sku
from opscore.domain.store import Store
from opscore.domain.store_commands import PassAudit, SubmitForAudit, SuspendStore
from tests.domain.desk import MANAGER, OWNER, SECOND, SERVICE, WAREHOUSE, Desk
from tests.domain.selling import Shop


def said(desk: Desk, kind: type[Aggregate], key: UUID, actor: Actor = OWNER) -> dict[str, Readiness]:
    """Return what is said of each command about an aggregate, by the command's name."""
    aggregate = desk.get(kind, key)
    found = readiness(aggregate, actor, desk.now, desk.get(Store, aggregate.store_id))
    return {each.command.command_name(): each for each in found}


def possible(desk: Desk, kind: type[Aggregate], key: UUID, actor: Actor = OWNER) -> set[str]:
    return {name for name, each in said(desk, kind, key, actor).items() if each.code is None}


def codes(desk: Desk, kind: type[Aggregate], key: UUID, actor: Actor = OWNER) -> dict[str, str | None]:
    return {name: each.code for name, each in said(desk, kind, key, actor).items()}


def test_every_command_about_something_that_has_begun_has_a_check() -> None:
    about = set()
    for command in COMMANDS.values():
        info = msgspec_inspect.type_info(command)
        assert isinstance(info, msgspec_inspect.StructType)
        target = f"{command.AGGREGATE.STREAM_TYPE.lower()}_id"
        # What takes a store's id to begin something else there is about nothing that has begun.
        if any(each.name == target and each.required for each in info.fields):
            about.add(command)

    missing = {command.__name__ for command in about - set(STATE_CHECKS)}
    assert not missing, f"say in domain/readiness.py when these are possible: {sorted(missing)}"
    assert set(STATE_CHECKS) == about


# The lives of each aggregate -----------------------------------------------------------------------------------------


def test_an_order_says_at_each_step_what_comes_next() -> None:
    shop = Shop()
    order = shop.place((shop.article(), "1"))
    look = lambda: possible(shop.desk, Order, order)  # noqa: E731
    assert {"payOrder", "amendOrderPrice", "cancelOrder"} <= look()
    assert not look() & {"confirmOrder", "packParcel", "shipOrder", "completeOrder", "requestReturn", "refundOrder"}

    shop.pay(order, 10_000)
    assert {"confirmOrder", "cancelOrder"} <= look() and not look() & {"payOrder", "amendOrderPrice", "packParcel"}
    assert codes(shop.desk, Order, order)["amendOrderPrice"] == "ORDER_ALREADY_PAID"

    shipped = shop.shipped((shop.article("cup"), "1"))
    found = codes(shop.desk, Order, shipped)
    assert found["cancelOrder"] == "ORDER_ALREADY_SHIPPED" and found["shipOrder"] == DONE_ALREADY
    assert found["deliverOrder"] is None and found["completeOrder"] == "WRONG_STATE"

    delivered = shop.delivered((shop.article("bowl"), "1"))
    assert {"completeOrder", "requestReturn", "protectPrice"} <= possible(shop.desk, Order, delivered)
    shop.desk.now += timedelta(days=60)
    found = codes(shop.desk, Order, delivered)
    assert (found["requestReturn"], found["protectPrice"]) == ("RETURN_WINDOW_OVER", "PRICE_PROTECTION_OVER")


def test_a_called_off_order_is_done_with() -> None:
    shop = Shop()
    order = shop.place((shop.article(), "1"))
    shop.desk.do(CancelOrder(order_id=order))

    found = codes(shop.desk, Order, order)
    assert found["cancelOrder"] == DONE_ALREADY
    assert found["payOrder"] == "WRONG_STATE" and found["refundOrder"] == "NOTHING_TO_REFUND"


def test_a_payment_with_a_reference_may_be_told_again() -> None:
    shop = Shop()
    order = shop.place((shop.article(), "1"))
    payment = PayOrder(order_id=order, amount_minor=10_000, method="alipay", provider_reference="P-1")
    shop.desk.do(payment)

    assert codes(shop.desk, Order, order)["payOrder"] == DONE_ALREADY
    assert shop.desk.do(payment) == order


def test_a_store_says_which_step_of_its_opening_is_next_and_who_may_not_take_it() -> None:
    desk = Desk()
    store = desk.apply_for_store()
    assert "submitForAudit" in possible(desk, Store, store)
    assert codes(desk, Store, store)["passAudit"] == codes(desk, Store, store)["openStore"] == "WRONG_STATE"

    desk.do(SubmitForAudit(store_id=store))
    assert codes(desk, Store, store)["passAudit"] == "SAME_PERSON", "who applied does not audit"
    assert "passAudit" in possible(desk, Store, store, SECOND)

    desk.do(PassAudit(store_id=store), actor=SECOND)
    found = codes(desk, Store, store)
    assert found["openStore"] == "DEPOSIT_NOT_FROZEN" and found["freezeDeposit"] is None


def test_an_open_store_may_be_suspended_and_a_suspended_one_reopened() -> None:
    desk = Desk()
    store = desk.open_store()
    found = codes(desk, Store, store)
    assert (found["openStore"], found["suspendStore"], found["reopenStore"]) == (DONE_ALREADY, None, DONE_ALREADY)

    desk.do(SuspendStore(store_id=store, reason="flood", until=desk.now + timedelta(days=2)))
    found = codes(desk, Store, store)
    assert (found["suspendStore"], found["reopenStore"]) == ("WRONG_STATE", "SUSPENSION_RUNNING")


def test_a_customer_may_be_blocked_once_and_is_gone_once_erased() -> None:
    desk = Desk()
    customer = desk.register(desk.open_store())
    assert codes(desk, Customer, customer)["unblockCustomer"] == DONE_ALREADY
    assert codes(desk, Customer, customer)["changeTier"] == "NOT_MEMBER"

    desk.do(BlockCustomer(customer_id=customer, reason=next(iter(BlockReason))))
    found = codes(desk, Customer, customer)
    assert (found["blockCustomer"], found["unblockCustomer"]) == (DONE_ALREADY, None)
    assert found["joinMembership"] == "CUSTOMER_NOT_ACTIVE"
    with pytest.raises(Refusal):
        desk.do(JoinMembership(customer_id=customer, source=MembershipSource.GRANTED, tier="member"))

    desk.do(EraseCustomer(customer_id=customer))
    assert codes(desk, Customer, customer)["eraseCustomer"] == DONE_ALREADY


def test_what_a_merged_record_earns_goes_to_the_one_that_stays_though_the_merged_one_was_erased() -> None:
    desk = Desk()
    store = desk.open_store()
    kept, given_up = desk.register(store), desk.register(store)
    desk.do(MergeCustomers(customer_id=kept, other_id=given_up))
    # So it is in logs of earlier versions, which erased the record that was named and no other.
    alone = desk.get(Customer, given_up)
    alone.erase(desk.now)
    for event in alone.collect_events():
        desk._record(event)
    assert codes(desk, Customer, given_up)["earnPoints"] is None
    assert codes(desk, Customer, given_up)["eraseCustomer"] is None

    desk.do(EarnPoints(customer_id=given_up, rule="manual", reference="late", points=5, reason="a late receipt"))
    assert desk.get(Customer, kept).balance == 5
    desk.do(EraseCustomer(customer_id=given_up))
    assert desk.erased == {kept, given_up}


def test_a_payment_may_be_told_again_of_an_order_that_was_called_off_since() -> None:
    shop = Shop()
    order = shop.place((shop.article(), "1"))
    shop.pay(order, 1, provider_reference="p1")
    shop.desk.do(CancelOrder(order_id=order))

    assert codes(shop.desk, Order, order)["payOrder"] == DONE_ALREADY
    shop.pay(order, 1, provider_reference="p1")
    with pytest.raises(Refusal):
        shop.pay(order, 1, provider_reference="p2")


def test_the_role_comes_before_the_state_and_names_who_may() -> None:
    shop = Shop()
    order = shop.place((shop.article(), "1"))
    own = said(shop.desk, Order, order, WAREHOUSE)

    assert own["payOrder"].code == "NOT_AUTHORISED"
    assert "finance" in (own["payOrder"].reason or "") and "warehouse" in (own["payOrder"].reason or "")
    assert own["packParcel"].code == "WRONG_STATE"


def test_who_is_of_another_store_is_told_what_the_decision_would_tell() -> None:
    shop = Shop()
    sku = shop.article()
    elsewhere = Actor(id="else", role=Role.MANAGER, stores=frozenset({shop.desk.open_store(name="Other")}))
    found = codes(shop.desk, Sku, sku, elsewhere)

    assert found["setSkuContent"] == found["retireSku"] == "NOT_FOUND"
    assert found["priceSku"] is None, "an article may be sold in any store of the operator"


def test_asking_changes_nothing() -> None:
    shop = Shop()
    order = shop.desk.get(Order, shop.place((shop.article(), "1")))
    before = msgspec.to_builtins({key: value for key, value in vars(order).items() if key != "_pending_events"})
    readiness(order, OWNER, shop.desk.now, shop.desk.get(Store, shop.store_id))

    assert not order.pending_events
    assert before == msgspec.to_builtins({key: value for key, value in vars(order).items() if key != "_pending_events"})


# Whatever is asked, in whatever state --------------------------------------------------------------------------------

_TEXTS = ("x", "alipay", "sf", "CNY", "lamp", "ship_promise", "member", "S10")
_TIMES = [datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)]


class Asked:
    """Draws a value for any field of any command, from what there is and from what there is not."""

    def __init__(self, draw: Callable[[Any], Any], known: dict[str, list[UUID]], target: tuple[str, UUID]) -> None:
        self.draw = draw
        self.known = known
        self.target = target

    def command(self, command: type[Command]) -> Command:
        return msgspec.convert(self.struct(command), command)

    def struct(self, cls: type) -> dict[str, Any]:
        info = msgspec_inspect.type_info(cls)
        assert isinstance(info, msgspec_inspect.StructType)
        given: dict[str, Any] = {}
        if info.tag_field is not None:
            given[info.tag_field] = info.tag
        for each in info.fields:
            if each.name == self.target[0]:
                given[each.name] = self.target[1]
            elif each.required or self.draw(st.integers(0, 3)) == 0:
                given[each.name] = self.value(each.type, each.name)
        return given

    def value(self, info: msgspec_inspect.Type, name: str) -> Any:
        match info:
            case msgspec_inspect.Metadata():
                return self.value(info.type, name)
            case msgspec_inspect.UnionType():
                return self.value(self.draw(st.sampled_from(info.types)), name)
            case msgspec_inspect.NoneType():
                return None
            case msgspec_inspect.UUIDType():
                kind = next((each for each in self.known if name.endswith(f"{each}_id")), "")
                return self.draw(st.sampled_from([*self.known.get(kind, []), UUID(int=7)]))
            case msgspec_inspect.StrType():
                return self.draw(st.sampled_from(_TEXTS))
            case msgspec_inspect.BoolType():
                return self.draw(st.booleans())
            case msgspec_inspect.IntType():
                return self.draw(st.sampled_from([1, 0, 2, 5_000, 10_000]))
            case msgspec_inspect.DecimalType():
                return self.draw(st.sampled_from([Decimal(1), Decimal(2), Decimal(0), Decimal("0.5"), Decimal(90)]))
            case msgspec_inspect.DateTimeType():
                return self.draw(st.sampled_from(_TIMES))
            case msgspec_inspect.DateType():
                return self.draw(st.sampled_from([date(2024, 4, 1), date(2024, 5, 1), date(2030, 1, 1)]))
            case msgspec_inspect.EnumType():
                return self.draw(st.sampled_from(list(info.cls)))
            case msgspec_inspect.StructType():
                return self.struct(info.cls)
            case msgspec_inspect.DictType():
                return {}
            case msgspec_inspect.ListType() | msgspec_inspect.VarTupleType():
                return [self.value(info.item_type, name)]
        raise AssertionError(f"no value for {name}: {info}")


class AnythingAnytime(RuleBasedStateMachine):
    """One of every aggregate, and any command about any of them with any input; the desk compares with what was said.

    The desk (`Desk.do`) holds the law: what was foretold to be refused is refused with that code, what was foretold to
    be done already records nothing, and no refusal for the state of the aggregate itself comes unforetold.
    """

    outcomes: ClassVar[Counter[str]] = Counter()

    @initialize(paid=st.booleans())
    def begin(self, paid: bool) -> None:
        self.shop = shop = Shop()
        self.desk = shop.desk
        lamp = shop.article()
        customer = self.desk.register(shop.store_id)
        order = shop.place((lamp, "2"), customer_id=customer)
        if paid:
            shop.pay(order, 20_000)
        self.things: list[tuple[type[Aggregate], UUID]] = [
            (Store, shop.store_id),
            (Store, self.desk.apply_for_store(name="Second")),
            (Sku, lamp),
            (Sku, shop.service()),
            (Order, order),
            (Order, shop.delivered((lamp, "1"))),
            (Customer, customer),
            (Customer, self.desk.register(shop.store_id)),
            (Campaign, shop.campaign({lamp: "90"})),
            (Campaign, self.desk.do(PlanCampaign(store_id=shop.store_id, name="Next", goal=CampaignGoal.RAISE_SALES))),
        ]

    def _known(self) -> dict[str, list[UUID]]:
        found: dict[str, list[UUID]] = {"location": [self.shop.location_id]}
        for kind, key in self.things:
            found.setdefault(kind.STREAM_TYPE.lower(), []).append(key)
            if kind is Order:
                order = self.desk.get(Order, key)
                found.setdefault("parcel", []).extend(order.parcels)
                found.setdefault("return", []).extend(order.returns)
            elif kind is Campaign:
                found.setdefault("promotion", []).extend(self.desk.get(Campaign, key).promotions)
        return found

    @rule(data=st.data(), who=st.sampled_from([OWNER, MANAGER, SECOND, SERVICE]))
    def ask_for_anything(self, data: st.DataObject, who: Actor) -> None:
        kind, key = data.draw(st.sampled_from(self.things))
        about = [command for command in STATE_CHECKS if command.AGGREGATE is kind]
        command = data.draw(st.sampled_from(sorted(about, key=lambda each: each.__name__)))
        asked = Asked(data.draw, self._known(), (f"{kind.STREAM_TYPE.lower()}_id", key))
        foretold = codes(self.desk, kind, key, who)[command.command_name()]
        with contextlib.suppress(msgspec.ValidationError):
            given = asked.command(command)
            try:
                self.desk.do(given, actor=who)
                self.outcomes["done" if foretold is None else foretold] += 1
            except Refusal as refusal:
                self.outcomes["refused" if foretold is None else foretold] += 1
                state = foretold not in (None, DONE_ALREADY, "NOT_AUTHORISED")
                assert not state or foretold == refusal.CODE

    @rule(days=st.sampled_from([1, 8, 40]))
    def let_time_pass(self, days: int) -> None:
        self.desk.now += timedelta(days=days)


TestAnythingAnytime = AnythingAnytime.TestCase
TestAnythingAnytime.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
