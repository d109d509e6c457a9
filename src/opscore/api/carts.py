"""What a cart costs: an order is planned as `placeOrder` would plan it now, and left at that.

The plan is the domain's own (`PlaceOrder.plan`), tried over one moment of the log, so there is no second arithmetic and
no second set of refusals. Nothing is written and nothing set aside: what is told holds until something changes.
"""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import strawberry

from opscore.api.arguments import ContextInfo
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.inputs import InputFault, decoded
from opscore.api.kinds import INPUTS, mutations
from opscore.api.money import Money, UnitPrice, money, unit_price
from opscore.api.mutations import ids_in
from opscore.api.nodes import gid
from opscore.domain.campaign import Campaign
from opscore.domain.campaign_commands import COUPON_CODE
from opscore.domain.order_placing import Cart, PlaceOrder, PlacingPlan
from opscore.domain.pricing import Discount, DiscountSource, PricedLine
from opscore.domain.refusals import Refusal
from opscore.domain.values import plain
from opscore.log.rehearsal import Rehearsal, rehearsal
from opscore.writer import Outcome, Refused

expose(DiscountSource)

_PLACING = mutations()["placeOrder"]
_CART = INPUTS.struct(Cart)
_PlaceOrderError: Any = _PLACING.error_type
_CartInput: Any = _CART.type_


@strawberry.type(description="A part of a price that is not charged, and why.")
class CartDiscount:
    source: DiscountSource = strawberry.field(description="Where it comes from.")
    amount: Money = strawberry.field(description="How much.")
    reason: str = strawberry.field(description="Why, in English.")
    campaign_id: strawberry.ID | None = strawberry.field(description="The campaign that gives it, if one does.")
    promotion_id: UUID | None = strawberry.field(description="Which offer of the campaign, if it is one.")


@strawberry.type(description="An offer that was looked at and is not taken, and why.")
class CartOffer:
    source: DiscountSource = strawberry.field(description="What it is.")
    reason: str = strawberry.field(description="Why it is not taken, in English.")
    line: int | None = strawberry.field(description="The line that it is about; null for the whole.")
    campaign_id: strawberry.ID | None = strawberry.field(description="The campaign that makes it, if one does.")
    promotion_id: UUID | None = strawberry.field(description="Which offer of the campaign, if it is one.")


