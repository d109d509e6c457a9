"""A store that sells: what tests of orders start from, on top of the desk."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from opscore.domain.campaign_commands import (
    AddCampaignLine,
    AddPromotion,
    CheckCampaignPrices,
    CheckedPriceTerms,
    PlanCampaign,
    ScheduleCampaign,
    SetCampaignBudget,
    SetForecast,
    StartCampaign,
)
from opscore.domain.campaign_events import CampaignGoal, LineRole
from opscore.domain.order import Order
from opscore.domain.order_commands import (
    ConfirmOrder,
    DeliverOrder,
    LineQuantity,
    PackParcel,
    PayOrder,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_placing import PlaceLine, PlaceOrder
from opscore.domain.order_returns import (
    ApproveReturn,
    ReceiveReturn,
    RequestReturn,
)
from opscore.domain.sku import Sku
from opscore.domain.sku_commands import ListSku, PassSkuReview, PriceSku, RegisterSku, SetSkuContent, SubmitSku
from opscore.domain.stock_commands import AllocateCampaignStock, ReceiveStock
from tests.domain.desk import MANAGER, SECOND, WAREHOUSE, Desk


class Shop:
    """An open store (CNY) with one warehouse; articles and campaigns on demand."""

    def __init__(self, desk: Desk | None = None, **store: Any) -> None:
        self.desk = desk or Desk()
        self.store_id = self.desk.open_store(**store)
        self.location_id = self.desk.location(self.store_id)
        self.waybills = 0

    # Setting up ------------------------------------------------------------------------------------------------------

    def article(
        self, code: str = "lamp", price: str = "100", stock: str = "10", *, cost: str | None = None, **fields: Any
    ) -> UUID:
        """Return an article on sale with stock in the warehouse."""
        do = self.desk.do
        sku_id = do(RegisterSku(store_id=self.store_id, code=code, name=code, category="home", **fields))
        do(
            SetSkuContent(
                sku_id=sku_id,
                title=code,
                description="It is good.",
                specification="One size.",
                images=("1.jpg",),
                after_sale_text="Ask us.",
            )
        )
        do(PriceSku(sku_id=sku_id, list_price=Decimal(price), cost=cost and Decimal(cost), reason="first"))
        do(SubmitSku(sku_id=sku_id), actor=MANAGER)
        do(PassSkuReview(sku_id=sku_id), actor=SECOND)
        if Decimal(stock):
            self.receive(sku_id, stock)
        do(ListSku(sku_id=sku_id))
        return sku_id

    def service(self, code: str = "postage", price: str = "5") -> UUID:
        """Return an article that moves no stock."""
        return self.article(code, price, "0", mode="service")

    def receive(self, sku_id: UUID, quantity: str, location_id: UUID | None = None, **fields: Any) -> None:
        """Take units in."""
        self.desk.do(
            ReceiveStock(
                sku_id=sku_id,
                location_id=location_id or self.location_id,
                quantity=Decimal(quantity),
                store_id=self.store_id,
                **fields,
            )
        )

    def campaign(
        self,
        prices: dict[UUID, str],
        *offers: Any,
        quota: str | None = None,
        max_per_customer: int | None = None,
        budget_minor: int | None = None,
        stackable: bool = True,
        surge: bool = False,
        below_cost: bool = False,
        days: int = 30,
    ) -> UUID:
        """Return a live campaign with these line prices and offers."""
        do, desk = self.desk.do, self.desk
        campaign_id = do(PlanCampaign(store_id=self.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES, surge=surge))
        for sku_id, price in prices.items():
            do(
                AddCampaignLine(
                    campaign_id=campaign_id,
                    sku_id=sku_id,
                    role=LineRole.TRAFFIC,
                    price=Decimal(price),
                    quota=None if quota is None else Decimal(quota),
                    max_per_customer=max_per_customer,
                    below_cost_reason="to draw visitors" if below_cost else None,
                    loss_budget_minor=10**9 if below_cost else None,
                )
            )
        for number, offer in enumerate(offers):
            do(AddPromotion(campaign_id=campaign_id, label=f"offer {number}", offer=offer, stackable=stackable))
        if budget_minor is not None:
            do(SetCampaignBudget(campaign_id=campaign_id, budget_minor=budget_minor, currency="CNY"))
        do(
            SetForecast(
                campaign_id=campaign_id,
                visitors=100,
                conversion=Decimal("0.1"),
                units=Decimal(10),
                gmv_minor=1000,
            )
        )
        starts_at = desk.now + timedelta(minutes=1)
        do(ScheduleCampaign(campaign_id=campaign_id, starts_at=starts_at, ends_at=starts_at + timedelta(days=days)))
        checked = tuple(
            CheckedPriceTerms(sku_id=sku_id, label=Decimal(price), detail=Decimal(price), plan=Decimal(price))
            for sku_id, price in prices.items()
        )
        do(CheckCampaignPrices(campaign_id=campaign_id, lines=checked), actor=SECOND)
        if quota is not None:
            for sku_id in prices:
                do(
                    AllocateCampaignStock(
                        sku_id=sku_id,
                        campaign_id=campaign_id,
                        location_id=self.location_id,
                        quantity=Decimal(quota),
                        store_id=self.store_id,
                    )
                )
        desk.now = max(desk.now, starts_at)
        do(StartCampaign(campaign_id=campaign_id))
        return campaign_id

    # Selling ---------------------------------------------------------------------------------------------------------

    def place(self, *lines: tuple[UUID, str], actor: Any = None, at: datetime | None = None, **fields: Any) -> UUID:
        """Place an order of (article, quantity)."""
        asked = tuple(PlaceLine(sku_id=sku_id, quantity=Decimal(quantity)) for sku_id, quantity in lines)
        command = PlaceOrder(store_id=self.store_id, lines=asked, **fields)
        return self.desk.do(command, at=at, **({} if actor is None else {"actor": actor}))

    def pay(
        self, order_id: UUID, amount_minor: int | None = None, *, at: datetime | None = None, **fields: Any
    ) -> UUID:
        """Pay what is due, or an amount."""
        if amount_minor is None:
            amount_minor = self.order(order_id).due_minor
        return self.desk.do(PayOrder(order_id=order_id, amount_minor=amount_minor, method="alipay", **fields), at=at)

    def confirmed(self, *lines: tuple[UUID, str], **fields: Any) -> UUID:
        """Place, pay and confirm an order."""
        order_id = self.place(*lines, **fields)
        self.pay(order_id)
        return self.desk.do(ConfirmOrder(order_id=order_id))

    def pack(self, order_id: UUID, *lines: tuple[int, str]) -> UUID:
        """Pack units of these (line, quantity), or everything; return the parcel."""
        order = self.order(order_id)
        wanted = lines or tuple((line.line, str(line.to_pack)) for line in order.lines if line.to_pack)
        scanned = tuple(
            ScannedLine(line=number, sku_id=order.lines[number - 1].sku_id, quantity=Decimal(quantity))
            for number, quantity in wanted
        )
        self.desk.do(PackParcel(order_id=order_id, location_id=self.location_id, lines=scanned), actor=WAREHOUSE)
        return list(self.order(order_id).parcels)[-1]

    def ship(self, order_id: UUID, parcel_id: UUID, *, at: datetime | None = None, **fields: Any) -> UUID:
        """Hand a parcel to a courier."""
        self.waybills += 1
        command = {"courier": "sf", "waybill": f"SF{self.waybills}"} | fields
        return self.desk.do(ShipOrder(order_id=order_id, parcel_id=parcel_id, **command), actor=WAREHOUSE, at=at)

    def shipped(self, *lines: tuple[UUID, str], **fields: Any) -> UUID:
        """Place, pay, confirm, pack and ship an order in one parcel."""
        order_id = self.confirmed(*lines, **fields)
        self.ship(order_id, self.pack(order_id))
        return order_id

    def delivered(self, *lines: tuple[UUID, str], **fields: Any) -> UUID:
        """Take an order up to its delivery."""
        order_id = self.shipped(*lines, **fields)
        for parcel_id in self.order(order_id).parcels:
            self.desk.do(DeliverOrder(order_id=order_id, parcel_id=parcel_id))
        return order_id

    def returned(self, order_id: UUID, *lines: tuple[int, str], **fields: Any) -> UUID:
        """Request, approve and receive a return of these (line, quantity); return its id."""
        wanted = tuple(LineQuantity(line=number, quantity=Decimal(quantity)) for number, quantity in lines)
        self.desk.do(RequestReturn(order_id=order_id, lines=wanted, **fields))
        return_id = list(self.order(order_id).returns)[-1]
        self.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))
        self.desk.do(ReceiveReturn(order_id=order_id, return_id=return_id, location_id=self.location_id, lines=wanted))
        return return_id

    # Looking ---------------------------------------------------------------------------------------------------------

    def order(self, order_id: UUID) -> Order:
        """Return an order."""
        return self.desk.get(Order, order_id)

    def sku(self, sku_id: UUID) -> Sku:
        """Return an article."""
        return self.desk.get(Sku, sku_id)
