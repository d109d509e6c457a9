"""Laws that hold after any run of commands through real writers, whatever fails in between.

What a writer keeps in memory is what the log adds up to; a command that was refused, failed or sent again adds nothing;
units, quota, budget, coupon uses, points and money are neither made nor lost between one aggregate and another.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from opscore.audit import verify
from opscore.database import Database
from opscore.domain import order_placing
from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import Campaign, CampaignGoal, LineRole
from opscore.domain.campaign_commands import (
    AddCampaignLine,
    AddPromotion,
    CheckCampaignPrices,
    CheckedPriceTerms,
    CouponTermsOffered,
    PauseCampaign,
    PlanCampaign,
    ResumeCampaign,
    ScheduleCampaign,
    SetCampaignBudget,
    SetForecast,
    StartCampaign,
)
from opscore.domain.command import Command
from opscore.domain.customer import Customer
from opscore.domain.customer_commands import EarnPoints
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    CancelOrder,
    CancelOrderLines,
    ConfirmOrder,
    LineQuantity,
    PackParcel,
    PayOrder,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_state import OrderStatus
from opscore.domain.pricing import PromotionScope
from opscore.domain.sku import Sku
from opscore.domain.stock_commands import AllocateCampaignStock, ReceiveStock, WriteOffKind, WriteOffStock
from opscore.log.mapper import EventMapper, RecordedEvent
from opscore.log.snapshots import state_bytes
from opscore.settings import Settings
from opscore.writer import Outcome, Request, Writer
from tests.shop import OWNER, SECOND, Shop

STOCK, QUOTA, COUPONS, BUDGET_MINOR, PER_CUSTOMER = 25, 8, 4, 1800, 6
UNLUCKY = 3
"""A decision that reserves so many units fails after its first event, where a rule says so."""
PLACES: dict[str, Any] = {"reserve": Sku, "claim": Campaign, "settle": order_placing}
"""Methods that record something in the middle of placing an order, with their classes."""
ZERO = Decimal(0)

picks = st.integers(0, 99)
sides = st.integers(0, 1)
quantities = st.integers(1, 6)
buyers = st.sampled_from([None, 0, 1])
mostly = st.sampled_from([True, True, False])
lucky = st.integers(1, UNLUCKY - 1)


class Failure(Exception):
    """A mistake in a decision, after it has recorded something."""


class World:
    """Two writers on one database, and the log beside them: folded and counted here, apart from what they keep."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.writers = [Writer(database, settings) for _ in range(2)]
        self.names = itertools.count(1)
        self.folded: dict[UUID, Aggregate] = {}
        self.position = 0
        self.count: defaultdict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
        """What the events say, added up by name: units, points, money, uses."""
        self.told: Counter[str] = Counter()
        """How often each command was carried out, each refusal given, and how often a decision failed."""
        self._mapper = EventMapper()
        self._connection = database.connect()

    def take_in(self) -> list[str]:
        """Fold and count what is new in the log; return the idempotency key of each new event."""
        rows = self._connection.execute(
            "SELECT position, idempotency_key, data, stream_id, version, type, convert_to(data::text, 'UTF8'),"
            " schema_version, occurred_at, recorded_at FROM events WHERE position > %s ORDER BY position",
            (self.position,),
            binary=True,
        ).fetchall()
        keys = []
        for position, key, data, *columns in rows:
            assert position == self.position + 1, "positions are dense"
            event: Any = self._mapper.to_domain_event(RecordedEvent(*columns))
            self.folded[columns[0]] = event.mutate(self.folded.get(columns[0]))
            self._add_up(columns[2], columns[0], data)
            self.position = position
            keys.append(key)
        return keys

    def _add_up(self, name: str, stream: UUID, data: dict[str, Any]) -> None:
        units = Decimal(data.get("quantity", "0")) if isinstance(data.get("quantity", "0"), str) else ZERO
        place = data.get("location_id")
        for sign, events in ((1, ("StockReceived", "StockReturned")), (-1, ("StockShipped", "StockWrittenOff"))):
            if name in events:
                self.count["on hand", stream, place] += sign * units
        for sign, events in ((1, ("StockReserved",)), (-1, ("ReservationReleased", "StockShipped"))):
            if name in events:
                self.count["reserved", stream, data["order_id"]] += sign * units
        quota = {"CampaignStockAllocated": 1, "CampaignStockReleased": -1, "StockReserved": -1}.get(name, 0)
        if name == "ReservationReleased" and data["to_quota"]:
            quota = 1
        if quota and data.get("campaign_id") is not None:
            self.count["quota", stream, data["campaign_id"]] += quota * units
        for sign, events in (
            (1, ("PointsEarned", "PointsReturned")),
            (-1, ("PointsSpent", "PointsReversed", "PointsExpired")),
        ):
            if name in events:
                self.count["points", stream] += sign * data["amount"]
        for what, one, back, field in (
            ("budget", "CampaignBudgetClaimed", "CampaignBudgetReleased", "amount_minor"),
            ("coupon", "CouponClaimed", "CouponReleased", None),
        ):
            if name in (one, back):
                self.count[what, stream] += (1 if name == one else -1) * (1 if field is None else data[field])
        if name == "PaymentReceived":
            self.count["paid", stream] += data["amount_minor"]

    def of(self, kind: type[Any]) -> list[Any]:
        """Return every aggregate of a kind, as the log adds up."""
        return [each for each in self.folded.values() if isinstance(each, kind)]


