"""A store with two articles and campaigns in June: what tests of campaigns start from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.campaign import (
    Campaign,
    CampaignGoal,
    LineRole,
)
from opscore.domain.campaign_commands import (
    AddCampaignLine,
    AddPromotion,
    CheckCampaignPrices,
    CheckedPriceTerms,
    PlanCampaign,
    ScheduleCampaign,
    SetForecast,
    StartCampaign,
)
from opscore.domain.command import Actor, Command
from opscore.domain.pricing import Buyer
from opscore.domain.refusals import (
    Refusal,
)
from opscore.domain.sku_commands import PriceSku, RegisterSku
from opscore.domain.stock_commands import ReceiveStock
from tests.domain.desk import MANAGER, SECOND, Desk

REGISTERED = Buyer(registered=True)
GUEST = Buyer()
MAY = datetime(2024, 5, 1, 12, tzinfo=UTC)
JUNE = datetime(2024, 6, 1, tzinfo=UTC)
JULY = datetime(2024, 7, 1, tzinfo=UTC)
MID_JUNE = datetime(2024, 6, 15, tzinfo=UTC)


class Market:
    """An open store with two articles at 100.00 (cost 60.00), 50 units each."""

    def __init__(self) -> None:
        self.desk = Desk(MAY)
        self.store_id = self.desk.open_store()
        self.location_id = self.desk.location(self.store_id)
        self.tea = self.article("TEA")
        self.cup = self.article("CUP")

    def do(self, command: Command, *, actor: Actor = MANAGER, at: datetime | None = None) -> UUID:
        return self.desk.do(command, actor=actor, at=at)

    def article(self, code: str) -> UUID:
        sku_id = self.do(RegisterSku(store_id=self.store_id, code=code, name=code, category="tea"))
        self.do(PriceSku(sku_id=sku_id, list_price=Decimal(100), cost=Decimal(60), reason="first price"))
        self.do(ReceiveStock(sku_id=sku_id, location_id=self.location_id, quantity=Decimal(50)))
        return sku_id

    def plan(self, name: str = "Spring", **fields: Any) -> UUID:
        known: dict[str, Any] = {"store_id": self.store_id, "goal": CampaignGoal.RAISE_SALES}
        return self.do(PlanCampaign(name=name, **(known | fields)))

    def add_line(self, campaign_id: UUID, sku_id: UUID | None = None, **fields: Any) -> UUID:
        known: dict[str, Any] = {"role": LineRole.BASE, "price": Decimal(80)}
        return self.do(AddCampaignLine(campaign_id=campaign_id, sku_id=sku_id or self.tea, **(known | fields)))

    def add_promotion(self, campaign_id: UUID, offer: Any, **fields: Any) -> UUID:
        return self.do(AddPromotion(campaign_id=campaign_id, label="Offer", offer=offer, **fields))

    def schedule(self, campaign_id: UUID, **fields: Any) -> UUID:
        known: dict[str, Any] = {"starts_at": JUNE, "ends_at": JULY}
        return self.do(ScheduleCampaign(campaign_id=campaign_id, **(known | fields)))

    def forecast(self, campaign_id: UUID) -> UUID:
        targets: dict[str, Any] = {
            "visitors": 1000,
            "conversion": Decimal("0.03"),
            "units": Decimal(30),
            "gmv_minor": 2400_00,
        }
        return self.do(SetForecast(campaign_id=campaign_id, **targets))

    def check(self, campaign_id: UUID, actor: Actor = SECOND, **read: Decimal) -> UUID:
        lines = []
        for sku_id, line in self.get(campaign_id).lines.items():
            prices: dict[str, Any] = {"label": line.price, "detail": line.price, "plan": line.price} | read
            lines.append(CheckedPriceTerms(sku_id=sku_id, **prices))
        return self.do(CheckCampaignPrices(campaign_id=campaign_id, lines=tuple(lines)), actor=actor)

    def ready(self, campaign_id: UUID) -> UUID:
        """Schedule the campaign for June, forecast it and check its prices."""
        self.schedule(campaign_id)
        self.forecast(campaign_id)
        return self.check(campaign_id)

    def live(self, campaign_id: UUID | None = None) -> UUID:
        """Bring a campaign (by default one with tea at 80.00) to life on 1 June."""
        if campaign_id is None:
            campaign_id = self.plan()
            self.add_line(campaign_id)
        self.ready(campaign_id)
        return self.do(StartCampaign(campaign_id=campaign_id), at=JUNE)

    def get(self, campaign_id: UUID) -> Campaign:
        return self.desk.get(Campaign, campaign_id)

    def order(self, campaign_id: UUID, act: Callable[[Campaign, datetime], Any], at: datetime = MID_JUNE) -> Any:
        """Do what an order does to a campaign; return what `act` answers."""
        campaign = self.get(campaign_id)
        try:
            answer = act(campaign, at)
        except Refusal:
            assert not campaign.pending_events, "refused after it had recorded"
            raise
        for event in campaign.collect_events():
            self.desk._record(event)
        return answer

    def claim(self, campaign_id: UUID, minor: int, code: str | None = None, customer_id: UUID | None = None) -> UUID:
        """Take a part of the budget and a use of a coupon for a new order."""
        order_id = uuid4()

        def act(campaign: Campaign, at: datetime) -> None:
            campaign.plan_claim(order_id, customer_id, minor, code)
            campaign.claim(order_id, customer_id, minor, code, at)

        self.order(campaign_id, act)
        return order_id

    def release(self, campaign_id: UUID, order_id: UUID, minor: int, code: str | None = None) -> None:
        self.order(
            campaign_id, lambda campaign, at: campaign.release_claim(order_id, at, amount_minor=minor, coupon_code=code)
        )


def refused(kind: type[Refusal], act: Callable[[], Any]) -> Refusal:
    with pytest.raises(kind) as caught:
        act()
    return caught.value