@strawberry.type(description="One line of a cart with its price.")
class CartLine:
    line: int = strawberry.field(description="Its number, from 1; gifts come behind what was asked for.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    unit: str = strawberry.field(description="What one of it is.")
    quantity: Decimal = strawberry.field(description="How much.")
    list_price: UnitPrice = strawberry.field(description="Price per unit without any offer.")
    unit_price: UnitPrice = strawberry.field(description="Price per unit before promotions: list, tier or campaign.")
    gross: Money = strawberry.field(description="The units at list price.")
    discount: Money = strawberry.field(description="What is taken off.")
    amount: Money = strawberry.field(description="What is to be paid: gross less discount.")
    discounts: list[CartDiscount] = strawberry.field(description="What is taken off, part by part.")
    campaign_id: strawberry.ID | None = strawberry.field(description="The campaign whose price or gift it is.")
    gift: bool = strawberry.field(description="Whether it is a gift.")
    service: bool = strawberry.field(description="Whether it is a service, which moves no stock.")


@strawberry.type(description="What an order would come to that is placed now.")
class PricedCart:
    currency_code: str = strawberry.field(description="ISO 4217 code of its amounts.")
    lines: list[CartLine] = strawberry.field(description="What was asked for, in order, then gifts.")
    gross: Money = strawberry.field(description="All lines at list price.")
    discount: Money = strawberry.field(description="What is taken off the list prices.")
    goods: Money = strawberry.field(description="The lines' amounts, after all discounts and points.")
    freight: Money = strawberry.field(description="What is asked for carriage.")
    freight_waived: Money = strawberry.field(description="What is not asked for carriage.")
    freight_waivers: list[CartDiscount] = strawberry.field(description="Why not, part by part.")
    total: Money = strawberry.field(description="Goods and freight.")
    coupon_code: str | None = strawberry.field(
        description="The coupon that is used; null when none was given, or others take more off."
    )
    points_spent: int = strawberry.field(description="Points that pay for a part.")
    points_value: Money = strawberry.field(description="What these points are worth.")
    campaign_ids: list[strawberry.ID] = strawberry.field(description="The campaigns that have a part in its prices.")
    passed_over: list[CartOffer] = strawberry.field(description="Offers that were looked at and are not taken.")


@strawberry.type(description="Answer to `priceCart`.")
class PriceCartPayload:
    cart: PricedCart | None = strawberry.field(description="The prices; null when the order would be refused.")
    user_errors: list[_PlaceOrderError] = strawberry.field(
        description="Why the order would be refused, as `placeOrder` would say it; empty when it would not."
    )


@strawberry.type
class CartQueries:
    """What carts cost."""

    @strawberry.field(
        description="What a cart costs: the lines, discounts and freight of the order that `placeOrder` would place "
        "now, or why it would be refused. Nothing is written and no stock is taken. A customer asks for themselves, "
        "others for the customer that they name, or for a guest."
    )
    async def price_cart(
        self, info: ContextInfo, input: Annotated[_CartInput, strawberry.argument(description="The cart.")]
    ) -> PriceCartPayload:
        context = info.context
        try:
            cart = decoded(Cart, _CART.to_python(input))
        except InputFault as fault:
            return PriceCartPayload(cart=None, user_errors=_PLACING.faulty(fault).user_errors)
        if cart.customer_id is None and context.customer_id is not None:
            cart = msgspec.structs.replace(cart, customer_id=context.customer_id)
        order = cart.order()
        found = await context.services.read(_planned, context, order)
        if isinstance(found, Refusal):
            outcome = Outcome(None, 0, refusal=Refused.of(found))
            answer = await _PLACING.refusal(order, outcome, context.services, {})
            return PriceCartPayload(cart=None, user_errors=answer.user_errors)
        return PriceCartPayload(cart=_view(found), user_errors=[])


def _planned(context: Context, order: PlaceOrder) -> PlacingPlan | Refusal:
    """Return the plan of an order or why there is none, in a fixed number of statements (blocking)."""
    connections = context.services.database.pool.connection
    with rehearsal(connections, context.viewer, datetime.now(UTC)) as work:
        try:
            _fetch(work, order)
            return order.plan(work)
        except Refusal as refusal:
            return refusal


def _fetch(work: Rehearsal, order: PlaceOrder) -> None:
    """Read all that the plan looks at: what the order names, the coupon's campaign, and the gifts of campaigns."""
    named = [key for key, _ in ids_in(order)]
    if order.coupon_code is not None:
        holder = work.holder(COUPON_CODE, str(order.store_id), order.coupon_code)
        named += [] if holder is None else [holder]
    work.fetch(named)
    campaigns = [found for each in named if (found := work.find(Campaign, each)) is not None]
    work.fetch(
        promotion.gift.sku_id
        for campaign in campaigns
        for promotion in campaign.promotions.values()
        if promotion.gift is not None
    )


def _view(plan: PlacingPlan) -> PricedCart:
    priced, currency = plan.priced, plan.store.currency
    campaigns = frozenset(plan.offer.campaigns)

    def campaign(source_id: UUID | None) -> Any:
        # A coupon that a customer holds is a source as well, and no campaign.
        return gid("Campaign", source_id if source_id in campaigns else None)

    def discount(each: Discount) -> CartDiscount:
        return CartDiscount(
            source=each.source,
            amount=money(each.amount_minor, currency),
            reason=each.reason,
            campaign_id=campaign(each.source_id),
            promotion_id=each.promotion_id,
        )

    def line(each: PricedLine) -> CartLine:
        sku = plan.skus[each.sku_id]
        return CartLine(
            line=each.line,
            sku_id=gid("Sku", each.sku_id),
            sku_code=sku.code,
            name=sku.name,
            unit=sku.unit,
            quantity=plain(each.quantity),
            list_price=unit_price(each.list_price, currency),
            unit_price=unit_price(each.unit_price, currency),
            gross=money(each.gross_minor, currency),
            discount=money(each.discount_minor, currency),
            amount=money(each.amount_minor, currency),
            discounts=[discount(part) for part in each.discounts],
            campaign_id=gid("Campaign", each.campaign_id),
            gift=each.gift,
            service=each.service,
        )

    return PricedCart(
        currency_code=currency,
        lines=[line(each) for each in priced.lines],
        gross=money(priced.gross_minor, currency),
        discount=money(priced.discount_minor, currency),
        goods=money(priced.goods_minor, currency),
        freight=money(priced.freight_minor, currency),
        freight_waived=money(priced.freight_waived_minor, currency),
        freight_waivers=[discount(each) for each in priced.freight_waivers],
        total=money(priced.total_minor, currency),
        coupon_code=None if priced.coupon is None else priced.coupon.code,
        points_spent=priced.points_spent,
        points_value=money(priced.points_minor, currency),
        campaign_ids=[gid("Campaign", each) for each in priced.campaign_ids],
        passed_over=[
            CartOffer(
                source=each.source,
                reason=each.reason,
                line=each.line,
                campaign_id=campaign(each.source_id),
                promotion_id=each.promotion_id,
            )
            for each in plan.passed_over
        ],
    )
