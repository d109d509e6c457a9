"""Laws over whole order lives: whatever is asked in whatever order, money, units, points and quotas add up.

A machine places orders and then asks for anything of any of them: parts of payments, of cancellations, of parcels, of
returns and of refunds. Many of these are refused; then every aggregate that was looked at is as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import CouponTermsOffered, PercentageTerms
from opscore.domain.command import COMMON_REFUSALS, Command
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import EarnPoints
from opscore.domain.order import Order
from opscore.domain.order_arrivals import ConfirmReceipt, TrackParcel
from opscore.domain.order_commands import (
    AmendOrderPrice,
    CancelOrder,
    CancelOrderLines,
    CompleteOrder,
    ConfirmOrder,
    ContactCustomer,
    DeliverOrder,
    ExchangeFor,
    ExpireOrder,
    LineQuantity,
    PackParcel,
    PayOrder,
    ReportShortage,
    ResolveShortage,
    ScannedLine,
    ShipOrder,
    UnpackParcel,
)
from opscore.domain.order_disputes import FaultParty
from opscore.domain.order_events import (
    DeclineReason,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    ParcelLost,
    ParcelTraced,
    PaymentReceived,
    ReturnCondition,
    ReturnDisposed,
    ReturnExchanged,
    ReturnReason,
    ReturnRemedy,
    ShortageRemedy,
    ShortageResolved,
    TrackingStatus,
)
from opscore.domain.order_exchanges import ExchangeOf, ExchangeReturn
from opscore.domain.order_losses import ReplaceLostParcel, ReportParcelLost, TraceParcel
from opscore.domain.order_placing import PlaceLine, PlaceOrder
from opscore.domain.order_refunds import (
    ProtectPrice,
    RefundOf,
    RefundOrder,
)
from opscore.domain.order_return_endings import CancelReturn, DeclineReturn, still_expected
from opscore.domain.order_return_ways import PayReturnFreight, ShipReturn, VerifyReturn
from opscore.domain.order_returns import (
    ApproveReturn,
    DisposalOf,
    DisposeReturn,
    ReceiveReturn,
    RequestReturn,
)
from opscore.domain.order_state import OrderStatus
from opscore.domain.refusals import Refusal
from opscore.domain.sku import Sku
from opscore.domain.sku_events import StockShipped
from tests.domain.desk import Desk
from tests.domain.selling import Shop

STOCK = {"lamp": Decimal(14), "cup": Decimal(9)}
QUOTA = Decimal(6)
POINTS = 5_000

numbers = st.integers(0, 5)
units = st.sampled_from([Decimal(1), Decimal(1), Decimal(2), Decimal(3)])
amounts = st.sampled_from([1, 700, 3_333, 10_000])


def state_of(aggregate: Aggregate) -> Any:
    """Return what an aggregate adds up to, as plain values that compare."""
    return msgspec.to_builtins({key: value for key, value in vars(aggregate).items() if key != "_pending_events"})


class WatchedDesk(Desk):
    """A desk that remembers what it gave out, so that a refusal that changed something is found."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[UUID, Aggregate] = {}

    def fold(self, stream_id: UUID) -> Aggregate | None:
        found = super().fold(stream_id)
        if found is not None:
            self.given[stream_id] = found
        return found


@dataclass
class Seen:
    """What the events of one order say, added up without its fold."""

    paid_minor: int = 0
    refunded_minor: int = 0
    goods_refunded_minor: int = 0
    cancelled_minor: int = 0


