"""Logs that are made up, and what a projection holds."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from opscore.database import Database
from opscore.domain.calendars import months_after
from opscore.domain.campaign_events import PriceDifference
from opscore.domain.order_disputes import DisputedLine
from opscore.domain.order_events import CancelledLine, ExchangedLine, ParcelLine, ReturnLine
from opscore.projector.folder import Loaded
from tests.benchmarks import generate


class Trade(generate.World):
    """A world in which somebody also goes back on what was begun: parcels are opened, returns come to nothing."""

    def __init__(self, *, rings: bool = True, **sizes: Any) -> None:
        """Open the stores.

        rings: whether mergers may lead back to a record, as no decision allows.
        """
        super().__init__(**sizes)
        self.rings = rings
        self.into: dict[UUID, UUID] = {}
        """Which record each was merged into first."""
        self.places: set[UUID] = set()
        """The places for advertising that campaigns need now."""
        self.plans: dict[UUID, bool] = {}
        """Whether each ad plan runs."""
        self.ended: set[UUID] = set()
        self.bought: dict[UUID, list[tuple[UUID, Decimal, int]]] = {}
        """The purchases of each article of which units are to come: which, how many, and what was paid."""
        self.courted: Counter[UUID] = Counter()
        """How often something was recorded about each supplier."""
        self.reviewed: dict[UUID, dict[str, Any]] = {}
        """What was said in the review of each order, and how it stands."""
        self.jotted: Counter[tuple[UUID, int]] = Counter()
        self.claimed: set[UUID] = set()
        """How often something was written down about an order, by what it was."""
        self.agreed: dict[int, dict[str, Any]] = {}
        """The agency agreement of each store that runs: which, whether a fee came, a plan, and a question."""

    def merge_customers(self, customer: int, other: int, points: int) -> None:
        """Take one customer's record into another's; without rings each once, and never into what became of it."""
        kept, given = self.customers[customer % len(self.customers)], self.customers[other % len(self.customers)]
        end = kept
        while not self.rings and end in self.into:
            end = self.into[end]
        if self.rings or (given not in self.into and end != given):
            self.into.setdefault(given, kept)
            super().merge_customers(customer, other, points)

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

    def track(self, order: generate.Order, kind: int) -> None:
        """Let the courier tell how far a parcel is, some of it late; or whoever ordered that it is there."""
        if order.state == "shipped" and order.parcel is not None:
            self.back_date(kind % 3)
            self.record(
                "ParcelTracked", order.id, order.store, parcel_id=order.parcel, news_by=self.now + timedelta(days=kind),
                status=("in_transit", "held", "out_for_delivery")[kind % 3], place=(None, "Leeds")[kind % 2],
            )  # fmt: skip
            self.back_date(0)
        elif order.state in ("delivered", "completed"):
            self.record(
                "ReceiptConfirmed", order.id, order.store, customer_id=order.customer, inspected=kind % 2 == 0,
                defects=(),
            )  # fmt: skip

    def swap(self, order: generate.Order, kind: int) -> None:
        """Exchange the first live line of an order that arrived, as far as the number says."""
        if order.state not in ("delivered", "completed") or not order.live or order.live[0].line in order.refunded:
            return
        line, case = order.live[0], {"return_id": self.made_id("return", next(self._numbers))}
        back = (ReturnLine(line=line.line, sku_id=line.sku_id, quantity=line.quantity),)
        money = {"currency": self.currencies[order.store]}

        def tell(name: str, **fields: Any) -> None:
            self.record(name, order.id, order.store, **fields)

        tell("ReturnRequested", **case, reason="courier_damage", lines=back, remedy="exchange")
        tell("ReturnApproved", **case, lines=back)
        tell("ReturnShipped", **case, courier="post", waybill=(None, "R1", "R2")[kind % 3])
        for party in ("courier", "owner")[: 1 + kind % 2]:
            tell("ReturnVerified", **case, reason="quality", fault_party=party, freight_borne_by=party)
        if kind % 4 == 0:
            return
        if order.parcel is not None and order.parcel not in self.claimed:
            self.claimed.add(order.parcel)
            claim = {"parcel_id": order.parcel, "courier": "post", "reference": None, "cause": "damaged"}
            tell("CourierClaimFiled", **claim, **money, amount_minor=700)
        place, number = self.locations[order.store][0], int(line.sku_code[3:])
        tell("ReturnReceived", **case, location_id=place, lines=back)
        paid = {"amount_minor": 100 * kind, "paid_to": ("customer", "courier")[kind % 2], "borne_by": "courier"}
        tell("ReturnFreightPaid", **case, **money, **paid, customer_id=order.customer, provider_reference=f"F{kind}")
        moved = {"order_id": order.id, "store_id": self.stores[order.store], "quantity": line.quantity}
        stock = {"location_id": self._place(number), **moved}
        self.record("StockReturned", line.sku_id, self.sku_store[number], **stock, condition="good")
        sent, exchanges = line, ()
        if kind % 3 == 0:
            sent = msgspec.structs.replace(
                line, line=len(order.lines) + 1, gross_minor=line.amount_minor, discount_minor=0, discounts=(),
                campaign_id=None,
            )  # fmt: skip
            order.gone.add(line.line)
            order.lines.append(sent)
            exchanges = (
                ExchangedLine(
                    from_line=line.line, line=sent.line, sku_id=sent.sku_id, sku_code=sent.sku_code, name=sent.name,
                    unit="piece", quantity=sent.quantity, replaced_quantity=line.quantity,
                    amount_minor=sent.amount_minor,
                ),
            )  # fmt: skip
        tell("ReturnExchanged", **case, **money, lines=() if exchanges else back, exchanges=exchanges)
        was, order.state = order.state, "swapped"
        if kind % 4 == 1:
            return
        parcel = {"parcel_id": self.made_id("parcel", next(self._numbers))}
        contents = (ParcelLine(line=sent.line, sku_id=sent.sku_id, quantity=sent.quantity),)
        tell("ParcelPacked", **parcel, location_id=place, lines=contents)
        tell("OrderShipped", **parcel, courier="post", waybill=None, location_id=place, lines=contents, complete=True)
        self.record("StockShipped", sent.sku_id, self.sku_store[number], **stock, **parcel, campaign_id=None)
        if kind % 4 == 3:
            tell("OrderDelivered", **parcel, complete=True)
            order.state = was

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

    def judge(self, order: generate.Order, kind: int) -> None:
        """Review the first line of an order, which some numbers complete first, or go on as the number says."""
        if order.id not in self.reviewed and kind % 3 == 2:
            for step in (self.pay, self.confirm, self.ship, self.ship, self.deliver, self.deliver):
                step(order)
        if order.state != "completed" or not order.lines:
            return
        line = order.lines[0]
        about, said = {"line": line.line}, self.reviewed.get(order.id)

        def tell(name: str, **fields: Any) -> datetime:
            return self.record(name, order.id, order.store, **about, **fields)

        if said is None:
            self.reviewed[order.id] = said = {"score": 1 + kind % 5, "status": "shown"}
            at = self.now
            tell(
                "ReviewPosted", sku_id=line.sku_id, customer_id=order.customer, score=said["score"],
                text=("v1.sealed", None)[kind % 2], photos=("p/1", "p/2")[: kind % 3], completed_at=at,
                reply_by=at + timedelta(minutes=30), republish=False, external_reference=None,
            )  # fmt: skip
        if kind % 4 == 0 and "added" not in said and said["status"] != "hidden":
            said["added"] = True
            tell("ReviewSupplemented", text="v1.sealed", photos=("p/3",), external_reference=None)
        elif kind % 4 == 1:
            tell("ReviewReplied", author="sue", text="v1.sealed")
        elif kind % 4 == 2:
            tell("ReviewConsentSet", granted=kind % 3 == 0)
        elif said["status"] == "shown":
            said["status"] = "flagged"
            tell("ReviewFlagged", reason="abuse", flagged_by="sue")
        elif said["status"] == "flagged":
            said["status"] = "hidden" if kind > 4 else "shown"
            tell(
                "ReviewDecided", sku_id=line.sku_id, upheld=said["status"] == "hidden", decided_by="platform",
                reason="so", score=said["score"],
            )  # fmt: skip

    def jot(self, order: generate.Order, kind: int) -> None:
        """Write a note on an order and, the next time, withdraw it; or put a tag on it and take it off."""
        times = self.jotted[order.id, kind % 2]
        self.jotted[order.id, kind % 2] += 1
        if kind % 2:
            self.record(("OrderTagged", "OrderUntagged")[times % 2], order.id, order.store, tag="call back")
            return
        note_id = self.made_id(f"note of {order.id}", times // 2)
        name, said = ("OrderNoteWithdrawn", {}) if times % 2 else ("OrderNoted", {"author": "sue", "text": "v1.sealed"})
        self.record(name, order.id, order.store, note_id=note_id, **said)

    def assist(self, order: generate.Order, kind: int) -> None:
        """Say who helped the buyer of an order, or that nobody did."""
        self.record("OrderAssisted", order.id, order.store, agent=("sue", "tim", None)[kind % 3])

    def inquire(self, number: int, kind: int) -> None:
        """Let a customer, or a visitor who is none, ask a store; each time it is an inquiry of its own."""
        customer = None if kind % 4 == 3 else self.customers[number % len(self.customers)]
        store = kind % len(self.stores)
        self.record(
            "InquiryRecorded", self.made_id("inquiry", self.position + 1), store, store_id=self.stores[store],
            customer_id=customer, inquirer_id=customer or self.made_id("visitor", number),
            agent=("sue", "tim")[number % 2], channel=("web", "chat", "phone")[kind % 3], topic=None,
        )  # fmt: skip

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

    def live_batch(self, number: int, kind: int, quantity: int) -> None:
        """Let something happen to a batch: days are said of it, orders get units and return some, it is recalled."""
        number %= len(self.skus)
        store, sku, place = self.sku_store[number], self.skus[number], self._place(number)
        batch, units, order = f"B{kind % 2 + 1}", Decimal(quantity), self.made_id("held", quantity % 3)
        day = date(2020, 1, 1) + timedelta(days=quantity)
        of_order = {"order_id": order, "store_id": self.stores[store], "location_id": place, "quantity": units}
        facts: list[tuple[str, dict[str, Any]]] = [
            (
                "StockReceived",
                {
                    "location_id": place, "quantity": units, "unit_cost": None, "currency": self.currencies[store],
                    "cost_assumed": False, "produced_on": day if quantity % 2 else None,
                    "expires_on": day if quantity % 3 else None, "place_of_origin": "Yunnan" if number % 2 else None,
                },
            ),
            ("StockShipped", {**of_order, "parcel_id": self.made_id("parcel", next(self._numbers))}),
            ("StockReturned", {**of_order, "condition": "good"}),
            ("BatchRecalled", {"reason": f"glass {quantity}"}),
            ("BatchRecallLifted", {"reason": "sugar"}),
            ("BatchExpired", {"expires_on": day}),
        ]  # fmt: skip
        name, fields = facts[(number + kind // 2) % len(facts)]
        self.record(name, sku, store, batch=batch, **fields)
        if quantity == 7:
            seen = {"location_id": place, "accepted": Decimal(kind), "failed": Decimal(number % 3)}
            whose = self.made_id(f"supplier of {self.stores[store]}", 0) if kind % 2 else None
            self.record("BatchInspected", sku, store, batch=batch, supplier_id=whose, **seen)

    def court(self, store: int, number: int, kind: int) -> UUID:
        """Record something about a supplier of a store, its application at first, and return the supplier."""
        supplier = self.made_id(f"supplier of {self.stores[store]}", number)
        money = {"currency": self.currencies[store]}
        terms = {"exchange_terms": "yes", "return_terms": "yes", "after_sale_terms": None, "policy_version": 0}
        facts: list[tuple[str, dict[str, Any]]] = [
            ("SupplierDocumentSubmitted", {"kind": "licence", "number": None, "valid_from": None, "valid_until": None}),
            ("SupplierQualified", {}),
            ("SupplierTermsAgreed", {**terms, "deposit_minor": 100 * kind, **money}),
            ("SupplierDepositFrozen", {"amount_minor": 100, **money}),
            ("SupplierActivated", {}),
            ("SupplierRejected", {"reasons": ("late",)}),
            ("SupplierExpelled", {"reason": "late"}),
        ]
        if self.stores[store] not in self.versions:
            self.store_fact(store, 0)
        if not self.courted[supplier]:
            name, fields = "SupplierApplied", {"kind": "manufacturer", "company": f"Company {number}"}
        elif self.courted[supplier] == 9:
            name, fields = "SupplierDepositFrozen", {"amount_minor": 300, **money}
        elif self.courted[supplier] == 10:
            name, fields = "SupplierDepositReleased", {"amount_minor": 200, "withheld_minor": 100, **money}
        else:
            name, fields = facts[kind % len(facts)]
        if self.courted[supplier] < 12:
            self.record(name, self.stores[store], store, supplier_id=supplier, **fields)
        self.courted[supplier] += 1
        return supplier

    def buy(self, number: int, kind: int, quantity: int) -> None:
        """Order units of an article, or go on with what was ordered: they come, are called off and paid; or a quote."""
        sku = self.skus[number % len(self.skus)]
        store, place = self.sku_store[number % len(self.skus)], self._place(number % len(self.skus))
        supplier, money = self.court(store, number % 2, kind), {"currency": self.currencies[store]}
        cost, day = Decimal(quantity) / 4, self.now.date() + timedelta(days=7 * (kind % 3))
        held = self.bought.setdefault(sku, [])
        if kind % 3 == 2 and not held:
            quote = {"supplier_id": supplier, "unit_cost": cost, "min_quantity": Decimal(kind // 3), **money}
            self.record("QuoteRecorded", sku, store, **quote, valid_until=day if number % 2 else None)
        elif kind % 3 == 0 or not held:
            purchase = self.made_id("purchase", next(self._numbers))
            due_by = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)
            terms = {"supplier_id": supplier, "quantity": Decimal(quantity), "unit_cost": cost, **money}
            quoted = cost / 2 if number % 2 else None
            self.record(
                "PurchaseOrdered", sku, store, purchase_id=purchase, **terms, due_on=day, due_by=due_by,
                best_quote_cost=quoted,
            )  # fmt: skip
            held.append((purchase, Decimal(quantity), 0))
        else:
            purchase, coming, paid = held.pop(0)
            units = min(coming, Decimal(1 + number % 3))
            if kind == 1:
                self.record("PurchaseCancelled", sku, store, purchase_id=purchase, quantity=units, reason="late")
            elif kind % 3 == 1:
                self.record(
                    "StockReceived", sku, store, location_id=place, quantity=units, batch=None, unit_cost=cost,
                    cost_assumed=False, purchase_id=purchase, **money,
                )  # fmt: skip
            else:
                units, change = Decimal(0), -paid if paid else 100 * quantity
                self.record("PurchasePaid", sku, store, purchase_id=purchase, amount_minor=change, **money)
                paid += change
            if coming > units:
                held.append((purchase, coming - units, paid))

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

    def advertise(self, number: int, kind: int) -> None:
        """Plan a place for advertising of a campaign, or go on with one that was planned."""
        campaign = number % len(self.campaigns)
        store = campaign % len(self.stores)
        place = self.made_id("resource", campaign * 3 + number // 2 % 3)
        start = self.now + timedelta(days=kind)
        facts: list[tuple[str, dict[str, Any]]] = [
            (
                "ResourcePlanned",
                {
                    "channel": f"channel {kind % 2}", "form": "display", "placement": "home page", "quantity": 1 + kind,
                    "budget_minor": 100 * kind, "currency": self.currencies[store], "starts_at": start,
                    "ends_at": start + timedelta(days=1), "needs_review": True, "submit_by": start - timedelta(days=5),
                    "submit_until": start - timedelta(days=3),
                },
            ),
            ("ResourceSubmitted", {}),
            ("ResourceApproved", {}),
            ("ResourceRejected", {"reason": "no"}),
            ("ResourceDropped", {"reason": "too dear"}),
        ]  # fmt: skip
        if kind % 3 == 2:
            self.supply(campaign, number, kind)
        if number % 2:
            return self.spend_by_plan(campaign, number // 2 % 3, kind)
        name, fields = facts[kind % len(facts)] if place in self.places else facts[0]
        if name == "ResourceDropped":
            self.places.remove(place)
        else:
            self.places.add(place)
        self.record(name, self.campaigns[campaign], store, resource_id=place, **fields)
        return None

    def supply(self, campaign: int, number: int, kind: int) -> None:
        """Call on suppliers for a campaign, or close the call; let one offer something, which is answered at once."""
        store, stream = campaign % len(self.stores), self.campaigns[campaign]
        if number % 3 == 0:
            self.record("SupplierCallOpened", stream, store, until=self.now + timedelta(days=kind), wanted=None)
        elif number % 3 == 1:
            self.record("SupplierCallClosed", stream, store)
        answers_of_owner: list[tuple[str, dict[str, Any]]] = [
            ("CampaignProposed", {"note": None}), ("CampaignConfirmed", {"document": None}),
            ("CampaignDeclined", {"reason": "late", "document": None}),
        ]  # fmt: skip
        name, fields = answers_of_owner[(number + kind) % 3]
        self.record(name, stream, store, **fields)
        offer = {"offer_id": self.made_id("offer", next(self._numbers))}
        self.record(
            "SupplyOffered", stream, store, **offer, supplier_id=self.made_id("supplier", kind),
            sku_id=self.skus[number % len(self.skus)], quantity=Decimal(kind), unit_cost=Decimal("1.25"),
            currency=self.currencies[store],
        )  # fmt: skip
        answers: list[tuple[str, dict[str, Any]]] = [
            ("SupplyOfferAccepted", {"quantity": Decimal(1)}), ("SupplyOfferRejected", {"reason": "dear"}),
            ("SupplyOfferWithdrawn", {}),
        ]  # fmt: skip
        if number % 4 < 3:
            name, fields = answers[number % 4]
            self.record(name, stream, store, **offer, **fields)

    def spend_by_plan(self, campaign: int, number: int, kind: int) -> None:
        """Agree on a budget for advertising, launch a plan of a campaign, or go on with one that was launched."""
        store = campaign % len(self.stores)
        plan = self.made_id("ad plan", campaign * 3 + number)
        runs = self.plans.get(plan)
        money = {"currency": self.currencies[store]}
        by = {"adjust_by": self.now + timedelta(hours=kind), "monitor_by": self.now + timedelta(hours=2 * kind)}
        none = {"adjust_by": None, "monitor_by": None}
        due = {"due_by": self.now + timedelta(hours=kind - 3) if runs else None}
        terms: dict[str, Any] = {"daily_cap_minor": 100 * (1 + kind), "keywords": (), **money}
        held = by if runs else none
        facts: list[tuple[str, dict[str, Any]]] = [
            ("AdAdjusted", {"changed": None, "adjust_by": held["adjust_by"], **terms, **due}),
            ("AdMonitored", {"day": self.now.date(), "note": None, "readings": (), "monitor_by": held["monitor_by"]}),
            ("AdPlanPaused", {"reason": "no stock", **due}) if runs else ("AdPlanResumed", by),
            ("AdPlanEnded", {"reason": "too dear", **due}),
        ]
        if kind % 5 == 4:
            month = self.now.date().replace(day=1)
            self.record(
                "AdBudgetAgreed", self.campaigns[campaign], store, month=month, budget_minor=100 * kind, **money
            )
        elif runs is None:
            self.plans[plan] = True
            launch = {"channel": f"channel {kind % 2}", **terms, **by}
            self.record("AdPlanLaunched", self.campaigns[campaign], store, plan_id=plan, **launch)
        elif plan not in self.ended:
            name, fields = facts[kind % 5]
            self.plans[plan] = name != "AdPlanPaused" and (runs or name == "AdPlanResumed") and name != "AdPlanEnded"
            self.ended |= {plan} if name == "AdPlanEnded" else set()
            self.record(name, self.campaigns[campaign], store, plan_id=plan, **fields)

    def plan_store(self, number: int, kind: int) -> None:
        """Say what a store is to sell in this month or the next, or what it may spend; let money come, go and move."""
        store = number % len(self.stores)
        stream = self.stores[store]
        month = months_after(self.now.date().replace(day=1), number // 2 % 2)
        category = ("rent", "freight")[number % 2]
        money = {"amount_minor": 100 * (kind % 5), "currency": self.currencies[store]}
        measure = ("gmv", "net_sales")[number % 2]
        facts: list[tuple[str, dict[str, Any]]] = [
            ("SalesTargetSet", {"month": month, "measure": measure, **money}),
            ("BudgetSet", {"month": month, "category": category, "responsible": "ann", **money}),
            ("ExpenseRecorded", {"category": category, **money, "amount_minor": 10 + kind}),
            (
                "CapitalInvested",
                {
                    "policy_version": 0, "purchasing_minor": 70, "working_minor": 20, "other_minor": 10, **money,
                    "amount_minor": 100,
                },
            ),
            (
                "FundsMoved",
                {"from_fund": "purchasing", "to_fund": ("working", "other")[number % 2], "reason": "so", **money},
            ),
            (
                "PolicySet",
                {
                    "kind": "income_split", "policy_version": 1, "effective_from": self.now + timedelta(hours=kind),
                    "params": {"working_share": f"0.{number % 5}", "other_share": "0.07"},
                },
            ),
        ]  # fmt: skip
        if stream not in self.versions:
            self.store_fact(store, 0)
        name, fields = facts[kind % len(facts)]
        self.record(name, stream, store, **fields)

    def cost_store(self, number: int, kind: int) -> None:
        """Let running a store cost something besides the expenses of every day, or set a budget for it."""
        store = number % len(self.stores)
        stream = self.stores[store]
        if stream not in self.versions:
            self.store_fact(store, 0)
        currency = self.currencies[store]
        money = {"amount_minor": 10 + kind, "currency": currency}
        month = self.now.date().replace(day=1)
        campaign = self.campaigns[number % len(self.campaigns)]
        settled = {"growth": None, "growth_factor": Decimal(1), "grade": None, "grade_factor": Decimal(1)}
        facts: list[tuple[str, dict[str, Any]]] = [
            ("ServiceFeePaid", {"policy_version": 0, **money}),
            ("DepositDeducted", {"reason": "fakes", "case_reference": None, **money}),
            (
                "CommissionSettled",
                {
                    "month": months_after(month, -1), "scheme_version": 1, "known_at_position": 1,
                    "net_sales_minor": 900, "lines": (), "corrections": (), "settled_by": "ann", **settled, **money,
                },
            ),
            ("ExpenseRecorded", {"category": "commission", **money}),
            ("ExpenseRecorded", {"category": "advertising", "campaign_id": campaign, **money}),
            (
                "BudgetSet",
                {
                    "month": month, "category": ("advertising", "penalty", "agency_fee", "commission")[number % 4],
                    "responsible": "ann", **money,
                },
            ),
        ]  # fmt: skip
        name, fields = facts[kind % len(facts)]
        self.record(name, stream, store, **fields)

    def name_heroes(self, number: int, kind: int) -> None:
        """Let a store name three articles or more as its heroes, for this month or for the next."""
        store = number % len(self.stores)
        if self.stores[store] not in self.versions:
            self.store_fact(store, 0)
        own = [sku for place, sku in enumerate(self.skus) if self.sku_store[place] == store]
        start = kind % max(1, len(own))
        others = tuple(self.made_id("hero", each) for each in range(3))
        sku_ids = tuple(dict.fromkeys((*own[start : start + 2], *others)))[: 3 + kind % 3]
        month = months_after(self.now.date().replace(day=1), kind % 2)
        self.record("HeroSkusSet", self.stores[store], store, month=month, sku_ids=sku_ids)

    def correct(self, number: int, kind: int) -> None:
        """Correct what an article was registered with, or let a store go by another name."""
        if kind % 4 == 0:
            store = number % len(self.stores)
            if self.stores[store] not in self.versions:
                self.store_fact(store, 0)
            names = {"name": f"Store {kind}", "old_name": f"Store {number}"}
            self.record("StoreRenamed", self.stores[store], store, **names)
            return
        place = number % len(self.skus)
        self.record(
            "SkuAmended", self.skus[place], self.sku_store[place], name=f"Article {number} {kind}",
            brand=("Acme", None)[kind % 2], category=("toys", "gifts")[kind % 2],
            min_order_quantity=Decimal(1 + kind % 3),
            specification={"colour": "red"}, season_end=self.now if kind % 3 else None, editor="generator",
        )  # fmt: skip

    def contract(self, number: int, kind: int) -> None:
        """Sign an agency agreement for a store, or go on with the one that runs."""
        store = number % len(self.stores)
        stream, money = self.stores[store], {"currency": self.currencies[store]}
        if stream not in self.versions:
            self.store_fact(store, 0)
        today = self.now.date()
        known = self.agreed.get(store)

        def tell(name: str, **fields: Any) -> None:
            self.record(name, stream, store, agreement_id=self.agreed[store]["id"], **fields)

        if known is None:
            known = self.agreed[store] = {"id": self.made_id("agreement", next(self._numbers)), "asked": False}
            known |= {"due": None, "paid": False, "plan": False, "noticed": False}
            tell(
                "AgreementSigned", owner="Jade Ltd", agency="Acme Ltd", owner_people=("li",), platforms=("own",),
                scope=(), owner_signed_on=today, agency_signed_on=today, term_from=today,
                term_to=today + timedelta(days=30), ends_at=self.now + timedelta(days=31), monthly_fee_minor=100 * kind,
                commission_rate=Decimal(kind) / 100, commission_due_day=None, document=None, **money,
            )  # fmt: skip
        elif kind % 6 == 0:
            if not known["paid"] and not known["plan"]:
                known["due"] = self.now + timedelta(hours=4 * (1 + kind % 5))
                tell("AgreementFeePaid", amount_minor=100, reference=None, first_plan_due_by=known["due"], **money)
            else:
                tell("AgreementFeePaid", amount_minor=100, reference=None, first_plan_due_by=None, **money)
            known["paid"] = True
        elif kind % 6 == 1 and not known["plan"]:
            known["plan"] = True
            due, days = known["due"], number % 3 if known["paid"] else None
            which = {"campaign_id": self.campaigns[0], "plan_id": self.made_id("ad plan", next(self._numbers))}
            in_time = None if due is None else self.now < due
            tell("AgreementFirstPlanLaunched", **which, working_days=days, due_by=due, in_time=in_time)
        elif kind % 6 == 2:
            tell(
                "AgreementBreachRecorded", party=("owner", "agency")[number // 2 % 2], kind="other", happened_on=today,
                evidence="mail", loss_minor=kind, note=None, **money,
            )  # fmt: skip
        elif kind % 6 == 3 and not known["noticed"]:
            known["noticed"], known["asked"] = True, False
            tell(
                "AgreementTerminationNoticed", party="owner", noticed_on=today, effective_on=today,
                ends_at=self.now + timedelta(hours=1), cause=None, reason="so", document=None, policy_version=0,
            )  # fmt: skip
        elif kind % 6 == 4 and not known["noticed"]:
            until = today + timedelta(days=60 + kind)
            goes_on = {"term_to": until, "ends_at": self.now + timedelta(days=61 + kind)}
            if not known["asked"]:
                due_by = self.now + timedelta(days=5)
                tell(
                    "AgreementRenewalRequested", party="agency", asked_on=today, term_to=until, extends_to=until,
                    answer_due_by=due_by, document=None, policy_version=0,
                )  # fmt: skip
            elif number % 3:
                said = {"party": "owner", "accepted": number % 3 == 1, "reason": None, "document": None}
                tell("AgreementRenewalAnswered", **said, **goes_on)
            else:
                tell("AgreementExtended", **goes_on)
            known["asked"] = not known["asked"]
        elif kind % 6 == 5:
            due_minor = {"fee_paid_minor": 100, "fee_due_minor": 50, "refund_minor": 50, "unpaid_minor": 0, **money}
            ending = ("expired", "noticed")[known["noticed"]]
            tell("AgreementEnded", ending=ending, last_day=today, access_until=self.now, **due_minor)
            del self.agreed[store]


class Doings(generate.Actions):
    """Turns small whole numbers into events of a `Trade`."""

    COUNT = generate.Actions.COUNT + 15

    def __init__(self, world: Trade) -> None:
        super().__init__(world)
        self.trade = world

    def do(self, action: int, one: int, two: int, minutes: int) -> None:
        """Do the action with this number; one and two choose among what there is."""
        further = action % self.COUNT - generate.Actions.COUNT
        if further == 3:
            self.trade.pass_time(minutes)
            return self.trade.handle(one, two, 1 + minutes % 7)
        if further == 6:
            self.trade.pass_time(minutes)
            return self.trade.live_batch(one, two, 1 + minutes % 7)
        if further == 5:
            self.trade.pass_time(minutes)
            return self.trade.edit(one, two)
        if further == 7:
            self.trade.pass_time(minutes)
            return self.trade.advertise(one, two)
        if further == 8:
            self.trade.pass_time(minutes)
            return self.trade.plan_store(one, two)
        if further == 9:
            self.trade.pass_time(minutes)
            return self.trade.buy(one, two, 1 + minutes % 7)
        if further == 10:
            self.trade.pass_time(minutes)
            return self.trade.contract(one, two)
        if further == 11:
            self.trade.pass_time(minutes)
            return self.trade.inquire(one, two)
        if further == 12:
            self.trade.pass_time(minutes)
            return self.trade.name_heroes(one, two)
        if further == 13:
            self.trade.pass_time(minutes)
            return self.trade.correct(one, two)
        if further == 14:
            self.trade.pass_time(minutes)
            return self.trade.cost_store(one, two)
        if further < 0 or not self.trade.orders:
            return super().do(action % generate.Actions.COUNT, one, two, minutes)
        order = self.trade.orders[-1 - one % min(len(self.trade.orders), 4)]
        self.trade.pass_time(minutes)
        if further == 2:
            self.trade.tell(one, two)
        elif further == 0:
            self.trade.unpack(order)
            self.trade.lose(order, two)
            self.trade.jot(order, two)
            self.trade.assist(order, one + two)
        elif further == 4:
            self.trade.exchange(order, two)
        elif further == 14:
            for step in (self.trade.pay, self.trade.confirm, self.trade.ship, self.trade.ship):
                step(order)
            self.trade.track(order, one + two)
            if two % 3:
                self.trade.deliver(order)
            self.trade.swap(order, two)
        else:
            self.trade.keep_goods(order, declined=two % 2 == 0)
            self.trade.complain(order, two)
            self.trade.judge(order, two)
            self.trade.jot(order, minutes)
        return None


class Log:
    """The log of a test's own database, written with made-up events."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def world(self, *, rings: bool = True, **sizes: int) -> Trade:
        """Return a new world whose events come after what is in the log."""
        return Trade(rings=rings, after=self.head(), **sizes)

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
