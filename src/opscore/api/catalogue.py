"""What a store has on sale: which articles, whether they can be bought now, at which list price; how many of each kind.

Everything is read from the directory, which `atLeast` waits for; only what is asked of an article beyond a row of it is
folded from the log, all at once.
"""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import strawberry

from opscore.api import reads
from opscore.api.arguments import After, AtLeast, Before, ContextInfo, First, Last, few, stores
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import BadInput, Forbidden
from opscore.api.figures import reading
from opscore.api.filters import (
    DecimalFilter,
    Direction,
    Filter,
    IdFilter,
    TextFilter,
    TimeFilter,
    condition,
    either,
    every,
    on,
    without,
)
from opscore.api.lists import Listing, PageArguments, listed, refuse_hidden, rows_of
from opscore.api.money import UnitPrice, unit_price_or_none
from opscore.api.nodes import gid
from opscore.api.paging import Connection
from opscore.api.reviews import SkuRating, ratings
from opscore.api.selected import Selected, selected_of
from opscore.api.skus import Sku, sku_view
from opscore.domain import sku as domain
from opscore.domain.command import Role
from opscore.domain.sku_events import FulfilmentMode
from opscore.permissions import may_see_field
from opscore.projector.lists import Column, Compare, Condition, Every, Facets, Operator

BANDS_MAX = 20
PRICE = "CatalogueItem.listPrice"
"""The field that shows a price, by which it is decided who may ask about prices."""


class Availability(enum.StrEnum):
    """Whether an article can be bought in a store now."""

    IN_STOCK = "in_stock"
    """Open stock of the store holds at least as much of it as an order has to be for."""
    TO_ORDER = "to_order"
    """It has no stock of its own: once sold, the goods come from elsewhere, or are made or done."""
    CAMPAIGN_ONLY = "campaign_only"
    """What the store has left of it is set apart for campaigns."""
    SOLD_OUT = "sold_out"
    """Too little is left of it, or it is off sale because nothing was left."""


expose(Availability)
expose(FulfilmentMode)


@strawberry.type(description="An article as a store sells it.")
class CatalogueItem:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    code: str = strawberry.field(description="The operator's own code of it.")
    name: str = strawberry.field(description="What it is called inside the operation.")
    brand: str | None = strawberry.field(description="Its brand.")
    category: str = strawberry.field(description="Its category.")
    mode: FulfilmentMode = strawberry.field(description="Where the goods come from once sold.")
    availability: Availability = strawberry.field(description="Whether it can be bought in this store now.")
    on_sale: bool = strawberry.field(
        description="Whether it is on sale in this store; false once it was taken off because nothing was left."
    )
    list_price: UnitPrice | None = strawberry.field(
        description="What a buyer pays for one in this store without any offer: neither campaigns nor tiers nor "
        "coupons are in it. Null for roles that see no prices."
    )
    rating: SkuRating | None = strawberry.field(
        description="What buyers think of it in this store, now; null where nobody reviewed it."
    )
    sku: Sku | None = strawberry.field(description="All of it, as by its id; null once it has gone out of sight.")


@strawberry.input(description="Which articles of a store; all that is given has to hold.")
class CatalogueItemFilter:
    and_: list[CatalogueItemFilter] | None = every()
    or_: list[CatalogueItemFilter] | None = either()
    not_: CatalogueItemFilter | None = without()
    sku_id: IdFilter | None = on("sku_id", "The article.", of="Sku")
    code: TextFilter | None = on("code", "The operator's own code.")
    name: TextFilter | None = on("name", "What it is called inside the operation.")
    brand: TextFilter | None = on("brand", "Its brand.")
    category: TextFilter | None = on("category", "Its category.")
    mode: Filter[FulfilmentMode] | None = on("mode", "Where the goods come from once sold.")
    availability: Filter[Availability] | None = on("availability", "Whether it can be bought now.")
    on_sale: bool | None = on("on_sale", "Whether it is on sale.")
    list_price: DecimalFilter | None = on(
        "list_price", "Its list price in this store, in main units of the store's currency.", shown_as=PRICE
    )
    season_end: TimeFilter | None = on("season_end", "When its season ends.")
    registered_at: TimeFilter | None = on("registered_at", "When it was registered.")


class CatalogueItemSortKey(enum.StrEnum):
    """What the articles of a store are sorted by."""

    REGISTERED_AT = "registered_at"
    """When they were registered."""
    LIST_PRICE = "list_price"
    """Their list prices in this store; those without one come last."""
    NAME = "name"
    """Their names, character by character."""
    CODE = "code"
    """Their codes, character by character."""


expose(CatalogueItemSortKey)


@strawberry.input(description="How the articles of a store are sorted; of two that are equal, their ids decide.")
class CatalogueItemSort:
    by: CatalogueItemSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


