"""What staff can ask for about an article: enter, describe, price, review it, put it on sale and take it off."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import Campaign, CampaignStatus
from opscore.domain.campaign_calendar import own_campaigns
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.policies import Membership, PriceGuard, SecondPerson
from opscore.domain.refusals import (
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    ReferenceTaken,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.sku import (
    MAX_UNIT_PRICE,
    ZERO,
    DelistReason,
    FulfilmentMode,
    Sku,
    SkuContentSet,
    SkuDelisted,
    SkuListed,
    SkuPriced,
    SkuRegistered,
    SkuRetired,
    SkuReviewFailed,
    SkuReviewPassed,
    SkuStatus,
    SkuSubmitted,
    StockPolicySet,
    TierPrice,
    TierPricesSet,
    tier_amount,
)
from opscore.domain.sku_events import (
    AboveMarket,
    BelowCost,
    ContentMissing,
    InLiveCampaign,
    LowAboveHigh,
    NoSellableStock,
    OpenReservations,
    PriceMissing,
    ProhibitedGoods,
    SkuNotListed,
    StockLeft,
    TierBelowCost,
    TierUnknown,
)
from opscore.domain.sku_purchases import PurchasesOpen, on_order
from opscore.domain.sku_state import Content, StockPolicy
from opscore.domain.store import Store
from opscore.domain.store_events import (
    BrandNotAuthorised,
    CategoryOutOfScope,
    DocumentExpired,
    DocumentMissing,
    LicenceMissing,
    StoreNotOpen,
    StoreStatus,
)
from opscore.domain.values import MAX_PLACES, Code, Currency, Label, Part, Reason, Text, derived_id, plain

EDITORS = frozenset({Role.OWNER, Role.MANAGER, Role.EDITOR})
APPROVERS = frozenset({Role.OWNER, Role.MANAGER})

SkuId = Annotated[UUID, Meta(description="The article.")]
StoreId = Annotated[UUID | None, Meta(description="The store it is about; the article's home store if left out.")]
Moment = Annotated[datetime, Meta(tz=True)]
Days = Annotated[int, Meta(ge=1, le=3650)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}(-[A-Z]{2})?$", description="Language tag, for example en or zh-CN.")]


def require_unit_price(value: Decimal, path: tuple[str | int, ...]) -> Decimal:
    """Return a unit price, cost or factor, plainly spelled; refuses InvalidField below 0 or past six places."""
    if not value.is_finite() or not 0 <= value < MAX_UNIT_PRICE:
        raise InvalidField(why="a unit price is 0 or more and below 10^12", path=path)
    spelled = plain(value)
    if -int(spelled.as_tuple().exponent) > MAX_PLACES:
        raise InvalidField(why=f"a unit price has at most {MAX_PLACES} decimal places", path=path)
    return spelled


def sku_and_store(work: UnitOfWork, sku_id: UUID, store_id: UUID | None) -> tuple[Sku, Store]:
    """Return the article and the store that a command is about, the home store if it names none.

    Whoever may act for a store may handle any article of the operator there.
    """
    sku = work.sku(sku_id, scoped=store_id is None)
    return sku, work.store(store_id or sku.store_id, path=("store_id",))


class SpecificationItem(Part):
    """One property of an article."""

    name: Annotated[Code, Meta(description="What is specified, for example colour.")]
    value: Annotated[Label, Meta(description="Its value, for example red.")]


def specified(items: tuple[SpecificationItem, ...]) -> dict[str, str]:
    """Return the properties by name; refuses InvalidField for one that is named twice."""
    names = [item.name for item in items]
    if len(set(names)) < len(names):
        raise InvalidField(why="a property is specified once", path=("specification",))
    return {item.name: item.value for item in items}


def least_quantity(asked: Decimal | None, places: int) -> Decimal:
    """Return the least quantity of an order, the smallest there is if none is named; refuses InvalidField."""
    least = Decimal(1).scaleb(-places) if asked is None else asked
    if not least.is_finite() or least <= 0 or -int(plain(least).as_tuple().exponent) > places:
        why = f"the least quantity is positive, with at most {places} decimal places"
        raise InvalidField(why=why, path=("min_order_quantity",))
    return plain(least)


class RegisterSku(Command):
    """Enter an article. It is sold once described, priced, reviewed, stocked and listed."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ReferenceTaken,)

    store_id: Annotated[
        UUID, Meta(description="Its home store, whose staff look after it and whose currency it is in.")
    ]
    code: Annotated[Code, Meta(description="The operator's own code for it, unique in the home store.")]
    name: Annotated[Label, Meta(description="What it is called inside the operation.")]
    category: Annotated[Code, Meta(description="Its one leaf category.")]
    brand: Annotated[Code | None, Meta(description="Its brand, if it bears one.")] = None
    unit: Annotated[Code, Meta(description="What one of it is: piece, kg, pair.")] = "piece"
    quantity_places: Annotated[
        int, Meta(ge=0, le=MAX_PLACES, description="How many decimal places its quantities may have; 0: whole units.")
    ] = 0
    mode: Annotated[FulfilmentMode, Meta(description="Where the goods come from once sold.")] = FulfilmentMode.STOCKED
    min_order_quantity: Annotated[
        Decimal | None, Meta(description="Least quantity per order; left out, it is the smallest there is.")
    ] = None
    specification: Annotated[tuple[SpecificationItem, ...], Meta(description="Its size, material and so on.")] = ()
    season_end: Annotated[Moment | None, Meta(description="When its season ends, with offset; for seasonal goods.")] = (
        None
    )

    def decide(self, work: UnitOfWork) -> UUID:
        """Take the code and begin the article's stream; its id derives from store and code."""
        store = work.store(self.store_id)
        if store.status is StoreStatus.CLOSED:
            raise WrongState(what="store", state=store.status.value, needed="not closed", path=("store_id",))
        sku_id = derived_id("sku", store.id, self.code)
        holder = work.holder("sku_code", str(store.id), self.code)
        if holder is not None or work.find(Sku, sku_id) is not None:
            raise ReferenceTaken(what="code", value=self.code, path=("code",), ids=[holder or sku_id])
        specification = specified(self.specification)
        least = least_quantity(self.min_order_quantity, self.quantity_places)
        work.claim("sku_code", str(store.id), self.code, sku_id)
        work.add(
            Sku.start(
                SkuRegistered,
                sku_id,
                store_id=store.id,
                code=self.code,
                name=self.name,
                brand=self.brand,
                category=self.category,
                unit=self.unit,
                quantity_places=self.quantity_places,
                mode=self.mode,
                min_order_quantity=least,
                currency=store.currency,
                specification=specification,
                season_end=None if self.season_end is None else self.season_end.astimezone(UTC),
                editor=work.actor.id,
                occurred_at=work.occurred_at,
            )
        )
        return sku_id


