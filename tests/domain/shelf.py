"""A desk with an open store, places to keep goods in, campaigns and articles: what tests of articles start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from opscore.domain.aggregate import Aggregate, Event
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import (
    AddCampaignLine,
    CheckCampaignPrices,
    CheckedPriceTerms,
    PlanCampaign,
    ScheduleCampaign,
    SetForecast,
    StartCampaign,
)
from opscore.domain.campaign_events import CampaignGoal, LineRole
from opscore.domain.command import Actor, Command, Role
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import ListSku, PassSkuReview, PriceSku, RegisterSku, SetSkuContent, SubmitSku
from opscore.domain.stock_commands import AllocateCampaignStock, ReceiveStock
from opscore.domain.store_commands import AddLocation
from tests.domain.desk import OWNER, SECOND, Desk

EDITOR = Actor(id="edith", role=Role.EDITOR)
APPROVER = SECOND


def state_of(aggregate: Aggregate) -> dict[str, Any]:
    """Return what an aggregate adds up to, as plain values that compare."""
    state = {name: value for name, value in vars(aggregate).items() if name != "_pending_events"}
    plain: dict[str, Any] = msgspec.to_builtins(state)
    return plain


class Shelf(Desk):
    """A desk that keeps its aggregates alive between commands, so that a refusal which changed one would show."""

    def __init__(self, *, locations: int = 1, campaigns: int = 0) -> None:
        super().__init__()
        self.live: dict[UUID, Aggregate] = {}
        self.store_id = self.open_store(currency="GBP")
        self.location_ids = [self.location(self.store_id)]
        for number in range(1, locations):
            self.do(AddLocation(store_id=self.store_id, name=f"Room {number}"))
        self.location_ids = list(self.live[self.store_id].locations)
        self.campaign_ids = [
            self.do(PlanCampaign(store_id=self.store_id, name=f"Campaign {number}", goal=CampaignGoal.RAISE_SALES))
            for number in range(campaigns)
        ]

    def fold(self, stream_id: UUID) -> Aggregate | None:
        """Return the living aggregate, folded once."""
        living = self.live.get(stream_id)
        if living is None:
            living = super().fold(stream_id)
            if living is not None:
                self.live[stream_id] = living
        return living

    def refold(self, stream_id: UUID) -> Aggregate | None:
        """Return what the record adds up to, whatever lives."""
        return super().fold(stream_id)

    def records(self, command: Command, *, actor: Actor = OWNER) -> list[Event]:
        """Give a command and return the events it recorded."""
        mark = len(self.events)
        self.do(command, actor=actor)
        return [event for _, event in self.events[mark:]]

    def sku(self, sku_id: UUID) -> Sku:
        """Return an article as it is now."""
        return self.get(Sku, sku_id)

    # Articles --------------------------------------------------------------------------------------------------------

    def draft(self, code: str = "LAMP", **fields: Any) -> UUID:
        """Register an article."""
        fields = {"store_id": self.store_id, "name": code.title(), "category": "homeware"} | fields
        return self.do(RegisterSku(code=code, **fields), actor=EDITOR)

    def describe(self, sku_id: UUID, **fields: Any) -> UUID:
        """Give an article all the content it needs."""
        complete: dict[str, Any] = {
            "title": "Oak lamp",
            "description": "A lamp.",
            "specification": "Oak, 30 cm.",
            "images": ("lamp.jpg",),
            "after_sale_text": "30 days.",
        }
        return self.do(SetSkuContent(sku_id=sku_id, **(complete | fields)), actor=EDITOR)

    def price(self, sku_id: UUID, price: str = "9.95", **fields: Any) -> UUID:
        """Price an article."""
        return self.do(PriceSku(sku_id=sku_id, list_price=Decimal(price), reason="first price", **fields), actor=EDITOR)

    def article(self, code: str = "LAMP", **fields: Any) -> UUID:
        """Register, describe, price and review an article; make it a line of every campaign."""
        sku_id = self.draft(code, **fields)
        self.describe(sku_id)
        self.price(sku_id)
        self.do(SubmitSku(sku_id=sku_id), actor=EDITOR)
        self.do(PassSkuReview(sku_id=sku_id), actor=SECOND)
        for campaign_id in self.campaign_ids:
            self.do(AddCampaignLine(campaign_id=campaign_id, sku_id=sku_id, role=LineRole.BASE, price=Decimal("8.95")))
        return sku_id

    def receive(self, sku_id: UUID, quantity: int | str, at: int = 0, **fields: Any) -> UUID:
        """Take units in at one of the store's locations."""
        location_id = self.location_ids[at]
        return self.do(ReceiveStock(sku_id=sku_id, location_id=location_id, quantity=Decimal(quantity), **fields))

    def on_sale(self, code: str = "LAMP", stock: int = 10, **fields: Any) -> UUID:
        """Return an article that is in stock at the first location and listed."""
        sku_id = self.article(code, **fields)
        self.receive(sku_id, stock)
        return self.do(ListSku(sku_id=sku_id))

    def allocate(self, sku_id: UUID, quantity: int) -> UUID:
        """Give the first campaign units of an article at the first location."""
        campaign_id, location_id = self.campaign_ids[0], self.location_ids[0]
        return self.do(
            AllocateCampaignStock(
                sku_id=sku_id, campaign_id=campaign_id, location_id=location_id, quantity=Decimal(quantity)
            )
        )

    def run(self, campaign_id: UUID) -> UUID:
        """Bring a campaign to life."""
        self.do(
            SetForecast(campaign_id=campaign_id, visitors=9, conversion=Decimal("0.5"), units=Decimal(4), gmv_minor=1)
        )
        starts_at = self.now + timedelta(minutes=1)
        self.do(ScheduleCampaign(campaign_id=campaign_id, starts_at=starts_at, ends_at=starts_at + timedelta(days=1)))
        lines = tuple(
            CheckedPriceTerms(sku_id=sku_id, label=line.price, detail=line.price, plan=line.price)
            for sku_id, line in self.get(Campaign, campaign_id).lines.items()
        )
        self.do(CheckCampaignPrices(campaign_id=campaign_id, lines=lines), actor=SECOND)
        self.now = max(self.now, starts_at)
        return self.do(StartCampaign(campaign_id=campaign_id))

    # What orders ask of an article -----------------------------------------------------------------------------------

    def act(self, sku_id: UUID, change: Callable[[Sku], object]) -> list[Event]:
        """Run a part of an order's decision on an article and return what it recorded."""
        sku = self.sku(sku_id)
        change(sku)
        events: list[Event] = list(sku.collect_events())
        for event in events:
            self._record(event)
        return events

    def order(
        self,
        sku_id: UUID,
        order_id: UUID,
        quantity: Decimal | int,
        location_ids: Sequence[UUID] | None = None,
        campaign_id: UUID | None = None,
    ) -> list[Event]:
        """Check, plan, reserve, as placing an order does."""

        def place(sku: Sku) -> None:
            sku.require_orderable(self.store_id, Decimal(quantity), ("lines", 0))
            sources = self.location_ids if location_ids is None else location_ids
            picks = sku.plan_reservation(Decimal(quantity), sources, campaign_id, ("lines", 0))
            sku.reserve(order_id, self.store_id, picks, self.now)

        return self.act(sku_id, place)

    def cancel(self, sku_id: UUID, order_id: UUID, quantity: Decimal | None = None) -> list[Event]:
        """Release, as cancelling an order or a part of it does."""
        return self.act(sku_id, lambda sku: sku.release(order_id, self.store_id, self.now, quantity))

    def ship(
        self, sku_id: UUID, order_id: UUID, quantity: Decimal | int, location_id: UUID | None = None
    ) -> list[Event]:
        """Ship, as sending a parcel does."""
        units = Decimal(quantity)
        return self.act(
            sku_id,
            lambda sku: sku.ship(order_id, self.store_id, UUID(int=1), units, self.now, location_id=location_id),
        )