CATALOGUE = Listing(
    "directory",
    "catalogue_rows",
    (Column("sku_id", "uuid"),),
    {
        CatalogueItemSortKey.REGISTERED_AT: Column("registered_at", "timestamptz"),
        CatalogueItemSortKey.LIST_PRICE: Column("list_price", "numeric", nullable=True),
        CatalogueItemSortKey.NAME: Column("name", "text"),
        CatalogueItemSortKey.CODE: Column("code", "text"),
    },
    (CatalogueItemSortKey.REGISTERED_AT, Direction.DESC),
    {CatalogueItemSortKey.LIST_PRICE: PRICE},
)


@strawberry.type(description="How many articles have one value.")
class FacetCount:
    value: str | None = strawberry.field(description="The value; null for those that have none.")
    articles: int = strawberry.field(description="How many.")


@strawberry.type(description="How many articles can be bought in one way, or in none.")
class AvailabilityCount:
    availability: Availability = strawberry.field(description="Whether they can be bought now.")
    articles: int = strawberry.field(description="How many.")


@strawberry.type(description="How many articles have a list price from one bound to the next.")
class PriceBand:
    from_: Decimal | None = strawberry.field(name="from", description="This much or more; null for the first band.")
    below: Decimal | None = strawberry.field(description="Less than this; null for the last band.")
    articles: int = strawberry.field(description="How many.")


@strawberry.type(
    description="How many articles of a store a filter finds, in all and by what they are; of equal counts the first "
    "of the alphabet comes first."
)
class CatalogueFacets:
    articles: int = strawberry.field(description="How many in all.")
    brands: list[FacetCount] = strawberry.field(description="By brand, the most frequent first.")
    categories: list[FacetCount] = strawberry.field(description="By category, the most frequent first.")
    availabilities: list[AvailabilityCount] = strawberry.field(
        description="By whether they can be bought now, the most frequent first."
    )
    price_bands: list[PriceBand] = strawberry.field(
        description="By list price, the least first, with a band for each part that the bounds make; empty without "
        "bounds."
    )
    least_price: UnitPrice | None = strawberry.field(
        description="The least list price; null without any, and for roles that see no prices."
    )
    greatest_price: UnitPrice | None = strawberry.field(
        description="The greatest list price; null without any, and for roles that see no prices."
    )


_BRAND, _CATEGORY, _AVAILABILITY = (Column(name, "text") for name in ("brand", "category", "availability"))
_LIST_PRICE, _CURRENCY = Column("list_price", "numeric"), Column("currency", "text")
_FACETS = {"brands": _BRAND, "categories": _CATEGORY, "availabilities": _AVAILABILITY}


class Shelf(NamedTuple):
    """Which articles of which store are asked for."""

    store_id: strawberry.ID
    filter_: CatalogueItemFilter | None
    at_least: int | None


def _condition(context: Context, shelf: Shelf) -> Condition:
    """Return what is to hold of the rows; buyers see what is on sale, as `Sku.offered_in` says of each by itself."""
    role = context.viewer.role
    wanted = condition(shelf.filter_, role)
    if role is not Role.CUSTOMER:
        return wanted
    return Every((Compare(Column("on_sale", "boolean"), Operator.IS_IN, [True]), wanted))


def _page(
    context: Context, shelf: Shelf, sort: CatalogueItemSort | None, arguments: PageArguments, wanted: Selected
) -> Any:
    """Return a page of what a store sells, in a fixed number of statements (blocking)."""
    role = context.viewer.role
    refuse_hidden(role, CATALOGUE, sort)
    store_ids = stores(context, [shelf.store_id])
    page = listed(
        CATALOGUE,
        _condition(context, shelf),
        sort,
        arguments,
        counted="totalCount" in wanted,
        scope=shelf.store_id,
    )
    rows, total = rows_of(context, page, store_ids=store_ids, at_least=shelf.at_least)
    skus: dict[Any, domain.Sku] = {}
    of_node = wanted.of_rows()
    sku_ids = [row["sku_id"] for row in page.cut(rows)]
    if "sku" in of_node:
        skus = reads.many(context, domain.Sku, sku_ids)
    rated: dict[Any, SkuRating] = {}
    if "rating" in of_node and sku_ids:
        rated = {each.sku_id: each for each in ratings(context, sku_ids, store_ids, shelf.at_least)}
    priced = may_see_field(role, PRICE)

    def item(row: dict[str, Any]) -> CatalogueItem:
        sku = skus.get(row["sku_id"])
        return CatalogueItem(
            sku_id=gid("Sku", row["sku_id"]),
            code=row["code"],
            name=row["name"],
            brand=row["brand"],
            category=row["category"],
            mode=FulfilmentMode(row["mode"]),
            availability=Availability(row["availability"]),
            on_sale=row["on_sale"],
            list_price=unit_price_or_none(row["list_price"] if priced else None, row["currency"]),
            rating=rated.get(gid("Sku", row["sku_id"])),
            sku=None if sku is None else sku_view(sku, context),
        )

    return page.connection(rows, item, total, edges="edges" in wanted)


