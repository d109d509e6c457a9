"""How an order begins that is priced and held here; order_recording.py takes in one that was agreed elsewhere.

It is one decision over store, articles, campaigns and customer: first every check on every one of them, then the
events; once the first event is recorded nothing can refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Any, ClassVar, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from opscore.domain import pricing
from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import (
    Campaign,
    CampaignBudgetUsed,
    CampaignMembersOnly,
    CampaignNotInStore,
    CampaignNotLive,
    CouponInvalid,
    CouponUsedUp,
)
from opscore.domain.campaign_commands import coupon_campaign
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.customer import Customer
from opscore.domain.customer_events import (
    CampaignLimitReached,
    CouponElsewhere,
    CouponOutOfTime,
    CouponUsedAlready,
    CustomerNotActive,
    PointsInsufficient,
)
from opscore.domain.order import Order
from opscore.domain.order_assists import Helper, assist, require_helper
from opscore.domain.order_commands import BUYING
from opscore.domain.order_events import (
    CampaignClaim,
    OrderKind,
    OrderLine,
    OrderPlaced,
    PassedOver,
    PriceSource,
)
from opscore.domain.order_paying import settle
from opscore.domain.order_refusals import PriceChanged, TotalChanged
from opscore.domain.order_state import ZERO
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import Freight, Membership, OrderTerms, Points, ShipPromise
from opscore.domain.pricing import Buyer, CouponTerms, LineToPrice, PricedLine, PricedOrder
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotAuthorised, ReferenceTaken, Refusal
from opscore.domain.sku import FulfilmentMode, Sku
from opscore.domain.sku_events import (
    BelowMinimumQuantity,
    CampaignQuotaUsed,
    PriceMissing,
    ProhibitedGoods,
    SkuNotListed,
    StockInsufficient,
)
from opscore.domain.stock_plan import Need, StockPlan, plan_stock
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready, StoreNotOpen
from opscore.domain.values import (
    MAX_MINOR,
    Code,
    Label,
    NonNegativeMinor,
    Part,
    Text,
    TrafficSource,
    Value,
    derived_id,
    line_amount_minor,
    plain,
)

MAX_LINES = 2_000

StoreId = Annotated[UUID, Meta(description="The store that sells.")]
CustomerId = Annotated[UUID | None, Meta(description="Who buys; a guest if left out.")]
Channel = Annotated[Code, Meta(description="The sales channel it came through, for example web or app.")]
CameBy = Annotated[
    TrafficSource | None, Meta(description="By which way the buyer came to the shop; left out where nobody knows.")
]
Device = Annotated[
    Code | None, Meta(description="What the buyer ordered with, as traffic reports name it: pc, app, ...; if known.")
]
WantedCampaigns = Annotated[
    tuple[UUID, ...], Meta(max_length=20, description="The campaigns whose prices and offers are wanted.")
]
WantedCode = Annotated[Code | None, Meta(description="A coupon code of a campaign; either this or `coupon_id`.")]
WantedCoupon = Annotated[UUID | None, Meta(description="A coupon that the customer holds.")]
WantedPoints = Annotated[
    int, Meta(ge=0, le=10**12, description="Points to pay with; no more are taken than the goods cost.")
]
AgreedFreight = Annotated[
    NonNegativeMinor | None,
    Meta(
        description="Freight before waivers, in minor units, as agreed by staff; what the store's policy freight "
        "says if left out. A storefront or customer leaves it out."
    ),
]
ShownTotal = Annotated[
    NonNegativeMinor | None, Meta(description="The total that the buyer was shown; refused if it has changed.")
]
Region = Annotated[Code | None, Meta(description="Where it goes, as a region code; kept in the clear for figures.")]
ExternalReference = Annotated[
    Code | None, Meta(description="The order's number elsewhere; unique in the store, the same number is refused.")
]
Recipient = Annotated[Label | None, Meta(description="Who receives it; kept encrypted.")]
Address = Annotated[Text | None, Meta(description="Where it is delivered; kept encrypted.")]
Remark = Annotated[Text | None, Meta(description="What the buyer asked for; kept encrypted.")]


class PlaceLine(Part):
    """An article that is asked for."""

    sku_id: Annotated[UUID, Meta(description="The article.")]
    quantity: Annotated[Decimal, Meta(description="How much, in the article's unit.")]
    client_unit_price: Annotated[
        Decimal | None,
        Meta(description="The price per unit that the buyer was shown; the order is refused if it has changed."),
    ] = None


def require_amounts(lines: Sequence[PricedLine] | Sequence[OrderLine]) -> None:
    """Refuse InvalidField when the lines come to more than an amount of money can be."""
    if sum(line.gross_minor for line in lines) > MAX_MINOR:
        largest = max(range(len(lines)), key=lambda index: lines[index].gross_minor)
        why = f"an order comes to at most {MAX_MINOR} minor units"
        raise InvalidField(why=why, path=("lines", largest, "quantity"), ids=[lines[largest].sku_id])


def buyer_of(work: UnitOfWork, customer_id: UUID | None) -> Customer | None:
    """Return the customer who buys, None for a guest.

    A customer orders for nobody but themselves. Refuses NotAuthorised, NotFound, CustomerNotActive.
    """
    if work.actor.role is Role.CUSTOMER and (customer_id is None or customer_id != work.actor.customer_id):
        raise NotAuthorised(why="a customer orders in their own name", path=("customer_id",))
    if customer_id is None:
        return None
    customer = work.customer(customer_id, path=("customer_id",))
    customer.require_active(path=("customer_id",))
    return customer


def sealed(work: UnitOfWork, subject_id: UUID, plaintext: str | None) -> str | None:
    """Return a personal text encrypted under the subject's key; None stays None."""
    return work.seal(subject_id, plaintext) if plaintext else None


