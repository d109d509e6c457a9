"""Arguments that several questions share, each described once."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry.types import Info

from opscore.api.context import Context
from opscore.api.errors import BadInput, PageSize
from opscore.api.ids import key_of
from opscore.api.scalars import Position
from opscore.api.sizing import PAGE_MAX

ContextInfo = Info[Context, None]

First = Annotated[int | None, strawberry.argument(description="The first rows of the list, 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="Only rows behind this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="The last rows of the list, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="Only rows before this cursor.")]

StoreIds = Annotated[
    list[strawberry.ID] | None,
    strawberry.argument(description="Only these stores; all that the token may see if left out."),
]
AtLeast = Annotated[
    Position | None,
    strawberry.argument(
        description="A position, such as a command's, that the read model has to have reached: the query waits some "
        "seconds for it, then fails as NOT_YET_VISIBLE; a position beyond the log is POSITION_NOT_RECORDED at once."
    ),
]
FromDay = Annotated[date, strawberry.argument(description="First day of the window, in each store's own zone.")]
ToDay = Annotated[date, strawberry.argument(description="Last day of the window; it counts.")]
CurrencyCode = Annotated[str | None, strawberry.argument(description="Only this currency.")]
ExplainAsOf = Annotated[
    Position | None, strawberry.argument(description="Look no further than this position of the log.")
]
SkuId = Annotated[strawberry.ID, strawberry.argument(description="The article.")]
SkuIds = Annotated[list[strawberry.ID], strawberry.argument(description="The articles, 1 to 100.")]


def stores(context: Context, store_ids: list[strawberry.ID] | None) -> list[UUID] | None:
    """Return the stores to look into: those asked for that the viewer may see; None: all."""
    return context.narrowed(None if store_ids is None else [key_of(each, "Store") for each in store_ids])


def skus(sku_ids: list[strawberry.ID]) -> list[UUID]:
    """Return the keys of these articles."""
    return [key_of(each, "Sku") for each in sku_ids]


def window_of_days(from_day: date, to_day: date) -> dict[str, date]:
    """Return the parameters of a window of days; raises BadInput for one that ends before it begins."""
    if from_day > to_day:
        raise BadInput(
            f"This window ends on {to_day}, before it begins on {from_day}; give the earlier one as fromDay."
        )
    return {"from_day": from_day, "to_day": to_day}


def few(first: int) -> int:
    """Return how many entries are asked for; raises PageSize beyond a page."""
    if not 1 <= first <= PAGE_MAX:
        raise PageSize(f"Ask for 1 to {PAGE_MAX} at once, not {first}.", most=PAGE_MAX)
    return first
