"""Complaints about an order, and how far each is, as the API shows them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import strawberry

from opscore.api.enums import expose
from opscore.api.money import Money, money
from opscore.api.nodes import gid
from opscore.domain.command import Role
from opscore.domain.order_disputes import (
    Arbiter,
    DecidedFor,
    Dispute,
    DisputeRemedy,
    DisputeStatus,
    FaultParty,
    FollowUpResult,
)
from opscore.domain.policies import ProblemKind
from opscore.domain.values import plain
from opscore.permissions import may_see_field

for _enum in (Arbiter, DecidedFor, DisputeRemedy, DisputeStatus, FaultParty, FollowUpResult, ProblemKind):
    expose(_enum)


@strawberry.type(description="Units of one line that a complaint is about.")
class OrderDisputeLine:
    line: int = strawberry.field(description="Number of the order line.")
    sku_id: strawberry.ID = strawberry.field(description="The article.")
    quantity: Decimal = strawberry.field(description="Units concerned.")


@strawberry.type(
    description="A complaint about an order, and how far it is. What was said in it is personal and not shown here."
)
class OrderDispute:
    dispute_id: UUID = strawberry.field(description="Its id, which commands about the dispute take.")
    kind: ProblemKind = strawberry.field(description="What is wrong, as the customer says.")
    status: DisputeStatus = strawberry.field(description="How far it is.")
    opened_at: datetime = strawberry.field(description="When somebody complained.")
    changed_at: datetime = strawberry.field(description="When its last step was taken.")
    lines: list[OrderDisputeLine] = strawberry.field(description="The units concerned; none: the order as a whole.")
    evidence: str | None = strawberry.field(description="Where it can be seen.")
    real: bool | None = strawberry.field(description="Whether there is a problem; null until that was found out.")
    found_kind: ProblemKind | None = strawberry.field(description="What is really wrong, once that was found out.")
    fault_party: FaultParty | None = strawberry.field(
        description="Whose fault it is; null for roles of the shop's front, and where it is nobody's."
    )
    solution: DisputeRemedy | None = strawberry.field(
        description="What would solve it, as it was found; null for roles of the shop's front."
    )
    round: int = strawberry.field(description="How many offers were made.")
    offer_open: bool = strawberry.field(description="Whether the last of them waits for the customer's answer.")
    remedy: DisputeRemedy | None = strawberry.field(description="What was offered last, agreed or decided.")
    amount: Money | None = strawberry.field(description="How much of it is money; null for roles that see no prices.")
    compensated: Money | None = strawberry.field(
        description="What was paid as compensation, on top of the order; null for roles that see no prices."
    )
    decided_by: Arbiter | None = strawberry.field(description="Who decided, if it was arbitrated.")
    decided_for: DecidedFor | None = strawberry.field(description="For whom it was decided.")
    refund_ids: list[UUID] = strawberry.field(description="The order's refunds that settle it.")
    return_id: UUID | None = strawberry.field(description="The order's return that settles it.")
    replacement_order_id: strawberry.ID | None = strawberry.field(
        description="The order by which something was sent instead."
    )


def dispute_view(dispute_id: UUID, dispute: Dispute, currency: str, role: Role) -> OrderDispute:
    """Return a dispute of an order as the API shows it to a role."""
    prices = may_see_field(role, "OrderDispute.amount")
    inside = may_see_field(role, "OrderDispute.faultParty")
    amount_minor = dispute.amount_minor
    return OrderDispute(
        dispute_id=dispute_id,
        kind=dispute.kind,
        status=dispute.status,
        opened_at=dispute.opened_at,
        changed_at=dispute.changed_at,
        lines=[
            OrderDisputeLine(line=each.line, sku_id=gid("Sku", each.sku_id), quantity=plain(each.quantity))
            for each in dispute.lines
        ],
        evidence=dispute.evidence,
        real=dispute.real,
        found_kind=dispute.found_kind,
        fault_party=dispute.fault_party if inside else None,
        solution=dispute.solution if inside else None,
        round=dispute.round,
        offer_open=dispute.offered_at is not None,
        remedy=dispute.remedy,
        amount=money(amount_minor, currency) if prices and amount_minor is not None else None,
        compensated=money(dispute.compensated_minor, currency) if prices else None,
        decided_by=dispute.decided_by,
        decided_for=dispute.decided_for,
        refund_ids=dispute.refund_ids,
        return_id=dispute.return_id,
        replacement_order_id=gid("Order", dispute.replacement_order_id),
    )
