"""Logs that are made up, and what a projection holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from opscore.database import Database
from opscore.domain.campaign_events import PriceDifference
from opscore.domain.order_disputes import DisputedLine
from opscore.domain.order_events import CancelledLine, ParcelLine, ReturnLine
from opscore.projector.folder import Loaded
from tests.benchmarks import generate


class Trade(generate.World):
    """A world in which somebody also goes back on what was begun: parcels are opened, returns come to nothing."""

    def unpack(self, order: generate.Order) -> None:
        """Open the parcel of an order again that has not left."""
        if order.state == "packed" and order.parcel is not None:
            lines = tuple(ParcelLine(line=e.line, sku_id=e.sku_id, quantity=e.quantity) for e in order.live)
            self.record("ParcelUnpacked", order.id, order.store, parcel_id=order.parcel, lines=lines)
            order.state, order.parcel = "confirmed", None

    def keep_goods(self, order: generate.Order, *, declined: bool) -> None:
        """Ask a shipped order's first live line back in vain."""
        if order.state in ("shipped", "delivered", "completed") and order.live:
            line, case = order.live[0], self.made_id("return", next(self._numbers))
            back = (ReturnLine(line=line.line, sku_id=line.sku_id, quantity=line.quantity),)
            self.record("ReturnRequested", order.id, order.store, return_id=case, reason="late", lines=back)
            if declined:
                self.record("ReturnDeclined", order.id, order.store, return_id=case, reason="used", lines=back)
            else:
                self.record("ReturnCancelled", order.id, order.store, return_id=case, lines=back, whole=True)

    def lose(self, order: generate.Order, kind: int) -> None:
        """Lose the parcel of an order that is on its way; it is found, sent once more, or called off."""
        if order.state != "shipped" or order.parcel is None or not order.live or order.refunded:
            return
        lines = tuple(ParcelLine(line=e.line, sku_id=e.sku_id, quantity=e.quantity) for e in order.live)
        parcel = {"parcel_id": order.parcel}
        currency = self.currencies[order.store]
        self.record("ParcelLost", order.id, order.store, **parcel, courier="post", waybill=None, lines=lines)
        found = kind % 3 == 0
        if kind % 2:
            claim = {**parcel, "courier": "post", "currency": currency}
            self.record("CourierClaimFiled", order.id, order.store, **claim, amount_minor=900, reference=None)
            paid = 0 if found else 100 * kind
            self.record("CourierClaimSettled", order.id, order.store, **claim, amount_minor=paid)
        traced = lines if found else ()
        self.record("ParcelTraced", order.id, order.store, **parcel, found=found, lines=traced)
        if found and kind % 2:
            order.state = "found"  # For one parcel money is claimed once; it stays on its way.
        elif kind % 3 == 1:
            self.record("LostUnitsReplaced", order.id, order.store, **parcel, lines=lines)
            order.state, order.parcel = "confirmed", None
        elif not found:
            self.call_off_lost(order)

    def call_off_lost(self, order: generate.Order) -> None:
        """Call an order off whose only parcel is lost."""
        order.state = "cancelled"
        goods = sum(line.amount_minor for line in order.live)
        gone = tuple(
            CancelledLine(
                line=line.line, sku_id=line.sku_id, quantity=line.quantity, amount_minor=line.amount_minor,
                campaign_id=line.campaign_id, lost=line.quantity,
            )
            for line in order.live
        )  # fmt: skip
        self.record(
            "OrderCancelled", order.id, order.store, reason="lost", lines=gone, whole=True, goods_minor=goods,
            freight_minor=order.freight_minor, currency=self.currencies[order.store], customer_id=order.customer,
            paid=True, refund_due_minor=goods + order.freight_minor,
        )  # fmt: skip
        order.gone |= {line.line for line in order.live}

    def complain(self, order: generate.Order, kind: int) -> None:
        """Complain about a paid order, and go on as far as the number says."""
        if order.paid_at is None or not order.lines:
            return
        line = order.lines[0]
        dispute = {"dispute_id": self.made_id("dispute", next(self._numbers))}
        currency = self.currencies[order.store]
        about = (DisputedLine(line=line.line, sku_id=line.sku_id, quantity=line.quantity),)

        def tell(name: str, **fields: Any) -> datetime:
            self.pass_time(kind)
            return self.record(name, order.id, order.store, **dispute, **fields)

        tell("DisputeOpened", kind="quality", lines=about if kind % 2 else ())
        if kind == 0:
            return
        tell("DisputeAccepted")
        if kind == 1:
            tell("DisputeWithdrawn")
            return
        party = ("owner", "courier")[kind % 2]
        tell("DisputeVerified", real=True, kind="late", fault_party=party, solution="compensation")
        offer: dict[str, Any] = {"remedy": "compensation", "amount_minor": 100 * kind, "currency": currency}
        offered_at = tell("DisputeNegotiated", round=1, **offer)
        if kind % 3 == 0:
            tell("DisputeOfferDeclined", round=1, offered_at=offered_at)
            winner = ("buyer", "seller")[kind % 2]
            tell("DisputeArbitrated", decided_by="platform", decided_for=winner, reason="so", **offer)
        else:
            tell("DisputeAgreed", round=1, offered_at=offered_at, **offer)
        compensation = self.made_id("compensation", next(self._numbers))
        tell(
            "CompensationPaid", compensation_id=compensation, kind="late", borne_by=party, amount_minor=100 * kind,
            currency=currency, customer_id=order.customer, provider_reference=None,
        )  # fmt: skip
        links = {"refund_ids": (), "return_id": None, "replacement_order_id": None}
        tell("DisputeSettled", remedy="compensation", **links)
        if kind % 4 == 0:
            tell("DisputeFollowedUp", result="not_solved", done=False)
        elif kind % 4 < 3:
            tell("DisputeFollowedUp", result="solved", done=True)
            tell("DisputeClosed")
        else:
            tell("DisputeFollowedUp", result="not_reached", done=False)

    def exchange(self, order: generate.Order, kind: int) -> None:
        """Take an order as far as a shortage, and let something stand in: a service where one line alone is left."""
        self.pay(order)
        self.confirm(order)
        if order.state == "confirmed":
            self.shortage(order, exchange=True)
        if order.state == "shortage":
            service = len(order.live) == 1 and kind % 2 == 0
            self.shortage(order, exchange=True, service=service)
            # Of services nothing is packed.
            order.state = "served" if service else order.state
            if kind % 3 == 0:
                self.refund(order, order.live[-1:])

    def handle(self, number: int, kind: int, quantity: int) -> None:
        """Move units of a batch, or units that nobody may sell, by what the trade of every day does not do."""
        number %= len(self.skus)
        store, sku, place = self.sku_store[number], self.skus[number], self._place(number)
        other = self.locations[store][1 - number // 2 % 2]
        units, batch = Decimal(quantity), (None, "B1", "B2")[quantity % 3]
        state = ("available", "quarantined", "damaged")
        transfer = self.made_id("transfer", next(self._numbers))
        cost = {"unit_cost": units / 4, "currency": self.currencies[store], "cost_assumed": False}
        facts: list[tuple[str, dict[str, Any]]] = [
            ("StockReceived", {"quantity": units, "condition": ("good", "quarantined")[quantity % 2], **cost}),
            (
                "StockReclassified",
                {
                    "quantity": units, "reason": "looked at", "from_state": state[quantity % 3],
                    "to_state": state[(quantity + number + 1) % 3],
                },
            ),
            (
                "StockReturned",
                {
                    "order_id": None, "store_id": self.stores[store], "quantity": units, "condition": "quarantined",
                    "return_id": transfer,
                },
            ),
            (
                "StockWrittenOff",
                {"quantity": units, "kind": "lost", "reason": "old", "condition": ("good", "quarantined")[number % 2]},
            ),
            ("SampleIssued", {"quantity": units, "receiver": None, "purpose": "laboratory"}),
            ("StockCounted", {"book": units, "counted": units + 1}),
            ("StockAdjusted", {"difference": Decimal(quantity - 4), "reason": "count"}),
            ("StockTransferredOut", {"transfer_id": transfer, "to_location_id": other, "quantity": units}),
            (
                "StockTransferredIn",
                {"transfer_id": transfer, "from_location_id": other, "quantity": units, "lost": Decimal(number % 2)},
            ),
        ]  # fmt: skip
        name, fields = facts[kind % len(facts)]
        self.record(name, sku, store, location_id=place, batch=batch, **fields)

    def tell(self, number: int, kind: int) -> None:
        """Record what is told of customers, campaigns and stores beside the trade."""
        who = number % len(self.customers)
        campaign = (number + kind // 5) % len(self.campaigns)
        store = number % len(self.stores)
        sku = self.skus[number % len(self.skus)]
        differences = (PriceDifference(sku_id=sku, where="label", planned="1.00", found="1.10"),)
        line = {
            "sku_id": sku, "role": "image", "price": Decimal(1), "quota": None, "max_per_customer": None,
            "entered_by": "one", "currency": self.currencies[campaign % len(self.stores)],
        }  # fmt: skip
        since = self.now + timedelta(hours=7 * kind)
        facts: list[tuple[str, UUID, int, dict[str, Any]]] = [
            ("PriceCheckPassed", self.campaigns[campaign], campaign, {"checked_by": "two", "lines_checked": 1}),
            ("PriceCheckFailed", self.campaigns[campaign], campaign, {"checked_by": "two", "differences": differences}),
            ("CampaignLineAdded", self.campaigns[campaign], campaign, line),
            ("ReferralMade", self.customers[who], who, {"referrer_id": self.customers[who - 1]}),
            (
                "PolicySet",
                self.stores[store],
                store,
                {"kind": "points", "policy_version": 1, "effective_from": since, "params": {"value_minor": number}},
            ),
            (
                "StockPolicySet",
                sku,
                self.sku_store[number % len(self.skus)],
                {
                    "low_line": Decimal(kind) if kind % 2 else None,
                    "high_line": None,
                    "cover_days": kind,
                    "stock_class": None,
                },
            ),
        ]
        name, stream, of, fields = facts[kind % len(facts)]
        if name == "PolicySet" and stream not in self.versions:
            self.store_fact(store, 0)
        self.record(name, stream, of % len(self.stores), **fields)

    def edit(self, number: int, kind: int) -> None:
        """Change what was planned of a campaign."""
        campaign = (number + kind // 5) % len(self.campaigns)
        sku = self.skus[number % len(self.skus)]
        facts: list[tuple[str, dict[str, Any]]] = [
            ("CampaignRenamed", {"name": f"Campaign {kind}"}),
            ("CampaignLineRemoved", {"sku_id": sku, "removed_by": "one"}),
        ]
        name, fields = facts[kind % len(facts)]
        self.record(name, self.campaigns[campaign], campaign % len(self.stores), **fields)


class Doings(generate.Actions):
    """Turns small whole numbers into events of a `Trade`."""

    COUNT = generate.Actions.COUNT + 6

    def __init__(self, world: Trade) -> None:
        super().__init__(world)
        self.trade = world

    def do(self, action: int, one: int, two: int, minutes: int) -> None:
        """Do the action with this number; one and two choose among what there is."""
        further = action % self.COUNT - generate.Actions.COUNT
        if further == 3:
            self.trade.pass_time(minutes)
            return self.trade.handle(one, two, 1 + minutes % 7)
        if further == 5:
            self.trade.pass_time(minutes)
            return self.trade.edit(one, two)
        if further < 0 or not self.trade.orders:
            return super().do(action % generate.Actions.COUNT, one, two, minutes)
        order = self.trade.orders[-1 - one % min(len(self.trade.orders), 4)]
        self.trade.pass_time(minutes)
        if further == 2:
            self.trade.tell(one, two)
        elif further == 0:
            self.trade.unpack(order)
            self.trade.lose(order, two)
        elif further == 4:
            self.trade.exchange(order, two)
        else:
            self.trade.keep_goods(order, declined=two % 2 == 0)
            self.trade.complain(order, two)
        return None


class Log:
    """The log of a test's own database, written with made-up events."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def world(self, **sizes: int) -> Trade:
        """Return a new world whose events come after what is in the log."""
        return Trade(after=self.head(), **sizes)

    def head(self) -> int:
        """Return the last position."""
        with self.database.connect() as connection:
            row = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
        assert row is not None
        return int(row[0])

    def append(self, world: generate.World) -> int:
        """Write the world's new events to the log and return the last position."""
        with self.database.connect() as connection:
            generate.copy_in(connection, self.database.schema, world.rows)
        world.rows.clear()
        return world.position

    def fill(self, events: int, seed: int = 1) -> int:
        """Append about this many events of ordinary trade and return the last position."""
        with self.database.connect() as connection:
            rows = generate.busy_log(events, seed=seed, skus=40, back_dated=0.02, after=self.head())
            generate.copy_in(connection, self.database.schema, rows)
        return self.head()


def contents(connection: psycopg.Connection[Any], loaded: Loaded) -> dict[str, list[str]]:
    """Return every row of every table of a version, as text, in one order."""
    return {
        table: [row[0] for row in connection.execute(f"SELECT t::text FROM {loaded.table(table)} AS t ORDER BY 1")]
        for table in loaded.definition.tables
    }