def begin_id(work: UnitOfWork, store_id: UUID, external_reference: str | None) -> UUID:
    """Return the id of the new order; an order known elsewhere has the same id whenever it is taken in.

    Refuses ReferenceTaken.
    """
    if external_reference is None:
        return work.new_id()
    # Whoever begins an order of this id claims the reference in the same decision, so the claim alone tells.
    holder = work.holder("external_reference", str(store_id), external_reference)
    if holder is not None:
        raise ReferenceTaken(
            what="external reference", value=external_reference, path=("external_reference",), ids=[holder]
        )
    return derived_id("order", store_id, external_reference)


class _Beginning(Protocol):
    """What a command says of an order that begins, however its price was made."""

    @property
    def customer_id(self) -> UUID | None: ...
    @property
    def channel(self) -> str: ...
    @property
    def traffic_source(self) -> TrafficSource | None: ...
    @property
    def device(self) -> str | None: ...
    @property
    def external_reference(self) -> str | None: ...
    @property
    def region(self) -> str | None: ...
    @property
    def recipient(self) -> str | None: ...
    @property
    def address(self) -> str | None: ...
    @property
    def remark(self) -> str | None: ...


def begin(work: UnitOfWork, store: Store, order_id: UUID, said: _Beginning, **agreed: Any) -> Order:
    """Record the order and claim its number elsewhere. agreed: its lines and amounts, and how they came about."""
    subject_id = said.customer_id or order_id
    order = Order.start(
        OrderPlaced,
        order_id,
        store_id=store.id,
        customer_id=said.customer_id,
        kind=OrderKind.SALE,
        channel=said.channel,
        traffic_source=said.traffic_source,
        device=said.device,
        external_reference=said.external_reference,
        currency=store.currency,
        region=said.region,
        recipient=sealed(work, subject_id, said.recipient),
        address=sealed(work, subject_id, said.address),
        remark=sealed(work, subject_id, said.remark),
        occurred_at=work.occurred_at,
        **agreed,
    )
    work.add(order)
    if said.external_reference is not None:
        work.claim("external_reference", str(store.id), said.external_reference, order_id)
    return order


# Placing an order ----------------------------------------------------------------------------------------------------


