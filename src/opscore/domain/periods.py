"""Closed books: nothing about stock is dated before the last close of an article's home store, unless somebody answers.

That holds for what is set apart as well as for what moves: a reservation has a date in the ledger like a shipment.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from opscore.domain.command import Role, UnitOfWork
from opscore.domain.refusals import NotAuthorised
from opscore.domain.sku import FulfilmentMode, Sku, StockBackdated
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready
from opscore.domain.values import Reason

OVERRIDERS = frozenset({Role.OWNER, Role.MANAGER, Role.FINANCE})
"""Who may date a movement in a closed period."""

OverrideReason = Annotated[
    Reason | None,
    Meta(description="Why it is dated in a closed period all the same; of owner, manager or finance only."),
]


def require_open_books(work: UnitOfWork, sku: Sku, override_reason: str | None = None) -> None:
    """Refuse PeriodClosedAlready when what happens to the article lies in a closed period of its home store.

    An override reason lets it pass, of those who may give one (else NotAuthorised). Imports are held to it as well.
    """
    open_from = _closed_until(work, sku)
    if open_from is None:
        return
    if override_reason is None:
        raise PeriodClosedAlready(open_from=open_from.isoformat(), path=("override_reason",), ids=[sku.id])
    if work.actor.role not in OVERRIDERS:
        raise NotAuthorised(why="a closed period is overridden by owner, manager or finance", path=("override_reason",))


def note_override(work: UnitOfWork, sku: Sku, override_reason: str | None = None) -> None:
    """Record who dated a movement in a closed period, and why; nothing while the books are open."""
    open_from = _closed_until(work, sku)
    if open_from is not None and override_reason is not None:
        sku.trigger_event(
            StockBackdated,
            open_from=open_from,
            overridden_by=work.actor.id,
            override_reason=override_reason,
            occurred_at=work.occurred_at,
        )


def _closed_until(work: UnitOfWork, sku: Sku) -> datetime | None:
    """Return when the books opened that this command is dated before; None when they are open for it."""
    if sku.mode is not FulfilmentMode.STOCKED:
        return None
    home = work.find(Store, sku.store_id)
    if home is None or home.books_open_from is None or work.occurred_at >= home.books_open_from:
        return None
    return home.books_open_from
