"""Laws of stock, by random histories against a model that can only add: units are conserved, nothing is oversold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from opscore.domain.aggregate import Event
from opscore.domain.command import Command
from opscore.domain.refusals import Refusal
from opscore.domain.sku import Sku, SkuStatus, StockCondition, StockState, WriteOffKind
from opscore.domain.sku_commands import ListSku, SetStockPolicy
from opscore.domain.sku_events import (
    CampaignQuotaUsed,
    CountBelowHeld,
    CountOutdated,
    ExceedsBatch,
    ExceedsOnHand,
    ExceedsTransfer,
    LowStockReached,
    ReservationReleased,
    SameState,
    SampleIssued,
    SkuDelisted,
    SkuNotListed,
    StockAdjusted,
    StockDepleted,
    StockInsufficient,
    StockReceived,
    StockReserved,
    StockReturned,
    StockShipped,
    StockTransferredIn,
    StockTransferredOut,
    StockWrittenOff,
    TransferUnknown,
)
from opscore.domain.stock_commands import (
    AllocateCampaignStock,
    CountStock,
    IssueSample,
    ReceiveStock,
    ReceiveTransfer,
    ReclassifyStock,
    ReleaseCampaignStock,
    ReleaseReservation,
    ReserveStock,
    ShipStock,
    TakeBackStock,
    TransferStock,
    WriteOffStock,
    hold_id,
)
from tests.domain.shelf import Shelf, state_of

LOW_LINE = Decimal(5)

quantities = st.integers(1, 12).map(lambda halves: Decimal(halves) / 2)
stocks = st.integers(0, 15).map(Decimal)
small = st.integers(0, 1)
campaigns = st.sampled_from([None, 0, 0, 1])
places = st.integers(0, 2)
numbers = st.sampled_from([None, "B1", "B2"])
OPEN, QUARANTINED, DAMAGED = StockState.AVAILABLE, StockState.QUARANTINED, StockState.DAMAGED
STATE_OF = {"good": OPEN, "rebrand": DAMAGED, "damaged": DAMAGED, "quarantined": QUARANTINED}


class StockMachine(RuleBasedStateMachine):
    """Random work on one article in three locations with two campaigns.

    The model keeps, per location: open, quarantined, damaged, reserved, quota and under-way units, and what is left of
    each batch; it moves them by what each request means and shares no code with the aggregate. Where units of an order
    come from is read off the events, how many may be had is not.
    """

    transfers = Bundle("transfers")

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(locations=3, campaigns=2)
        self.sku_id = self.shelf.article("LAMP", quantity_places=1)
        self.shelf.do(SetStockPolicy(sku_id=self.sku_id, low_line=LOW_LINE))
        self.locations = self.shelf.location_ids
        self.campaigns = self.shelf.campaign_ids
        self.open: dict[UUID, Decimal] = dict.fromkeys(self.locations, Decimal(0))
        self.aside: dict[StockState, dict[UUID, Decimal]] = {
            state: dict.fromkeys(self.locations, Decimal(0)) for state in (QUARANTINED, DAMAGED)
        }
        self.batches: dict[tuple[UUID, str], dict[StockState, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        self.apart: set[UUID] = set()
        self.under_way: dict[UUID, Decimal] = dict.fromkeys(self.locations, Decimal(0))
        self.quota: dict[UUID, dict[UUID, Decimal]] = {}
        self.held: dict[UUID, dict[tuple[UUID, UUID | None], Decimal]] = {}
        self.due: dict[UUID, Decimal] = {}
        self.batch_of: dict[UUID, str | None] = {}
        self.names = 0

    # What the model and the aggregate are both asked -----------------------------------------------------------------

    def ask(self, command: Command | Callable[[], list[Event]], refusal: type[Refusal] | None) -> list[Event]:
        """Do it; when the model says no, the domain has to say the same no and stay as it was."""
        if refusal is None:
            sellable, available = self.sku.sellable, self.sku.available
            answer = self.give(command)
            told = [type(event) for event in answer]
            assert told.count(LowStockReached) == (sellable > LOW_LINE >= self.sku.sellable)
            assert told.count(StockDepleted) == (available > 0 == self.sku.available)
            assert SkuDelisted not in told or StockDepleted in told
            return answer
        before, recorded = state_of(self.sku), len(self.shelf.events)
        with pytest.raises(refusal):
            self.give(command)
        assert state_of(self.sku) == before
        assert len(self.shelf.events) == recorded
        return []

    def give(self, command: Command | Callable[[], list[Event]]) -> list[Event]:
        return self.shelf.records(command) if isinstance(command, Command) else command()

    @property
    def sku(self) -> Sku:
        return self.shelf.sku(self.sku_id)

    @property
    def open_orders(self) -> list[UUID]:
        return [order for order, held in self.held.items() if any(held.values())]

    @property
    def is_listed(self) -> bool:
        listing = self.sku.listings.get(self.shelf.store_id)
        return listing is not None and listing.listed

    def free(self, location: UUID, campaign: UUID | None) -> Decimal:
        return self.open[location] if campaign not in self.quota else self.quota[campaign][location]

    def bucket(self, state: StockState) -> dict[UUID, Decimal]:
        """The units of a state that nobody holds, by location."""
        return self.open if state is OPEN else self.aside[state]

    def move(self, location: UUID, state: StockState, change: Decimal, batch: str | None) -> None:
        """Let units come in or go."""
        self.bucket(state)[location] += change
        self.move_batch(location, state, change, batch)

    def move_batch(self, location: UUID, state: StockState, change: Decimal, batch: str | None) -> None:
        if batch is not None:
            self.batches[location, batch][state] += change
            if change > 0:
                self.apart.add(location)

    def lacks(self, location: UUID, state: StockState, quantity: Decimal, batch: str | None) -> bool:
        """Say whether a batch has too few units, at a location where batches are kept apart."""
        return batch is not None and location in self.apart and self.batches[location, batch][state] < quantity

    def take(self, order: UUID, picked: list[Event], asked: Decimal, campaign: UUID | None) -> None:
        reserved = [event for event in picked if isinstance(event, StockReserved)]
        assert sum(event.quantity for event in reserved) == asked
        for event in reserved:
            assert event.campaign_id == (campaign if campaign in self.quota else None)
            source = self.open if event.campaign_id is None else self.quota[event.campaign_id]
            source[event.location_id] -= event.quantity
            key = (event.location_id, event.campaign_id)
            held = self.held.setdefault(order, {})
            held[key] = held.get(key, Decimal(0)) + event.quantity

    def let_go(self, order: UUID, gone: list[Event]) -> Decimal:
        """Take what left or was released out of what the order holds; return how much."""
        total = Decimal(0)
        for event in gone:
            if isinstance(event, StockShipped | ReservationReleased):
                self.held[order][event.location_id, event.campaign_id] -= event.quantity
                total += event.quantity
        return total

    # Rules -----------------------------------------------------------------------------------------------------------

    @initialize(stock=st.tuples(stocks, stocks, stocks), quotas=st.tuples(quantities, quantities))
    def there_is_something_to_sell(self, stock: tuple[Decimal, ...], quotas: tuple[Decimal, ...]) -> None:
        for at, quantity in enumerate(stock):
            if quantity:
                self.goods_come_in(at, quantity)
        for which, quantity in enumerate(quotas):
            self.a_campaign_gets_stock(which, which, quantity)
        self.it_is_put_on_sale()

    @rule(at=places, quantity=quantities, batch=numbers, condition=st.sampled_from(StockCondition))
    def goods_come_in(
        self, at: int, quantity: Decimal, batch: str | None = None, condition: StockCondition = StockCondition.GOOD
    ) -> None:
        location = self.locations[at]
        command = ReceiveStock(
            sku_id=self.sku_id, location_id=location, quantity=quantity, batch=batch, condition=condition
        )
        self.ask(command, None)
        self.move(location, STATE_OF[condition], quantity, batch)

    @precondition(lambda self: not self.is_listed)
    @rule()
    def it_is_put_on_sale(self) -> None:
        if any(self.open.values()) or any(sum(quota.values()) for quota in self.quota.values()):
            self.ask(ListSku(sku_id=self.sku_id), None)
            assert self.is_listed

    @rule(
        first=places,
        count=st.integers(1, 3),
        quantity=quantities,
        campaign=campaigns,
    )
    def a_buyer_orders(self, first: int, count: int, quantity: Decimal, campaign: int | None) -> None:
        self.names += 1
        order = UUID(int=self.names)
        sources = [self.locations[(first + step) % 3] for step in range(count)]
        wanted = None if campaign is None else self.campaigns[campaign]
        have = sum(self.free(location, wanted) for location in sources)
        sold_out = not any(self.open.values()) and not any(sum(quota.values()) for quota in self.quota.values())
        refusal: type[Refusal] | None = None
        if not self.is_listed:
            never = self.shelf.store_id not in self.sku.listings
            refusal = SkuNotListed if never or not sold_out else StockInsufficient
        elif have < quantity:
            refusal = CampaignQuotaUsed if wanted in self.quota else StockInsufficient
        picked = self.ask(lambda: self.shelf.order(self.sku_id, order, quantity, sources, wanted), refusal)
        if refusal is None:
            self.take(order, picked, quantity, wanted)

    @precondition(lambda self: self.open_orders)
    @rule(which=st.integers(0, 99), part=st.none() | quantities)
    def an_order_is_cancelled(self, which: int, part: Decimal | None) -> None:
        order = self.open_orders[which % len(self.open_orders)]
        holds = sum(self.held[order].values())
        gone = self.ask(lambda: self.shelf.cancel(self.sku_id, order, part), None)
        for event in gone:
            if isinstance(event, ReservationReleased):
                assert event.to_quota == (event.campaign_id in self.quota)
                back = self.quota.get(event.campaign_id, self.open) if event.campaign_id else self.open
                back[event.location_id] += event.quantity
        assert self.let_go(order, gone) == (holds if part is None else min(holds, part))

    @precondition(lambda self: self.open_orders)
    @rule(which=st.integers(0, 99), part=quantities, at=places)
    def an_order_ships(self, which: int, part: Decimal, at: int) -> None:
        order = self.open_orders[which % len(self.open_orders)]
        holds = sum(self.held[order].values())
        gone = self.ask(lambda: self.shelf.ship(self.sku_id, order, part, self.locations[at]), None)
        assert self.let_go(order, gone) == min(holds, part)

    @rule(at=places, quantity=quantities, condition=st.sampled_from(StockCondition), batch=numbers)
    def goods_come_back(self, at: int, quantity: Decimal, condition: StockCondition, batch: str | None) -> None:
        location = self.locations[at]
        command = TakeBackStock(
            sku_id=self.sku_id, location_id=location, quantity=quantity, condition=condition, batch=batch
        )
        self.ask(command, None)
        self.move(location, STATE_OF[condition], quantity, batch)

    @rule(
        at=places, quantity=quantities, source=st.sampled_from(StockState), to=st.sampled_from(StockState), of=numbers
    )
    def units_are_looked_at(
        self, at: int, quantity: Decimal, source: StockState, to: StockState, of: str | None
    ) -> None:
        location = self.locations[at]
        command = ReclassifyStock(
            sku_id=self.sku_id,
            location_id=location,
            quantity=quantity,
            from_state=source,
            to_state=to,
            reason="looked at",
            batch=of,
        )
        refusal: type[Refusal] | None = SameState if source is to else None
        if refusal is None and self.bucket(source)[location] < quantity:
            refusal = ExceedsOnHand
        elif refusal is None and self.lacks(location, source, quantity, of):
            refusal = ExceedsBatch
        self.ask(command, refusal)
        if refusal is None:
            self.bucket(source)[location] -= quantity
            self.bucket(to)[location] += quantity
            if of is not None:
                self.batches[location, of][source] -= quantity
                self.batches[location, of][to] += quantity

    @rule(at=places, quantity=quantities, condition=st.sampled_from(StockCondition), batch=numbers)
    def units_are_written_off(self, at: int, quantity: Decimal, condition: StockCondition, batch: str | None) -> None:
        location, state = self.locations[at], STATE_OF[condition]
        command = WriteOffStock(
            sku_id=self.sku_id,
            location_id=location,
            quantity=quantity,
            kind=WriteOffKind.SPOILED,
            reason="water",
            condition=condition,
            batch=batch,
        )
        refusal: type[Refusal] | None = None
        if self.bucket(state)[location] < quantity:
            refusal = ExceedsOnHand
        elif self.lacks(location, state, quantity, batch):
            refusal = ExceedsBatch
        self.ask(command, refusal)
        if refusal is None:
            self.move(location, state, -quantity, batch)

    def refused(self, location: UUID, quantity: Decimal, batch: str | None) -> type[Refusal] | None:
        """What is said to who takes open units away."""
        if self.open[location] < quantity:
            return StockInsufficient
        return ExceedsBatch if self.lacks(location, OPEN, quantity, batch) else None

    @rule(at=places, quantity=quantities, batch=numbers)
    def a_sample_is_given(self, at: int, quantity: Decimal, batch: str | None) -> None:
        location = self.locations[at]
        refusal = self.refused(location, quantity, batch)
        command = IssueSample(
            sku_id=self.sku_id, location_id=location, quantity=quantity, purpose="photograph", batch=batch
        )
        self.ask(command, refusal)
        if refusal is None:
            self.move(location, OPEN, -quantity, batch)

    @rule(at=places, off=st.integers(-4, 4), stale=st.sampled_from([False, False, False, True]), batch=numbers)
    def somebody_counts(self, at: int, off: int, stale: bool, batch: str | None) -> None:
        location = self.locations[at]
        book, aside = self.on_hand(location), Decimal(0)
        if batch is not None:
            aside = self.batches[location, batch][QUARANTINED] + self.batches[location, batch][DAMAGED]
            book = self.batches[location, batch][OPEN] + aside
        counted = max(book + off, Decimal(0))
        command = CountStock(
            sku_id=self.sku_id,
            location_id=location,
            counted=counted,
            expected_on_hand=book + 1 if stale else book,
            reason="broken",
            batch=batch,
        )
        held = max(book - self.open[location], aside)
        refusal = CountOutdated if stale else CountBelowHeld if counted < held else None
        self.ask(command, refusal)
        if refusal is None:
            self.move(location, OPEN, counted - book, batch)

    @rule(target=transfers, at=places, step=st.integers(1, 2), quantity=quantities, batch=numbers)
    def goods_are_sent_on(self, at: int, step: int, quantity: Decimal, batch: str | None) -> Any:
        here, there = self.locations[at], self.locations[(at + step) % 3]
        refusal = self.refused(here, quantity, batch)
        command = TransferStock(
            sku_id=self.sku_id, location_id=here, to_location_id=there, quantity=quantity, batch=batch
        )
        sent = self.ask(command, refusal)
        if refusal is not None:
            return multiple()
        self.move(here, OPEN, -quantity, batch)
        self.under_way[there] += quantity
        (out,) = [event for event in sent if isinstance(event, StockTransferredOut)]
        self.due[out.transfer_id] = quantity
        self.batch_of[out.transfer_id] = batch
        return out.transfer_id, there

    @rule(transfer=transfers, most=quantities, rest=st.sampled_from(["comes later", "is lost", "was never sent"]))
    def goods_arrive(self, transfer: tuple[UUID, UUID], most: Decimal, rest: str) -> None:
        transfer_id, there = transfer
        due = self.due[transfer_id]
        arrived = due + most if rest == "was never sent" else min(most, due)
        lost = due - arrived if rest == "is lost" else Decimal(0)
        refusal = TransferUnknown if not due else ExceedsTransfer if arrived > due else None
        command = ReceiveTransfer(
            sku_id=self.sku_id, transfer_id=transfer_id, quantity=arrived, lost=lost, reason="fell off"
        )
        self.ask(command, refusal)
        if refusal is None:
            self.due[transfer_id] -= arrived + lost
            self.under_way[there] -= arrived + lost
            self.move(there, OPEN, arrived, self.batch_of[transfer_id])

    @rule(which=small, at=places, quantity=quantities)
    def a_campaign_gets_stock(self, which: int, at: int, quantity: Decimal) -> None:
        campaign, location = self.campaigns[which], self.locations[at]
        command = AllocateCampaignStock(
            sku_id=self.sku_id, campaign_id=campaign, location_id=location, quantity=quantity
        )
        enough = self.open[location] >= quantity
        self.ask(command, None if enough else StockInsufficient)
        if enough:
            quota = self.quota.setdefault(campaign, dict.fromkeys(self.locations, Decimal(0)))
            quota[location] += quantity
            self.open[location] -= quantity

    @precondition(lambda self: self.quota)
    @rule(which=small, at=places, quantity=st.none() | quantities)
    def a_campaign_gives_some_back(self, which: int, at: int, quantity: Decimal | None) -> None:
        campaign, location = list(self.quota)[which % len(self.quota)], self.locations[at]
        left = self.quota[campaign][location]
        command = ReleaseCampaignStock(
            sku_id=self.sku_id, campaign_id=campaign, location_id=location, quantity=quantity
        )
        wanted = left if quantity is None else quantity
        possible = 0 < wanted <= left
        self.ask(command, None if possible else CampaignQuotaUsed)
        if possible:
            self.quota[campaign][location] -= wanted
            self.open[location] += wanted

    @precondition(lambda self: self.quota)
    @rule(which=small)
    def a_campaign_gives_all_back(self, which: int) -> None:
        campaign = list(self.quota)[which % len(self.quota)]
        self.ask(ReleaseCampaignStock(sku_id=self.sku_id, campaign_id=campaign), None)
        for location, left in self.quota.pop(campaign).items():
            self.open[location] += left

    @rule(at=places, quantity=quantities, ships=st.booleans(), batch=numbers)
    def units_are_held_by_name_and_let_go(self, at: int, quantity: Decimal, ships: bool, batch: str | None) -> None:
        location = self.locations[at]
        self.names += 1
        name = f"fair {self.names}"
        enough = self.open[location] >= quantity
        command = ReserveStock(sku_id=self.sku_id, location_id=location, quantity=quantity, reference=name)
        self.ask(command, None if enough else StockInsufficient)
        if not enough:
            return
        assert self.sku.reserved_for(hold_id(self.sku_id, name)) == quantity
        refusal = ExceedsBatch if self.lacks(location, OPEN, quantity, batch) else None
        if ships:
            self.ask(ShipStock(sku_id=self.sku_id, reference=name, batch=batch), refusal)
        if ships and refusal is None:
            self.move(location, OPEN, -quantity, batch)
        else:
            self.ask(ReleaseReservation(sku_id=self.sku_id, reference=name), None)
        assert hold_id(self.sku_id, name) not in self.sku.reservations

    # Laws ------------------------------------------------------------------------------------------------------------

    def on_hand(self, location: UUID) -> Decimal:
        """The model's units in hand: everything but what is under way."""
        quota = sum((quota[location] for quota in self.quota.values()), Decimal(0))
        held = sum(
            (units for held in self.held.values() for (place, _), units in held.items() if place == location),
            Decimal(0),
        )
        return self.open[location] + sum(aside[location] for aside in self.aside.values()) + quota + held

    @invariant()
    def buckets_are_what_the_model_says(self) -> None:
        for location in self.locations:
            level = self.sku.level_at(location)
            assert level.sellable == self.open[location]
            assert level.quarantined == self.aside[QUARANTINED][location]
            assert level.damaged == self.aside[DAMAGED][location]
            assert level.in_transit == self.under_way[location]
            assert level.allocated == sum(quota[location] for quota in self.quota.values())
            assert level.on_hand == self.on_hand(location)
            held = level.reserved + level.allocated + level.quarantined + level.damaged
            assert level.sellable + held == level.on_hand
            assert min(level.reserved, level.allocated, level.quarantined, level.damaged, level.sellable) >= 0

    @invariant()
    def batches_are_what_the_model_says(self) -> None:
        for location in self.locations:
            level = self.sku.level_at(location)
            assert level.batches_apart == (location in self.apart)
            left = {name: states for (place, name), states in self.batches.items() if place == location}
            assert {
                name: {OPEN: kept.on_hand - kept.held, QUARANTINED: kept.quarantined, DAMAGED: kept.damaged}
                for name, kept in level.batches.items()
            } == {
                name: {state: states[state] for state in StockState}
                for name, states in left.items()
                if any(states.values())
            }

    @invariant()
    def units_on_hand_are_the_sum_of_movements(self) -> None:
        ledger: dict[UUID, Decimal] = defaultdict(Decimal)
        for _, event in self.shelf.events:
            sign = MOVES.get(type(event))
            if sign is not None:
                ledger[event.location_id] += sign(event)
        assert {location: ledger[location] for location in self.locations} == {
            location: self.sku.level_at(location).on_hand for location in self.locations
        }

    @invariant()
    def nothing_is_on_sale_without_stock(self) -> None:
        if not self.sku.available:
            assert not any(listing.listed for listing in self.sku.listings.values())

    @invariant()
    def the_state_keeps_open_reservations_only(self) -> None:
        assert set(self.sku.reservations) == set(self.open_orders)
        assert self.sku.status is SkuStatus.READY

    def teardown(self) -> None:
        """The fold of what was recorded is the state that decided."""
        folded = self.shelf.refold(self.sku_id)
        assert folded is not None
        assert state_of(folded) == state_of(self.sku)