class SetSkuContent(Command):
    """Replace what buyers read and see of an article in one language."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS

    sku_id: SkuId
    title: Annotated[Label, Meta(description="Title: brand, search word, properties, product name.")]
    description: Annotated[Text | None, Meta(description="Introduction; needed before review.")] = None
    specification: Annotated[Text | None, Meta(description="Specification; needed before review.")] = None
    images: Annotated[
        tuple[Label, ...], Meta(max_length=50, description="References of images, first one first; one is needed.")
    ] = ()
    after_sale_text: Annotated[Text | None, Meta(description="After-sales terms; needed before review.")] = None
    keywords: Annotated[tuple[Code, ...], Meta(max_length=50, description="What buyers may search for.")] = ()
    language: Language = "en"

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the content unless it is what is there already."""
        sku = work.sku(self.sku_id)
        sku.require_status(SkuStatus.DRAFT, SkuStatus.READY)
        content = Content(
            title=self.title,
            description=self.description,
            specification=self.specification,
            images=list(self.images),
            after_sale_text=self.after_sale_text,
            keywords=list(self.keywords),
        )
        if sku.contents.get(self.language) != content:
            sku.trigger_event(
                SkuContentSet,
                language=self.language,
                title=self.title,
                description=self.description,
                specification=self.specification,
                images=self.images,
                after_sale_text=self.after_sale_text,
                keywords=self.keywords,
                editor=work.actor.id,
                occurred_at=work.occurred_at,
            )
        return sku.id