def _facets(context: Context, shelf: Shelf, bounds: Sequence[Decimal], most: int, wanted: Selected) -> CatalogueFacets:
    """Return what a filter finds, counted, in one statement (blocking)."""
    priced = may_see_field(context.viewer.role, PRICE)
    if bounds and not priced:
        raise Forbidden(f"Your role ({context.viewer.role}) does not see {PRICE}, and may not count by it.")
    by = tuple(column for name, column in _FACETS.items() if name in wanted)
    # A store has one currency, and so has what it sells.
    shape = Facets(
        _condition(context, shelf), by, most, (_LIST_PRICE, _CURRENCY), _LIST_PRICE if bounds else None, tuple(bounds)
    )
    rows = reading(
        context,
        CATALOGUE.projection,
        lambda ask: ask(CATALOGUE.query, {}, shape),
        store_ids=stores(context, [shelf.store_id]),
        at_least=shelf.at_least,
    )
    counts: dict[str | None, dict[Any, int]] = {}
    for row in rows:
        counts.setdefault(row["facet"], {})[row["value"]] = row["rows"]
    [whole] = (row for row in rows if row["facet"] is None)

    def values(column: Column) -> list[FacetCount]:
        found = counts.get(column.name, {})
        return [FacetCount(value=value, articles=articles) for value, articles in found.items()]

    def price(end: str) -> UnitPrice | None:
        return unit_price_or_none(whole[f"{end}_list_price"] if priced else None, whole["least_currency"])

    bands, ends = counts.get(Facets.BAND, {}), [None, *bounds, None]
    return CatalogueFacets(
        articles=whole["rows"],
        brands=values(_BRAND),
        categories=values(_CATEGORY),
        availabilities=[
            AvailabilityCount(availability=Availability(value), articles=articles)
            for value, articles in counts.get(_AVAILABILITY.name, {}).items()
        ],
        price_bands=[
            PriceBand(from_=low, below=high, articles=bands.get(str(place), 0))
            for place, (low, high) in enumerate(itertools.pairwise(ends))
            if bounds
        ],
        least_price=price("least"),
        greatest_price=price("greatest"),
    )


_StoreId = Annotated[strawberry.ID, strawberry.argument(description="The store.")]


@strawberry.type
class CatalogueQueries:
    """What a store sells."""

    @strawberry.field(
        description="What a store sells, newest first unless sorted: the articles that are on sale in it, and those "
        "that were taken off because nothing was left. A customer sees those that are on sale. Prices are list prices "
        "in the store's currency; what a cart costs with every offer is said by `priceCart`."
    )
    async def catalogue(
        self,
        info: ContextInfo,
        store_id: _StoreId,
        filter: Annotated[
            CatalogueItemFilter | None, strawberry.argument(description="Which articles; all if left out.")
        ] = None,
        sort: Annotated[
            CatalogueItemSort | None, strawberry.argument(description="In which order; newest first if left out.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[CatalogueItem]:
        context = info.context
        shelf, page = Shelf(store_id, filter, at_least), PageArguments(first, after, last, before)
        found: Connection[CatalogueItem] = await context.services.read(
            _page, context, shelf, sort, page, selected_of(info)
        )
        return found

    @strawberry.field(
        description="How many articles of a store a filter finds, in all and by brand, category, availability and "
        "price, as `catalogue` lists them. Every count is under the whole filter: to count what else could be chosen "
        "of a kind, ask again under another alias with that kind left out of the filter."
    )
    async def catalogue_facets(
        self,
        info: ContextInfo,
        store_id: _StoreId,
        filter: Annotated[
            CatalogueItemFilter | None, strawberry.argument(description="Which articles; all if left out.")
        ] = None,
        price_bounds: Annotated[
            list[Decimal] | None,
            strawberry.argument(
                description="Where one price band ends and the next begins, in main units of the store's currency, "
                f"ascending; at most {BANDS_MAX}."
            ),
        ] = None,
        first: Annotated[
            int, strawberry.argument(description="How many values of each kind, the most frequent ones, 1 to 100.")
        ] = 20,
        at_least: AtLeast = None,
    ) -> CatalogueFacets:
        context = info.context
        bounds = price_bounds or []
        if len(bounds) > BANDS_MAX:
            raise BadInput(f"Give at most {BANDS_MAX} price bounds.")
        if any(low >= high for low, high in itertools.pairwise(bounds)):
            raise BadInput("Give the price bounds in ascending order, each once.")
        shelf = Shelf(store_id, filter, at_least)
        return await context.services.read(_facets, context, shelf, bounds, few(first), selected_of(info))