MOVES: dict[type[Event], Callable[[Any], Decimal]] = {
    StockReceived: lambda event: event.quantity,
    StockReturned: lambda event: event.quantity,
    StockTransferredIn: lambda event: event.quantity,
    StockAdjusted: lambda event: event.difference,
    StockShipped: lambda event: -event.quantity,
    StockWrittenOff: lambda event: -event.quantity,
    SampleIssued: lambda event: -event.quantity,
    StockTransferredOut: lambda event: -event.quantity,
}
"""The events that move units in or out of a location; reserving and allocating move none."""

TestStockLaws = StockMachine.TestCase
TestStockLaws.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


def test_the_state_of_a_hot_article_does_not_grow_with_its_shipments() -> None:
    shelf = Shelf(locations=1)
    sku_id = shelf.article("HOT")
    shelf.receive(sku_id, 1000)
    sku = shelf.sku(sku_id)
    sizes = []
    for number in range(1, 401):
        order = UUID(int=number)
        picks = sku.plan_reservation(Decimal(1), shelf.location_ids)
        sku.reserve(order, shelf.store_id, picks, shelf.now)
        sku.ship(order, shelf.store_id, order, Decimal(1), shelf.now)
        sizes.append(len(msgspec.json.encode(state_of(sku))))
    assert sizes[399] <= sizes[9] + 10