class PriceSku(Command):
    """Set an article's list price in a store: at least its cost, at most the market's price, unless overridden."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        BelowCost,
        AboveMarket,
        TierBelowCost,
        SamePerson,
        CurrencyMismatch,
    )

    sku_id: SkuId
    reason: Annotated[Reason, Meta(description="Why the price is set.")]
    store_id: StoreId = None
    list_price: Annotated[
        Decimal | None, Meta(description="Price of one unit; left out, it is cost plus expected profit.")
    ] = None
    cost: Annotated[
        Decimal | None, Meta(description="Cost of one unit; left out, the last one known, from receipts or prices.")
    ] = None
    expected_profit: Annotated[Decimal | None, Meta(description="Profit expected per unit, for cost-plus pricing.")] = (
        None
    )
    market_price: Annotated[
        Decimal | None, Meta(description="Price of comparable goods; left out, the last one given is used.")
    ] = None
    market_source: Annotated[Label | None, Meta(description="Where the market price was seen, and when.")] = None
    currency: Annotated[
        Currency | None, Meta(description="Currency of these amounts, to be sure; the store's own.")
    ] = None
    override_reason: Annotated[
        Reason | None,
        Meta(
            description="Why a price outside cost and market is right. Given by an owner or manager who is not the one "
            "that edited the article last."
        ),
    ] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Measure the price against cost and market; outside of them a second person has to stand for it."""
        sku, store = sku_and_store(work, self.sku_id, self.store_id)
        sku.require_status(SkuStatus.DRAFT, SkuStatus.REVIEW, SkuStatus.READY)
        require_currency(sku, store, self.currency)
        old = sku.prices.get(store.id)
        cost, market = self._measures(sku, store.id)
        list_price = self._list_price(cost)
        editor, approver = work.actor.id, None
        guard = store.policy(PriceGuard, work.occurred_at)
        outside: Refusal | None = None
        if guard.cost_is_floor and cost is not None and list_price < cost:
            outside = BelowCost(price=list_price, cost=cost, path=("list_price",), ids=[sku.id])
        elif guard.market_is_ceiling and market is not None and list_price > market:
            outside = AboveMarket(price=list_price, market=market, path=("list_price",), ids=[sku.id])
        elif guard.cost_is_floor and cost is not None:
            outside = tier_below_cost(sku, store.id, list_price, cost)
        if outside is not None:
            if self.override_reason is None:
                raise outside
            require_second_approver(work, store, sku)
            editor, approver = sku.edited_by, work.actor.id
        if old is not None and (old.list_price, old.cost, old.market_price) == (list_price, cost, market):
            return sku.id  # Asked twice, recorded once.
        sku.trigger_event(
            SkuPriced,
            store_id=store.id,
            list_price=list_price,
            old_list_price=None if old is None else old.list_price,
            cost=cost,
            expected_profit=None if cost is None else plain(list_price - cost),
            market_price=market,
            market_source=self.market_source,
            currency=sku.currency,
            reason=self.reason,
            editor=editor,
            approver=approver,
            override_reason=None if approver is None else self.override_reason,
            occurred_at=work.occurred_at,
        )
        return sku.id

    def _measures(self, sku: Sku, store_id: UUID) -> tuple[Decimal | None, Decimal | None]:
        """Return cost and market price: as given, else the last ones known."""
        known = sku.price_in(store_id)
        cost = sku.last_unit_cost if sku.last_unit_cost is not None or known is None else known.cost
        market = None if known is None else known.market_price
        if self.cost is not None:
            cost = require_unit_price(self.cost, ("cost",))
        if self.market_price is not None:
            market = require_unit_price(self.market_price, ("market_price",))
        return cost, market

    def _list_price(self, cost: Decimal | None) -> Decimal:
        if self.list_price is not None:
            price = require_unit_price(self.list_price, ("list_price",))
            if self.expected_profit is not None and (cost is None or cost + self.expected_profit != price):
                raise InvalidField(why="price, cost and expected profit do not add up", path=("expected_profit",))
            return price
        if self.expected_profit is None or not self.expected_profit.is_finite() or cost is None:
            raise InvalidField(why="give a price, or an expected profit with a cost", path=("list_price",))
        return require_unit_price(cost + self.expected_profit, ("expected_profit",))


