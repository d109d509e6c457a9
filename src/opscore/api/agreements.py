"""Agency agreements through the API: those of a store as its record says, and lists of all of them."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import strawberry

from opscore.api.arguments import After, AtLeast, Before, ContextInfo, First, Last
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.filters import (
    DayFilter,
    Direction,
    Filter,
    IdFilter,
    IntFilter,
    TextFilter,
    TimeFilter,
    UuidFilter,
    condition,
    either,
    every,
    on,
    without,
)
from opscore.api.lists import Listing, PageArguments, listed, rows_of
from opscore.api.money import Money, money, money_or_none
from opscore.api.nodes import store_gid
from opscore.api.paging import Connection
from opscore.api.selected import wants_total
from opscore.domain import agreement_events as domain
from opscore.domain.agreement_events import AgreementParty, AgreementStatus, AgreementWork, BreachKind, NoticeCause
from opscore.domain.values import plain
from opscore.projector.lists import Column, Condition

for _exposed in (AgreementParty, AgreementStatus, AgreementWork, BreachKind, NoticeCause):
    expose(_exposed)

# Of one store --------------------------------------------------------------------------------------------------------


@strawberry.type(description="Which party of an agency agreement does a kind of work.")
class AgreementDuty:
    work: AgreementWork = strawberry.field(description="The work.")
    party: AgreementParty = strawberry.field(description="Who does it.")


@strawberry.type(description="That a party broke an agency agreement.")
class AgreementBreach:
    party: AgreementParty = strawberry.field(description="Who broke it.")
    kind: BreachKind = strawberry.field(description="What it did.")
    happened_on: date = strawberry.field(description="On which day of the store.")
    evidence: str = strawberry.field(description="What proves it, and where it is kept.")
    loss: Money | None = strawberry.field(description="What the other party lost by it; null where nothing was said.")
    note: str | None = strawberry.field(description="What was said of it.")


@strawberry.type(description="That a party gave notice.")
class AgreementNotice:
    party: AgreementParty = strawberry.field(description="Who gave it.")
    noticed_on: date = strawberry.field(description="When: a day of the store.")
    effective_on: date = strawberry.field(description="The last day of the agreement then.")
    cause: NoticeCause | None = strawberry.field(description="Why it may be sooner; null where it is not.")
    reason: str = strawberry.field(description="Why, in words.")


@strawberry.type(description="That a party asked for an agency agreement to go on.")
class AgreementRenewal:
    party: AgreementParty = strawberry.field(description="Who asked.")
    asked_on: date = strawberry.field(description="When: a day of the store.")
    term_to: date = strawberry.field(description="Through which day it asked for.")
    extends_to: date = strawberry.field(description="Through which day it goes on if nobody answers.")
    answer_due_by: datetime = strawberry.field(description="Until when the other party answers.")
    accepted: bool | None = strawberry.field(description="What it answered; null while, or because, it did not.")


@strawberry.type(description="An agency agreement of the store.")
class StoreAgreement:
    agreement_id: UUID = strawberry.field(description="Its id, which commands about agreements take.")
    owner: str = strawberry.field(description="The company whose store it is.")
    agency: str = strawberry.field(description="The company that runs it.")
    owner_people: list[str] = strawberry.field(description="Who speaks for the owner: pseudonyms of their tokens.")
    platforms: list[str] = strawberry.field(description="The platforms it is about.")
    scope: list[AgreementDuty] = strawberry.field(description="Who does what.")
    status: AgreementStatus = strawberry.field(description="How far it is.")
    signed_on: date = strawberry.field(description="Day on which the later of the two signed.")
    term_from: date = strawberry.field(description="First day.")
    term_to: date = strawberry.field(description="Last day of the term.")
    ends_at: datetime = strawberry.field(description="When it is over, or was, unless it is renewed.")
    last_day: date | None = strawberry.field(description="The last day on which it held, once it is over.")
    monthly_fee: Money = strawberry.field(description="What the owner pays a month.")
    commission_rate: Decimal = strawberry.field(description="What part of net sales besides.")
    commission_due_day: int | None = strawberry.field(
        description="Day of the next month by which a month's commission is paid."
    )
    document: str | None = strawberry.field(description="Number of the agreement.")
    fee_paid: Money = strawberry.field(description="What the agency received of fees.")
    refund: Money | None = strawberry.field(
        description="What the agency pays back of them for days that did not come; null while it is not over."
    )
    unpaid: Money | None = strawberry.field(description="What the owner still owes of them; null while it is not over.")
    first_plan_due_by: datetime | None = strawberry.field(
        description="Until when the first ad plan is launched; null before the first fee."
    )
    first_plan_at: datetime | None = strawberry.field(description="When it was launched.")
    first_plan_working_days: int | None = strawberry.field(
        description="Working days from the first fee to that; null where no fee had been received."
    )
    breaches: list[AgreementBreach] = strawberry.field(description="Breaches on record, oldest first.")
    notice: AgreementNotice | None = strawberry.field(description="The notice that was given.")
    renewal: AgreementRenewal | None = strawberry.field(description="The renewal that was asked for last.")


def agreement_view(agreement_id: UUID, agreement: domain.Agreement, currency: str) -> StoreAgreement:
    """Return an agency agreement of a store as the API shows it."""
    notice, renewal, over = agreement.notice, agreement.renewal, agreement.is_over
    return StoreAgreement(
        agreement_id=agreement_id,
        owner=agreement.owner,
        agency=agreement.agency,
        owner_people=list(agreement.owner_people),
        platforms=list(agreement.platforms),
        scope=[AgreementDuty(work=each.work, party=each.party) for each in agreement.scope],
        status=agreement.status,
        signed_on=agreement.signed_on,
        term_from=agreement.term_from,
        term_to=agreement.term_to,
        ends_at=agreement.ends_at,
        last_day=agreement.last_day,
        monthly_fee=money(agreement.monthly_fee_minor, currency),
        commission_rate=plain(agreement.commission_rate),
        commission_due_day=agreement.commission_due_day,
        document=agreement.document,
        fee_paid=money(agreement.fee_paid_minor, currency),
        refund=money(agreement.refund_minor, currency) if over else None,
        unpaid=money(agreement.unpaid_minor, currency) if over else None,
        first_plan_due_by=agreement.first_plan_due_by,
        first_plan_at=agreement.first_plan_at,
        first_plan_working_days=agreement.first_plan_working_days,
        breaches=[
            AgreementBreach(
                party=each.party,
                kind=each.kind,
                happened_on=each.happened_on,
                evidence=each.evidence,
                loss=money_or_none(each.loss_minor, currency),
                note=each.note,
            )
            for each in agreement.breaches
        ],
        notice=None
        if notice is None
        else AgreementNotice(
            party=notice.party,
            noticed_on=notice.noticed_on,
            effective_on=notice.effective_on,
            cause=notice.cause,
            reason=notice.reason,
        ),
        renewal=None
        if renewal is None
        else AgreementRenewal(
            party=renewal.party,
            asked_on=renewal.asked_on,
            term_to=renewal.term_to,
            extends_to=renewal.extends_to,
            answer_due_by=renewal.answer_due_by,
            accepted=renewal.accepted,
        ),
    )


# Lists ---------------------------------------------------------------------------------------------------------------


@strawberry.type(description="An agency agreement in a list: how it stands, and what is due in it.")
class AgreementRow:
    agreement_id: UUID = strawberry.field(description="Its id, which commands about agreements take.")
    store_id: strawberry.ID = strawberry.field(description="The store.")
    owner: str = strawberry.field(description="The company whose store it is.")
    agency: str = strawberry.field(description="The company that runs it.")
    status: AgreementStatus = strawberry.field(description="How far it is.")
    signed_on: date = strawberry.field(description="Day on which the later of the two signed.")
    term_from: date = strawberry.field(description="First day.")
    term_to: date = strawberry.field(description="Last day of the term.")
    ends_at: datetime = strawberry.field(description="When it is over, or was, unless it is renewed.")
    last_day: date | None = strawberry.field(description="The last day on which it held, once it is over.")
    document: str | None = strawberry.field(description="Number of the agreement.")
    monthly_fee: Money = strawberry.field(description="What the owner pays a month.")
    commission_rate: Decimal = strawberry.field(description="What part of net sales besides.")
    fee_paid: Money = strawberry.field(description="What the agency received of fees.")
    refund: Money | None = strawberry.field(
        description="What the agency pays back of them for days that did not come; null while it is not over."
    )
    unpaid: Money | None = strawberry.field(description="What the owner still owes of them; null while it is not over.")
    owner_breaches: int = strawberry.field(description="Breaches of the owner on record.")
    agency_breaches: int = strawberry.field(description="Breaches of the agency on record.")
    answer_due_by: datetime | None = strawberry.field(
        description="Until when a renewal is answered; null while none waits for an answer."
    )
    first_fee_at: datetime | None = strawberry.field(description="When the first fee was received.")
    first_plan_due_by: datetime | None = strawberry.field(
        description="Until when the first ad plan is launched; null before the first fee."
    )
    first_plan_at: datetime | None = strawberry.field(description="When it was launched.")
    first_plan_working_days: int | None = strawberry.field(
        description="Working days from the first fee to that (K076); null where no fee had been received."
    )
    first_plan_in_time: bool | None = strawberry.field(
        description="Whether it was in time (K076R); null before it was launched, and where no fee had been received."
    )


@strawberry.input(description="Which agency agreements; all that is given has to hold.")
class AgreementFilter:
    and_: list[AgreementFilter] | None = every()
    or_: list[AgreementFilter] | None = either()
    not_: AgreementFilter | None = without()
    agreement_id: UuidFilter | None = on("agreement_id", "The agreement.")
    store_id: IdFilter | None = on("store_id", "The store.", of="Store")
    owner: TextFilter | None = on("owner", "The company whose store it is.")
    agency: TextFilter | None = on("agency", "The company that runs it.")
    status: Filter[AgreementStatus] | None = on("status", "How far it is.")
    term_to: DayFilter | None = on("term_to", "Last day of the term.")
    ends_at: TimeFilter | None = on("ends_at", "When it is over, or was, unless it is renewed.")
    answer_due_by: TimeFilter | None = on("answer_due_by", "Until when a renewal is answered.")
    first_plan_due_by: TimeFilter | None = on("first_plan_due_by", "Until when the first ad plan is launched.")
    first_plan_at: TimeFilter | None = on("first_plan_at", "When the first ad plan was launched.")
    owner_breaches: IntFilter | None = on("owner_breaches", "Breaches of the owner on record.")
    agency_breaches: IntFilter | None = on("agency_breaches", "Breaches of the agency on record.")
    document: TextFilter | None = on("document", "Number of the agreement.")


class AgreementSortKey(enum.StrEnum):
    """What agency agreements are sorted by."""

    ENDS_AT = "ends_at"
    """When they are over."""
    SIGNED_ON = "signed_on"
    """The day on which they were signed."""
    FIRST_PLAN_DUE_BY = "first_plan_due_by"
    """When their first ad plan is due; those without a fee come last."""


expose(AgreementSortKey)


@strawberry.input(description="How agency agreements are sorted; of two that are equal, the ids decide.")
class AgreementSort:
    by: AgreementSortKey = strawberry.field(description="What they are sorted by.")
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


AGREEMENTS = Listing(
    "agency",
    "agreement_rows",
    (Column("agreement_id", "uuid"),),
    {
        AgreementSortKey.ENDS_AT: Column("ends_at", "timestamptz"),
        AgreementSortKey.SIGNED_ON: Column("signed_on", "date"),
        AgreementSortKey.FIRST_PLAN_DUE_BY: Column("first_plan_due_by", "timestamptz", nullable=True),
    },
    (AgreementSortKey.ENDS_AT, Direction.ASC),
)


@strawberry.type
class AgreementQueries:
    """Questions about agency agreements."""

    @strawberry.field(
        description="Agency agreements: how they stand, when they end, and what is due in them. What was recorded of "
        "one is opened by `explain` of the cell `agreements` of the projection `agency`."
    )
    async def agreements(
        self,
        info: ContextInfo,
        filter: Annotated[
            AgreementFilter | None, strawberry.argument(description="Which agreements; all if left out.")
        ] = None,
        sort: Annotated[
            AgreementSort | None,
            strawberry.argument(description="In which order; what ends first comes first if left out."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        at_least: AtLeast = None,
    ) -> Connection[AgreementRow]:
        context = info.context
        asked = condition(filter, context.viewer.role)
        page = PageArguments(first, after, last, before)
        return await context.services.read(_agreements, context, asked, sort, page, wants_total(info), at_least)


def _agreements(
    context: Context,
    wanted: Condition,
    sort: AgreementSort | None,
    page: PageArguments,
    counted: bool,
    at_least: int | None,
) -> Any:
    """Return a page of agency agreements, by when they end unless sorted (blocking)."""
    asked = listed(AGREEMENTS, wanted, sort, page, counted=counted)
    rows, total = rows_of(context, asked, store_ids=context.store_ids, at_least=at_least)

    def shown(row: dict[str, Any]) -> AgreementRow:
        currency = row["currency"]
        same = (
            "agreement_id", "owner", "agency", "signed_on", "term_from", "term_to", "ends_at", "last_day", "document",
            "owner_breaches", "agency_breaches", "answer_due_by", "first_fee_at", "first_plan_due_by", "first_plan_at",
            "first_plan_working_days", "first_plan_in_time",
        )  # fmt: skip
        return AgreementRow(
            **{name: row[name] for name in same},
            store_id=store_gid(row["store_id"]),
            status=AgreementStatus(row["status"]),
            monthly_fee=money(int(row["monthly_fee_minor"]), currency),
            commission_rate=plain(row["commission_rate"]),
            fee_paid=money(int(row["fee_paid_minor"]), currency),
            refund=money_or_none(row["refund_minor"], currency),
            unpaid=money_or_none(row["unpaid_minor"], currency),
        )

    return asked.connection(rows, shown, total)
