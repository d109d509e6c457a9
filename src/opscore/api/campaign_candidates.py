"""What a store may put into its next campaign: heroes first, then what sells best, is cheapest or lies longest."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.arguments import AtLeast, ContextInfo, few
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.figures import ask
from opscore.api.ids import key_of
from opscore.api.kpis import broken_down, position_reached, rests_on
from opscore.api.money import UnitPrice, unit_price, unit_price_or_none
from opscore.api.nodes import gid
from opscore.domain.store import Store
from opscore.domain.store_plan_state import heroes_on
from opscore.kpis import RATIO_PLACES, Asked, KpiGrain, rounded
from opscore.sqlfiles import load

SQL = load(__file__, "campaign_candidates.sql")

SOLD_DAYS = 28
"""Units sold and days of cover are of so many days, today included: as K052 wants to be asked."""
FIGURES = ("K022", "K050", "K052")
"""The key figures of each article that a candidate shows; `explainKpi` opens them."""


class CandidateOrder(enum.StrEnum):
    """Which articles come first, after the heroes."""

    BEST_SELLING = "best_selling"
    """Those of which most units were sold."""
    DEEPEST_CUT = "deepest_cut"
    """Those whose price is furthest below what others ask, by its share of that."""
    STOCK_PRESSURE = "stock_pressure"
    """Those whose stock lasts longest; before all others what is in stock and was not sold at all."""


expose(CandidateOrder)


@strawberry.type(description="An article on sale in a store that may go into a campaign.")
class CampaignCandidate:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    hero: bool = strawberry.field(description="Whether it is one of the store's hero articles today.")
    units: Decimal = strawberry.field(description="Units sold in the 28 days that end today (K022).")
    list_price: UnitPrice = strawberry.field(description="What a buyer pays for one without any offer.")
    market_price: UnitPrice | None = strawberry.field(description="What others ask for one; null where nobody said.")
    cut: Decimal | None = strawberry.field(
        description="Which part of the market price the list price is below it: 0.1 is 10 %; negative above it."
    )
    sellable: Decimal = strawberry.field(description="Units that could be sold today (K050).")
    cover_days: Decimal | None = strawberry.field(
        description="For how many days they last at the sales of the 28 days (K052); null where none was sold: "
        "for ever, if there are any."
    )


@strawberry.type
class CandidateQueries:
    """Questions about what may go into campaigns."""

    @strawberry.field(
        description="The articles that a store has on sale, for its next campaign: the hero articles of today before "
        "all others, and among both those first that are asked for. Of equal ones the lower code comes first; what is "
        "not known comes last. Empty for a store that the token may not see."
    )
    async def campaign_candidates(
        self,
        info: ContextInfo,
        store_id: Annotated[strawberry.ID, strawberry.argument(description="The store.")],
        by: Annotated[CandidateOrder, strawberry.argument(description="Which come first, after the heroes.")],
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 20,
        at_least: AtLeast = None,
    ) -> list[CampaignCandidate]:
        context, limit = info.context, few(first)
        return await context.services.read(candidates, context, key_of(store_id, "Store"), by, limit, at_least)


@dataclass(frozen=True, slots=True)
class _Article:
    """What is known of an article on sale; cover_days: None where none was sold."""

    sku_id: UUID
    code: str
    name: str
    currency: str
    hero: bool
    list_price: Decimal
    market_price: Decimal | None
    units: Fraction
    sellable: Fraction
    cover_days: Fraction | None

    @property
    def cut(self) -> Fraction | None:
        """The part of the market price that the list price is below it; None without a market price."""
        if not self.market_price:
            return None
        return 1 - Fraction(self.list_price) / Fraction(self.market_price)

    def rank(self, by: CandidateOrder) -> tuple[Any, ...]:
        """Return where it stands: what compares lower comes first."""
        match by:
            case CandidateOrder.BEST_SELLING:
                worth = (False, -self.units)
            case CandidateOrder.DEEPEST_CUT:
                worth = (self.cut is None, -(self.cut or Fraction(0)))
            case CandidateOrder.STOCK_PRESSURE:
                # Of what was not sold at all more units press more; what is sold out presses nobody.
                idle = self.cover_days is None and self.sellable > 0
                worth = (not idle, -self.sellable if idle else -(self.cover_days or Fraction(0)))
        return (not self.hero, *worth, self.code, self.sku_id)


def candidates(
    context: Context, store_id: UUID, by: CandidateOrder, limit: int, at_least: int | None
) -> list[CampaignCandidate]:
    """Return what a store has on sale, the candidates that come first (blocking)."""
    position_reached(context, {"directory", *rests_on(FIGURES)}, at_least)
    store = reads.one(context, Store, store_id)
    if store is None:
        return []
    articles = _on_sale(context, store, datetime.now(UTC))
    return [_shown(each) for each in sorted(articles, key=lambda each: each.rank(by))[:limit]]


def _on_sale(context: Context, store: Store, now: datetime) -> list[_Article]:
    shelves = [
        row
        for row in ask(context, "directory", "catalogue_rows", {}, store_ids=[store.id], at_least=None)
        if row["on_sale"]
    ]
    heroes = heroes_on(store.plans, store.local_date(now))
    prices = _prices(context, store, [row["sku_id"] for row in shelves])
    units, sellable, cover = (by_article(context, store, code, now) for code in FIGURES)
    return [
        _Article(
            sku_id=row["sku_id"],
            code=row["code"],
            name=row["name"],
            currency=row["currency"],
            hero=row["sku_id"] in heroes,
            list_price=prices[row["sku_id"]][0],
            market_price=prices[row["sku_id"]][1],
            units=units.get(row["sku_id"]) or Fraction(0),
            sellable=sellable.get(row["sku_id"]) or Fraction(0),
            cover_days=cover.get(row["sku_id"]),
        )
        for row in shelves
        if row["sku_id"] in prices
    ]


def _prices(context: Context, store: Store, sku_ids: Sequence[UUID]) -> dict[UUID, tuple[Decimal, Decimal | None]]:
    """Return list and market price of each article from the log: no read model has what others ask."""
    with context.services.database.pool.connection() as connection:
        rows = connection.execute(SQL["prices"], {"sku_ids": list(sku_ids), "store_id": store.id}).fetchall()
    return {sku_id: (list_price, market_price) for sku_id, list_price, market_price in rows}


def by_article(context: Context, store: Store, code: str, now: datetime) -> dict[UUID, Fraction | None]:
    """Return a key figure of the days that end today in the store's calendar, article by article."""
    today = store.local_date(now)
    asked = Asked(
        from_day=today - timedelta(days=SOLD_DAYS - 1),
        to_day=today,
        grain=KpiGrain.TOTAL,
        store_ids=[store.id],
        now=now,
        by="sku",
    )
    cells = broken_down(context, code, asked)
    return {UUID(key[3]): cell.value for key, cell in cells.items() if key[3]}


def _shown(article: _Article) -> CampaignCandidate:
    cut, cover_days = article.cut, article.cover_days
    return CampaignCandidate(
        sku_id=gid("Sku", article.sku_id),
        sku_code=article.code,
        name=article.name,
        hero=article.hero,
        units=rounded(article.units, RATIO_PLACES),
        list_price=unit_price(article.list_price, article.currency),
        market_price=unit_price_or_none(article.market_price, article.currency),
        cut=None if cut is None else rounded(cut, RATIO_PLACES),
        sellable=rounded(article.sellable, RATIO_PLACES),
        cover_days=None if cover_days is None else rounded(cover_days, RATIO_PLACES),
    )