class OrderLives(RuleBasedStateMachine):
    """Orders of a store with two articles, a campaign with quota, budget and coupon, and a customer with points."""

    @initialize()
    def open_shop(self) -> None:
        self.desk = WatchedDesk()
        self.shop = Shop(self.desk)
        self.lamp = self.shop.article("lamp", "33.335", str(STOCK["lamp"]))
        self.cup = self.shop.article("cup", "9.99", str(STOCK["cup"]))
        self.postage = self.shop.service()
        self.ann = self.desk.register(self.shop.store_id)
        earn = EarnPoints(customer_id=self.ann, rule="manual", reference="1", points=POINTS, reason="a present")
        self.desk.do(earn)
        coupon = CouponTermsOffered(code="TEN", off_minor=1_000, usage_limit=3)
        percent = PercentageTerms(percent=Decimal(7))
        self.campaign = self.shop.campaign(
            {self.lamp: "29.995"}, coupon, percent, quota=str(QUOTA), max_per_customer=5, budget_minor=7_000
        )
        self.order_ids: list[UUID] = []
        self.waybills = 0
        self.refusals: Counter[str] = Counter()

    # What is asked ---------------------------------------------------------------------------------------------------

    def ask(self, command: Command, **fields: Any) -> None:
        """Give a command; a refusal may have changed nothing that it looked at."""
        self.desk.given = {}
        try:
            answer = self.desk.do(command, **fields)
        except Refusal as refusal:
            self.refusals[refusal.CODE] += 1
            assert isinstance(refusal, (*COMMON_REFUSALS, *command.REFUSES)), f"{refusal.CODE} is not announced"
            for stream_id, looked_at in list(self.desk.given.items()):
                fresh = Desk.fold(self.desk, stream_id)
                assert fresh is not None and state_of(looked_at) == state_of(fresh), refusal.CODE
        else:
            if isinstance(command, PlaceOrder):
                self.order_ids.append(answer)

    def some_order(self, number: int) -> Order:
        """Return one of the orders, the newest ones most often."""
        return self.desk.get(Order, self.order_ids[-1 - number % len(self.order_ids)])

    def some_line(self, order: Order, number: int) -> int:
        """Return the number of one of its lines."""
        return order.lines[number % len(order.lines)].line

    @rule(
        lamps=st.integers(0, 4),
        cups=st.integers(0, 3),
        known=st.booleans(),
        in_campaign=st.booleans(),
        coupon=st.booleans(),
        points=st.sampled_from([0, 0, 777]),
        freight_minor=st.sampled_from([0, 501]),
    )
    def place(
        self, lamps: int, cups: int, known: bool, in_campaign: bool, coupon: bool, points: int, freight_minor: int
    ) -> None:
        wanted = [(self.lamp, lamps), (self.cup, cups), (self.lamp, lamps // 2), (self.postage, 1)]
        lines = tuple(PlaceLine(sku_id=sku_id, quantity=Decimal(quantity)) for sku_id, quantity in wanted if quantity)
        command = PlaceOrder(
            store_id=self.shop.store_id,
            lines=lines,
            customer_id=self.ann if known else None,
            campaign_ids=(self.campaign,) if in_campaign and known else (),
            coupon_code="TEN" if coupon and lamps else None,
            points_to_spend=points if known else 0,
            freight_minor=freight_minor,
        )
        self.ask(command)

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, price=st.sampled_from(["0", "12.345", "40"]))
    def amend(self, number: int, line: int, price: str) -> None:
        order = self.some_order(number)
        wanted = self.some_line(order, line)
        self.ask(AmendOrderPrice(order_id=order.id, line=wanted, unit_price=Decimal(price), reason="asked nicely"))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, amount_minor=st.one_of(st.none(), amounts), reference=st.sampled_from([None, "p1", "p2"]))
    def pay(self, number: int, amount_minor: int | None, reference: str | None) -> None:
        order = self.some_order(number)
        amount_minor = amount_minor or order.due_minor or 1
        self.ask(PayOrder(order_id=order.id, amount_minor=amount_minor, method="alipay", provider_reference=reference))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, steps=st.integers(1, 6))
    def go_on(self, number: int, steps: int) -> None:
        """Take an order some steps along its way, so that its later life is visited too."""
        order_id = self.some_order(number).id
        for _ in range(steps):
            order = self.desk.get(Order, order_id)
            parcels = list(order.parcels)
            unsent = [parcel_id for parcel_id in parcels if order.parcels[parcel_id].shipped_at is None]
            match order.status:
                case OrderStatus.PLACED:
                    self.ask(PayOrder(order_id=order_id, amount_minor=order.due_minor or 1, method="alipay"))
                case OrderStatus.PAID:
                    self.ask(ConfirmOrder(order_id=order_id))
                case OrderStatus.CONFIRMED:
                    self.pack(number, 0, None)
                case OrderStatus.PACKED:
                    for parcel_id in unsent:
                        self.send(number, parcels.index(parcel_id), False)
                case OrderStatus.SHIPPED:
                    for parcel_id in parcels:
                        self.ask(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
                case OrderStatus.DELIVERED:
                    self.ask(CompleteOrder(order_id=order_id))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, quantity=units, remedy=st.sampled_from(ShortageRemedy))
    def run_short(self, number: int, line: int, quantity: Decimal, remedy: ShortageRemedy) -> None:
        order = self.some_order(number)
        if order.status in (OrderStatus.PLACED, OrderStatus.PAID):
            self.go_on(number, 2)
        short = self.some_line(order, line)
        self.ask(ReportShortage(order_id=order.id, lines=(LineQuantity(line=short, quantity=quantity),)))
        self.ask(ContactCustomer(order_id=order.id))
        other = ExchangeFor(line=short, sku_id=self.cup, quantity=Decimal(1))
        exchanges = (other,) if remedy is ShortageRemedy.EXCHANGE else ()
        self.ask(ResolveShortage(order_id=order.id, kind=remedy, exchanges=exchanges))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, quantity=units)
    def cancel_lines(self, number: int, line: int, quantity: Decimal) -> None:
        order = self.some_order(number)
        part = LineQuantity(line=self.some_line(order, line), quantity=quantity)
        self.ask(CancelOrderLines(order_id=order.id, lines=(part,)))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, expires=st.booleans())
    def end(self, number: int, expires: bool) -> None:
        order = self.some_order(number)
        if expires:
            self.ask(ExpireOrder(order_id=order.id), at=self.desk.now + timedelta(hours=1))
        else:
            self.ask(CancelOrder(order_id=order.id))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, quantity=st.one_of(st.none(), units))
    def pack(self, number: int, line: int, quantity: Decimal | None) -> None:
        order = self.some_order(number)
        if quantity is None:
            wanted = [(each.line, each.sku_id, each.to_pack) for each in order.lines if each.to_pack]
        else:
            each = order.line(self.some_line(order, line))
            wanted = [(each.line, each.sku_id, quantity)]
        scanned = tuple(ScannedLine(line=at, sku_id=sku_id, quantity=packed) for at, sku_id, packed in wanted)
        if scanned:
            self.ask(PackParcel(order_id=order.id, location_id=self.shop.location_id, lines=scanned))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, parcel=numbers)
    def unpack(self, number: int, parcel: int) -> None:
        order = self.some_order(number)
        if order.parcels:
            parcel_id = list(order.parcels)[parcel % len(order.parcels)]
            self.ask(UnpackParcel(order_id=order.id, parcel_id=parcel_id))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, parcel=numbers, arrives=st.booleans())
    def send(self, number: int, parcel: int, arrives: bool) -> None:
        order = self.some_order(number)
        if not order.parcels:
            return
        parcel_id = list(order.parcels)[parcel % len(order.parcels)]
        self.waybills += 1
        self.ask(ShipOrder(order_id=order.id, parcel_id=parcel_id, courier="sf", waybill=f"W{self.waybills}"))
        if arrives:
            self.ask(DeliverOrder(order_id=order.id, parcel_id=parcel_id))
            self.ask(CompleteOrder(order_id=order.id))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, parcel=numbers, then=st.sampled_from(["", "found", "replaced", "called off"]), again=units)
    def lose(self, number: int, parcel: int, then: str, again: Decimal) -> None:
        order = self.some_order(number)
        if not order.parcels:
            return
        parcel_id = list(order.parcels)[parcel % len(order.parcels)]
        self.ask(ReportParcelLost(order_id=order.id, parcel_id=parcel_id))
        if then == "found":
            self.ask(TraceParcel(order_id=order.id, parcel_id=parcel_id, found=True))
        elif then == "replaced":
            self.ask(ReplaceLostParcel(order_id=order.id, parcel_id=parcel_id))
        elif then:
            part = LineQuantity(line=order.parcels[parcel_id].lines[0].line, quantity=again)
            self.ask(CancelOrderLines(order_id=order.id, lines=(part,)))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, asked=units, counted=units, condition=st.sampled_from(ReturnCondition))
    def send_back(self, number: int, line: int, asked: Decimal, counted: Decimal, condition: ReturnCondition) -> None:
        order = self.some_order(number)
        at = self.some_line(order, line)
        self.ask(RequestReturn(order_id=order.id, lines=(LineQuantity(line=at, quantity=asked),)))
        for return_id in list(self.desk.get(Order, order.id).returns)[-1:]:
            target: dict[str, Any] = {"order_id": order.id, "return_id": return_id}
            self.ask(ApproveReturn(**target))
            came = (LineQuantity(line=at, quantity=counted),)
            self.ask(ReceiveReturn(**target, location_id=self.shop.location_id, lines=came))
            disposed = (DisposalOf(line=at, quantity=Decimal(1), condition=condition),)
            self.ask(DisposeReturn(**target, lines=disposed))

    @precondition(lambda self: self.order_ids)
    @rule(
        number=numbers, line=numbers, back=units, other=st.booleans(), sent=units, wanted=st.sampled_from(ReturnRemedy)
    )
    def exchange(self, number: int, line: int, back: Decimal, other: bool, sent: Decimal, wanted: ReturnRemedy) -> None:
        """Let goods come back and others, or the same ones, go out for them; again and again, once it is there."""
        order = self.some_order(number)
        if order.status is OrderStatus.SHIPPED:
            self.go_on(number, 1 + line % 2)
        at = self.some_line(order, line)
        part = (LineQuantity(line=at, quantity=back),)
        self.ask(RequestReturn(order_id=order.id, lines=part, remedy=wanted))
        for return_id in list(self.desk.get(Order, order.id).returns)[-2:]:
            target: dict[str, Any] = {"order_id": order.id, "return_id": return_id}
            self.ask(ApproveReturn(**target))
            self.ask(ShipReturn(**target, courier="sf", waybill="B1"))
            self.ask(VerifyReturn(**target, reason=ReturnReason.QUALITY, fault_party=list(FaultParty)[line % 5]))
            self.ask(PayReturnFreight(**target, amount_minor=800))
            self.ask(ReceiveReturn(**target, location_id=self.shop.location_id, lines=part))
            instead = {"sku_id": self.cup, "sent_quantity": sent} if other else {}
            self.ask(ExchangeReturn(**target, lines=(ExchangeOf(line=at, quantity=back, **instead),)))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, defects=st.one_of(st.none(), units), inspected=st.booleans())
    def arrive(self, number: int, line: int, defects: Decimal | None, inspected: bool) -> None:
        order = self.some_order(number)
        for parcel_id in order.parcels:
            tracked = list(TrackingStatus)[line]
            self.ask(TrackParcel(order_id=order.id, parcel_id=parcel_id, status=tracked))
        wrong = () if defects is None else (LineQuantity(line=self.some_line(order, line), quantity=defects),)
        self.ask(ConfirmReceipt(order_id=order.id, inspected=inspected, defects=wrong))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, asked=units, approved=st.booleans(), declined=st.booleans())
    def send_nothing_back(self, number: int, line: int, asked: Decimal, approved: bool, declined: bool) -> None:
        order = self.some_order(number)
        lines = (LineQuantity(line=self.some_line(order, line), quantity=asked),)
        self.ask(RequestReturn(order_id=order.id, lines=lines))
        for return_id in list(self.desk.get(Order, order.id).returns)[-2:]:
            target: dict[str, Any] = {"order_id": order.id, "return_id": return_id}
            if approved:
                self.ask(ApproveReturn(**target))
            if declined:
                self.ask(DeclineReturn(**target, reason=DeclineReason.OTHER))
            else:
                self.ask(CancelReturn(**target))

    @precondition(lambda self: self.order_ids)
    @rule(
        number=numbers,
        line=numbers,
        quantity=st.one_of(st.none(), units),
        freight_minor=st.sampled_from([0, 0, 250]),
        other_minor=st.sampled_from([0, 0, 999]),
    )
    def refund(self, number: int, line: int, quantity: Decimal | None, freight_minor: int, other_minor: int) -> None:
        order = self.some_order(number)
        lines = () if quantity is None else (RefundOf(line=self.some_line(order, line), quantity=quantity),)
        self.ask(RefundOrder(order_id=order.id, lines=lines, freight_minor=freight_minor, other_minor=other_minor))

    @precondition(lambda self: self.order_ids)
    @rule(number=numbers, line=numbers, price=st.sampled_from(["0", "7.777", "25"]))
    def protect(self, number: int, line: int, price: str) -> None:
        order = self.some_order(number)
        kept = self.some_line(order, line)
        self.ask(ProtectPrice(order_id=order.id, line=kept, lower_price=Decimal(price), evidence="our own page"))

    # What always holds -----------------------------------------------------------------------------------------------

    def orders(self) -> list[Order]:
        return [self.desk.get(Order, order_id) for order_id in self.order_ids]

    def events_of(self, kind: type[Any]) -> list[Any]:
        return [event for _, event in self.desk.events if type(event) is kind]

    @invariant()
    def every_sum_is_the_sum_of_its_parts(self) -> None:
        for placed in self.events_of(OrderPlaced):
            for line in placed.lines:
                assert sum(part.amount_minor for part in line.discounts) == line.discount_minor
                assert line.gross_minor - line.discount_minor == line.amount_minor >= 0
            assert sum(line.amount_minor for line in placed.lines) == placed.goods_minor
            assert sum(line.discount_minor for line in placed.lines) == placed.discount_minor
            assert placed.goods_minor + placed.freight_minor == placed.total_minor
        for paid in self.events_of(OrderPaid):
            assert paid.goods_minor + paid.freight_minor == paid.total_minor
        for back in self.events_of(OrderRefunded):
            assert back.amount_minor == back.goods_minor + back.freight_minor + back.unearned_minor
            assert sum(line.amount_minor for line in back.lines) == back.goods_minor
        for kind in (OrderCancelled, OrderExpired):
            for gone in self.events_of(kind):
                assert sum(line.amount_minor for line in gone.lines) == gone.goods_minor

    @invariant()
    def money_is_conserved(self) -> None:
        seen: dict[UUID, Seen] = {order_id: Seen() for order_id in self.order_ids}
        for payment in self.events_of(PaymentReceived):
            seen[payment.originator_id].paid_minor += payment.amount_minor
        for back in self.events_of(OrderRefunded):
            seen[back.originator_id].refunded_minor += back.amount_minor
            seen[back.originator_id].goods_refunded_minor += back.goods_minor
        for kind in (OrderCancelled, OrderExpired):
            for gone in self.events_of(kind):
                seen[gone.originator_id].cancelled_minor += gone.goods_minor + gone.freight_minor
        for order in self.orders():
            facts = seen[order.id]
            assert (order.paid_minor, order.refunded_minor) == (facts.paid_minor, facts.refunded_minor)
            assert 0 <= order.refunded_minor <= order.paid_minor
            assert order.net_total_minor == order.total_minor - facts.cancelled_minor >= 0
            assert sum(line.amount_minor for line in order.lines) == order.goods_minor
            assert order.goods_minor + order.freight_minor == order.total_minor
            if order.paid_at is not None:
                assert facts.goods_refunded_minor <= order.paid_goods_minor
                assert order.kept_goods_minor == order.paid_goods_minor - facts.goods_refunded_minor
            if order.cancelled_at is not None:
                assert order.net_total_minor == 0
        for done in self.events_of(OrderCompleted):
            assert done.goods_minor >= 0

    @invariant()
    def a_line_gives_back_no_more_than_it_took(self) -> None:
        refunded: Counter[tuple[UUID, int]] = Counter()
        for back in self.events_of(OrderRefunded):
            for line in back.lines:
                if line.line is not None:
                    refunded[back.originator_id, line.line] += line.amount_minor
        # What stands in for a line takes its price over: what went back of the one, the other does not give once more.
        stands_in_for: dict[tuple[UUID, int], int] = {}
        for kind in (ShortageResolved, ReturnExchanged):
            for event in self.events_of(kind):
                stands_in_for |= {(event.originator_id, each.line): each.from_line for each in event.exchanges}
        for order in self.orders():
            of_bought: Counter[int] = Counter()
            for line in order.lines:
                bought = line.line
                while (order.id, bought) in stands_in_for:
                    bought = stands_in_for[order.id, bought]
                of_bought[bought] += line.amount_minor - refunded[order.id, line.line]
            assert all(left_minor >= 0 for left_minor in of_bought.values())
            for line in order.lines:
                assert line.cancelled_minor <= line.amount_minor
                assert 0 <= line.delivered <= line.shipped <= line.packed <= line.live - line.lost
                assert line.lost >= 0
                assert line.returned <= line.return_requested <= (line.live if line.service else line.shipped)
                assert line.refundable >= 0
                if not line.live and not line.exchanged:
                    assert line.cancelled_minor == line.amount_minor

    @invariant()
    def units_are_conserved_between_orders_and_stock(self) -> None:
        shipped: Counter[UUID] = Counter()
        quota_shipped = Decimal(0)
        for event in self.events_of(StockShipped):
            shipped[event.originator_id] += event.quantity
            quota_shipped += event.quantity if event.campaign_id is not None else 0
        gone: Counter[UUID] = Counter()
        for missed in self.events_of(ParcelLost):
            for entry in missed.lines:
                gone[entry.sku_id] += entry.quantity
        for traced in self.events_of(ParcelTraced):
            for entry in traced.lines:
                gone[entry.sku_id] -= entry.quantity
        # What came back and was exchanged counts as if it had never left.
        for sku_id, _, quantity in self.exchanged():
            gone[sku_id] += quantity
        back: Counter[UUID] = Counter()
        for event in self.events_of(ReturnDisposed):
            for line in event.lines:
                back[line.sku_id] += line.quantity
        for sku_id in (self.lamp, self.cup):
            sku = self.desk.get(Sku, sku_id)
            level = sku.level_at(self.shop.location_id)
            assert level.on_hand == STOCK[sku.code] - shipped[sku_id] + back[sku_id]
            assert min(level.sellable, level.reserved, level.allocated, level.damaged) >= 0
            lines = [(order, line) for order in self.orders() for line in order.lines if line.sku_id == sku_id]
            assert sum(line.shipped for _, line in lines) + gone[sku_id] == shipped[sku_id]
            for order in self.orders():
                open_units = sum(line.live - line.shipped - line.lost for line in order.lines if line.sku_id == sku_id)
                assert sku.reserved_for(order.id) == open_units
        lamp = self.desk.get(Sku, self.lamp)
        left = lamp.allocations[self.campaign].get(self.shop.location_id, Decimal(0))
        held = sum(
            part.quantity for parts in lamp.reservations.values() for part in parts if part.campaign_id is not None
        )
        assert left + held + quota_shipped == QUOTA

    def exchanged(self) -> Iterator[tuple[UUID, tuple[UUID, int], Decimal]]:
        """Give (article, line of an order, units) of goods that came back and for which others are sent."""
        for event in self.events_of(ReturnExchanged):
            order = self.desk.get(Order, event.originator_id)
            came = [(entry.line, entry.quantity) for entry in event.lines]
            came += [(entry.from_line, entry.replaced_quantity) for entry in event.exchanges]
            for number, quantity in came:
                line = order.lines[number - 1]
                if not line.service:
                    yield line.sku_id, (order.id, number), quantity

    @invariant()
    def what_is_packed_lies_in_parcels(self) -> None:
        anew: Counter[tuple[UUID, int]] = Counter()
        for _, at, quantity in self.exchanged():
            anew[at] += quantity
        for order in self.orders():
            packed = {line.line: -anew[order.id, line.line] for line in order.lines if anew[order.id, line.line]}
            for parcel in order.parcels.values():
                if parcel.lost_at is not None:
                    continue
                for held in parcel.lines:
                    packed[held.line] = packed.get(held.line, Decimal(0)) + held.quantity
            assert {line.line: line.packed for line in order.lines if line.packed} == {
                number: units for number, units in packed.items() if units
            }

    @invariant()
    def what_is_asked_back_is_what_returns_still_expect_or_have_got(self) -> None:
        for order in self.orders():
            for line in order.lines:
                entries = [(case, case.find(line.line)) for case in order.returns.values()]
                wanted = sum(
                    (
                        dict(still_expected(case)).get(line.line, 0) + entry.received - entry.exchanged
                        for case, entry in entries
                        if entry
                    ),
                    Decimal(0),
                )
                assert line.return_requested == wanted
                assert line.returned <= line.return_requested <= (line.live if line.service else line.shipped)

    @invariant()
    def points_coupons_budget_and_limits_are_those_of_orders_that_stand(self) -> None:
        standing = [order for order in self.orders() if order.status is not OrderStatus.CANCELLED]
        customer, campaign = self.desk.get(Customer, self.ann), self.desk.get(Campaign, self.campaign)
        spent = {key: sum(use.amount for use in uses) for key, uses in customer.points_by_order.items()}
        assert customer.balance + sum(spent.values()) == POINTS
        assert set(spent) <= {order.id for order in standing}
        for order in standing:
            kept = order.points_spent - order.points_given_back
            # An exchange splits a line's points once more, so that a point may fall to the other side.
            rounded = sum(1 for line in order.lines if line.exchanged)
            assert abs(spent.get(order.id, 0) - kept) <= rounded
        assert campaign.coupon_uses.get("TEN", 0) == sum(order.coupon_code is not None for order in standing) <= 3
        claimed = sum(sum(order.claims.values()) for order in self.orders())
        assert campaign.budget_claimed_minor == claimed
        assert all(amount_minor >= 0 for order in self.orders() for amount_minor in order.claims.values())
        redeemed = sum(
            line.live + line.exchanged
            for order in standing
            if order.customer_id == self.ann
            for line in order.lines
            if line.campaign_id == self.campaign and not line.gift
        )
        assert customer.redeemed(self.campaign, self.lamp) == redeemed <= 5


OrderLives.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOrderLives: Callable[..., Any] = OrderLives.TestCase