def tier_below_cost(sku: Sku, store_id: UUID, list_price: Decimal, cost: Decimal) -> TierBelowCost | None:
    """Return the refusal of a list price at which holders of a tier would pay less than the cost."""
    for entry in sku.tiers_in(store_id).values():
        price = tier_amount(entry, list_price)
        if price < cost:
            return TierBelowCost(tier=entry.tier, price=price, cost=cost, path=("list_price",), ids=[sku.id])
    return None


def require_currency(sku: Sku, store: Store, given: str | None = None) -> None:
    """Refuse CurrencyMismatch unless the store, and the amounts given, are in the article's currency."""
    if store.currency != sku.currency:
        raise CurrencyMismatch(expected=sku.currency, given=store.currency, path=("store_id",), ids=[sku.id, store.id])
    if given is not None and given != sku.currency:
        raise CurrencyMismatch(expected=sku.currency, given=given, path=("currency",), ids=[sku.id])


def require_second_approver(work: UnitOfWork, store: Store, sku: Sku) -> None:
    """Refuse unless the actor may approve prices and is not the one who edited the article last."""
    if work.actor.role not in APPROVERS and work.actor.role not in (Role.SYSTEM, Role.PLATFORM):
        why = "a price outside cost and market is approved by an owner or a manager"
        raise NotAuthorised(why=why, path=("override_reason",), ids=[sku.id])
    rules = store.policy(SecondPerson, work.occurred_at)
    if rules.price_override and work.actor.id == sku.edited_by:
        raise SamePerson(actor=work.actor.id, path=("override_reason",), ids=[sku.id])


class TierPriceEntry(Part):
    """What holders of a tier pay: a price of its own, or a factor of the list price, never both."""

    tier: Annotated[Code, Meta(description="Name of the tier, as the store's membership policy has it.")]
    price: Annotated[Decimal | None, Meta(description="Price of one unit.")] = None
    factor: Annotated[Decimal | None, Meta(description="Part of the list price: 0.98 is 2 % off.")] = None


class SetTierPrices(Command):
    """Replace the prices that holders of tiers pay for an article in a store."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (TierUnknown, PriceMissing, BelowCost, CurrencyMismatch)

    sku_id: SkuId
    tiers: Annotated[
        tuple[TierPriceEntry, ...],
        Meta(max_length=50, description="A price or a factor per tier; an empty list ends them."),
    ]
    store_id: StoreId = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check each tier against the store's tiers, the list price and the cost."""
        sku, store = sku_and_store(work, self.sku_id, self.store_id)
        sku.require_status(SkuStatus.DRAFT, SkuStatus.REVIEW, SkuStatus.READY)
        require_currency(sku, store)
        list_price = sku.price_for(store.id, path=("sku_id",))
        priced = sku.price_in(store.id)
        guarded = store.policy(PriceGuard, work.occurred_at).cost_is_floor
        cost = priced.cost if guarded and priced is not None else None
        known = {tier.name for tier in store.policy(Membership, work.occurred_at).tiers}
        entries: dict[str, TierPrice] = {}
        for index, given in enumerate(self.tiers):
            path = ("tiers", index)
            if given.tier not in known or given.tier in entries:
                raise TierUnknown(tier=given.tier, known=", ".join(sorted(known - set(entries))), path=(*path, "tier"))
            entry = _tier_entry(given, path)
            price = tier_amount(entry, list_price)
            if cost is not None and price < cost:
                raise BelowCost(price=price, cost=cost, path=path, ids=[sku.id])
            entries[given.tier] = entry
        if sku.tier_prices.get(store.id, {}) != entries:
            sku.trigger_event(
                TierPricesSet,
                store_id=store.id,
                tiers=tuple(entries.values()),
                currency=sku.currency,
                editor=work.actor.id,
                occurred_at=work.occurred_at,
            )
        return sku.id


