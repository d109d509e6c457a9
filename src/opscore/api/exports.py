"""Exports over GraphQL and the address that their files are fetched from, with the same token."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import base64
import enum
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from opscore.api.arguments import After, ContextInfo, First
from opscore.api.context import Context, Services
from opscore.api.engine import GraphQLEngine
from opscore.api.enums import expose
from opscore.api.errors import ApiError, NotAuthenticated, PageSize
from opscore.api.http import address_of_scope
from opscore.api.ids import key_of
from opscore.api.nodes import store_gid
from opscore.api.operations import answered, checked_key, error_type, optional_key, user_error
from opscore.api.paging import Connection, connection, moment, plain_id, window
from opscore.api.scalars import Json, Position
from opscore.api.selected import wants_total
from opscore.domain.command import READ
from opscore.domain.refusals import IdempotencyKeyReused, InvalidField, NotAuthorised, NotFound, Refusal
from opscore.exports.datasets import ABOUT, Dataset
from opscore.exports.formats import MEDIA_TYPES, Format, FormatNotInstalled
from opscore.exports.jobs import ExportBook, Job, TooManyExports, file_of
from opscore.permissions import may_ask
from opscore.tokens import ROLE_HEADER

ExportError, _CODE = error_type(
    "ExportError",
    "something about an export",
    (FormatNotInstalled, IdempotencyKeyReused, InvalidField, NotAuthorised, NotFound, TooManyExports),
)


class ExportState(enum.StrEnum):
    """How far an export is."""

    WAITING = "waiting"
    """No server has begun with it."""
    RUNNING = "running"
    """A server writes it; when that server ends, another begins afresh."""
    DONE = "done"
    """Its file can be fetched."""
    FAILED = "failed"
    """There is no file; the reason is given."""
    CANCELLED = "cancelled"
    """Somebody did not want it any more."""


expose(Dataset, "ExportDataset")
expose(Format, "ExportFormat")
expose(ExportState)


@strawberry.type(description="A file of rows that was asked for. All of it is read from one snapshot of the database.")
class ExportJob:
    id: UUID = strawberry.field(description="Its id.")
    dataset: Dataset = strawberry.field(description="What it holds.")
    format: Format = strawberry.field(description="How it is written.")
    store_ids: list[strawberry.ID] | None = strawberry.field(description="Stores whose rows it holds; null: all.")
    since: datetime | None = strawberry.field(description="Nothing before this moment; null: from the beginning.")
    before: datetime | None = strawberry.field(description="Nothing from this moment on; null: to the end.")
    compare_id: UUID | None = strawberry.field(description="Rows of this comparison alone; null: of all.")
    requested_by: str = strawberry.field(description="Who asked for it: a pseudonym.")
    requested_at: datetime = strawberry.field(description="When it was asked for.")
    state: ExportState = strawberry.field(description="How far it is.")
    reason: str | None = strawberry.field(description="Why there is no file.")
    rows: int = strawberry.field(description="How many rows are written.")
    percent: int | None = strawberry.field(description="How much is done, 0 to 100; null while that is not known.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    position: Position | None = strawberry.field(description="The position of the log that all of it was read at.")
    manifest: Json | None = strawberry.field(
        description="Of the file: rows, bytes, sha256, position, projection, version, valuation (the version of "
        "`stock_valuation` that costs and values are from), taken_at, columns."
    )
    url: str | None = strawberry.field(
        description="Path to fetch it from with GET and the token that asked for it; null while there is no file."
    )


@strawberry.type(description="Answer to a mutation of an export.")
class ExportPayload:
    export_job: ExportJob | None = strawberry.field(description="The job; null when it was refused.")
    replayed: bool = strawberry.field(description="Whether this key had asked for it before.")
    # Its type is made from the refusals when the program starts.
    user_errors: list[ExportError] = strawberry.field(  # type: ignore[valid-type]
        description="Why it was refused; empty when it was done."
    )


@strawberry.input(description="What to write into a file.")
class StartExportInput:
    dataset: Dataset = strawberry.field(description="What it shall hold.")
    format: Format = strawberry.field(description="How it shall be written.")
    store_ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="Rows of these stores; of all that the token may see if left out."
    )
    since: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Nothing before this moment: orders placed, other things happened."
    )
    before: datetime | None = strawberry.field(default=strawberry.UNSET, description="Nothing from this moment on.")
    compare_id: UUID | None = strawberry.field(
        default=strawberry.UNSET, description="Of COMPARES: rows of this comparison; of all if left out."
    )
    idempotency_key: str = strawberry.field(description="Names this request: sent again it is the same job.")


@strawberry.input(description="Which export.")
class CancelExportInput:
    export_id: UUID = strawberry.field(description="The export.")
    idempotency_key: str | None = strawberry.field(
        default=strawberry.UNSET, description="Names this request: sent again it is answered as it was."
    )


def job_view(job: Job) -> ExportJob:
    """Return a job as the API shows it."""
    return ExportJob(
        id=job.id,
        dataset=Dataset(job.dataset),
        format=Format(job.format),
        store_ids=None if job.store_ids is None else [store_gid(each) for each in job.store_ids],
        since=job.asked_from,
        before=job.asked_before,
        compare_id=job.compare_id,
        requested_by=job.requested_by,
        requested_at=job.requested_at,
        state=ExportState(job.progress),
        reason=job.reason,
        rows=job.rows_done,
        percent=job.percent,
        ended_at=job.ended_at,
        position=None if job.manifest is None else Position(job.manifest["position"]),
        manifest=None if job.manifest is None else Json(job.manifest),
        url=f"/exports/{job.id}" if job.state == "done" else None,
    )


def _book(context: Context) -> ExportBook:
    return ExportBook(context.services.database)


def _given(value: Any) -> Any:
    return None if value is strawberry.UNSET else value


def _payload(found: Refusal | tuple[Job, bool]) -> ExportPayload:
    if isinstance(found, Refusal):
        return ExportPayload(export_job=None, replayed=False, user_errors=[user_error(ExportError, _CODE, found)])
    job, replayed = found
    return ExportPayload(export_job=job_view(job), replayed=replayed, user_errors=[])


_Start = Annotated[StartExportInput, strawberry.argument(description="The export.")]
_Which = Annotated[CancelExportInput, strawberry.argument(description="The export.")]


@strawberry.type
class ExportQueries:
    """Questions about exports."""

    @strawberry.field(description="An export that this token's holder asked for.")
    async def export_job(
        self, info: ContextInfo, id: Annotated[UUID, strawberry.argument(description="Its id.")]
    ) -> ExportJob | None:
        context = info.context
        found = await context.services.read(lambda: _book(context).one(context.viewer, id))
        return None if found is None else job_view(found)

    @strawberry.field(description="The exports that this token's holder asked for, latest first.")
    async def export_jobs(self, info: ContextInfo, first: First = None, after: After = None) -> Connection[ExportJob]:
        context = info.context
        if first is None:
            raise PageSize("Say first, from 1 to 100.")
        binding, counted = "exports:latest", wants_total(info)
        asked = window(binding, (moment, plain_id), first, after, None, None)
        before = None if asked.after is None else (asked.after[0], asked.after[1])

        def read() -> Any:
            book = _book(context)
            return connection(
                book.listed(context.viewer, limit=asked.fetch, before=before),
                asked,
                binding,
                lambda row: [row.requested_at.isoformat(), str(row.id)],
                job_view,
                book.count(context.viewer) if counted else None,
            )

        page: Connection[ExportJob] = await context.services.read(read)
        return page


@strawberry.type
class ExportMutations:
    """What can be done with exports."""

    @strawberry.mutation(
        description="Has rows written into a file, beside everything else; ask `exportJob` how far it is."
    )
    async def start_export(self, info: ContextInfo, input: _Start) -> ExportPayload:
        context = info.context
        stores = _given(input.store_ids)
        keys = None if stores is None else [key_of(each, "Store") for each in stores]
        found = await context.services.read(
            answered,
            lambda: _book(context).start(
                context.viewer,
                checked_key(input.idempotency_key),
                input.dataset,
                input.format,
                store_ids=keys,
                since=_given(input.since),
                before=_given(input.before),
                compare_id=_given(input.compare_id),
            ),
        )
        return _payload(found)

    @strawberry.mutation(description="Ends an export that is not done, within moments; a file that is there stays.")
    async def cancel_export(self, info: ContextInfo, input: _Which) -> ExportPayload:
        context = info.context
        return _payload(
            await context.services.read(
                answered,
                lambda: _book(context).cancel(context.viewer, input.export_id, optional_key(input.idempotency_key)),
            )
        )


class ExportNotThere(ApiError):
    """There is no file of this id that this token may fetch."""

    CODE = "NOT_FOUND"
    STATUS = 404


def route(engine: GraphQLEngine, services: Services) -> Route:
    """Return the route that files are fetched from; it raises ApiError, which the application answers."""

    async def fetch(request: Request) -> Response:
        authorization = request.headers.get("authorization")
        if authorization is None:
            raise NotAuthenticated("Send 'Authorization: Bearer <token>'.")
        role = request.headers.get(ROLE_HEADER)
        actor = await engine.authenticate(authorization, address_of_scope(request.scope), role)
        try:
            job_id = UUID(request.path_params["job_id"])
        except ValueError:
            job_id = UUID(int=0)
        job = None
        if may_ask(actor.role, "exportJob") and actor.covers(READ, "exportJob"):
            job = await services.read(lambda: ExportBook(services.database).one(actor, job_id))
        if job is None or job.manifest is None or not actor.covers(READ, ABOUT[Dataset(job.dataset)].question):
            raise ExportNotThere("There is no file of this id for this token; ask exportJob how far it is.")
        file = file_of(services.database.settings.exports_folder, job.id, job.format)
        if not file.is_file():
            raise ExportNotThere(
                "The file is not on this server any more, or never was; ask for it again. Several servers need one"
                " folder of exports (OPSCORE_EXPORTS_DIR)."
            )
        digest = base64.b64encode(bytes.fromhex(job.manifest["sha256"])).decode()
        return FileResponse(
            file,
            media_type=MEDIA_TYPES[Format(job.format)],
            filename=job.file_name,
            headers={
                "cache-control": "private, no-store",
                "x-content-type-options": "nosniff",
                "repr-digest": f"sha-256=:{digest}:",  # RFC 9530
            },
        )

    return Route("/exports/{job_id}", fetch, methods=["GET"])
