"""The life of a batch beyond its movements: what is said of it when it comes in, its expiry, its recall."""

from __future__ import annotations

from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from typing import Annotated, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.barring import set_barred_aside
from opscore.domain.command import Command, Origin, Role, UnitOfWork
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.refusals import InvalidField, Refusal
from opscore.domain.sku import BatchExpired, BatchRecalled, BatchRecallLifted, Sku
from opscore.domain.sku_commands import SkuId
from opscore.domain.sku_events import (
    BatchDiffers,
    BatchUnknown,
    HoldsNoStock,
    StockReclassified,
    StockState,
)
from opscore.domain.sku_state import Batch, BatchLevel
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready
from opscore.domain.values import Code, Reason, plain

KEEPERS = frozenset({Role.OWNER, Role.MANAGER, Role.WAREHOUSE})

BatchNumber = Annotated[Code, Meta(description="Number of the batch, as it came in.")]
Document = Annotated[Code | None, Meta(description="Number of the document behind it: notice, finding, certificate.")]


def require_same_batch(
    sku: Sku, batch: str | None, produced_on: date | None, expires_on: date | None, place_of_origin: str | None
) -> None:
    """Refuse BatchDiffers when this is not what was said of the batch before, InvalidField what no batch can be."""
    said = {"produced_on": produced_on, "expires_on": expires_on, "place_of_origin": place_of_origin}
    if batch is None:
        unnamed = [name for name, value in said.items() if value is not None]
        if unnamed:
            raise InvalidField(why="name the batch that this is said of", path=(unnamed[0],), ids=[sku.id])
        return
    known = sku.batches.get(batch, Batch())
    for name, value in said.items():
        before = getattr(known, name)
        if value is not None and before is not None and value != before:
            what = name.replace("_", " ")
            raise BatchDiffers(
                batch=batch, code=sku.code, what=what, known=before, given=value, path=(name,), ids=[sku.id]
            )
    if expires_on is not None and expires_on.year == MAXYEAR:
        raise InvalidField(why="a batch that never expires has no last day; leave it out", path=("expires_on",))
    made, last = produced_on or known.produced_on, expires_on or known.expires_on
    if made is not None and last is not None and last < made:
        path = ("expires_on" if expires_on is not None else "produced_on",)
        raise InvalidField(why=f"a batch made on {made} cannot expire before, on {last}", path=path, ids=[sku.id])


def expires_at(store: Store, expires_on: date) -> datetime:
    """Return when (UTC) the last day of a batch is over by the calendar of the article's home store."""
    return datetime.combine(expires_on + timedelta(days=1), time(), ZoneInfo(store.time_zone)).astimezone(UTC)


def expire_on_arrival(work: UnitOfWork, sku: Sku, batch: str) -> None:
    """Set units aside that came in of a batch whose last day is over by now; later on that falls due by itself.

    History that is imported was sold when it could be; whether the rest has expired is for somebody to say.
    """
    store, known = work.find(Store, sku.store_id), sku.batches[batch]
    if store is None or known.expires_on is None or known.expired or work.origin is Origin.IMPORT:
        return
    over_at = expires_at(store, known.expires_on)
    if over_at <= work.now:
        _bar(sku, BatchExpired, max(over_at, work.occurred_at), batch=batch, expires_on=known.expires_on)


def _bar(sku: Sku, event_class: type[BatchExpired | BatchRecalled], at: datetime, **fields: object) -> None:
    """Record why a batch may not be sold, and set aside what is free of it; the last free unit goes off sale."""
    sellable, available = sku.sellable, sku.available
    sku.trigger_event(event_class, occurred_at=at, **fields)
    for location_id in list(sku.levels):
        set_barred_aside(sku, location_id, at)
    if sku.available < available:
        sku.note_outflow(sellable, at)


def _batch_of(work: UnitOfWork, sku_id: UUID, number: str, override_reason: str | None = None) -> tuple[Sku, Batch]:
    """Return an article and what is known of a batch of it. Refuses HoldsNoStock, BatchUnknown, PeriodClosedAlready."""
    sku = work.sku(sku_id)
    sku.require_stocked()
    known = sku.batches.get(number)
    if known is None and not any(number in level.batches for level in sku.levels.values()):
        raise BatchUnknown(batch=number, code=sku.code, path=("batch",), ids=[sku.id])
    require_open_books(work, sku, override_reason)
    return sku, known or Batch()


class RecallBatch(Command):
    """Take a batch off sale for a reason: its units are set aside wherever they are, and whatever of it comes in.

    `batchOrders` lists the orders that got units of it. Orders that hold units of the article keep them, but none of
    this batch leaves: what there is no other batch for is a shortage to report.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (HoldsNoStock, BatchUnknown, PeriodClosedAlready)

    sku_id: SkuId
    batch: BatchNumber
    reason: Annotated[Reason, Meta(description="What was found.")]
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Set everything free of it aside, what campaigns have of it too. Asked twice, recorded once."""
        sku, known = _batch_of(work, self.sku_id, self.batch, self.override_reason)
        if known.recalled is None:
            at, said = work.occurred_at, {"reason": self.reason, "document": self.document}
            _bar(sku, BatchRecalled, at, batch=self.batch, **said)
            note_override(work, sku, self.override_reason)
        return sku.id


class LiftBatchRecall(Command):
    """Let a batch be sold again that was recalled."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.MANAGER})
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (HoldsNoStock, BatchUnknown, PeriodClosedAlready)

    sku_id: SkuId
    batch: BatchNumber
    reason: Annotated[Reason, Meta(description="Why it may be sold after all.")]
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Free what the recall set aside, unless it has expired; what was in quarantine before stays there."""
        sku, known = _batch_of(work, self.sku_id, self.batch, self.override_reason)
        if known.recalled is None:
            return sku.id  # Asked twice, recorded once.
        sku.trigger_event(
            BatchRecallLifted,
            batch=self.batch,
            reason=self.reason,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        for location_id, level in [] if known.expired else list(sku.levels.items()):
            units = min(level.batches.get(self.batch, BatchLevel()).barred, level.quarantined)
            if units:
                sku.trigger_event(
                    StockReclassified,
                    location_id=location_id,
                    quantity=plain(units),
                    from_state=StockState.QUARANTINED,
                    to_state=StockState.AVAILABLE,
                    reason=f"recall lifted: {self.reason}",
                    batch=self.batch,
                    document=self.document,
                    occurred_at=work.occurred_at,
                )
                set_barred_aside(sku, location_id, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id


class ExpireBatches(Command):
    """Take batches off sale whose last day is over; that happens by itself, except for what was imported."""

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (HoldsNoStock, PeriodClosedAlready)

    sku_id: SkuId

    def decide(self, work: UnitOfWork) -> UUID:
        """Set everything free of them aside, what campaigns have of them too. Asked twice, recorded once."""
        sku = work.sku(self.sku_id)
        sku.require_stocked()
        require_open_books(work, sku)
        store = work.get(Store, sku.store_id, scoped=False)
        for number, batch in sku.batches.items():
            last = None if batch.expired else batch.expires_on
            if last is not None and expires_at(store, last) <= work.occurred_at:
                _bar(sku, BatchExpired, work.occurred_at, batch=number, expires_on=last)
        return sku.id