def _tier_entry(given: TierPriceEntry, path: tuple[str | int, ...]) -> TierPrice:
    if given.price is not None and given.factor is None:
        return TierPrice(tier=given.tier, price=require_unit_price(given.price, (*path, "price")))
    if given.factor is not None and given.price is None:
        factor = require_unit_price(given.factor, (*path, "factor"))
        if 0 < factor <= 1:
            return TierPrice(tier=given.tier, factor=factor)
    raise InvalidField(why="a tier has a price, or a factor above 0 and at most 1", path=path)


class SubmitSku(Command):
    """Ask for the review that an article needs before it is sold."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (ContentMissing, PriceMissing)

    sku_id: SkuId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it is described and priced. Prohibited goods that were passed before are submitted anew."""
        sku = work.sku(self.sku_id)
        if sku.status is SkuStatus.REVIEW:
            return sku.id  # Asked twice, recorded once.
        require_submittable(sku)
        sku.trigger_event(SkuSubmitted, submitter=work.actor.id, occurred_at=work.occurred_at)
        return sku.id


def require_submittable(sku: Sku) -> None:
    """Refuse unless it may go to review: WrongState, ContentMissing, PriceMissing."""
    if not (sku.status is SkuStatus.READY and sku.prohibited):
        sku.require_status(SkuStatus.DRAFT)
    require_content(sku)
    require_price(sku)


def require_price(sku: Sku) -> None:
    """Refuse PriceMissing unless it has a price in one store at least."""
    if not sku.prices:
        raise PriceMissing(code=sku.code, path=("sku_id",), ids=[sku.id])


def require_content(sku: Sku) -> None:
    """Refuse ContentMissing unless it is described completely in one language at least."""
    lacking = [_missing_parts(content) for content in sku.contents.values()] or [["title", *_CONTENT_PARTS]]
    missing = min(lacking, key=len)
    if missing:
        raise ContentMissing(code=sku.code, parts=", ".join(missing), path=("sku_id",), ids=[sku.id])


_CONTENT_PARTS = ("description", "specification", "images", "after_sale_text")


def _missing_parts(content: Content) -> list[str]:
    return [part for part in _CONTENT_PARTS if not getattr(content, part)]


class PassSkuReview(Command):
    """Find an article fit for sale, as a second person."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SamePerson,)

    sku_id: SkuId

    def decide(self, work: UnitOfWork) -> UUID:
        """Let it be listed from now on."""
        sku = reviewed_sku(work, self.sku_id)
        sku.trigger_event(SkuReviewPassed, reviewer=work.actor.id, occurred_at=work.occurred_at)
        return sku.id


class FailSkuReview(Command):
    """Send an article back with reasons, as a second person."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SamePerson,)

    sku_id: SkuId
    reasons: Annotated[tuple[Reason, ...], Meta(min_length=1, max_length=20, description="What has to be mended.")]
    prohibited: Annotated[bool, Meta(description="Whether these goods may not be sold at all.")] = False

    def decide(self, work: UnitOfWork) -> UUID:
        """Make it a draft again."""
        sku = reviewed_sku(work, self.sku_id)
        sku.trigger_event(
            SkuReviewFailed,
            reviewer=work.actor.id,
            reasons=self.reasons,
            prohibited=self.prohibited,
            occurred_at=work.occurred_at,
        )
        return sku.id


def reviewed_sku(work: UnitOfWork, sku_id: UUID) -> Sku:
    """Return an article under review that the actor may decide on. Refuses WrongState, SamePerson."""
    sku = work.sku(sku_id)
    require_reviewable(sku, work.store(sku.store_id), work.actor.id, work.occurred_at)
    return sku