class PlaceOrder(Command):
    """Order goods at this moment's prices: stock, campaign, coupon and points are taken in the same decision."""

    AGGREGATE: ClassVar[type[Aggregate]] = Order
    ROLES: ClassVar[frozenset[Role]] = BUYING
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        StoreNotOpen,
        SkuNotListed,
        PriceMissing,
        BelowMinimumQuantity,
        StockInsufficient,
        CampaignQuotaUsed,
        CampaignNotLive,
        CampaignNotInStore,
        CampaignMembersOnly,
        CampaignLimitReached,
        CampaignBudgetUsed,
        CouponInvalid,
        CouponUsedUp,
        CouponUsedAlready,
        CouponElsewhere,
        CouponOutOfTime,
        pricing.CouponThresholdNotReached,
        pricing.DiscountBelowCost,
        pricing.RegistrationNeeded,
        PointsInsufficient,
        PriceChanged,
        TotalChanged,
        CustomerNotActive,
        CurrencyMismatch,
        ReferenceTaken,
        PeriodClosedAlready,
    )

    store_id: StoreId
    lines: Annotated[tuple[PlaceLine, ...], Meta(min_length=1, max_length=MAX_LINES, description="What is ordered.")]
    customer_id: CustomerId = None
    channel: Channel = "web"
    campaign_ids: WantedCampaigns = ()
    coupon_code: WantedCode = None
    coupon_id: WantedCoupon = None
    points_to_spend: WantedPoints = 0
    freight_minor: AgreedFreight = None
    client_total_minor: ShownTotal = None
    region: Region = None
    recipient: Recipient = None
    address: Address = None
    remark: Remark = None
    external_reference: ExternalReference = None
    override_reason: OverrideReason = None
    assisted_by: Helper = None
    traffic_source: CameBy = None
    device: Device = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check everything on every aggregate, price, then record the order and all that it takes."""
        plan = self.plan(work)
        store, customer, offer, priced, order_id = plan.store, plan.customer, plan.offer, plan.priced, plan.order_id
        promise = store.policy(ShipPromise, work.occurred_at)

        order = self._record(work, store, order_id, offer, priced)
        assist(order, self.assisted_by, work.occurred_at)
        for sku, picks in plan.stock:
            sku.reserve(order_id, store.id, picks, work.occurred_at)
            note_override(work, sku, self.override_reason)
        for campaign_id, claimed_minor in priced.campaign_discounts.items():
            offer.campaigns[campaign_id].claim(
                order_id, self.customer_id, claimed_minor, _code_of(priced, campaign_id), work.occurred_at
            )
        if customer is not None:
            for campaign_id, sku_id, quantity in plan.redemptions:
                customer.redeem_campaign(order_id, campaign_id, sku_id, quantity, work.occurred_at)
            if priced.coupon is not None and self.coupon_id is not None:
                customer.use_coupon(self.coupon_id, order_id, work.occurred_at)
            customer.spend_points(order_id, priced.points_spent, work.occurred_at)
        # An order that costs nothing is paid as it is placed.
        settle(order, promise, work.occurred_at)
        return order_id

    def plan(self, work: UnitOfWork) -> PlacingPlan:
        """Check everything on every aggregate and price; records nothing. Refuses whatever `decide` does."""
        store = work.store(self.store_id)
        store.require_open(path=("store_id",))
        customer = buyer_of(work, self.customer_id)
        if work.actor.role is Role.CUSTOMER and self.external_reference is not None:
            # Somebody could take the number of an order that another system has still to hand over.
            why = "an external reference is given by the store's own systems"
            raise NotAuthorised(why=why, path=("external_reference",))
        require_helper(work, store, self.assisted_by)
        order_id = begin_id(work, store.id, self.external_reference)
        offer = _Offer.look_up(self, work, store, customer)
        priced = offer.price()
        require_amounts(priced.lines)
        self._require_prices_shown(priced, offer.skus)
        priced, stock = self._plan_stock(priced, offer, work, store.open_location_ids)
        for sku, _ in stock:
            require_open_books(work, sku, self.override_reason)
        redemptions = self._plan_redemptions(priced, customer)
        for campaign_id, claimed_minor in priced.campaign_discounts.items():
            offer.campaigns[campaign_id].plan_claim(
                order_id, self.customer_id, claimed_minor, _code_of(priced, campaign_id)
            )
        if customer is not None and priced.points_spent:
            customer.plan_points(priced.points_spent, work.occurred_at, path=("points_to_spend",))
        return PlacingPlan(store, customer, order_id, offer, priced, stock, redemptions)

    def _require_prices_shown(self, priced: PricedOrder, skus: dict[UUID, Sku]) -> None:
        for index, (asked, line) in enumerate(zip(self.lines, priced.lines, strict=False)):
            if asked.client_unit_price is not None and asked.client_unit_price != line.unit_price:
                raise PriceChanged(
                    sku_code=skus[asked.sku_id].code,
                    current=plain(line.unit_price),
                    given=plain(asked.client_unit_price),
                    path=("lines", index, "client_unit_price"),
                    ids=[asked.sku_id],
                )
        if self.client_total_minor is not None and self.client_total_minor != priced.total_minor:
            raise TotalChanged(current=priced.total_minor, given=self.client_total_minor, path=("client_total_minor",))

    def _plan_stock(
        self, priced: PricedOrder, offer: _Offer, work: UnitOfWork, location_ids: Sequence[UUID]
    ) -> tuple[PricedOrder, StockPlan]:
        """Say where every unit comes from, goods first.

        Gifts that are not there, or may not be given, are left out: nobody is refused what they pay for by a gift.
        """
        stock = plan_stock(self._needs(priced, offer), location_ids)
        kept: list[PricedLine] = []
        missing: list[pricing.RejectedOffer] = []
        for line in priced.lines:
            if line.gift:
                gift = offer.skus[line.sku_id] = work.sku(line.sku_id, scoped=False)
                try:
                    gift.require_allowed(())
                    stock.add(Need(gift, line.campaign_id, line.quantity, ()))
                except (ProhibitedGoods, StockInsufficient, CampaignQuotaUsed):
                    missing += [_left_out(gift, given) for given in line.discounts]
                    continue
            number = len(kept) + 1
            kept.append(line if line.line == number else msgspec.structs.replace(line, line=number))
        if missing:
            priced = msgspec.structs.replace(priced, lines=tuple(kept), rejected=(*priced.rejected, *missing))
        return priced, stock

    def _needs(self, priced: PricedOrder, offer: _Offer) -> list[Need]:
        needs: dict[tuple[UUID, UUID | None], Need] = {}
        for line in priced.lines:
            if line.gift:
                continue
            known = needs.get((line.sku_id, line.campaign_id))
            if known is not None:
                known.quantity += line.quantity
            else:
                path = ("lines", line.line - 1, "quantity")
                needs[line.sku_id, line.campaign_id] = Need(
                    offer.skus[line.sku_id], line.campaign_id, line.quantity, path
                )
        return list(needs.values())

    def _plan_redemptions(self, priced: PricedOrder, customer: Customer | None) -> list[tuple[UUID, UUID, Decimal]]:
        """Return what counts against a limit per customer: (campaign, SKU or coupon offer, units)."""
        if customer is None:
            return []
        limited: dict[tuple[UUID, UUID], tuple[Decimal, int, tuple[str | int, ...]]] = {}
        for line in priced.lines:
            if line.campaign_id is not None and line.max_per_customer is not None:
                key = (line.campaign_id, line.sku_id)
                quantity = limited[key][0] if key in limited else ZERO
                limited[key] = (
                    quantity + line.quantity,
                    line.max_per_customer,
                    ("lines", line.line - 1, "quantity"),
                )
        coupon = priced.coupon
        if coupon is not None and coupon.promotion_id is not None and coupon.per_customer_limit is not None:
            limited[coupon.source_id, coupon.promotion_id] = (
                Decimal(1),
                coupon.per_customer_limit,
                ("coupon_code",),
            )
        for (campaign_id, sku_id), (quantity, limit, path) in limited.items():
            customer.plan_redemption(campaign_id, sku_id, quantity, limit, path)
        return [(campaign_id, sku_id, quantity) for (campaign_id, sku_id), (quantity, _, _) in limited.items()]

    def _record(self, work: UnitOfWork, store: Store, order_id: UUID, offer: _Offer, priced: PricedOrder) -> Order:
        expiry_minutes = store.policy(OrderTerms, work.occurred_at).expiry_minutes
        coupon = priced.coupon
        return begin(
            work,
            store,
            order_id,
            self,
            lines=tuple(_order_line(line, offer.skus[line.sku_id]) for line in priced.lines),
            goods_minor=priced.goods_minor,
            discount_minor=priced.discount_minor,
            freight_minor=priced.freight_minor,
            freight_waived_minor=priced.freight_waived_minor,
            total_minor=priced.total_minor,
            coupon_code=None if coupon is None else coupon.code,
            coupon_id=None if coupon is None else self.coupon_id,
            coupon_campaign_id=None if coupon is None or self.coupon_id is not None else coupon.source_id,
            points_spent=priced.points_spent,
            points_minor=priced.points_minor,
            campaign_ids=priced.campaign_ids,
            claims=tuple(
                CampaignClaim(campaign_id=campaign_id, amount_minor=claimed_minor)
                for campaign_id, claimed_minor in priced.campaign_discounts.items()
            ),
            freight_waivers=priced.freight_waivers,
            passed_over=_passed_over(priced),
            price_source=PriceSource.OPSCORE,
            surge=any(offer.campaigns[campaign_id].surge for campaign_id in priced.campaign_ids),
            expires_at=work.occurred_at + timedelta(minutes=expiry_minutes),
        )


@dataclass(frozen=True, slots=True)
class PlacingPlan:
    """An order that may be placed: its price, and what it takes from whom."""

    store: Store
    customer: Customer | None
    order_id: UUID
    offer: _Offer
    priced: PricedOrder
    stock: StockPlan
    redemptions: list[tuple[UUID, UUID, Decimal]]
    """What counts against a limit per customer: (campaign, SKU or coupon offer, units)."""

    @property
    def skus(self) -> dict[UUID, Sku]:
        """The articles of its lines, by id."""
        return self.offer.skus

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """The offers that were looked at and not taken."""
        return _passed_over(self.priced)


class Cart(Value):
    """What somebody wants to order, to be priced as an order would be that is placed now."""

    store_id: StoreId
    lines: Annotated[tuple[PlaceLine, ...], Meta(min_length=1, max_length=MAX_LINES, description="What is wanted.")]
    customer_id: CustomerId = None
    campaign_ids: WantedCampaigns = ()
    coupon_code: WantedCode = None
    coupon_id: WantedCoupon = None
    points_to_spend: WantedPoints = 0
    freight_minor: AgreedFreight = None
    client_total_minor: ShownTotal = None
    region: Region = None

    def order(self) -> PlaceOrder:
        """Return the command that would place it."""
        return PlaceOrder(**msgspec.structs.asdict(self))


@dataclass(slots=True)
class _Offer:
    """Everything that pricing needs to know about one order, looked up and checked."""

    currency: str
    skus: dict[UUID, Sku]
    lines: list[LineToPrice]
    campaigns: dict[UUID, Campaign]
    offers: list[pricing.CampaignOffers]
    coupon: CouponTerms | None
    buyer: Buyer
    points: pricing.Points | None
    points_share_max: Decimal
    freight_minor: int
    freight_free_from_minor: int | None
    """Goods worth this much, before promotions, travel free; None when that was not promised."""
    region: str | None

    @classmethod
    def look_up(cls, asked: PlaceOrder, work: UnitOfWork, store: Store, customer: Customer | None) -> _Offer:
        """Read articles, campaigns, coupon and points; refuses whatever cannot be had by this buyer now."""
        at = work.occurred_at
        tiers = () if customer is None or customer.tier is None else (customer.tier,)
        factors = store.policy(Membership, at).factors() if tiers else {}
        buyer = Buyer(registered=customer is not None, tiers=tiers)
        skus: dict[UUID, Sku] = {}
        lines = []
        for index, line in enumerate(asked.lines):
            sku = work.sku(line.sku_id, path=("lines", index, "sku_id"), seen=True)
            skus[sku.id] = sku
            lines.append(_line_to_price(store, sku, line.quantity, index, tiers, factors))
        campaigns: dict[UUID, Campaign] = {}
        offers = []
        for index, campaign_id in enumerate(asked.campaign_ids):
            path = ("campaign_ids", index)
            campaign = work.campaign(campaign_id, path=path, seen=True)
            if campaign_id in campaigns:
                raise InvalidField(why="this campaign is named twice", path=path)
            campaigns[campaign_id] = campaign
            offers.append(campaign.offers(store.id, at, buyer, path))
        rules = store.policy(Points, at)
        if asked.points_to_spend and customer is None:
            raise InvalidField(why="a guest has no points", path=("points_to_spend",))
        if customer is not None and asked.points_to_spend:
            customer.plan_points(asked.points_to_spend, at, path=("points_to_spend",))
        freight_minor, free_from_minor = _freight(asked, work, store, lines)
        return cls(
            currency=store.currency,
            skus=skus,
            lines=lines,
            campaigns=campaigns,
            offers=offers,
            coupon=_coupon_terms(asked, work, store, customer, campaigns, offers, buyer),
            buyer=buyer,
            points=_points(asked.points_to_spend, Decimal(rules.value_minor)),
            points_share_max=rules.share_of_goods_max,
            freight_minor=freight_minor,
            freight_free_from_minor=free_from_minor,
            region=asked.region,
        )

    def price(self) -> PricedOrder:
        """Price the order; points pay for no more than the store's share of the goods."""
        points = self._payable_points()
        priced = self._priced(points)
        if self.freight_free_from_minor is None or not self.freight_minor:
            return priced
        goods_minor = sum(
            line_amount_minor(line.unit_price, line.quantity, self.currency)
            for line in priced.lines
            if not (line.service or line.gift)
        )
        if goods_minor < self.freight_free_from_minor:
            return priced
        # The store carries the freight: no campaign's budget pays for a waiver.
        waiver = pricing.Discount(
            source=pricing.DiscountSource.FREE_SHIPPING,
            amount_minor=self.freight_minor,
            reason=f"free from goods worth {self.freight_free_from_minor} minor units",
        )
        return msgspec.structs.replace(
            replace(self, freight_minor=0)._priced(points),
            freight_waived_minor=self.freight_minor,
            freight_waivers=(waiver,),
        )

    def _payable_points(self) -> pricing.Points | None:
        points = self.points
        if points is not None and self.points_share_max < 1:
            goods_minor = self._priced(None).goods_minor
            payable = (goods_minor * self.points_share_max / points.minor_per_point).to_integral_value(ROUND_FLOOR)
            points = _points(min(points.points, int(payable)), points.minor_per_point)
        return points

    def _priced(self, points: pricing.Points | None) -> PricedOrder:
        return pricing.price_order(
            self.currency,
            self.lines,
            campaigns=self.offers,
            coupon=self.coupon,
            buyer=self.buyer,
            points=points,
            freight_minor=self.freight_minor,
            region=self.region,
        )


