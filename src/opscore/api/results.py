"""What campaigns brought and what customers bought, from the read models."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from opscore.api.context import Context
from opscore.api.errors import BadInput
from opscore.api.figures import ask
from opscore.api.money import Money, UnitPrice, money, money_or_none, unit_price_or_none
from opscore.api.nodes import gid, store_gid
from opscore.domain.campaign_events import CampaignStatus
from opscore.domain.customer_events import CustomerStatus
from opscore.domain.values import plain

IDS_MAX = 100


@strawberry.type(description="What one article of a campaign brought.")
class CampaignSkuResult:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    role: str | None = strawberry.field(description="What it is there for.")
    price: UnitPrice | None = strawberry.field(description="Its price in the campaign.")
    quota: Decimal | None = strawberry.field(description="Units that the campaign may sell.")
    allocated: Decimal = strawberry.field(description="Units that were set apart and not given back.")
    units: Decimal = strawberry.field(description="Units sold.")
    gmv: Money = strawberry.field(description="What they cost after discounts.")
    refunded_units: Decimal = strawberry.field(description="Units whose money went back.")
    refunded: Money = strawberry.field(description="What went back.")
    quota_use: Decimal | None = strawberry.field(description="Units sold as part of the quota.")


@strawberry.type(description="What one campaign brought, in one currency.")
class CampaignResult:
    campaign_id: strawberry.ID = strawberry.field(description="The campaign.")
    name: str = strawberry.field(description="Its name.")
    status: CampaignStatus = strawberry.field(description="How far it is.")
    starts_at: datetime | None = strawberry.field(description="When it starts.")
    ends_at: datetime | None = strawberry.field(description="When it ends.")
    currency_code: str = strawberry.field(description="ISO 4217 code of these figures.")
    orders: int = strawberry.field(description="Paid orders with its price or offer.")
    buyers: int = strawberry.field(description="Different customers among them, over all currencies.")
    units: Decimal = strawberry.field(description="Units sold.")
    gmv: Money = strawberry.field(description="What they cost after discounts.")
    refunds: int = strawberry.field(description="How often money went back.")
    refunded_units: Decimal = strawberry.field(description="Units whose money went back.")
    refunded: Money = strawberry.field(description="What went back.")
    net_sales: Money = strawberry.field(description="GMV less what went back.")
    ad_spend: Money = strawberry.field(description="What its advertising cost.")
    impressions: int = strawberry.field(description="How often it was shown.")
    clicks: int = strawberry.field(description="How often it was followed.")
    budget: Money | None = strawberry.field(description="What its discounts may cost.")
    discount: Money | None = strawberry.field(description="What orders hold of the budget.")
    budget_use: Decimal | None = strawberry.field(description="That as part of the budget.")
    coupons_used: int | None = strawberry.field(description="Orders that hold one of its coupons.")
    forecast_visitors: int | None = strawberry.field(description="Visitors that were expected.")
    forecast_conversion: Decimal | None = strawberry.field(description="Part of them that was expected to buy.")
    forecast_units: Decimal | None = strawberry.field(description="Units that were expected.")
    forecast_gmv: Money | None = strawberry.field(description="GMV that was expected.")
    forecast_peak_hour: int | None = strawberry.field(description="Hour of the day with most orders, as expected.")
    forecast_trough_hour: int | None = strawberry.field(description="Hour of the day with fewest orders, as expected.")
    forecast_parcels_per_day: int | None = strawberry.field(description="Parcels a day that were expected.")
    units_forecast_error: Decimal | None = strawberry.field(
        description="Units above the forecast (below it: negative), as part of it."
    )
    gmv_forecast_error: Decimal | None = strawberry.field(
        description="GMV above the forecast (below it: negative), as part of it."
    )
    skus: list[CampaignSkuResult] = strawberry.field(
        description="What each article brought, in the campaign's own currency; there alone."
    )


@strawberry.type(description="Something that is to be done for a campaign.")
class DueForCampaign:
    campaign_id: strawberry.ID = strawberry.field(description="The campaign.")
    store_id: strawberry.ID = strawberry.field(description="The store whose staff look after it.")
    status: CampaignStatus = strawberry.field(description="Where it stands.")
    what: str = strawberry.field(
        description="submit_resource: a place for advertising is to be handed in for review. adjust_ad_plan: an ad "
        "plan is to be adjusted. monitor_ad_plan: somebody is to look at it."
    )
    part_id: UUID = strawberry.field(description="Which resource or ad plan of the campaign it is about.")
    channel: str = strawberry.field(description="Where that is.")
    due_at: datetime = strawberry.field(description="When.")
    last_at: datetime | None = strawberry.field(description="From when on it will be refused; null: never.")


@strawberry.type(description="What one customer bought, in one currency.")
class CustomerSales:
    currency_code: str = strawberry.field(description="ISO 4217 code of these figures.")
    orders: int = strawberry.field(description="Paid orders.")
    units: Decimal = strawberry.field(description="Units bought.")
    gmv: Money = strawberry.field(description="What they cost after discounts.")
    refunds: int = strawberry.field(description="How often money went back.")
    refunded: Money = strawberry.field(description="What went back.")
    net_sales: Money = strawberry.field(description="GMV less what went back.")
    first_order_at: datetime | None = strawberry.field(description="When the first of them was paid.")
    last_order_at: datetime | None = strawberry.field(description="When the last of them was paid.")


@strawberry.type(description="What the figures know of one customer. No name, no address, no contact data.")
class CustomerCard:
    customer_id: strawberry.ID = strawberry.field(description="The customer.")
    store_id: strawberry.ID = strawberry.field(description="The store that registered the customer.")
    status: CustomerStatus = strawberry.field(description="Whether the customer may act.")
    registered_at: datetime = strawberry.field(description="Since when.")
    channel: str = strawberry.field(description="Where the customer came in.")
    region: str | None = strawberry.field(description="Where the customer is.")
    tier: str | None = strawberry.field(description="Member tier; null for no member.")
    member_since: datetime | None = strawberry.field(description="Since when a member.")
    points: int = strawberry.field(description="Points to spend.")
    points_earned: int = strawberry.field(description="Points earned so far.")
    points_spent: int = strawberry.field(description="Points spent so far.")
    points_reversed: int = strawberry.field(description="Points taken back so far.")
    points_expired: int = strawberry.field(description="Points lapsed so far.")
    coupons_held: int = strawberry.field(description="Coupons that can still be used.")
    consents: list[str] = strawberry.field(description="Channels that the customer agreed to be reached by.")
    sales: list[CustomerSales] = strawberry.field(description="What the customer bought, by currency.")


def campaign_results(
    context: Context, campaign_ids: list[UUID] | None, store_ids: list[UUID] | None, limit: int, at_least: int | None
) -> list[CampaignResult]:
    """Return what campaigns brought, latest first (blocking)."""
    if campaign_ids is not None and not 1 <= len(campaign_ids) <= IDS_MAX:
        raise BadInput(f"Ask for 1 to {IDS_MAX} campaigns at once.")
    if not 1 <= limit <= IDS_MAX:
        raise BadInput(f"Ask for 1 to {IDS_MAX} results at once.")
    asked = {"campaign_ids": campaign_ids, "row_limit": limit}
    rows = ask(context, "campaign_results", "results", asked, store_ids=store_ids, at_least=at_least)
    found = sorted({row["campaign_id"] for row in rows})
    skus: dict[tuple[UUID, str], list[CampaignSkuResult]] = defaultdict(list)
    if found:
        for row in ask(context, "campaign_results", "skus", {"campaign_ids": found}, store_ids=store_ids):
            skus[row["campaign_id"], row["currency"]].append(_sku_result(row))
    return [_result(row, skus[row["campaign_id"], row["currency"]]) for row in rows]


def campaigns_due(
    context: Context, before: datetime, limit: int, store_ids: list[UUID] | None, at_least: int | None
) -> list[DueForCampaign]:
    """Return what is to be done for campaigns before a moment, soonest first (blocking)."""
    asked = {"due_before": before, "row_limit": limit}
    return [
        DueForCampaign(
            campaign_id=gid("Campaign", row["campaign_id"]),
            store_id=store_gid(row["store_id"]),
            status=CampaignStatus(row["status"]),
            what=row["what"],
            part_id=row["part_id"],
            channel=row["channel"],
            due_at=row["due_at"],
            last_at=row["last_at"],
        )
        for row in ask(context, "campaign_results", "due", asked, store_ids=store_ids, at_least=at_least)
    ]


def _result(row: dict[str, Any], skus: list[CampaignSkuResult]) -> CampaignResult:
    currency = row["currency"]
    return CampaignResult(
        campaign_id=gid("Campaign", row["campaign_id"]),
        name=row["name"],
        status=CampaignStatus(row["status"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        currency_code=currency,
        orders=row["orders"],
        buyers=row["buyers"],
        units=plain(row["units"]),
        gmv=money(row["gmv_minor"], currency),
        refunds=row["refunds"],
        refunded_units=plain(row["refunded_units"]),
        refunded=money(row["refunded_minor"], currency),
        net_sales=money(row["net_sales_minor"], currency),
        ad_spend=money(row["ad_spend_minor"], currency),
        impressions=row["impressions"],
        clicks=row["clicks"],
        budget=money_or_none(row["budget_minor"], currency),
        discount=money_or_none(row["discount_minor"], currency),
        budget_use=row["budget_use"],
        coupons_used=row["coupons_used"],
        forecast_visitors=row["forecast_visitors"],
        forecast_conversion=row["forecast_conversion"],
        forecast_units=row["forecast_units"],
        forecast_gmv=money_or_none(row["forecast_gmv_minor"], currency),
        forecast_peak_hour=row["forecast_peak_hour"],
        forecast_trough_hour=row["forecast_trough_hour"],
        forecast_parcels_per_day=row["forecast_parcels_per_day"],
        units_forecast_error=row["units_forecast_error"],
        gmv_forecast_error=row["gmv_forecast_error"],
        skus=skus,
    )


def _sku_result(row: dict[str, Any]) -> CampaignSkuResult:
    currency = row["currency"]
    return CampaignSkuResult(
        sku_id=gid("Sku", row["sku_id"]),
        role=row["role"],
        price=unit_price_or_none(row["price"], currency),
        quota=row["quota"],
        allocated=plain(row["allocated"]),
        units=plain(row["units"]),
        gmv=money(row["gmv_minor"], currency),
        refunded_units=plain(row["refunded_units"]),
        refunded=money(row["refunded_minor"], currency),
        quota_use=row["quota_use"],
    )


def customer_cards(context: Context, customer_ids: list[UUID], at_least: int | None) -> list[CustomerCard]:
    """Return what the figures know of these customers, as far as the viewer may see them (blocking)."""
    if not 1 <= len(customer_ids) <= IDS_MAX:
        raise BadInput(f"Ask for 1 to {IDS_MAX} customers at once.")
    own = context.customer_id
    wanted = [each for each in customer_ids if own in (None, each)]
    if not wanted:
        return []
    asked = {"customer_ids": wanted, "row_limit": IDS_MAX}
    rows = ask(context, "customer_card", "cards", asked, store_ids=context.store_ids, at_least=at_least)
    sales: dict[UUID, list[CustomerSales]] = defaultdict(list)
    for row in ask(context, "customer_card", "sales", {"customer_ids": wanted}, store_ids=context.store_ids):
        sales[row["customer_id"]].append(_sales(row))
    return [_card(row, sales[row["customer_id"]]) for row in rows]


def _card(row: dict[str, Any], sales: list[CustomerSales]) -> CustomerCard:
    return CustomerCard(
        customer_id=gid("Customer", row["customer_id"]),
        store_id=store_gid(row["store_id"]),
        status=CustomerStatus(row["status"]),
        registered_at=row["registered_at"],
        channel=row["channel"],
        region=row["region"],
        tier=row["tier"],
        member_since=row["member_since"],
        points=row["points"],
        points_earned=row["points_earned"],
        points_spent=row["points_spent"],
        points_reversed=row["points_reversed"],
        points_expired=row["points_expired"],
        coupons_held=row["coupons_held"],
        consents=list(row["consents"]),
        sales=sales,
    )


def _sales(row: dict[str, Any]) -> CustomerSales:
    currency = row["currency"]
    return CustomerSales(
        currency_code=currency,
        orders=row["orders"],
        units=plain(row["units"]),
        gmv=money(row["gmv_minor"], currency),
        refunds=row["refunds"],
        refunded=money(row["refunded_minor"], currency),
        net_sales=money(row["net_sales_minor"], currency),
        first_order_at=row["first_order_at"],
        last_order_at=row["last_order_at"],
    )