def require_reviewable(sku: Sku, store: Store, reviewer: str, at: datetime) -> None:
    """Refuse WrongState unless it is under review, SamePerson for who worked on it where a second person is asked."""
    sku.require_status(SkuStatus.REVIEW)
    if store.policy(SecondPerson, at).sku_review and reviewer in (sku.submitted_by, sku.edited_by):
        raise SamePerson(actor=reviewer, path=("sku_id",), ids=[sku.id])


class ListSku(Command):
    """Put an article on sale in a store."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS | {Role.SERVICE}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        ProhibitedGoods,
        ContentMissing,
        PriceMissing,
        NoSellableStock,
        StoreNotOpen,
        DocumentMissing,
        DocumentExpired,
        CategoryOutOfScope,
        LicenceMissing,
        BrandNotAuthorised,
        CurrencyMismatch,
    )

    sku_id: SkuId
    store_id: StoreId = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the article, its stock in the store's open locations, the store and the store's documents."""
        sku, store = sku_and_store(work, self.sku_id, self.store_id)
        listing = sku.listings.get(store.id)
        if listing is not None and listing.listed:
            return sku.id  # Asked twice, recorded once.
        require_fit_for_sale(sku)
        store.require_open(path=("store_id",))
        require_currency(sku, store)
        require_content(sku)
        sku.price_for(store.id, path=("sku_id",))
        store.require_may_list(sku.category, sku.brand, work.occurred_at, path=("store_id",))
        levels = [sku.level_at(location_id) for location_id in store.open_location_ids]
        if sku.mode is FulfilmentMode.STOCKED and not any(level.sellable + level.allocated for level in levels):
            raise NoSellableStock(code=sku.code, path=("sku_id",), ids=[sku.id])
        sku.trigger_event(SkuListed, store_id=store.id, occurred_at=work.occurred_at)
        return sku.id


def require_fit_for_sale(sku: Sku) -> None:
    """Refuse unless it was reviewed and is not prohibited: WrongState, ProhibitedGoods."""
    sku.require_status(SkuStatus.READY)
    sku.require_allowed(("sku_id",))


_BY_CHOICE = frozenset({DelistReason.MANUAL, DelistReason.SEASON, DelistReason.SUPPLIER})
"""Reasons that can wait until a running campaign is over."""


class DelistSku(Command):
    """Take an article off sale in a store. At zero stock this happens by itself."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS | {Role.SERVICE}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SkuNotListed, InLiveCampaign)

    sku_id: SkuId
    reason: Annotated[DelistReason, Meta(description="Why; compliance and recall go through during a campaign too.")]
    store_id: StoreId = None
    note: Annotated[Text | None, Meta(description="More about the reason.")] = None
    prohibited: Annotated[
        bool,
        Meta(
            description="Whether these goods may not be sold at all: they go off sale in every store, and listing then "
            "needs a new review."
        ),
    ] = False

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that no campaign sells it here now, unless the reason cannot wait."""
        sku, store = sku_and_store(work, self.sku_id, self.store_id)
        listing = sku.listings.get(store.id)
        if listing is None:
            raise SkuNotListed(code=sku.code, path=("sku_id",), ids=[sku.id])
        if self.prohibited and self.reason in _BY_CHOICE | {DelistReason.OUT_OF_STOCK}:
            raise InvalidField(why="goods are prohibited for compliance or by a recall", path=("prohibited",))
        # Sold out before, and now to stay away for another reason: it must not come back with the next delivery.
        graver = listing.reason is DelistReason.OUT_OF_STOCK and self.reason is not DelistReason.OUT_OF_STOCK
        if not listing.listed and not graver and (sku.prohibited or not self.prohibited):
            return sku.id  # Asked twice, recorded once.
        if self.reason in _BY_CHOICE:
            for campaign in self._campaigns_with(work, sku, store.id):
                if campaign.status is CampaignStatus.LIVE and store.id in campaign.store_ids:
                    raise InLiveCampaign(code=sku.code, campaign=campaign.name, ids=[sku.id, campaign.id])
        others = [store_id for store_id, each in sku.listings.items() if each.listed] if self.prohibited else []
        for store_id in dict.fromkeys((store.id, *others)):
            sku.trigger_event(
                SkuDelisted,
                store_id=store_id,
                reason=self.reason,
                note=self.note,
                prohibited=self.prohibited,
                occurred_at=work.occurred_at,
            )
        return sku.id

    @staticmethod
    def _campaigns_with(work: UnitOfWork, sku: Sku, store_id: UUID) -> list[Campaign]:
        """Return the campaigns that hold stock of it, a platform's too, and the store's own that sell it without."""
        holding = (work.find(Campaign, campaign_id) for campaign_id in sku.allocations)
        return [
            *(campaign for campaign in holding if campaign is not None),
            *(campaign for campaign in own_campaigns(work, [store_id]) if sku.id in campaign.lines),
        ]