def _freight(asked: PlaceOrder, work: UnitOfWork, store: Store, lines: Sequence[LineToPrice]) -> tuple[int, int | None]:
    """Return the freight before waivers, and from what goods on it is free; refuses NotAuthorised.

    Buyers pay by the store's policy, staff may agree on another amount. Services alone are not sent.
    """
    if asked.freight_minor is not None:
        if work.actor.role in (Role.STOREFRONT, Role.CUSTOMER):
            raise NotAuthorised(why="freight is the store's to set, leave it out", path=("freight_minor",))
        return asked.freight_minor, None
    terms = store.policy(Freight, work.occurred_at)
    if not any(not line.service for line in lines):
        return 0, None
    return terms.flat_minor, terms.free_from_minor


def _points(points: int, minor_per_point: Decimal) -> pricing.Points | None:
    if points <= 0 or minor_per_point <= 0:
        return None
    return pricing.Points(points=points, minor_per_point=minor_per_point)


def _line_to_price(
    store: Store, sku: Sku, asked: Decimal, index: int, tiers: tuple[str, ...], factors: dict[str, Decimal]
) -> LineToPrice:
    path = ("lines", index, "quantity")
    if sku.currency != store.currency:
        raise CurrencyMismatch(expected=store.currency, given=sku.currency, path=("lines", index), ids=[sku.id])
    quantity = sku.require_orderable(store.id, asked, path)
    price = sku.require_price(store.id, ("lines", index, "sku_id"))
    tier = sku.tier_price(store.id, tiers, factors) if tiers else None
    return LineToPrice(
        line=index + 1,
        sku_id=sku.id,
        quantity=quantity,
        list_price=price.list_price,
        cost=price.cost,
        tier_price=None if tier is None else tier[0],
        tier=None if tier is None else tier[1],
        service=sku.mode is FulfilmentMode.SERVICE,
    )


