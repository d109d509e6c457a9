"""Read models as the API shows them: what may be asked of any, rows of any, and how two versions differ."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar
from uuid import UUID

import strawberry

from opscore.api.arguments import After, ContextInfo, First
from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import BadInput, Forbidden, NotReady, TimedOut
from opscore.api.ids import encode_cursor, parse_global_id
from opscore.api.inputs import aggregate_of
from opscore.api.paging import Connection, PageInfo, anything, connection, number, window
from opscore.api.scalars import MAX_POSITION, Json, Position
from opscore.api.selected import selected_of, wants_total
from opscore.projector import Comparison, ProjectionRefused, TookTooLong
from opscore.projector.asking import Filter, Question
from opscore.projector.catalogue import Promotion
from opscore.projector.compare import EVENTS_MAX, DifferingRow
from opscore.projector.explaining import EventBehind
from opscore.projector.lock import EditedWithoutVersion
from opscore.projector.sqltext import SqlFileError

ResultT = TypeVar("ResultT")

FILTERS_MAX = 20


class ProjectionFilterOperator(enum.StrEnum):
    """How a column is compared with a value."""

    EQ = "EQ"
    """Equal."""
    NE = "NE"
    """Not equal."""
    LT = "LT"
    """Less than, or before."""
    LE = "LE"
    """At most, or not after."""
    GT = "GT"
    """More than, or after."""
    GE = "GE"
    """At least, or not before."""


expose(ProjectionFilterOperator)


@strawberry.type(description="What `projections rebuild` would do with one read model.")
class ProjectionPlanLine:
    name: str = strawberry.field(description="Its name.")
    version: int = strawberry.field(description="The version that the folder of projections has.")
    serving: int | None = strawberry.field(description="The version that serves; null before the first is built.")
    action: str = strawberry.field(
        description="nothing; texts (comments or checks changed); build; resume (a build that was cut off); refused "
        "(rules were edited under the same version)."
    )
    why: str = strawberry.field(description="Why, and what to do.")
    warning: str | None = strawberry.field(
        description="Which of its rules are others in another read model; null: they agree."
    )


@strawberry.type(description="A column of an answer.")
class ProjectionColumn:
    name: str = strawberry.field(description="Its name.")
    type: str = strawberry.field(description="Its type as PostgreSQL calls it, such as bigint, numeric, date or uuid.")
    description: str | None = strawberry.field(description="What it means; null where the projection does not say.")


@strawberry.type(description="A value that a query of a read model takes.")
class ProjectionParameter:
    name: str = strawberry.field(description="Its name.")
    type: str | None = strawberry.field(description="Its type as PostgreSQL calls it; null where any will do.")


@strawberry.type(description="A query of a read model, as its version defines it.")
class ProjectionQuery:
    name: str = strawberry.field(description="Its name.")
    description: str = strawberry.field(description="What it answers.")
    parameters: list[ProjectionParameter] = strawberry.field(description="What it takes; all may be left out.")
    columns: list[ProjectionColumn] = strawberry.field(description="What its rows hold.")
    key: list[str] = strawberry.field(
        description="The columns that name a row, along which pages go; empty: there is one page only."
    )
    operator_wide: bool = strawberry.field(description="Whether only who sees every store may ask it.")


@strawberry.input(description="A condition on a column of the answer; every condition that is given has to hold.")
class ProjectionFilter:
    column: str = strawberry.field(description="Name of the column.")
    operator: ProjectionFilterOperator = strawberry.field(description="How it is compared.")
    value: str = strawberry.field(description='The value as text: "12", "2026-02-01", "GBP", an id as a UUID.')


@strawberry.type(description="A page of rows of any read model, described as it is.")
class ProjectionRows:
    columns: list[ProjectionColumn] = strawberry.field(description="What the rows hold, in order.")
    rows: list[Json] = strawberry.field(
        description="Objects with a value for each column: whole numbers as numbers, decimals, ids, days and times as "
        "strings."
    )
    page_info: PageInfo = strawberry.field(description="Where this page lies; without a key it has no cursors.")
    version: int = strawberry.field(description="The version that answered.")
    position: Position = strawberry.field(description="The last event that it had taken in.")


@strawberry.type(description="The sum of a column in two versions.")
class ComparedSum:
    column: str = strawberry.field(description="The column.")
    old: str = strawberry.field(description="Its sum in the old version, as an exact number.")
    new: str = strawberry.field(description="Its sum in the new version.")
    difference: str = strawberry.field(description="New less old.")


@strawberry.type(description="How many rows of a table differ between two versions, and the sums that differ.")
class ComparedTable:
    name: str = strawberry.field(description="The table; `query NAME` for the answers of that query.")
    differing_rows: int = strawberry.field(description="Rows that differ.")
    only_old: int = strawberry.field(description="Those of them that only the old version has.")
    only_new: int = strawberry.field(description="Those of them that only the new version has.")
    old_rows: int = strawberry.field(description="Rows of the old version.")
    new_rows: int = strawberry.field(description="Rows of the new version.")
    sums: list[ComparedSum] = strawberry.field(description="Numeric columns whose sums differ.")


@strawberry.type(description="An event that counted differently under two versions.")
class DifferingEvent:
    position: Position = strawberry.field(description="Its position in the log.")
    old: Json | None = strawberry.field(description="What it contributed under the old version; null: nothing.")
    new: Json | None = strawberry.field(description="What it contributed under the new version; null: nothing.")


@strawberry.type(name="DifferingRow", description="A row that differs between two versions.")
class DifferingRowView:
    number: int = strawberry.field(description="Its number in the comparison, from 1.")
    table: str = strawberry.field(description="The table it is of; `query NAME` for a row of that query's answer.")
    key: Json = strawberry.field(description="What names the row.")
    old: Json | None = strawberry.field(description="Its values in the old version; null: it is not there.")
    new: Json | None = strawberry.field(description="Its values in the new version; null: it is not there.")
    events: list[DifferingEvent] | None = strawberry.field(
        description="The first events behind the difference, at most 200; `eventsBehind` of the comparison has all. "
        "Null where they are not known (any more): of the first rows they are kept, of others they are found while "
        "both versions stand."
    )
    event_count: int | None = strawberry.field(
        description="How many there are: an event is counted for each way in which it contributed."
    )


@strawberry.type(description="How two versions of a read model differed at one position of the log. Kept for ever.")
class ProjectionCompare:
    id: UUID = strawberry.field(description="Its id.")
    projection: str = strawberry.field(description="The read model; `whatif_...` for one that was built for a what-if.")
    old_version: int = strawberry.field(description="The version compared with.")
    new_version: int = strawberry.field(description="The version compared.")
    compared_at: datetime | None = strawberry.field(description="When.")
    compared_by: str = strawberry.field(description="Who: a pseudonym.")
    position: Position = strawberry.field(description="Where both versions stood.")
    digest: str = strawberry.field(description="Digest of both versions' rules as they were.")
    differing_rows: int = strawberry.field(description="Rows that differ, in all tables and answers.")
    remarks: list[str] = strawberry.field(
        description="What could not be compared, in words: a table or column of one version alone, an answer that "
        "cannot be asked as a whole."
    )
    tables: list[ComparedTable] = strawberry.field(
        description="The same by table, and by query whose answers the tables alone do not decide."
    )
    source: strawberry.Private[Comparison]

    @strawberry.field(description="The rows that differ, by table and key; at most 100,000 are kept.")
    async def rows(self, info: ContextInfo, first: First = None, after: After = None) -> Connection[DifferingRowView]:
        binding, counted = f"compare:{self.id}", wants_total(info)
        asked = window(binding, (number,), first, after, None, None)
        projector = info.context.services.read_models
        compared = self.source
        shown = selected_of(info)
        wanted = any({"events", "eventCount"} & set(shown.at(*path)) for path in (("nodes",), ("edges", "node")))

        def read() -> Any:
            kept = projector.compare_rows(compared.id, after=asked.numbers_after(1)[0], limit=asked.fetch)
            # Nobody pays for events that nobody looks at.
            behind = projector.events_behind(compared, asked.cut(kept), limit=EVENTS_MAX) if wanted else {}
            return connection(
                kept,
                asked,
                binding,
                lambda row: [row.number],
                lambda row: _differing(row, behind.get(row.number)),
                projector.compare_rows_count(compared.id) if counted else None,
            )

        return await info.context.services.read(read)

    @strawberry.field(description="All events behind one of the rows, by position.")
    async def events_behind(
        self,
        info: ContextInfo,
        row: Annotated[int, strawberry.argument(description="The row's number.")],
        first: First = None,
        after: After = None,
    ) -> Connection[DifferingEvent]:
        binding = f"behind:{self.id}:{row}"
        asked = window(binding, (number,), first, after, None, None)
        projector = info.context.services.read_models
        compared = self.source

        def read() -> Any:
            found = projector.compare_rows(compared.id, after=row - 1, limit=1)
            if not found or found[0].number != row:
                raise BadInput(f"This comparison has kept no row {row}.")
            place = asked.numbers_after(1)[0]
            events = projector.events_behind(compared, found, after=place, limit=asked.fetch).get(row)
            if events is None:
                raise BadInput("The events behind this row are not known any more; compare again.")
            total = events[0].of if events else place
            return connection(events, asked, binding, lambda each: [each.place], _event, total)

        return await info.context.services.read(read)


@strawberry.type(description="That a version was let serve. Kept for ever, whatever was promoted after it.")
class ProjectionPromotion:
    projection: str = strawberry.field(description="The read model.")
    number: int = strawberry.field(description="The how-manieth time of this read model, from 1.")
    version: int = strawberry.field(description="The version that serves from then on.")
    from_version: int | None = strawberry.field(
        description="The version that served before; null for the first, and where it was not kept."
    )
    digest: str = strawberry.field(description="Digest of the version's rules as they were.")
    position: Position = strawberry.field(description="The last event that it had taken in.")
    promoted_at: datetime = strawberry.field(description="When.")
    promoted_by: str = strawberry.field(description="Who decided it: a pseudonym.")
    compare_id: UUID | None = strawberry.field(
        description="The comparison of both versions that it relied on; null where none was needed, or kept."
    )
    despite: str | None = strawberry.field(description="Why it serves though its checks failed; null: they held.")


def promotion_view(found: Promotion) -> ProjectionPromotion:
    """Return a promotion as the API shows it."""
    return ProjectionPromotion(
        projection=found.name,
        number=found.number,
        version=found.version,
        from_version=found.from_version,
        digest=found.digest,
        position=Position(found.position),
        promoted_at=found.promoted_at,
        promoted_by=found.promoted_by,
        compare_id=found.compare_id,
        despite=found.despite,
    )


def _plain_object(value: dict[str, Any] | None) -> Json | None:
    return None if value is None else Json({name: plain_value(each) for name, each in value.items()})


def _event(event: EventBehind) -> DifferingEvent:
    return DifferingEvent(position=Position(event.position), old=_plain_object(event.old), new=_plain_object(event.new))


def _differing(row: DifferingRow, events: list[EventBehind] | None) -> DifferingRowView:
    return DifferingRowView(
        number=row.number,
        table=row.table,
        key=Json(row.key),
        old=_plain_object(row.old),
        new=_plain_object(row.new),
        events=None if events is None else [_event(each) for each in events],
        event_count=None if events is None else (events[0].of if events else 0),
    )


def compare_view(found: Comparison) -> ProjectionCompare:
    """Return a comparison as the API shows it."""
    return ProjectionCompare(
        id=found.id,
        projection=found.name,
        old_version=found.old_version,
        new_version=found.new_version,
        compared_at=found.compared_at,
        compared_by=found.compared_by,
        position=Position(found.position),
        digest=found.digest,
        differing_rows=found.differing_rows,
        remarks=found.remarks,
        tables=[
            ComparedTable(
                name=name,
                differing_rows=each["differing_rows"],
                only_old=each["only_old"],
                only_new=each["only_new"],
                old_rows=each["old"],
                new_rows=each["new"],
                sums=[ComparedSum(column=column, **sums) for column, sums in each["columns"].items()],
            )
            for name, each in found.totals.items()
        ],
        source=found,
    )


def require_all_stores(context: Context) -> None:
    """Refuse a token that is bound to some stores: what is asked looks at all of them."""
    if context.viewer.stores is not None:
        raise Forbidden("This looks at all stores, and your token is bound to some.")


def said_plainly(work: Callable[[], ResultT]) -> ResultT:
    """Return what work on the folders of projections returns; raises NotReady with what is wrong with them."""
    try:
        return work()
    except (ProjectionRefused, SqlFileError, EditedWithoutVersion) as refused:
        raise NotReady(str(refused)) from None


def query_view(found: Question) -> ProjectionQuery:
    """Return a query of a read model as the API shows it."""
    return ProjectionQuery(
        name=found.name,
        description=found.description,
        parameters=[ProjectionParameter(name=each.name, type=each.type) for each in found.parameters],
        columns=_columns(found),
        key=found.key,
        operator_wide=found.operator_wide,
    )


def _columns(found: Question) -> list[ProjectionColumn]:
    return [ProjectionColumn(name=each.name, type=each.type, description=each.description) for each in found.columns]


def rows(
    context: Context,
    name: str,
    query: str,
    parameters: Any,
    filters: list[ProjectionFilter],
    version: int | None,
    page: tuple[int | None, str | None],
    store_ids: list[UUID] | None,
    at_least: int | None,
) -> ProjectionRows:
    """Return a page of rows of any read model (blocking)."""
    projector = context.services.read_models
    values = _parameters(parameters)
    if len(filters) > FILTERS_MAX:
        raise BadInput(f"Give at most {FILTERS_MAX} filters.")
    wanted = [Filter(each.column, each.operator.value, each.value) for each in filters]
    binding = f"rows:{name}:{query}:{version}:{sorted(values.items())}:{wanted}"
    try:
        key = projector.key_of_query(name, query, version=version)
        asked = window(binding, [anything] * len(key), page[0], page[1], None, None)
        found = projector.rows(
            name, query, values,
            store_ids=store_ids, version=version, filters=wanted, after=asked.after, limit=asked.fetch,
            at_least=at_least, seconds_max=context.services.database.settings.statement_seconds_max,
        )  # fmt: skip
    except TookTooLong:
        raise TimedOut from None
    except ProjectionRefused as refused:
        raise BadInput(str(refused)) from None
    names = [column.name for column in found.question.columns]
    shown = found.rows[: asked.limit]
    cursors = [encode_cursor(binding, each) for each in found.keys[: asked.limit]] if key else []
    return ProjectionRows(
        columns=_columns(found.question),
        rows=[Json({name: plain_value(value) for name, value in zip(names, row, strict=True)}) for row in shown],
        page_info=PageInfo(
            has_next_page=len(found.rows) > asked.limit,
            has_previous_page=asked.after is not None,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        ),
        version=found.version,
        position=Position(found.position),
    )


def _parameters(given: Any) -> dict[str, Any]:
    """Return the values for a query's parameters as text or lists of text; global ids are taken for *_id and *_ids."""
    if not isinstance(given, dict):
        raise BadInput("Parameters are an object of values by name.")
    return {name: _parameter(name, value) for name, value in given.items()}


def _parameter(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_parameter(name.removesuffix("s"), each) for each in value]
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise BadInput(f"The parameter {name} has to be a string, a whole number, true, false or a list of these.")
    try:
        # An id of the API stands for the UUID that the read model has.
        return str(parse_global_id(value)[1]) if aggregate_of(name) is not None else value
    except BadInput:
        return value


def plain_value(value: Any) -> Any:
    """Return a value of a row as JSON has it, exact: numbers that JavaScript would round are strings."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_POSITION else str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID | date):
        return str(value)
    if isinstance(value, list):
        return [plain_value(each) for each in value]
    if isinstance(value, dict):
        return {name: plain_value(each) for name, each in value.items()}
    return value if isinstance(value, str) else str(value)
