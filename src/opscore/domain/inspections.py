"""Finding out whether units of a batch are good: what passed may be sold, what failed is set aside for good."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.barring import require_not_barred, set_barred_aside
from opscore.domain.batches import BatchNumber
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.periods import OverrideReason, note_override, require_open_books
from opscore.domain.policies import Inspection
from opscore.domain.refusals import InvalidField, Refusal
from opscore.domain.sku import Sku
from opscore.domain.sku_events import (
    BatchBarred,
    BatchInspected,
    ExceedsBatch,
    ExceedsOnHand,
    HoldsNoStock,
    StockReclassified,
    StockState,
)
from opscore.domain.sku_state import ZERO, Batch
from opscore.domain.stock_commands import KEEPERS, Document, LocationId, StoreId, require_of_state, stock_at
from opscore.domain.store import Store
from opscore.domain.store_events import PeriodClosedAlready
from opscore.domain.values import Reason, plain

# How it says no ------------------------------------------------------------------------------------------------------


class ResidueUnknown(Refusal):
    """Goods of the category '{category}' are sold below a residue of {limit} alone; say what was measured, or let all
    of them fail."""


class ResidueAboveLimit(Refusal):
    """A residue of {residue} was measured, and goods of the category '{category}' are sold up to {limit} alone; let all
    of them fail."""


# What may be asked for -----------------------------------------------------------------------------------------------


class InspectBatch(Command):
    """Say what was found of units of a batch that are in quarantine: some are good, some are not.

    What passed is open stock, what failed counts as damaged. Units that were not looked at stay in quarantine.
    """

    AGGREGATE: ClassVar[type[Aggregate]] = Sku
    ROLES: ClassVar[frozenset[Role]] = KEEPERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        HoldsNoStock,
        ExceedsOnHand,
        ExceedsBatch,
        BatchBarred,
        ResidueUnknown,
        ResidueAboveLimit,
        PeriodClosedAlready,
    )

    sku_id: Annotated[UUID, Meta(description="The article.")]
    location_id: LocationId
    batch: BatchNumber
    accepted: Annotated[Decimal, Meta(description="Units that are good.")]
    failed: Annotated[Decimal, Meta(description="Units that are not.")] = ZERO
    residue: Annotated[
        Decimal | None, Meta(description="What residue was measured, in the unit of the policy's limits.")
    ] = None
    finding: Annotated[Reason | None, Meta(description="What was found; needed where units failed.")] = None
    store_id: StoreId = None
    document: Document = None
    override_reason: OverrideReason = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Move them out of quarantine."""
        sku = stock_at(work, self.sku_id, self.store_id, self.location_id, closed_too=True)
        require_open_books(work, sku, self.override_reason)
        accepted = sku.require_quantity(self.accepted, ("accepted",), zero=True)
        failed = sku.require_quantity(self.failed, ("failed",), zero=True)
        if not accepted + failed:
            raise InvalidField(why="an inspection is of some units", path=("accepted",), ids=[sku.id])
        if failed and self.finding is None:
            raise InvalidField(why="say what was found of the units that failed", path=("finding",), ids=[sku.id])
        if self.residue is not None and not (self.residue.is_finite() and self.residue >= 0):
            raise InvalidField(why="a residue is a number of 0 or more", path=("residue",), ids=[sku.id])
        inspected = plain(accepted + failed)
        require_of_state(sku, self.location_id, StockState.QUARANTINED, inspected, self.batch, ("accepted",))
        if accepted:
            require_not_barred(sku, self.location_id, self.batch, accepted, StockState.QUARANTINED, ("accepted",))
            self._require_residue(sku, work)
        sku.trigger_event(
            BatchInspected,
            location_id=self.location_id,
            batch=self.batch,
            accepted=accepted,
            failed=failed,
            residue=None if self.residue is None else plain(self.residue),
            finding=self.finding,
            supplier_id=sku.batches.get(self.batch, Batch()).supplier_id,
            document=self.document,
            occurred_at=work.occurred_at,
        )
        for units, state in ((accepted, StockState.AVAILABLE), (failed, StockState.DAMAGED)):
            if units:
                sku.trigger_event(
                    StockReclassified,
                    location_id=self.location_id,
                    quantity=units,
                    from_state=StockState.QUARANTINED,
                    to_state=state,
                    reason="inspected" if self.finding is None else f"inspected: {self.finding}",
                    batch=self.batch,
                    document=self.document,
                    occurred_at=work.occurred_at,
                )
        # What has become free may be owed for units of other batches that may not be sold.
        set_barred_aside(sku, self.location_id, work.occurred_at)
        note_override(work, sku, self.override_reason)
        return sku.id

    def _require_residue(self, sku: Sku, work: UnitOfWork) -> None:
        """Refuse ResidueUnknown or ResidueAboveLimit where goods of this category are sold up to a residue alone."""
        policy = work.get(Store, sku.store_id, scoped=False).policy(Inspection, work.occurred_at)
        limit = policy.residue_limits.get(sku.category)
        if limit is None:
            return
        if self.residue is None:
            raise ResidueUnknown(category=sku.category, limit=limit, path=("residue",), ids=[sku.id])
        if self.residue > limit:
            raise ResidueAboveLimit(
                category=sku.category, limit=limit, residue=self.residue, path=("residue",), ids=[sku.id]
            )