def _coupon_terms(
    asked: PlaceOrder,
    work: UnitOfWork,
    store: Store,
    customer: Customer | None,
    campaigns: dict[UUID, Campaign],
    offers: list[pricing.CampaignOffers],
    buyer: Buyer,
) -> CouponTerms | None:
    if asked.coupon_id is not None:
        if asked.coupon_code is not None:
            raise InvalidField(why="one coupon per order: a code or a coupon held, not both", path=("coupon_code",))
        if customer is None:
            raise InvalidField(why="a guest holds no coupons", path=("coupon_id",))
        held = customer.plan_coupon(asked.coupon_id, store.id, store.currency, work.occurred_at, path=("coupon_id",))
        return CouponTerms(
            source_id=held.coupon_id,
            label=held.code,
            code=held.code,
            off_minor=held.off_minor,
            percent=held.percent,
            max_off_minor=held.max_off_minor,
            spend_minor=held.spend_minor,
        )
    if asked.coupon_code is None:
        return None
    campaign = coupon_campaign(work, store.id, asked.coupon_code, path=("coupon_code",))
    if campaign.id not in campaigns:
        # A code brings its campaign along: its budget pays for the coupon, and its other offers count too.
        campaigns[campaign.id] = campaign
        offers.append(campaign.offers(store.id, work.occurred_at, buyer, ("coupon_code",)))
    return campaign.coupon(asked.coupon_code, work.occurred_at, buyer, path=("coupon_code",))