class RetireSku(Command):
    """End the life of an article that is off sale, sold out and promised to nobody."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (StockLeft, OpenReservations, PurchasesOpen)

    sku_id: SkuId
    reason: Annotated[Reason | None, Meta(description="Why it ends.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check listings, stock and reservations."""
        sku = work.sku(self.sku_id)
        if sku.status is SkuStatus.RETIRED:
            return sku.id  # Asked twice, recorded once.
        require_unneeded(sku)
        sku.trigger_event(SkuRetired, reason=self.reason, occurred_at=work.occurred_at)
        return sku.id


def require_unneeded(sku: Sku) -> None:
    """Refuse while it is on sale, promised, on order or in stock.

    Refuses: WrongState, OpenReservations, PurchasesOpen, StockLeft.
    """
    if any(listing.listed for listing in sku.listings.values()):
        raise WrongState(what=sku.code, state="listed", needed="delisted in every store", ids=[sku.id])
    if sku.reservations:
        raise OpenReservations(code=sku.code, count=len(sku.reservations), path=("sku_id",), ids=[sku.id])
    if coming := on_order(sku):
        raise PurchasesOpen(code=sku.code, quantity=plain(coming), path=("sku_id",), ids=[sku.id])
    left = sku.on_hand + sum((transfer.quantity for transfer in sku.transfers.values()), ZERO)
    if left:
        raise StockLeft(code=sku.code, quantity=plain(left), path=("sku_id",), ids=[sku.id])


class SetStockPolicy(Command):
    """Say when an article counts as low or as too much, and how long its stock should last."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = EDITORS | {Role.WAREHOUSE}
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (LowAboveHigh,)

    sku_id: SkuId
    low_line: Annotated[Decimal | None, Meta(description="Sinking to this many sellable units raises an alert.")] = None
    high_line: Annotated[Decimal | None, Meta(description="More units than this are too many.")] = None
    cover_days: Annotated[Days | None, Meta(description="Days of sales that stock should cover.")] = None
    stock_class: Annotated[Code | None, Meta(description="Class of articles with the same stock rules.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Record the policy unless it is in force already."""
        sku = work.sku(self.sku_id)
        sku.require_status(SkuStatus.DRAFT, SkuStatus.REVIEW, SkuStatus.READY)
        low = None if self.low_line is None else sku.require_quantity(self.low_line, ("low_line",), zero=True)
        high = None if self.high_line is None else sku.require_quantity(self.high_line, ("high_line",), zero=True)
        if low is not None and high is not None and low > high:
            raise LowAboveHigh(low=low, high=high, path=("low_line",), ids=[sku.id])
        if sku.stock_policy != StockPolicy(low, high, self.cover_days, self.stock_class):
            sku.trigger_event(
                StockPolicySet,
                low_line=low,
                high_line=high,
                cover_days=self.cover_days,
                stock_class=self.stock_class,
                occurred_at=work.occurred_at,
            )
        return sku.id
