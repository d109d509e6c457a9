"""Articles as the API shows them: what they are, where they are on sale, and where every unit is."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import strawberry

from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.history import HistoryEvent, history_field
from opscore.api.money import UnitPrice, unit_price, unit_price_or_none
from opscore.api.nodes import Stream, gid, gid_in, store_gid, stream_fields
from opscore.api.paging import Connection
from opscore.api.purchases import SkuPurchase, SkuQuote, purchase_view, quote_view
from opscore.api.rows import Made, MadeObject, as_they_are, member_in
from opscore.domain import sku as domain
from opscore.domain.command import Role
from opscore.domain.sku_events import DelistReason, FulfilmentMode, SkuStatus
from opscore.domain.sku_purchases import on_order
from opscore.domain.values import plain
from opscore.permissions import may_see_field

expose(DelistReason)
expose(FulfilmentMode)
expose(SkuStatus)


@strawberry.type(description="Whether an article is on sale in one store.")
class Listing:
    store_id: strawberry.ID = strawberry.field(description="The store.")
    listed: bool = strawberry.field(description="Whether it is on sale there now.")
    reason: DelistReason | None = strawberry.field(description="Why it is off sale.")


@strawberry.type(description="What an article costs in one store.")
class SkuPrice:
    store_id: strawberry.ID = strawberry.field(description="The store; the home store's price holds where none is set.")
    list_price: UnitPrice = strawberry.field(description="What a buyer pays for one without any offer.")
    cost: UnitPrice | None = strawberry.field(description="What one cost us; null for roles that see no cost.")
    market_price: UnitPrice | None = strawberry.field(
        description="What others ask, the price stays below; null for roles that see no cost."
    )


@strawberry.type(description="What members of one tier pay.")
class TierPrice:
    store_id: strawberry.ID = strawberry.field(description="The store.")
    tier: str = strawberry.field(description="The tier.")
    price: UnitPrice | None = strawberry.field(description="Its own price per unit.")
    factor: Decimal | None = strawberry.field(description="Or the part of the list price that it pays.")


@strawberry.type(description="What buyers read about an article in one language.")
class SkuContent:
    language: str = strawberry.field(description="Language tag.")
    title: str = strawberry.field(description="Title of its page.")
    description: str | None = strawberry.field(description="Text of its page.")
    specification: str | None = strawberry.field(description="Its properties as text.")
    images: list[str] = strawberry.field(description="References of its pictures.")
    after_sale_text: str | None = strawberry.field(description="What is promised after the sale.")
    keywords: list[str] = strawberry.field(description="Words to find it by.")


@strawberry.type(description="One property of an article.")
class SkuProperty:
    name: str = strawberry.field(description="What is specified.")
    value: str = strawberry.field(description="Its value.")


@strawberry.type(description="The units of one batch of an article at one place; none of them is reserved by batch.")
class BatchLevel:
    batch: str = strawberry.field(description="Number of the batch.")
    on_hand: Decimal = strawberry.field(
        description="Units that are there; below zero, more left under this number than had come in under it."
    )
    quarantined: Decimal = strawberry.field(description="Units that nobody may sell until they are looked at.")
    damaged: Decimal = strawberry.field(description="Units that cannot be sold.")


@strawberry.type(
    description="The units of an article at one place. Sellable is what is neither reserved, allocated nor set aside: "
    "in quarantine or damaged."
)
class StockLevel:
    location_id: UUID = strawberry.field(description="The place.")
    on_hand: Decimal = strawberry.field(description="Units that are there.")
    reserved: Decimal = strawberry.field(description="Units set apart for orders.")
    allocated: Decimal = strawberry.field(description="Units set apart for campaigns and not sold yet.")
    quarantined: Decimal = strawberry.field(description="Units that nobody may sell until they are looked at.")
    damaged: Decimal = strawberry.field(description="Units that cannot be sold.")
    in_transit: Decimal = strawberry.field(description="Units on the way here.")
    sellable: Decimal = strawberry.field(description="Units that anybody may buy.")
    batches: list[BatchLevel] = strawberry.field(description="What is left of each batch that was named.")


@strawberry.type(description="When stock counts as low or too much.")
class StockPolicy:
    low_line: Decimal | None = strawberry.field(description="At this level or below it is low.")
    high_line: Decimal | None = strawberry.field(description="Above this level it is too much.")
    cover_days: int | None = strawberry.field(description="How many days stock should last.")
    stock_class: str | None = strawberry.field(description="Class of importance.")


@strawberry.type(description="What a campaign still has of an article to sell.")
class CampaignAllocation:
    campaign_id: strawberry.ID = strawberry.field(description="The campaign.")
    location_id: UUID = strawberry.field(description="The place of the units.")
    quantity: Decimal = strawberry.field(description="Units left of its quota.")


@strawberry.type(description="One article (stock-keeping unit) of the operator.")
class Sku(Stream):
    history: Connection[HistoryEvent] | None = history_field("Sku")
    store_id: strawberry.ID = strawberry.field(description="Its home store.")
    code: str = strawberry.field(description="The operator's own code, unique in the home store.")
    name: str = strawberry.field(description="What it is called inside the operation.")
    brand: str | None = strawberry.field(description="Its brand.")
    category: str = strawberry.field(description="Its category.")
    unit: str = strawberry.field(description="What one of it is.")
    quantity_places: int = strawberry.field(description="How many decimal places its quantities have.")
    mode: FulfilmentMode = strawberry.field(description="Where the goods come from once sold.")
    status: SkuStatus = strawberry.field(description="How far it is between draft and retirement.")
    prohibited: bool = strawberry.field(description="Whether it may not be sold.")
    min_order_quantity: Decimal = strawberry.field(description="Least quantity of an order.")
    currency_code: str = strawberry.field(description="ISO 4217 code of its prices.")
    season_end: datetime | None = strawberry.field(description="When its season ends.")
    properties: list[SkuProperty] = strawberry.field(description="Its properties.")
    contents: list[SkuContent] = strawberry.field(description="What buyers read, by language.")
    listings: list[Listing] = strawberry.field(description="Stores in which it is or was on sale.")
    prices: list[SkuPrice] = strawberry.field(description="Its prices by store; empty for roles that see no prices.")
    tier_prices: list[TierPrice] = strawberry.field(
        description="What members pay, by store and tier; empty for roles that see no prices."
    )
    stock_policy: StockPolicy = strawberry.field(
        description="When its stock is low or too much; empty for roles of the shop's front."
    )
    levels: list[StockLevel] = strawberry.field(description="Where its units are; not shown to customers.")
    allocations: list[CampaignAllocation] = strawberry.field(
        description="What campaigns still have of it; not shown to customers."
    )
    on_hand: Decimal | None = strawberry.field(
        description="Units that are there, over all places; not shown to customers."
    )
    sellable: Decimal = strawberry.field(description="Units that anybody may buy, over all places.")
    available: Decimal = strawberry.field(description="Sellable units and what campaigns have left.")
    on_order: Decimal | None = strawberry.field(
        description="Units that suppliers are still to deliver; not shown to the shop's front."
    )
    purchases: list[SkuPurchase] = strawberry.field(
        description="Its purchases of which units are to come, or money is to be paid or given back; not shown to the "
        "shop's front. `purchases` of the query lists all."
    )
    quotes: list[SkuQuote] = strawberry.field(
        description="For what suppliers deliver it, also by quotes that have run out; not shown to roles that see no "
        "cost."
    )


SKU = MadeObject(
    Sku,
    {
        "id": gid_in("Sku", "sku_id"),
        "stream_id": Made(("sku_id",)),
        "store_id": Made(("store_id",), store_gid),
        "mode": member_in(FulfilmentMode, "mode"),
        "status": member_in(SkuStatus, "status"),
        "currency_code": Made(("currency",)),
        **as_they_are("code name brand category unit season_end changed_at"),
    },
)
"""What the directory has of an article, by attribute, and how it is made from a row; every role sees all of that."""


def sku_view(sku: domain.Sku, context: Context) -> Sku:
    """Return an article as the API shows it; stores out of the viewer's scope are left out, and for buyers all others
    than those that have it on sale."""
    viewer = context.viewer
    currency = sku.currency

    def shows(place: str) -> bool:
        return may_see_field(viewer.role, place)

    costs, prices, places = shows("SkuPrice.cost"), shows("Sku.prices"), shows("Sku.levels")
    policy, on_hand = shows("StockPolicy.lowLine"), shows("Sku.onHand")
    bought, quotes = shows("Sku.purchases"), shows("Sku.quotes")
    stores = {each for each in sku.offered_in if viewer.may_act_for(each)} if viewer.role is Role.CUSTOMER else None

    def within(store_id: UUID) -> bool:
        return viewer.may_act_for(store_id) if stores is None else store_id in stores

    def priced_for(store_id: UUID) -> bool:
        """Say whether a price of this store is one that the viewer meets: the home store's holds where none is set."""
        if within(store_id):
            return True
        return store_id == sku.store_id and (stores is None or not stores <= sku.prices.keys())

    return Sku(
        **stream_fields(sku),
        store_id=store_gid(sku.store_id),
        code=sku.code,
        name=sku.name,
        brand=sku.brand,
        category=sku.category,
        unit=sku.unit,
        quantity_places=sku.quantity_places,
        mode=sku.mode,
        status=sku.status,
        prohibited=sku.prohibited,
        min_order_quantity=sku.min_order_quantity,
        currency_code=currency,
        season_end=sku.season_end,
        properties=[SkuProperty(name=name, value=value) for name, value in sku.specification.items()],
        contents=[
            SkuContent(
                language=language,
                title=each.title,
                description=each.description,
                specification=each.specification,
                images=list(each.images),
                after_sale_text=each.after_sale_text,
                keywords=list(each.keywords),
            )
            for language, each in sku.contents.items()
        ],
        listings=[
            Listing(store_id=store_gid(store_id), listed=each.listed, reason=each.reason)
            for store_id, each in sku.listings.items()
            if within(store_id)
        ],
        prices=[
            SkuPrice(
                store_id=store_gid(store_id),
                list_price=unit_price(each.list_price, currency),
                cost=unit_price_or_none(each.cost if costs else None, currency),
                market_price=unit_price_or_none(each.market_price if costs else None, currency),
            )
            for store_id, each in sku.prices.items()
            if prices and priced_for(store_id)
        ],
        tier_prices=[
            TierPrice(
                store_id=store_gid(store_id),
                tier=tier,
                price=unit_price_or_none(each.price, currency),
                factor=each.factor,
            )
            for store_id, tiers in sku.tier_prices.items()
            if prices and priced_for(store_id)
            for tier, each in tiers.items()
        ],
        stock_policy=StockPolicy(
            low_line=sku.stock_policy.low_line if policy else None,
            high_line=sku.stock_policy.high_line if policy else None,
            cover_days=sku.stock_policy.cover_days if policy else None,
            stock_class=sku.stock_policy.stock_class if policy else None,
        ),
        levels=[
            StockLevel(
                location_id=location_id,
                on_hand=plain(each.on_hand),
                reserved=plain(each.reserved),
                allocated=plain(each.allocated),
                quarantined=plain(each.quarantined),
                damaged=plain(each.damaged),
                in_transit=plain(each.in_transit),
                sellable=plain(each.sellable),
                batches=[
                    BatchLevel(
                        batch=batch,
                        on_hand=plain(left.on_hand),
                        quarantined=plain(left.quarantined),
                        damaged=plain(left.damaged),
                    )
                    for batch, left in sorted(each.batches.items())
                ],
            )
            for location_id, each in sku.levels.items()
            if places
        ],
        allocations=[
            CampaignAllocation(
                campaign_id=gid("Campaign", campaign_id), location_id=location_id, quantity=plain(quantity)
            )
            for campaign_id, quotas in sku.allocations.items()
            for location_id, quantity in quotas.items()
            if places
        ],
        on_hand=plain(sku.on_hand) if on_hand else None,
        sellable=plain(sku.sellable),
        available=plain(sku.available),
        on_order=plain(on_order(sku)) if bought else None,
        purchases=[purchase_view(key, each, viewer.role) for key, each in sku.purchases.items() if bought],
        quotes=[quote_view(each, currency) for each in sku.quotes if quotes],
    )