class Whole(RuleBasedStateMachine):
    """Two shops with three articles, a campaign with quota, coupon and budget, two customers, and orders among them."""

    world: World

    @initialize()
    def open_up(self) -> None:
        """Begin with shops and articles of this run's own."""
        near, number = self.world.writers[0], next(self.world.names)
        self.shops = [Shop.open(near, f"Shop {number}{side}") for side in "ab"]
        self.home = self.shops[0]
        self.skus = [self.home.sku(stock=STOCK), self.home.sku(stock=STOCK), self.shops[1].sku(stock=STOCK)]
        self.customers = [self.home.customer(), self.home.customer()]
        self.code = f"EARLY{number}"
        self.campaign = self.live_campaign()
        self.orders: list[UUID] = []
        self.sent: list[tuple[Request, Outcome]] = []
        self.used = 0
        self.world.take_in()

    def live_campaign(self) -> UUID:
        """Bring a campaign to life: the first article at 8.00 from a quota, a coupon, and a budget for both."""
        now, do = datetime.now(UTC), self.home.do
        campaign = do(PlanCampaign(store_id=self.home.store_id, name=self.code, goal=CampaignGoal.RAISE_SALES))
        given: dict[str, Any] = {"campaign_id": campaign, "sku_id": self.skus[0]}
        price, quota = Decimal(8), Decimal(QUOTA)
        do(AddCampaignLine(**given, role=LineRole.BASE, price=price, quota=quota, max_per_customer=PER_CUSTOMER))
        coupon = CouponTermsOffered(code=self.code, off_minor=100, usage_limit=COUPONS)
        do(AddPromotion(campaign_id=campaign, label="Coupon", offer=coupon, scope=PromotionScope.STORE))
        do(SetCampaignBudget(campaign_id=campaign, budget_minor=BUDGET_MINOR, currency="GBP"))
        starts_at, ends_at = now + timedelta(milliseconds=1), now + timedelta(days=1)
        do(ScheduleCampaign(campaign_id=campaign, starts_at=starts_at, ends_at=ends_at))
        do(AllocateCampaignStock(**given, location_id=self.home.location_id, quantity=quota))
        targets: dict[str, Any] = {"visitors": 9, "conversion": Decimal("0.5"), "units": Decimal(4), "gmv_minor": 1}
        do(SetForecast(campaign_id=campaign, **targets))
        checked = CheckedPriceTerms(sku_id=self.skus[0], label=price, detail=price, plan=price)
        do(CheckCampaignPrices(campaign_id=campaign, lines=(checked,)), actor=SECOND)
        return do(StartCampaign(campaign_id=campaign))

    # How commands are given --------------------------------------------------------------------------------------

    def give(self, side: int, *commands: Command, actor: Any = OWNER) -> list[Outcome | Exception]:
        """Give commands to one of the writers as one batch; require of the log that each did what was answered."""
        writer = self.world.writers[side]
        requests = [Request(command, actor, str(uuid4())) for command in commands]
        with writer.queue.changed:
            futures = [writer.submit(request) for request in requests]
        answers: list[Outcome | Exception] = []
        for request, future in zip(requests, futures, strict=True):
            try:
                outcome = future.result(60)
            except Failure as failure:
                answers.append(failure)
                self.world.told["failed"] += 1
            else:
                answers.append(outcome)
                name = request.command.command_name()
                self.world.told[name if outcome.refusal is None else outcome.refusal.code] += 1
                self.sent.append((request, outcome))
                if outcome.refusal is None and isinstance(request.command, type(self.order(0, 1))):
                    assert outcome.aggregate_id is not None
                    self.orders.append(outcome.aggregate_id)
        self.used = side
        effects = Counter(self.world.take_in())
        for request, answer in zip(requests, answers, strict=True):
            accepted = isinstance(answer, Outcome) and answer.refusal is None
            assert accepted or effects[request.key] == 0, "what was not accepted is not in the log"
        assert effects.keys() <= {request.key for request in requests}
        return answers

    def order(self, pick: int, quantity: int, **more: Any) -> Command:
        """Return a command that orders one of the articles in its shop."""
        index = pick % len(self.skus)
        shop = self.shops[index // 2]
        if index == 0 and pick % 2:
            more["campaign_ids"] = (self.campaign,)
        return shop.order((self.skus[index], quantity), **more)

    def pick_order(self, pick: int) -> UUID:
        """Return an order, the newest first: numbers drawn are small more often than not."""
        return self.orders[-1 - pick % len(self.orders)]

    def state_of(self, order_id: UUID) -> Any:
        return self.world.folded[order_id]

    # What may happen ---------------------------------------------------------------------------------------------

    @rule(side=sides, pick=picks, quantity=quantities, buyer=buyers, coupon=mostly, points=st.integers(0, 300))
    def place(self, side: int, pick: int, quantity: int, buyer: int | None, coupon: bool, points: int) -> None:
        more: dict[str, Any] = {} if buyer is None else {"customer_id": self.customers[buyer]}
        if coupon and pick % len(self.skus) != 2:
            more["coupon_code"] = self.code
        if buyer is not None:
            more["points_to_spend"] = points
        self.give(side, self.order(pick, quantity, **more))

    @rule(side=sides, quantity=quantities, other=quantities, buyer=sides)
    def place_two_lines(self, side: int, quantity: int, other: int, buyer: int) -> None:
        lines = ((self.skus[0], quantity), (self.skus[1], other))
        more: dict[str, Any] = {"customer_id": self.customers[buyer], "campaign_ids": (self.campaign,)}
        self.give(side, self.home.order(*lines, **more))

    @precondition(lambda self: self.orders)
    @rule(side=sides, pick=picks, part=st.sampled_from([1, 1, 2]))
    def pay(self, side: int, pick: int, part: int) -> None:
        order_id = self.pick_order(pick)
        amount = max(1, self.state_of(order_id).due_minor // part)
        self.give(side, PayOrder(order_id=order_id, amount_minor=amount, method="card", currency="GBP"))

    @precondition(lambda self: self.orders)
    @rule(side=sides, pick=picks)
    def send(self, side: int, pick: int) -> None:
        """Pay, confirm, pack and ship what is left of an order, as far as it goes."""
        order_id = self.pick_order(pick)
        order = self.state_of(order_id)
        if order.due_minor:
            self.give(side, PayOrder(order_id=order_id, amount_minor=order.due_minor, method="card", currency="GBP"))
        lines = tuple(
            ScannedLine(line=line.line, sku_id=line.sku_id, quantity=line.live - line.packed)
            for line in order.lines
            if line.live > line.packed
        )
        shop = next(shop for shop in self.shops if shop.store_id == order.store_id)
        parcel = uuid4()
        self.give(side, ConfirmOrder(order_id=order_id))
        if lines:
            self.give(side, PackParcel(order_id=order_id, location_id=shop.location_id, lines=lines, parcel_id=parcel))
        self.give(side, ShipOrder(order_id=order_id, parcel_id=parcel, courier="DPD", waybill=f"W{parcel}"))

    @precondition(lambda self: self.orders)
    @rule(side=sides, pick=picks)
    def cancel(self, side: int, pick: int) -> None:
        self.give(side, CancelOrder(order_id=self.pick_order(pick)))

    @precondition(lambda self: self.orders)
    @rule(side=sides, pick=picks, line=st.integers(1, 2), quantity=quantities)
    def cancel_line(self, side: int, pick: int, line: int, quantity: int) -> None:
        lines = (LineQuantity(line=line, quantity=Decimal(quantity)),)
        self.give(side, CancelOrderLines(order_id=self.pick_order(pick), lines=lines))

    @rule(side=sides, pick=picks, quantity=quantities, gone=st.booleans())
    def move_stock(self, side: int, pick: int, quantity: int, gone: bool) -> None:
        index = pick % len(self.skus)
        at = {"sku_id": self.skus[index], "location_id": self.shops[index // 2].location_id}
        if gone:
            units = Decimal(quantity)
            self.give(side, WriteOffStock(**at, quantity=units, kind=WriteOffKind.DAMAGED, reason="not found"))
        else:
            self.give(side, ReceiveStock(**at, quantity=Decimal(quantity), unit_cost=Decimal(4)))

    @rule(side=sides, buyer=sides, points=st.integers(1, 200))
    def earn(self, side: int, buyer: int, points: int) -> None:
        manual: dict[str, Any] = {"rule": "manual", "reference": str(uuid4()), "points": points, "reason": "goodwill"}
        self.give(side, EarnPoints(customer_id=self.customers[buyer], **manual))

    @rule(side=sides, on=mostly)
    def switch_campaign(self, side: int, on: bool) -> None:
        self.give(
            side,
            ResumeCampaign(campaign_id=self.campaign)
            if on
            else PauseCampaign(campaign_id=self.campaign, reason="a look at it"),
        )

    # What may go wrong -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.sent)
    @rule(side=sides, pick=picks)
    def send_again(self, side: int, pick: int) -> None:
        """The same command under the same key, at either writer: the first answer, and nothing new in the log."""
        request, first = self.sent[pick % len(self.sent)]
        again = self.world.writers[side].ask(request)
        assert again.replayed
        assert (again.aggregate_id, again.position, again.refusal) == (
            first.aggregate_id,
            first.position,
            first.refusal,
        )
        self.used = side
        assert self.world.take_in() == []

    @rule(side=sides, before=lucky, after=lucky, coupon=st.booleans(), where=st.sampled_from(list(PLACES)))
    def fail_after_the_first_event(self, side: int, before: int, after: int, coupon: bool, where: str) -> None:
        """A mistake in the middle of a decision, in the middle of a batch: only that command is gone."""
        more: dict[str, Any] = {"coupon_code": self.code} if coupon else {}
        batch = [self.home.order((self.skus[1], quantity), **more) for quantity in (before, UNLUCKY, after)]
        with failing(where):
            self.give(side, *batch, self.order(2, 1))

    @rule(side=sides, quantity=quantities)
    def lose_the_session(self, side: int, quantity: int) -> None:
        """The writer's database session is ended from outside; the next command finds a new one."""
        connection = self.world.writers[side]._connection
        if connection is not None and not connection.closed:
            pid = connection.info.backend_pid
            with self.world.database.connect("admin") as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        self.give(side, self.order(1, quantity))

    @rule(side=sides, quantity=quantities)
    def lose_the_session_before_the_commit(self, side: int, quantity: int) -> None:
        """Everything is decided and written, then the session is lost: it is all decided afresh, once."""
        real, calls = Writer._record, itertools.count()

        def broken(writer: Writer, *arguments: Any) -> None:
            real(writer, *arguments)
            if next(calls) == 0:
                raise psycopg.OperationalError("the line went dead")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Writer, "_record", broken)
            self.give(side, self.order(0, quantity), self.order(1, quantity))

    # What holds --------------------------------------------------------------------------------------------------

    @invariant()
    def the_cache_is_the_fold_of_the_log(self) -> None:
        writer = self.world.writers[self.used]
        assert writer._state.head.position == self.world.position
        for stream_id, cached in writer._state._cached.items():
            folded = self.world.folded[stream_id]
            assert cached.pending_events == []
            assert (cached.version, state_bytes(cached)) == (folded.version, state_bytes(folded)), type(cached)

    @invariant()
    def units_are_conserved(self) -> None:
        counted = self.world.count
        for sku in (self.world.folded[each] for each in self.skus):
            assert isinstance(sku, Sku)
            for place, level in sku.levels.items():
                held = [each for part in sku.reservations.values() for each in part if each.location_id == place]
                assert level.on_hand == counted["on hand", sku.id, str(place)]
                assert level.reserved == sum((each.quantity for each in held), ZERO)
                assert level.allocated == sum((quota.get(place, ZERO) for quota in sku.allocations.values()), ZERO)
                assert min(level.sellable, level.reserved, level.allocated, level.damaged) >= 0
            for order in self.own(Order):
                wanted = sum((line.live - line.shipped for line in order.lines if line.sku_id == sku.id), ZERO)
                assert counted["reserved", sku.id, str(order.id)] == wanted, order.status
        held_for = {
            name[2] for name, units in counted.items() if units and name[0] == "reserved" and name[1] in self.skus
        }
        assert held_for <= {str(order_id) for order_id in self.orders}, "held for an order that never was"

    @invariant()
    def quota_budget_and_coupons_are_what_orders_hold(self) -> None:
        campaign, counted = self.world.folded[self.campaign], self.world.count
        assert isinstance(campaign, Campaign)
        sku = self.world.folded[self.skus[0]]
        assert isinstance(sku, Sku)
        left = sum(sku.allocations[self.campaign].values(), ZERO)
        assert left == counted["quota", sku.id, str(self.campaign)] and 0 <= left <= QUOTA
        alive = [order for order in self.own(Order) if order.status is not OrderStatus.CANCELLED]
        claimed = sum(order.claims.get(self.campaign, 0) for order in alive)
        assert campaign.budget_claimed_minor == counted["budget", self.campaign] == claimed <= BUDGET_MINOR
        uses = sum(order.coupon_code == self.code for order in alive)
        assert campaign.coupon_uses.get(self.code, 0) == counted["coupon", self.campaign] == uses <= COUPONS
        for customer in self.own(Customer):
            taken = customer.redemptions.get(self.campaign, {}).get(sku.id, ZERO)
            lines = (line for order in alive if order.customer_id == customer.id for line in order.lines)
            assert taken == sum((line.live for line in lines if line.campaign_id == self.campaign), ZERO)
            assert taken <= PER_CUSTOMER

    @invariant()
    def points_and_money_are_conserved(self) -> None:
        counted = self.world.count
        for customer in self.own(Customer):
            assert sum(lot.amount for lot in customer.lots) - customer.owed == counted["points", customer.id]
            assert all(lot.amount > 0 for lot in customer.lots)
        for order in self.own(Order):
            assert order.goods_minor == sum(line.amount_minor for line in order.lines)
            assert order.goods_minor + order.discount_minor == sum(line.gross_minor for line in order.lines)
            assert order.total_minor == order.goods_minor + order.freight_minor
            assert order.paid_minor == counted["paid", order.id]
            assert 0 <= order.refundable_minor <= order.paid_minor

    def own(self, kind: type[Any]) -> Sequence[Any]:
        """Return the aggregates of this run."""
        stores = {shop.store_id for shop in self.shops}
        return [each for each in self.world.of(kind) if each.store_id in stores]


@contextmanager
def failing(where: str) -> Iterator[None]:
    """Let the unlucky order fail after it has recorded something: at the stock, at the campaign, or at the very end."""
    reserve, real = Sku.reserve, getattr(PLACES[where], where)
    unlucky: set[UUID] = set()

    def reserving(self: Sku, order_id: UUID, store_id: UUID, taken: Any, at: datetime) -> None:
        reserve(self, order_id, store_id, taken, at)
        if sum(pick.quantity for pick in taken) == UNLUCKY:
            unlucky.add(order_id)
            if where == "reserve":
                raise Failure

    def recording(self: Order | Campaign, *arguments: Any) -> None:
        real(self, *arguments)
        if unlucky & {self.id, arguments[0]}:
            raise Failure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sku, "reserve", reserving)
        if where != "reserve":
            patch.setattr(PLACES[where], where, recording)
        yield


def test_whatever_is_asked_and_whatever_fails_caches_are_the_log_and_nothing_is_made_or_lost(
    database: Database, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(database, settings)
    for writer in world.writers:
        writer.start()
    try:
        run_state_machine_as_test(
            type("WholeHere", (Whole,), {"world": world}),
            settings=hypothesis.settings(
                max_examples=12,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
                phases=[Phase.explicit, Phase.generate, Phase.shrink],
                print_blob=True,
            ),
        )
    finally:
        for writer in world.writers:
            writer.stop()
        world._connection.close()
    assert verify(database, workers=1).holds
    # A run in which nothing went right, or nothing wrong, would have shown nothing.
    told = world.told
    assert min(told["placeOrder"], told["STOCK_INSUFFICIENT"], told["cancelOrder"], told["failed"]) > 0, told
    assert all(writer.statistics.foreign_events and writer.statistics.reconnects for writer in world.writers)
    with capsys.disabled():
        print(f"\n{world.position} events; {', '.join(f'{name} {times}' for name, times in sorted(told.items()))}")
