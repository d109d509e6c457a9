"""What became of an aggregate, event by event, for whoever may see it: `history`.

Auditors read the log itself. Staff at work read the stream of one order, article or customer here: without personal
data, and without what their role is not shown of the object either. Buyers get the timeline of an order: what they did
or what was done for them, without who did it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader
from strawberry.types import Info

from opscore.api.arguments import After, Before, First, Last
from opscore.api.context import Context
from opscore.api.log import role_of
from opscore.api.paging import Connection, Window, connection, number, window
from opscore.api.scalars import Json, Position
from opscore.api.selected import wants_total
from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Actor, Role
from opscore.log.event_log import LoggedEvent, StreamPage
from opscore.log.event_types import event_types
from opscore.permissions import may_see_field
from opscore.webhooks.message import impersonal

BUYERS = frozenset({Role.STOREFRONT, Role.CUSTOMER})

TIMELINE: Mapping[str, frozenset[str]] = {
    name: frozenset(fields.split())
    for name, fields in {
        "OrderPlaced": "kind currency goods_minor discount_minor freight_minor freight_waived_minor total_minor "
        "points_spent coupon_code expires_at",
        "OrderPriceAmended": "line unit_price amount_minor total_minor currency",
        "PaymentReceived": "amount_minor currency method",
        "OrderPaid": "total_minor currency ship_by",
        "OrderConfirmed": "",
        "OrderShipped": "parcel_id courier waybill complete",
        "ParcelTracked": "parcel_id status place",
        "OrderDelivered": "parcel_id complete",
        "ReceiptConfirmed": "inspected defects",
        "ParcelLost": "parcel_id courier waybill",
        "ParcelTraced": "parcel_id found",
        "LostUnitsReplaced": "parcel_id lines",
        "OrderCompleted": "",
        "OrderCancelled": "reason whole refund_due_minor currency",
        "OrderExpired": "whole refund_due_minor currency",
        "OrderRefunded": "refund_id amount_minor currency reason",
        "ShortageResolved": "kind",
        "ReturnRequested": "return_id reason lines remedy",
        "ReturnApproved": "return_id lines",
        "ReturnDeclined": "return_id reason lines",
        "ReturnCancelled": "return_id lines",
        "ReturnShipped": "return_id courier waybill",
        "ReturnReceived": "return_id lines",
        "ReturnExchanged": "return_id lines",
        "ReturnFreightPaid": "return_id amount_minor currency paid_to",
        "DisputeOpened": "dispute_id kind lines",
        "DisputeAccepted": "dispute_id",
        "DisputeNegotiated": "dispute_id round remedy amount_minor currency",
        "DisputeOfferDeclined": "dispute_id round",
        "DisputeAgreed": "dispute_id round remedy amount_minor currency",
        "DisputeArbitrated": "dispute_id decided_by decided_for remedy amount_minor currency reason",
        "CompensationPaid": "dispute_id amount_minor currency",
        "DisputeSettled": "dispute_id remedy refund_ids return_id replacement_order_id",
        "DisputeClosed": "dispute_id",
        "DisputeWithdrawn": "dispute_id",
        "ReviewPosted": "line sku_id score photos republish",
        "ReviewSupplemented": "line photos",
        "ReviewReplied": "line",
        "ReviewConsentSet": "line granted",
    }.items()
}
"""Event types of an order that buyers see, with the fields that they see of each; of other types they see nothing."""

SHOWN_AS = {
    "ForecastSet": "Campaign.forecast", "AdSpendRecorded": "Campaign.adSpend", "CampaignEvaluated": "Campaign.forecast",
    **dict.fromkeys(
        ("ResourcePlanned", "ResourceDropped", "ResourceSubmitted", "ResourceApproved", "ResourceRejected"),
        "Campaign.resources",
    ),
    **dict.fromkeys(("CampaignProposed", "CampaignConfirmed", "CampaignDeclined"), "Campaign.proposal"),
    **dict.fromkeys(
        ("SupplierCallOpened", "SupplierCallClosed", "SupplyOffered", "SupplyOfferWithdrawn", "SupplyOfferAccepted",
         "SupplyOfferRejected"),
        "Campaign.offers",
    ),
    "AdBudgetAgreed": "Campaign.adBudgets",
    **dict.fromkeys(
        ("AdPlanLaunched", "AdMonitored", "AdAdjusted", "AdPlanPaused", "AdPlanResumed", "AdPlanEnded"),
        "Campaign.adPlans",
    ),
    "OrderNoted": "Order.notes", "OrderNoteWithdrawn": "Order.notes", "OrderAssisted": "Order.agent",
}  # fmt: skip
"""Event types whose data are of a field that only some roles see."""

MONEY = frozenset(
    {
        "list_price", "old_list_price", "unit_price", "price", "factor", "percent", "cost", "market_price",
        "expected_profit", "unit_cost", "discounts", "freight_waivers", "passed_over", "claims", "differences",
        "percentage", "threshold", "fixed", "free_shipping", "coupon", "evidence", "figures", "spend",
        "best_quote_cost",
    }
)  # fmt: skip
"""Fields of events, beside those that end in `_minor`, that say what something costs: not for roles without prices."""


@strawberry.type(description="Who gave a command.")
class HistoryActor:
    holder: str = strawberry.field(description="The holder of the token: a pseudonym.")
    role: Role | None = strawberry.field(description="The role; null where it was not recorded yet.")


@strawberry.type(description="Something that happened to an aggregate.")
class HistoryEvent:
    id: UUID = strawberry.field(description="Its id, the same for ever.")
    position: Position = strawberry.field(description="Its place in the log.")
    version: int = strawberry.field(description="Its number in the stream of the aggregate.")
    type: str = strawberry.field(description="What happened.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When we recorded it.")
    actor: HistoryActor | None = strawberry.field(description="Who did it; null for roles of the shop's front.")
    data: Json = strawberry.field(
        description="What it says. Null in it are personal fields and what the role does not see of the object; roles "
        "of the shop's front are shown what is meant for buyers alone."
    )
    hash: str = strawberry.field(description="Its hash over itself and the hash before, hexadecimal.")


def hidden(value: Any) -> Any:
    """Return data without what anything in it costs."""
    if isinstance(value, dict):
        return {
            name: None if name in MONEY or name.endswith("_minor") else hidden(inner) for name, inner in value.items()
        }
    return [hidden(inner) for inner in value] if isinstance(value, list) else value


def shown_data(event: LoggedEvent, viewer: Actor) -> dict[str, Any]:
    """Return what a viewer is shown of an event's data."""
    known = event_types().get(event.type)
    if known is None or event.schema_version > known.version:
        return dict.fromkeys(event.data)  # Of what a newer program wrote, nobody here knows what is personal.
    data = impersonal(event)
    if viewer.role in BUYERS:
        return {name: value for name, value in data.items() if name in TIMELINE[event.type]}
    place = SHOWN_AS.get(event.type)
    if place is not None and not may_see_field(viewer.role, place):
        return dict.fromkeys(data)
    return data if may_see_field(viewer.role, "Order.total") else hidden(data)


