"""Makes up the log of some stores, event by event: for the window law (any actions in any order) and for benchmarks.

The events are those of the domain, checked by their stored shapes; they are not decided by it, so that a million of
them cost seconds. Quantities and amounts add up within an order; nothing else is promised.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import msgspec
import psycopg

from opscore.domain import catalogue as _  # noqa: F401  (defines every event class)
from opscore.domain.order_events import (
    CancelledLine,
    DisposedLine,
    ExchangedLine,
    OrderLine,
    ParcelLine,
    RefundLine,
    ReturnLine,
    ShortLine,
)
from opscore.domain.pricing import Discount
from opscore.log.event_types import event_types

NAMES = UUID("2c2f6c3b-4f0e-5f5b-9d7a-0c8f1f0f8d11")
START = datetime(2025, 1, 1, tzinfo=UTC)
ZONES = ("Europe/London", "Asia/Shanghai", "America/New_York")
COLUMNS = (
    "position", "stream_id", "version", "stream_type", "type", "schema_version", "store_id", "occurred_at",
    "recorded_at", "time_zone", "actor", "origin", "idempotency_key", "correlation_id", "causation_position", "data",
    "hash",
)  # fmt: skip

Row = tuple[Any, ...]
"""One row of the table of events, in the order of COLUMNS."""


@dataclass
class Order:
    """What the generator remembers of an order it placed."""

    id: UUID
    store: int
    customer: UUID | None
    campaign: UUID | None
    lines: list[OrderLine]
    freight_minor: int
    state: str = "placed"
    gone: set[int] = field(default_factory=set)
    parcel: UUID | None = None
    refunded: set[int] = field(default_factory=set)
    paid_at: datetime | None = None
    claimed_minor: int = 0

    @property
    def live(self) -> list[OrderLine]:
        """The lines that were not called off."""
        return [line for line in self.lines if line.line not in self.gone]

    @property
    def goods_minor(self) -> int:
        """What the live lines cost."""
        return sum(line.amount_minor for line in self.live)


class World:
    """Some stores with SKUs, customers and campaigns. Each method records what its name says and keeps `rows`."""

    def __init__(
        self,
        *,
        stores: int = 2,
        skus: int = 6,
        customers: int = 8,
        campaigns: int = 2,
        checked: bool = True,
        after: int = 0,
    ) -> None:
        """Open the stores and register what they have.

        checked: decode every event again as the log would. after: the last position that is taken; worlds with another
        one share no id.
        """
        self.checked = checked
        self.salt = after
        self.rows: list[Row] = []
        self.position = after
        # Later than anything in a log of that many events: recorded times never run backwards.
        self.now = START + timedelta(hours=10 * after)
        self.back = timedelta(0)
        self.versions: dict[UUID, int] = {}
        self.stores = [self.made_id("store", number) for number in range(stores)]
        self.zones = [ZONES[number % len(ZONES)] for number in range(stores)]
        self.currencies = ["GBP" if number % 2 == 0 else "JPY" for number in range(stores)]
        self.skus = [self.made_id("sku", number) for number in range(skus)]
        self.sku_store = [number % stores for number in range(skus)]
        self.locations = [[self.made_id(f"location {store}", place) for place in range(2)] for store in range(stores)]
        self.customers = [self.made_id("customer", number) for number in range(customers)]
        self.campaigns = [self.made_id("campaign", number) for number in range(campaigns)]
        self.orders: list[Order] = []
        self.open: list[Order] = []
        self._numbers = itertools.count(1)
        self._hash = b"\0" * 32
        self._types = event_types()
        self._shapes = {name: kind.shape for name, kind in self._types.items()}
        self._streams = {name: kind.aggregate.STREAM_TYPE for name, kind in self._types.items()}
        for number in range(skus):
            self.register_sku(number)
        for number in range(customers):
            self.register_customer(number)
        for number in range(campaigns):
            self.plan_campaign(number)

    def made_id(self, kind: str, number: int) -> UUID:
        """Return the id of the `number`-th thing of a kind in this world."""
        return uuid5(NAMES, f"{self.salt} {kind} {number}")

    # Recording ---------------------------------------------------------------------------------------------------

    def record(self, name: str, stream: UUID, store: int, /, **fields: Any) -> datetime:
        """Add one event and return when it happened."""
        version = self.versions.get(stream, 0) + 1
        self.versions[stream] = version
        self.position += 1
        position = self.position
        occurred = self.now - self.back
        data = msgspec.json.encode(self._shapes[name](**fields))
        if self.checked:
            self._types[name].decoder.decode(data)
        self._hash = hashlib.sha256(self._hash + data).digest()
        self.rows.append(
            (
                position, stream, version, self._streams[name], name, self._types[name].version, self.stores[store],
                occurred,
                self.now + timedelta(microseconds=position), self.zones[store], "generator", "live", f"key {position}",
                None, None, data.decode(), self._hash,
            )
        )  # fmt: skip
        return occurred

    def pass_time(self, minutes: int) -> None:
        """Let time go by; the next events happen then (0: at the same time as the last)."""
        self.now += timedelta(minutes=minutes)

    def back_date(self, minutes: int) -> None:
        """Let the next events have happened this much earlier than they are recorded."""
        self.back = timedelta(minutes=minutes)

    def change_zone(self, store: int) -> None:
        """Move a store to the next time zone; events recorded from now on carry it."""
        store %= len(self.stores)
        self.zones[store] = ZONES[(ZONES.index(self.zones[store]) + 1) % len(ZONES)]

    # Stock -------------------------------------------------------------------------------------------------------

    def register_sku(self, number: int) -> None:
        store = self.sku_store[number]
        self.record(
            "SkuRegistered", self.skus[number], store, store_id=self.stores[store], code=f"SKU{number}",
            name=f"Article {number}", brand=None, category="gifts", unit="piece", quantity_places=3, mode="stocked",
            min_order_quantity=Decimal(1), currency=self.currencies[store], specification={}, season_end=None,
            editor="generator",
        )  # fmt: skip

    def sku_fact(self, number: int, kind: int, amount: int) -> None:
        """Record something about an article: how far it is, what it costs in a store, whether it is on sale there."""
        number %= len(self.skus)
        store = amount % len(self.stores)
        there = {"store_id": self.stores[store]}
        price = {"old_list_price": None, "cost": None, "expected_profit": None, "market_price": None}
        facts: list[tuple[str, int, dict[str, Any]]] = [
            ("SkuSubmitted", self.sku_store[number], {"submitter": "one"}),
            ("SkuReviewPassed", self.sku_store[number], {"reviewer": "two"}),
            ("SkuReviewFailed", self.sku_store[number], {"reviewer": "two", "reasons": ()}),
            ("SkuListed", store, there),
            ("SkuDelisted", store, {**there, "reason": "manual"}),
            (
                "SkuPriced",
                store,
                {
                    **there,
                    **price,
                    "list_price": Decimal(amount),
                    "market_source": None,
                    "currency": self.currencies[store],
                    "reason": "review",
                    "editor": "one",
                },
            ),
            ("SkuListed", store, there),
            ("SkuRetired", self.sku_store[number], {"reason": None}),
        ]
        name, at, fields = facts[kind % len(facts)]
        self.record(name, self.skus[number], at, **vars_of(msgspec.convert(fields, self._shapes[name], strict=False)))

    def store_fact(self, number: int, kind: int) -> None:
        """Record something about a store: that it was applied for, if it was not, then how far it is."""
        store = number % len(self.stores)
        stream = self.stores[store]
        if stream not in self.versions:
            self.record(
                "StoreApplied", stream, store, name=f"Store {store}", operator="Gifts Ltd", platform="own", kind="own",
                currency=self.currencies[store], time_zone=self.zones[store], applicant="generator",
            )  # fmt: skip
        moment = self.now.isoformat()
        facts: list[tuple[str, dict[str, Any]]] = [
            ("StoreAuditStarted", {"submitted_by": "one", "expected_from": moment, "due_at": moment}),
            ("StoreAuditPassed", {}),
            ("StoreAuditRejected", {"reasons": ()}),
            ("StoreOpened", {}),
            ("StoreSuspended", {"reason": "holidays"}),
            ("StoreReopened", {}),
            ("StoreClosed", {"reason": "moved"}),
        ]
        name, fields = facts[kind % len(facts)]
        self.record(name, stream, store, **vars_of(msgspec.convert(fields, self._shapes[name], strict=False)))

    def _place(self, number: int) -> UUID:
        return self.locations[self.sku_store[number]][number // 2 % 2]

    def receive(self, number: int, quantity: int, cost: int) -> None:
        number %= len(self.skus)
        self.record(
            "StockReceived", self.skus[number], self.sku_store[number], location_id=self._place(number), batch=None,
            quantity=Decimal(quantity), unit_cost=None if cost == 0 else Decimal(cost) / 1000,
            currency=self.currencies[self.sku_store[number]], cost_assumed=cost == 0,
        )  # fmt: skip

    def other_movement(self, number: int, kind: int, quantity: int) -> None:
        """Record a write-off, a sample, a count, a transfer, or a change of a campaign's quota."""
        number %= len(self.skus)
        store, sku, place = self.sku_store[number], self.skus[number], self._place(number)
        other = self.locations[store][1 - number // 2 % 2]
        units, kind = Decimal(quantity), kind % 7
        if kind == 0:
            self.record(
                "StockWrittenOff", sku, store, location_id=place, quantity=units, kind="lost", reason="not found",
                condition="good" if quantity % 2 else "damaged",
            )  # fmt: skip
        elif kind == 1:
            self.record("SampleIssued", sku, store, location_id=place, quantity=units, receiver=None, purpose="photo")
        elif kind == 2:
            difference = Decimal(quantity - 3)
            self.record("StockCounted", sku, store, location_id=place, book=Decimal(9), counted=9 + difference)
            self.record("StockAdjusted", sku, store, location_id=place, difference=difference, reason="count")
        elif kind in (3, 4):
            transfer = self.made_id("transfer", next(self._numbers))
            self.record(
                "StockTransferredOut", sku, store, transfer_id=transfer, location_id=place, to_location_id=other,
                quantity=units,
            )  # fmt: skip
            if kind == 4:
                lost = Decimal(quantity % 2)
                self.record(
                    "StockTransferredIn", sku, store, transfer_id=transfer, location_id=other, from_location_id=place,
                    quantity=units - lost, lost=lost,
                )  # fmt: skip
        else:
            event = "CampaignStockAllocated" if kind == 5 else "CampaignStockReleased"
            campaign = self.campaigns[quantity % len(self.campaigns)]
            self.record(event, sku, store, campaign_id=campaign, location_id=place, quantity=units)

    # Orders ------------------------------------------------------------------------------------------------------

    def place(self, customer: int, wanted: Iterable[tuple[int, int]], *, campaign: int | None = None) -> Order:
        """Place an order of (SKU number, quantity) lines; every third SKU number is sold at a discount."""
        wanted = list(wanted)
        store = self.sku_store[wanted[0][0] % len(self.skus)]
        who = None if customer < 0 else self.customers[customer % len(self.customers)]
        from_campaign = None if campaign is None else self.campaigns[campaign % len(self.campaigns)]
        lines = []
        for place, (number, quantity) in enumerate(wanted, start=1):
            number %= len(self.skus)
            gross = quantity * (100 + 7 * number)
            off = gross // 10 if number % 3 == 0 else 0
            discounts = (
                (Discount(source="percentage", amount_minor=off, reason="10 % off", source_id=from_campaign),)
                if off
                else ()
            )
            price = Decimal(100 + 7 * number) / 100
            lines.append(
                OrderLine(
                    line=place, sku_id=self.skus[number], sku_code=f"SKU{number}", name=f"Article {number}",
                    quantity=Decimal(quantity), unit="piece", list_price=price, unit_price=price, gross_minor=gross,
                    discount_minor=off, amount_minor=gross - off,
                    campaign_id=from_campaign if place == 1 else None, discounts=discounts,
                )
            )  # fmt: skip
        freight = 300 if len(lines) == 1 else 0
        order = Order(self.made_id("order", next(self._numbers)), store, who, from_campaign, lines, freight)
        self.orders.append(order)
        self.open.append(order)
        goods, off = order.goods_minor, sum(line.discount_minor for line in lines)
        self.record(
            "OrderPlaced", order.id, store, store_id=self.stores[store], customer_id=who, kind="sale", channel="web",
            external_reference=f"R{order.id}", currency=self.currencies[store], lines=tuple(lines), goods_minor=goods,
            discount_minor=off, freight_minor=freight, freight_waived_minor=0, total_minor=goods + freight,
            coupon_code=None, coupon_id=None, coupon_campaign_id=None, points_spent=0, points_minor=0,
            campaign_ids=() if from_campaign is None else (from_campaign,), claims=(), freight_waivers=(),
            passed_over=(), price_source="opscore", surge=False, region=None, expires_at=self.now + timedelta(hours=1),
            traffic_source=("direct", "organic_search", "paid_search", "external", None)[customer % 5],
            device=("pc", "app", None)[customer % 3],
        )  # fmt: skip
        for line in lines:
            number = self.skus.index(line.sku_id) if len(self.skus) < 50 else int(line.sku_code[3:])
            self.record(
                "StockReserved", line.sku_id, self.sku_store[number], order_id=order.id, store_id=self.stores[store],
                location_id=self._place(number), quantity=line.quantity, campaign_id=line.campaign_id,
            )  # fmt: skip
        if from_campaign is not None and off:
            order.claimed_minor = off
            self.record(
                "CampaignBudgetClaimed", from_campaign, 0, order_id=order.id, amount_minor=off,
                currency=self.currencies[order.store],
            )  # fmt: skip
        return order

    def amend(self, order: Order) -> None:
        """Take a tenth off the first live line before payment."""
        if order.state != "placed" or not order.live:
            return
        line = order.live[0]
        amount = line.amount_minor * 9 // 10
        order.lines[line.line - 1] = msgspec.structs.replace(
            line, amount_minor=amount, discount_minor=line.gross_minor - amount
        )
        # The totals of an order count what was called off as well; that is taken off beside them.
        goods = sum(each.amount_minor for each in order.lines)
        self.record(
            "OrderPriceAmended", order.id, order.store, line=line.line, unit_price=line.unit_price,
            gross_minor=line.gross_minor, discount_minor=line.gross_minor - amount, amount_minor=amount,
            goods_minor=goods, order_discount_minor=sum(each.discount_minor for each in order.lines),
            total_minor=goods + order.freight_minor, currency=self.currencies[order.store],
            reason="asked nicely",
        )  # fmt: skip

    def pay(self, order: Order) -> None:
        """Pay in full, in two parts when the amount is odd."""
        if order.state != "placed":
            return
        total, currency = order.goods_minor + order.freight_minor, self.currencies[order.store]
        parts = (total // 2, total - total // 2) if total % 2 else (total,)
        for part in parts:
            self.record(
                "PaymentReceived", order.id, order.store, amount_minor=part, currency=currency, method="card",
                provider_reference=f"P{next(self._numbers)}",
            )  # fmt: skip
        order.state = "paid"
        order.paid_at = self.record(
            "OrderPaid", order.id, order.store, customer_id=order.customer, channel="web", currency=currency,
            goods_minor=order.goods_minor, discount_minor=sum(line.discount_minor for line in order.live),
            freight_minor=order.freight_minor, total_minor=total, units=sum(line.quantity for line in order.live),
            ship_by=self.now + timedelta(days=1), ship_by_hard=self.now + timedelta(days=2), surge=False,
        )  # fmt: skip

    def cancel(self, order: Order, *, whole: bool, expired: bool = False) -> None:
        """Call off an order before it ships, or its last line only; a paid one gets its money back."""
        if order.state not in ("placed", "paid", "confirmed", "shortage") or not order.live:
            return
        paid = order.state != "placed"
        whole = whole or len(order.live) == 1 or (expired and not paid)
        going = order.live if whole else order.live[-1:]
        goods, freight = sum(line.amount_minor for line in going), order.freight_minor if whole else 0
        self.record(
            "OrderExpired" if expired and not paid else "OrderCancelled", order.id, order.store,
            reason="expired" if expired and not paid else "customer",
            lines=tuple(
                CancelledLine(
                    line=line.line, sku_id=line.sku_id, quantity=line.quantity, amount_minor=line.amount_minor,
                    campaign_id=line.campaign_id,
                )
                for line in going
            ),
            whole=whole, goods_minor=goods, freight_minor=freight, currency=self.currencies[order.store],
            customer_id=order.customer, paid=paid, refund_due_minor=goods + freight if paid else 0,
        )  # fmt: skip
        for line in going:
            order.gone.add(line.line)
            number = int(line.sku_code[3:])
            self.record(
                "ReservationReleased", line.sku_id, self.sku_store[number], order_id=order.id,
                store_id=self.stores[order.store], location_id=self._place(number), quantity=line.quantity,
                campaign_id=line.campaign_id, to_quota=line.campaign_id is not None,
            )  # fmt: skip
        if whole and order.campaign is not None and order.claimed_minor:
            self.record(
                "CampaignBudgetReleased",
                order.campaign,
                0,
                order_id=order.id,
                amount_minor=order.claimed_minor,
                currency=self.currencies[order.store],
            )
        if whole:
            order.state = "cancelled"
        if paid:
            self.refund(order, going, freight)

    def refund(self, order: Order, lines: list[OrderLine] | None = None, freight: int = 0) -> None:
        """Give back the money of lines (by default the first that still has some)."""
        if order.paid_at is None:
            return
        lines = [line for line in (lines or order.live[:1]) if line.line not in order.refunded]
        if not lines:
            return
        order.refunded.update(line.line for line in lines)
        goods = sum(line.amount_minor for line in lines)
        self.record(
            "OrderRefunded", order.id, order.store, refund_id=self.made_id("refund", next(self._numbers)),
            amount_minor=goods + freight, goods_minor=goods, freight_minor=freight,
            currency=self.currencies[order.store], customer_id=order.customer, reason="returned", sold_at=order.paid_at,
            provider_reference=None,
            lines=tuple(
                RefundLine(
                    line=line.line, sku_id=line.sku_id, sku_code=line.sku_code, quantity=line.quantity,
                    amount_minor=line.amount_minor, campaign_id=line.campaign_id,
                )
                for line in lines
            ),
        )  # fmt: skip

    def confirm(self, order: Order) -> None:
        if order.state == "paid":
            order.state = "confirmed"
            self.record("OrderConfirmed", order.id, order.store)

    def shortage(self, order: Order, *, exchange: bool, service: bool = False) -> None:
        """Report that the first live line is short; reported already, resolve it by waiting or by other goods.

        service: what stands in needs no shipping, and nothing else of the order does.
        """
        if not order.live:
            return
        line = order.live[0]
        if order.state == "confirmed":
            order.state = "shortage"
            short = ShortLine(line=line.line, sku_id=line.sku_id, quantity=line.quantity)
            self.record("ShortageReported", order.id, order.store, lines=(short,))
        elif order.state == "shortage":
            order.state = "confirmed"
            if not exchange:
                self.record(
                    "ShortageResolved", order.id, order.store, currency=self.currencies[order.store], kind="wait"
                )
                return
            new = msgspec.structs.replace(
                line, line=len(order.lines) + 1, gross_minor=line.amount_minor, discount_minor=0, discounts=(),
                campaign_id=None, service=service,
            )  # fmt: skip
            order.gone.add(line.line)
            order.lines.append(new)
            self.record(
                "ShortageResolved", order.id, order.store, currency=self.currencies[order.store], kind="exchange",
                exchanges=(
                    ExchangedLine(
                        from_line=line.line, line=new.line, sku_id=new.sku_id, sku_code=new.sku_code, name=new.name,
                        unit="piece", quantity=new.quantity, replaced_quantity=line.quantity,
                        amount_minor=new.amount_minor, service=service,
                    ),
                ),
                rest_shipped=service,
            )  # fmt: skip

    def ship(self, order: Order) -> None:
        """Pack, then ship, what is live of an order in one parcel."""
        lines = tuple(ParcelLine(line=e.line, sku_id=e.sku_id, quantity=e.quantity) for e in order.live)
        if not lines:
            return
        if order.state == "confirmed":
            order.state = "packed"
            order.parcel = self.made_id("parcel", next(self._numbers))
            self.record(
                "ParcelPacked", order.id, order.store, parcel_id=order.parcel,
                location_id=self.locations[order.store][0], lines=lines,
            )  # fmt: skip
        elif order.state == "packed":
            order.state = "shipped"
            self.record(
                "OrderShipped", order.id, order.store, parcel_id=order.parcel, courier="post",
                waybill=f"W{order.parcel}", location_id=self.locations[order.store][0], lines=lines, complete=True,
            )  # fmt: skip
            for line in order.live:
                number = int(line.sku_code[3:])
                self.record(
                    "StockShipped", line.sku_id, self.sku_store[number], order_id=order.id,
                    store_id=self.stores[order.store], parcel_id=order.parcel, location_id=self._place(number),
                    quantity=line.quantity, campaign_id=line.campaign_id,
                )  # fmt: skip

    def deliver(self, order: Order) -> None:
        """Deliver, then complete, a shipped order."""
        if order.state == "shipped":
            order.state = "delivered"
            self.record("OrderDelivered", order.id, order.store, parcel_id=order.parcel, complete=True)
        elif order.state == "delivered":
            order.state = "completed"
            self.record(
                "OrderCompleted", order.id, order.store, customer_id=order.customer, goods_minor=order.goods_minor,
                currency=self.currencies[order.store],
            )  # fmt: skip
            if order.customer is not None:
                self.record(
                    "PointsEarned", order.customer, 0, lot_id=self.made_id("lot", next(self._numbers)), rule="purchase",
                    reference=str(order.id), amount=order.goods_minor // 100,
                )  # fmt: skip

    def send_back(self, order: Order) -> None:
        """Take a shipped order's first live line back, restock it and refund it."""
        if order.state not in ("shipped", "delivered", "completed") or not order.live:
            return
        line = order.live[0]
        if line.line in order.refunded:
            return
        case = self.made_id("return", next(self._numbers))
        back = (ReturnLine(line=line.line, sku_id=line.sku_id, quantity=line.quantity),)
        place, number = self.locations[order.store][0], int(line.sku_code[3:])
        self.record("ReturnRequested", order.id, order.store, return_id=case, reason="quality", lines=back)
        self.record("ReturnApproved", order.id, order.store, return_id=case, lines=back)
        self.record("ReturnReceived", order.id, order.store, return_id=case, location_id=place, lines=back)
        condition = "restock" if line.quantity % 2 else "damaged"
        disposed = DisposedLine(line=line.line, sku_id=line.sku_id, quantity=line.quantity, condition=condition)
        self.record("ReturnDisposed", order.id, order.store, return_id=case, location_id=place, lines=(disposed,))
        self.record(
            "StockReturned", line.sku_id, self.sku_store[number], order_id=order.id, store_id=self.stores[order.store],
            location_id=self._place(number), quantity=line.quantity,
            condition="good" if condition == "restock" else "damaged",
        )  # fmt: skip
        self.refund(order, [line])

    def return_unknown(self, number: int, customer: int, quantity: int) -> None:
        """Take back goods of no order we know, and refund them."""
        number %= len(self.skus)
        store = self.sku_store[number]
        who = None if customer < 0 else self.customers[customer % len(self.customers)]
        stream, currency = self.made_id("order", next(self._numbers)), self.currencies[store]
        amount = quantity * (100 + 7 * number)
        lines = (
            RefundLine(
                sku_id=self.skus[number], sku_code=f"SKU{number}", quantity=Decimal(quantity), amount_minor=amount
            ),
        )
        self.record(
            "ReturnRecorded", stream, store, store_id=self.stores[store], kind="return", customer_id=who,
            external_reference=f"C{stream}", currency=currency, channel="web", reason="not_stated", lines=lines,
            amount_minor=amount,
        )  # fmt: skip
        self.record(
            "OrderRefunded", stream, store, refund_id=self.made_id("refund", next(self._numbers)), amount_minor=amount,
            goods_minor=amount, freight_minor=0, currency=currency, customer_id=who, reason="returned", sold_at=None,
            provider_reference=None, lines=lines,
        )  # fmt: skip

    def report_traffic(self, store: int, kind: int, views: int) -> None:
        """Report some slice of a day's traffic; revisions come in any order."""
        store %= len(self.stores)
        day = date(2025, 1, 1 + views % 2)
        stream = self.made_id(f"traffic {store}", day.day)
        if stream not in self.versions:
            self.record("TrafficDayOpened", stream, store, store_id=self.stores[store], day=day)
        self.record(
            "TrafficReported", stream, store, day=day, channel=("all", "search", "web")[kind % 3],
            device=("all", "app")[kind % 2],
            traffic_source=(None, "direct", "organic_search")[kind // 3 % 3],
            campaign_id=self.campaigns[0] if kind == 7 else None,
            sku_id=self.skus[0] if kind == 8 else None, hour=views % 24 if kind in (4, 6) else None,
            revision=1 + views % 3, source="generator", page_views=views, visitors=None if kind == 5 else views // 2,
            visits=views // 2 + 1, single_page_visits=views // 3,
            ip=views // 2 if kind % 2 or kind == 8 else None, dwell_seconds=views * 60, exits=1, shares=2,
            favourites=kind, cart_adds=views // 4,
        )  # fmt: skip

    def shelf_fact(self, number: int, kind: int) -> None:
        """Put an article on sale or take it off, in its home store or another; the last kind retires it."""
        number %= len(self.skus)
        store = (self.sku_store[number] + kind // 5) % len(self.stores)
        if kind == 8:
            self.record("SkuRetired", self.skus[number], self.sku_store[number], reason=None)
        elif kind % 3 == 0:
            reason = "out_of_stock" if kind else "manual"
            self.record("SkuDelisted", self.skus[number], store, store_id=self.stores[store], reason=reason)
        else:
            self.record("SkuListed", self.skus[number], store, store_id=self.stores[store])

    def spend(self, store: int, kind: int, amount: int) -> None:
        """Record an expense, for a campaign or not, or a deposit that is frozen or comes back."""
        store %= len(self.stores)
        if self.stores[store] not in self.versions:
            self.store_fact(store, 0)
        money = {"amount_minor": amount, "currency": self.currencies[store]}
        if kind % 3 == 0:
            self.record("DepositFrozen", self.stores[store], store, policy_version=1, **money)
        elif kind == 1:
            self.record("DepositReleased", self.stores[store], store, **money)
        else:
            campaign = self.campaigns[kind % len(self.campaigns)] if kind % 2 else None
            self.record("ExpenseRecorded", self.stores[store], store, category="rent", campaign_id=campaign, **money)

    # Customers and campaigns -------------------------------------------------------------------------------------

    def register_customer(self, number: int) -> None:
        store = number % len(self.stores)
        self.record(
            "CustomerRegistered", self.customers[number], store, store_id=self.stores[store], channel="web",
            external_reference=f"C{number}", region="north", birth_year=1980,
        )  # fmt: skip

    def customer_fact(self, customer: int, kind: int, amount: int) -> None:
        """Record something about a customer: membership, tier, points, coupons, consent, a block, an erasure."""
        who = self.customers[customer % len(self.customers)]
        store, lot = customer % len(self.customers) % len(self.stores), self.made_id("lot", next(self._numbers))
        uses = ({"lot_id": lot, "amount": amount},)
        coupon = self.made_id("coupon", amount % 5)
        order = self.made_id("order", amount)
        facts: list[tuple[str, dict[str, Any]]] = [
            ("MembershipJoined", {"source": "spend", "tier": "silver", "policy_version": 1}),
            ("TierChanged", {"from_tier": "silver", "to_tier": f"tier{amount % 3}", "policy_version": 1}),
            ("PointsEarned", {"lot_id": lot, "rule": "sign_in", "reference": str(lot), "amount": amount}),
            ("PointsSpent", {"order_id": order, "amount": amount, "lots": uses}),
            ("PointsReturned", {"order_id": order, "amount": amount, "lots": uses}),
            ("PointsReversed", {"lot_id": lot, "rule": "purchase", "reference": str(lot), "amount": amount}),
            ("PointsExpired", {"amount": amount, "lots": uses}),
            ("CouponGranted", {"coupon_id": coupon, "code": f"CODE{amount}", "currency": "GBP", "off_minor": 100}),
            ("CouponUsed", {"coupon_id": coupon, "order_id": order}),
            ("CouponReturned", {"coupon_id": coupon, "order_id": order}),
            ("ConsentSet", {"channel": "email" if amount % 2 else "sms", "granted": amount % 3 > 0}),
            ("CustomerBlocked", {"reason": "fraud"}),
            ("CustomerUnblocked", {}),
            ("CustomerErased", {}),
        ]
        name, fields = facts[kind % len(facts)]
        shape = self._shapes[name]
        self.record(name, who, store, **vars_of(msgspec.convert(fields, shape, strict=False)))

    def merge_customers(self, customer: int, other: int, points: int) -> None:
        """Take one customer's record into another's."""
        kept, given = self.customers[customer % len(self.customers)], self.customers[other % len(self.customers)]
        if kept == given:
            return
        lots = ({"lot_id": self.made_id("lot", next(self._numbers)), "amount": points},)
        coupons = ({"coupon_id": self.made_id("coupon", points % 5), "code": "CODE", "currency": "GBP"},)
        for name, stream, fields in (
            (
                "CustomersMerged",
                kept,
                {"merged_id": given, "lots": lots, "owed": points % 2, "tier": "silver", "coupons": coupons},
            ),
            ("CustomerMergedInto", given, {"into_id": kept, "lots": lots, "owed": points % 2}),
        ):
            shape = msgspec.convert(fields, self._shapes[name], strict=False)
            self.record(name, stream, 0, **vars_of(shape))

    def plan_campaign(self, number: int) -> None:
        stream = self.campaigns[number]
        store = number % len(self.stores)
        currency = self.currencies[store]
        self.record(
            "CampaignPlanned", stream, store, store_id=self.stores[store], name=f"Campaign {number}",
            goal="raise_sales", kind="own", type="promotion", store_ids=(self.stores[store],),
            currency=currency,
        )  # fmt: skip
        self.record(
            "CampaignScheduled", stream, store, warmup_from=None, starts_at=START, ends_at=START + timedelta(days=30)
        )
        self.record("CampaignBudgetSet", stream, store, budget_minor=100_000, currency=currency)

    def campaign_fact(self, campaign: int, kind: int, amount: int) -> None:
        """Record something about a campaign: its state, budget, forecast, advertising."""
        number = campaign % len(self.campaigns)
        store = number % len(self.stores)
        currency = self.currencies[store]
        facts: list[tuple[str, dict[str, Any]]] = [
            ("CampaignStarted", {}),
            ("CampaignPaused", {"reason": "stock"}),
            ("CampaignResumed", {}),
            ("CampaignEnded", {"reason": None}),
            ("CampaignBudgetSet", {"budget_minor": amount * 100, "currency": currency}),
            (
                "ForecastSet",
                {
                    "visitors": amount,
                    "conversion": Decimal("0.02"),
                    "units": Decimal(amount),
                    "gmv_minor": amount * 50,
                    "currency": currency,
                },
            ),
            (
                "AdSpendRecorded",
                {
                    "day": date(2025, 1, 1 + amount % 2),
                    "channel": "search",
                    "cost_minor": amount,
                    "currency": currency,
                    "impressions": amount * 10,
                    "clicks": amount,
                    "revision": amount % 4,
                },
            ),
        ]
        name, fields = facts[kind % len(facts)]
        shape = msgspec.convert(fields, self._shapes[name], strict=False)
        self.record(name, self.campaigns[number], store, **vars_of(shape))


def vars_of(struct: Any) -> dict[str, Any]:
    """Return the fields of a stored shape."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


class Actions:
    """Turns small whole numbers into events, so that any list of them is a log: what Hypothesis shrinks."""

    COUNT = 25

    def __init__(self, world: World) -> None:
        self.world = world

    def do(self, action: int, one: int, two: int, minutes: int) -> None:
        """Do the action with this number; one and two choose among orders, SKUs, customers."""
        world = self.world
        world.pass_time(minutes)
        order = world.orders[-1 - one % min(len(world.orders), 4)] if world.orders else None
        match action % self.COUNT:
            case 0 | 1:
                wanted = [(one, 1 + two % 4), (one + 2 * len(world.stores), 1 + one % 3)][: 1 + two % 2]
                world.place(one - 1, wanted, campaign=two if two % 3 == 0 else None)
            case 2:
                world.receive(one, 5 + two, two * 137)
            case 3:
                world.other_movement(one, two, 1 + one % 5)
            case 4:
                world.change_zone(one)
            case 5:
                world.back_date(one * two * 60)
            case 6:
                world.return_unknown(one, two - 1, 1 + two)
            case 7:
                world.customer_fact(one, two, 10 + one)
            case 8:
                world.campaign_fact(one, two, 10 + one)
            case 9:
                world.merge_customers(one, two, 5 + one)
            case 20:
                world.report_traffic(one, two, minutes)
            case 21:
                world.sku_fact(one, two, 1 + minutes)
            case 22:
                world.store_fact(one, two)
            case 23:
                world.shelf_fact(one, two)
            case 24:
                world.spend(one, two, 10 + minutes)
            case _ if order is None:
                world.receive(one, 3, 500)
            case 10 | 11:
                world.pay(order)
            case 12:
                world.amend(order)
            case 13:
                world.cancel(order, whole=two % 2 == 0, expired=two % 3 == 0)
            case 14:
                world.confirm(order)
            case 15:
                world.shortage(order, exchange=two % 2 == 0)
            case 16 | 17:
                world.ship(order)
            case 18:
                world.deliver(order)
            case _:
                world.send_back(order)


def busy_log(events: int, *, seed: int = 1, skus: int = 3000, back_dated: float = 0.0, after: int = 0) -> Iterator[Row]:
    """Make up about this many events of ordinary trade: whole lives of orders over many SKUs with Zipf skew.

    back_dated: the share of actions whose events happened up to three days before they were recorded.
    after: the last position that is taken.
    """
    chance = random.Random(seed)
    world = World(stores=5, skus=skus, customers=max(20, events // 100), campaigns=5, checked=False, after=after)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, skus + 1)))

    def some_sku() -> int:
        return bisect.bisect_left(weights, chance.random() * weights[-1])

    for number in range(skus):
        world.receive(number, 1000, 100 + chance.randrange(5000))
    waiting: list[Order] = []
    while world.position < after + events:
        if len(world.rows) > 10_000:
            yield from world.rows
            world.rows.clear()
            world.orders.clear()
            world.open.clear()
        world.pass_time(1)
        world.back_date(chance.randrange(1, 4320) if chance.random() < back_dated else 0)
        customer = -1 if chance.random() < 0.2 else chance.randrange(len(world.customers))
        first = some_sku()
        lines = {first: 1 + chance.randrange(4)}
        for _more in range(chance.choice((0, 0, 1, 1, 2, 4))):
            # Of the same store as the first.
            lines.setdefault(some_sku() // 5 * 5 + first % 5, 1 + chance.randrange(3))
        lines = {number: quantity for number, quantity in lines.items() if number < skus}
        waiting.append(world.place(customer, lines.items(), campaign=first % 5 if chance.random() < 0.1 else None))
        if chance.random() < 0.2:
            world.receive(some_sku(), 100, 100 + chance.randrange(5000))
        if len(waiting) > min(50, events // 100):
            order = waiting.pop(chance.randrange(len(waiting)))
            fate = chance.random()
            if fate < 0.05:
                world.cancel(order, whole=True, expired=True)
                continue
            world.pay(order)
            world.confirm(order)
            for step in (world.ship, world.ship, world.deliver, world.deliver):
                step(order)
            if fate > 0.95:
                world.send_back(order)
    yield from world.rows


def copy_in(connection: psycopg.Connection[Any], schema: str, rows: Iterable[Row]) -> None:
    """Append rows to the table of events."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f'COPY "{schema}".events ({", ".join(COLUMNS)}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(row)
