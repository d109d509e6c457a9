"""A real store, opened and stocked through the writer: what tests and benchmarks of the whole start from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

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
from opscore.domain.customer_commands import RegisterCustomer
from opscore.domain.order_placing import PlaceLine, PlaceOrder
from opscore.domain.sku_commands import ListSku, PassSkuReview, PriceSku, RegisterSku, SetSkuContent, SubmitSku
from opscore.domain.stock_commands import ReceiveStock
from opscore.domain.store_commands import (
    AddLocation,
    ApplyForStore,
    CertifyPaymentAccount,
    FreezeDeposit,
    OpenStore,
    PassAudit,
    PayServiceFee,
    SetCouriers,
    SetPaymentMethods,
    SignStoreAgreement,
    SubmitForAudit,
    SubmitStoreInfo,
)
from opscore.domain.values import derived_id
from opscore.writer import Outcome, Request, Writer

OWNER = Actor(id="owner", role=Role.OWNER)
SECOND = Actor(id="second", role=Role.OWNER)
_numbers = itertools.count(1)


class CommandRefused(AssertionError):
    """A command of the fixture was refused; the refusal says why."""


@dataclass
class Shop:
    """An open store with one warehouse, and the articles made in it."""

    writer: Writer
    store_id: UUID = field(init=False)
    location_id: UUID = field(init=False)

    @classmethod
    def open(cls, writer: Writer, name: str = "Gift shop", **terms: str) -> Shop:
        """Take a store through its seven steps and add a warehouse."""
        shop = cls(writer)
        given = {"currency": "GBP", "time_zone": "Europe/London", "platform": "own"} | terms
        shop.store_id = shop.do(ApplyForStore(name=name, operator="Gifts Ltd", **given))
        store = shop.store_id
        shop.do(CertifyPaymentAccount(store_id=store, provider="bank", account_reference="acc", holder="Gifts Ltd"))
        shop.do(SubmitStoreInfo(store_id=store, company="Gifts Ltd", brands=("Gifts",)))
        shop.do(SignStoreAgreement(store_id=store, terms_version="1", auto_debit=True))
        shop.do(SubmitForAudit(store_id=store))
        shop.do(PassAudit(store_id=store), actor=SECOND)
        shop.do(FreezeDeposit(store_id=store, amount_minor=0, currency=given["currency"]))
        shop.do(PayServiceFee(store_id=store, amount_minor=0, currency=given["currency"]))
        shop.do(OpenStore(store_id=store))
        shop.do(SetPaymentMethods(store_id=store, methods=("card", "external")))
        shop.do(SetCouriers(store_id=store, couriers=("Royal Mail", "DPD")))
        shop.do(AddLocation(store_id=store, name="Warehouse"))
        shop.location_id = derived_id("location", store, "Warehouse", 0)
        return shop

    @classmethod
    def opened(cls, writer: Writer, store_id: UUID, location_id: UUID) -> Shop:
        """Return a store that was opened before, by another writer of the same log."""
        shop = cls(writer)
        shop.store_id, shop.location_id = store_id, location_id
        return shop

    def give(self, command: Command, *, key: str | None = None, actor: Actor = OWNER, **more: Any) -> Outcome:
        """Send a command and return its outcome, refused or not."""
        return self.writer.ask(Request(command, actor, key or str(uuid4()), **more))

    def do(self, command: Command, *, key: str | None = None, actor: Actor = OWNER, **more: Any) -> UUID:
        """Send a command that has to be accepted; return the aggregate's id."""
        outcome = self.give(command, key=key, actor=actor, **more)
        if outcome.refusal is not None:
            raise CommandRefused(f"{command.command_name()}: {outcome.refusal}")
        assert outcome.aggregate_id is not None
        return outcome.aggregate_id

    def sku(
        self, code: str | None = None, *, stock: int = 100, price: str = "10.00", cost: str = "4.00", **card: Any
    ) -> UUID:
        """Register, describe, price, review, stock and list an article. card: what else it is registered with."""
        sku = self.sku_to_review(code, stock=stock, price=price, cost=cost, **card)
        self.do(SubmitSku(sku_id=sku))
        self.do(PassSkuReview(sku_id=sku), actor=SECOND)
        self.do(ListSku(sku_id=sku))
        return sku

    def sku_to_review(
        self, code: str | None = None, *, stock: int = 100, price: str = "10.00", cost: str = "4.00", **card: Any
    ) -> UUID:
        """Register, describe, price and stock an article (unless it holds no stock), ready to be submitted."""
        code = code or f"SKU-{next(_numbers)}"
        card = {"name": f"Article {code}", "category": "gifts", **card}
        sku = self.do(RegisterSku(store_id=self.store_id, code=code, **card))
        text = "It is what it says."
        self.do(
            SetSkuContent(
                sku_id=sku, title=code, description=text, specification=text, images=("front",), after_sale_text=text
            )
        )
        self.do(PriceSku(sku_id=sku, list_price=Decimal(price), cost=Decimal(cost), reason="first price"))
        if stock:
            self.do(
                ReceiveStock(sku_id=sku, location_id=self.location_id, quantity=Decimal(stock), unit_cost=Decimal(cost))
            )
        return sku

    def campaign(self, name: str = "Sale", prices: Mapping[UUID, Decimal] | None = None, **more: Any) -> UUID:
        """Plan a campaign that sells articles at these prices; see `start`."""
        goal = CampaignGoal.RAISE_SALES
        campaign = self.do(PlanCampaign(store_id=self.store_id, name=name, goal=goal, **more))
        for sku, price in (prices or {}).items():
            self.do(AddCampaignLine(campaign_id=campaign, sku_id=sku, role=LineRole.BASE, price=price))
        return campaign

    def start(self, campaign: UUID, prices: Mapping[UUID, Decimal]) -> UUID:
        """Put a planned campaign on, from a minute ago for an hour; the prices are those of its lines."""
        now, minute = datetime.now(UTC), timedelta(minutes=1)
        self.do(ScheduleCampaign(campaign_id=campaign, starts_at=now - minute, ends_at=now + 60 * minute))
        self.do(
            SetForecast(campaign_id=campaign, visitors=9, conversion=Decimal("0.1"), units=Decimal(3), gmv_minor=2700)
        )
        read = tuple(CheckedPriceTerms(sku_id=sku, label=at, detail=at, plan=at) for sku, at in prices.items())
        self.do(CheckCampaignPrices(campaign_id=campaign, lines=read), actor=SECOND)
        return self.do(StartCampaign(campaign_id=campaign))

    def customer(self, **card: Any) -> UUID:
        """Register a customer."""
        return self.do(RegisterCustomer(store_id=self.store_id, channel="web", **card))

    def order(self, *lines: tuple[UUID, int], **more: Any) -> PlaceOrder:
        """Return a command that orders (sku, quantity) lines."""
        return PlaceOrder(
            store_id=self.store_id,
            lines=tuple(PlaceLine(sku_id=sku, quantity=Decimal(quantity)) for sku, quantity in lines),
            **more,
        )