def _view(event: LoggedEvent, viewer: Actor) -> HistoryEvent:
    return HistoryEvent(
        id=event.id,
        position=Position(event.position),
        version=event.version,
        type=event.type,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        actor=None if viewer.role in BUYERS else HistoryActor(holder=event.actor, role=role_of(event)),
        data=Json(shown_data(event, viewer)),
        hash=bytes(event.hash).hex(),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A page of one aggregate's history; pages that differ in the stream alone are read together."""

    stream_id: UUID
    until: int
    page: StreamPage
    counted: bool


async def history(
    aggregate: Aggregate, info: Any, page: Window, binding: str, *, newest_first: bool
) -> Connection[HistoryEvent]:
    """Return a page of an aggregate's events up to the version that it is shown in."""
    context: Context = info.context
    viewer = context.viewer
    types = tuple(TIMELINE) if viewer.role in BUYERS else ()
    behind, ahead = page.after, page.before
    if newest_first:
        behind, ahead = ahead, behind
    wanted = StreamPage(
        types=types,
        after=behind[0] if behind else 0,
        before=ahead[0] if ahead else None,
        limit=page.fetch,
        newest_first=newest_first is not page.backwards,
    )
    rows, total = await _loader(context).load(_Asked(aggregate.id, aggregate.version, wanted, wants_total(info)))
    if page.backwards:
        rows = rows[::-1]
    found: Connection[HistoryEvent] = connection(
        rows, page, binding, lambda row: [row.version], lambda row: _view(row, viewer), total
    )
    return found


def _loader(context: Context) -> DataLoader[_Asked, tuple[Sequence[LoggedEvent], int | None]]:
    if context.histories is None:

        async def load(asked: list[_Asked]) -> list[tuple[Sequence[LoggedEvent], int | None]]:
            return await context.services.read(_read, context, asked)

        context.histories = DataLoader(load_fn=load)
    return context.histories


def _read(context: Context, asked: list[_Asked]) -> list[tuple[Sequence[LoggedEvent], int | None]]:
    """Read the pages of a request's histories, one statement for all that are cut alike (blocking)."""
    log = context.services.log
    alike: dict[tuple[StreamPage, bool, int], dict[UUID, _Asked]] = defaultdict(dict)
    for each in asked:
        turn = 0
        # One aggregate may be asked for as of several moments: each has a history of its own.
        while each.stream_id in alike[each.page, each.counted, turn]:
            turn += 1
        alike[each.page, each.counted, turn][each.stream_id] = each
    answers: dict[_Asked, tuple[Sequence[LoggedEvent], int | None]] = {}
    for (page, counted, _), streams in alike.items():
        untils = {stream_id: each.until for stream_id, each in streams.items()}
        rows = log.pages(untils, page)
        totals = log.counts(untils, page.types) if counted else {}
        answers |= {each: (rows[stream_id], totals.get(stream_id)) for stream_id, each in streams.items()}
    return [answers[each] for each in asked]


def history_field(kind: str) -> Any:
    """Return the field `history` of an aggregate's type. kind: the type's name."""

    async def resolve(
        root: Any,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        newest_first: Annotated[bool, strawberry.argument(description="The newest first.")] = False,
    ) -> Connection[HistoryEvent] | None:
        if not may_see_field(info.context.viewer.role, f"{kind}.history"):
            return None
        aggregate: Aggregate = root.source
        binding = f"history:{aggregate.id}:{newest_first}"
        page = window(binding, (number,), first, after, last, before)
        return await history(aggregate, info, page, binding, newest_first=newest_first)

    return strawberry.field(
        resolver=resolve,
        description="What became of it, event by event, oldest first unless asked otherwise, up to the version that it "
        "is shown in; null for roles that see no history of it.",
    )
