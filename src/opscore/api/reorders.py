"""What a store should buy: how much of each article is missing until so many days are covered, most urgent first."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api import reads
from opscore.api.arguments import AtLeast, ContextInfo, few
from opscore.api.campaign_candidates import SOLD_DAYS, by_article
from opscore.api.context import Context
from opscore.api.errors import BadInput
from opscore.api.figures import ask
from opscore.api.ids import key_of
from opscore.api.kpis import position_reached, rests_on
from opscore.api.money import UnitPrice, unit_price
from opscore.api.nodes import gid
from opscore.domain.sku import Sku
from opscore.domain.sku_purchases import cheapest
from opscore.domain.store import Store
from opscore.domain.values import plain
from opscore.kpis import RATIO_PLACES, rounded

FIGURES = ("K022", "K050")
"""The key figures of each article that a proposal goes by; `explainKpi` opens them."""
DAYS_MAX = 365


@strawberry.type(description="The cheapest offer for what is proposed, of an active supplier and valid today.")
class ReorderQuote:
    supplier_id: UUID = strawberry.field(description="Whose it is; `orderPurchase` takes it.")
    unit_cost: UnitPrice = strawberry.field(description="What one costs.")
    valid_until: date | None = strawberry.field(description="Until when it holds; null: until it is replaced.")


@strawberry.type(description="So much of an article should be bought, and why.")
class ReorderProposal:
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    sku_code: str = strawberry.field(description="Its code.")
    name: str = strawberry.field(description="Its name.")
    unit: str = strawberry.field(description="What one of it is.")
    quantity: Decimal = strawberry.field(
        description="How much: what is sold in coverDays and leadDays, at least the low line, less what is sellable "
        "and on order; rounded up to what its quantities allow."
    )
    sold_per_day: Decimal = strawberry.field(description="Units sold a day, over the 28 days that end today (K022).")
    sellable: Decimal = strawberry.field(description="Units that could be sold today (K050).")
    on_order: Decimal = strawberry.field(description="Units that are ordered and still to come.")
    due_on: date | None = strawberry.field(description="When the first of them are due; null where none are ordered.")
    lasts_days: Decimal | None = strawberry.field(
        description="For how many days what is sellable lasts; null where none was sold."
    )
    cover_days: int = strawberry.field(
        description="For how many days it is to last: as its stock policy says (`setStockPolicy`), else as asked."
    )
    lead_days: int = strawberry.field(
        description="How many days it takes to come: the mean of its purchases that have come in whole, rounded up, "
        "else as asked."
    )
    low_line: Decimal | None = strawberry.field(description="At how many sellable units it is low; null: never.")
    quote: ReorderQuote | None = strawberry.field(description="The cheapest offer; null where there is none.")


Days = Annotated[int, strawberry.argument(description=f"For articles that say nothing else; 0 to {DAYS_MAX}.")]


@strawberry.type
class ReorderQueries:
    """Questions about what should be bought."""

    @strawberry.field(
        description="What a store should buy of the articles that it is the home of and keeps in stock, what runs out "
        "first before all others. Nothing is ordered by it. Empty for a store that the token may not see."
    )
    async def reorder_proposals(
        self,
        info: ContextInfo,
        store_id: Annotated[strawberry.ID, strawberry.argument(description="The store.")],
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 20,
        cover_days: Days = 30,
        lead_days: Days = 7,
        at_least: AtLeast = None,
    ) -> list[ReorderProposal]:
        context, limit = info.context, few(first)
        if not (0 <= cover_days <= DAYS_MAX and 0 <= lead_days <= DAYS_MAX):
            raise BadInput(f"Cover and wait for 0 to {DAYS_MAX} days, not for {cover_days} and {lead_days}.")
        return await context.services.read(
            _proposals, context, key_of(store_id, "Store"), limit, cover_days, lead_days, at_least
        )


@dataclass(frozen=True, slots=True)
class _Need:
    """What is missing of an article. row: of `reorder_rows`."""

    row: dict[str, Any]
    per_day: Fraction
    sellable: Fraction
    cover_days: int
    lead_days: int

    @property
    def quantity(self) -> Decimal:
        """How much to buy, rounded up to the article's decimal places; 0 or less where there is enough."""
        wanted = max(self.per_day * (self.cover_days + self.lead_days), Fraction(self.row["low_line"] or 0))
        missing = wanted - self.sellable - Fraction(self.row["on_order"])
        return Decimal(ceil(missing * 10 ** self.row["places"])).scaleb(-self.row["places"])

    @property
    def lasts_days(self) -> Fraction | None:
        """For how many days the sellable units last; None where none was sold."""
        return self.sellable / self.per_day if self.per_day > 0 else None

    @property
    def rank(self) -> tuple[Any, ...]:
        """Where it stands: what compares lower comes first."""
        lasts = self.lasts_days
        return (lasts is None, lasts or Fraction(0), self.row["sku_code"], self.row["sku_id"])


def _proposals(
    context: Context, store_id: UUID, limit: int, cover_days: int, lead_days: int, at_least: int | None
) -> list[ReorderProposal]:
    """Return what a store should buy, most urgent first (blocking)."""
    position_reached(context, {"purchasing", *rests_on(FIGURES)}, at_least)
    store = reads.one(context, Store, store_id)
    if store is None:
        return []
    now = datetime.now(UTC)
    units, sellable = (by_article(context, store, code, now) for code in FIGURES)
    nothing = Fraction(0)
    needs = [
        _Need(
            row=row,
            per_day=max(units.get(row["sku_id"]) or nothing, nothing) / SOLD_DAYS,
            sellable=sellable.get(row["sku_id"]) or nothing,
            cover_days=cover_days if row["cover_days"] is None else row["cover_days"],
            lead_days=lead_days if row["lead_days"] is None else row["lead_days"],
        )
        for row in ask(context, "purchasing", "reorder_rows", {}, store_ids=[store.id])
    ]
    wanted = sorted((each for each in needs if each.quantity > 0), key=lambda each: each.rank)[:limit]
    articles = reads.many(context, Sku, [each.row["sku_id"] for each in wanted])
    today = store.local_date(now)
    return [_shown(each, store, articles[each.row["sku_id"]], today) for each in wanted]


def _shown(need: _Need, store: Store, article: Sku, today: date) -> ReorderProposal:
    row, lasts = need.row, need.lasts_days
    offer = cheapest(article, store, need.quantity, today)
    return ReorderProposal(
        sku_id=gid("Sku", row["sku_id"]),
        sku_code=row["sku_code"],
        name=row["name"],
        unit=row["unit"],
        quantity=plain(need.quantity),
        sold_per_day=rounded(need.per_day, RATIO_PLACES),
        sellable=rounded(need.sellable, RATIO_PLACES),
        on_order=plain(row["on_order"]),
        due_on=row["due_on"],
        lasts_days=None if lasts is None else rounded(lasts, RATIO_PLACES),
        cover_days=need.cover_days,
        lead_days=need.lead_days,
        low_line=None if row["low_line"] is None else plain(row["low_line"]),
        quote=None
        if offer is None
        else ReorderQuote(
            supplier_id=offer.supplier_id,
            unit_cost=unit_price(offer.unit_cost, article.currency),
            valid_until=offer.valid_until,
        ),
    )