def _left_out(gift: Sku, given: pricing.Discount) -> pricing.RejectedOffer:
    return pricing.RejectedOffer(
        source=given.source,
        reason=f"the gift {gift.code} {'may not be given any more' if gift.prohibited else 'has run out'}",
        source_id=given.source_id,
        promotion_id=given.promotion_id,
    )


def _code_of(priced: PricedOrder, campaign_id: UUID) -> str | None:
    """Return the coupon code that the order uses of this campaign."""
    coupon = priced.coupon
    return coupon.code if coupon is not None and coupon.source_id == campaign_id else None


def _order_line(line: PricedLine, sku: Sku) -> OrderLine:
    return OrderLine(
        line=line.line,
        sku_id=line.sku_id,
        sku_code=sku.code,
        name=sku.name,
        quantity=line.quantity,
        unit=sku.unit,
        list_price=line.list_price,
        unit_price=line.unit_price,
        gross_minor=line.gross_minor,
        discount_minor=line.discount_minor,
        amount_minor=line.amount_minor,
        campaign_id=line.campaign_id,
        gift=line.gift,
        service=line.service,
        discounts=line.discounts,
    )


def _passed_over(priced: PricedOrder) -> tuple[PassedOver, ...]:
    by_line = [(None, offer) for offer in priced.rejected]
    by_line += [(line.line, offer) for line in priced.lines for offer in line.rejected]  # type: ignore[misc]
    return tuple(
        PassedOver(
            line=number,
            source=offer.source,
            reason=offer.reason,
            source_id=offer.source_id,
            promotion_id=offer.promotion_id,
        )
        for number, offer in by_line
    )
