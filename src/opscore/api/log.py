"""The event log, the projections' state and the chain, as auditors see them."""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry
from strawberry.types import Info

from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.ids import AGGREGATE_NAMES, global_id
from opscore.api.nodes import store_gid
from opscore.api.scalars import Json, Position
from opscore.domain.command import Role
from opscore.log.chain import check_chain
from opscore.log.event_log import LoggedEvent
from opscore.permissions import may_see_field

expose(Role)

VERIFY_MAX = 20_000
"""Most events of one verification by the API; `opscore audit verify` checks a whole log."""


@strawberry.type(description="One event of the log, as it is stored.")
class LogEvent:
    id: UUID = strawberry.field(description="Its id, the same for ever.")
    position: Position = strawberry.field(description="Its place in the log.")
    type: str = strawberry.field(description="What happened.")
    schema_version: int = strawberry.field(description="Version of its stored shape.")
    stream_id: UUID = strawberry.field(description="The stream it belongs to.")
    stream_type: str = strawberry.field(description="The kind of that stream.")
    aggregate_id: strawberry.ID | None = strawberry.field(description="Global id of the aggregate of that stream.")
    version: int = strawberry.field(description="Its number in the stream.")
    store_id: strawberry.ID = strawberry.field(description="The store it is about.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    recorded_at: datetime = strawberry.field(description="When we recorded it.")
    time_zone: str = strawberry.field(description="IANA zone of the store at that time.")
    actor: str = strawberry.field(description="Who gave the command: a pseudonym.")
    role: Role | None = strawberry.field(description="In which role; null of events from before roles were recorded.")
    origin: str = strawberry.field(description="Whether it was recorded as it happened (live) or imported.")
    idempotency_key: str = strawberry.field(description="Key of the command.")
    correlation_id: str | None = strawberry.field(description="What it belongs together with.")
    causation_position: Position | None = strawberry.field(description="Position of the event that led to it.")
    data: Json = strawberry.field(description="What it says; personal fields are ciphertext.")
    hash: str = strawberry.field(description="Its hash over itself and the hash before, hexadecimal.")


@strawberry.type(description="The end of the log.")
class LogHead:
    position: Position = strawberry.field(description="Position of the last event; 0 for an empty log.")
    hash: str = strawberry.field(
        description="Hash of the last event, hexadecimal; note it outside to prove the log later."
    )
    recorded_at: datetime | None = strawberry.field(description="When it was recorded.")


@strawberry.type(description="Something about the log that does not hold.")
class AuditFinding:
    check: str = strawberry.field(description="Which check found it.")
    position: Position | None = strawberry.field(description="Where.")
    message: str = strawberry.field(description="What is wrong.")


@strawberry.type(description="The result of checking a part of the log's chain.")
class Verification:
    after: Position = strawberry.field(
        description="The events behind this position were checked; its own hash is taken as given."
    )
    until: Position = strawberry.field(description="The last position that was checked.")
    head: LogHead = strawberry.field(description="The end of the log when the check began.")
    holds: bool = strawberry.field(description="Whether nothing was found.")
    findings: list[AuditFinding] = strawberry.field(description="What was found, at most 100.")


@strawberry.type(description="A check of a read model that did not hold when it was built.")
class FailedCheck:
    check: str = strawberry.field(description="Its name.")
    description: str = strawberry.field(description="What it looks for: rows that should not be there.")
    ended: bool = strawberry.field(description="Whether it came to an end; one that took too long says nothing.")
    found: strawberry.Private[list[dict[str, Any]]]

    @strawberry.field(description="The first rows that should not be there; they may be of any store.")
    def rows(self, info: Info) -> list[Json] | None:
        shown = may_see_field(info.context.viewer.role, "FailedCheck.rows")
        return [Json(row) for row in self.found] if shown else None


@strawberry.type(description="One version of a read model.")
class Projection:
    name: str = strawberry.field(description="Its name.")
    version: int = strawberry.field(description="Version of its rules.")
    state: str = strawberry.field(description="building, ready, serving, frozen (a replay) or failed.")
    question: str = strawberry.field(description="The question it answers.")
    position: Position = strawberry.field(description="The last event it has taken in.")
    lag: int = strawberry.field(description="How many events it is behind the log.")
    rules: Json = strawberry.field(description="The parameters of its rules.")
    digest: str = strawberry.field(description="Digest of its rules.")
    failed_position: Position | None = strawberry.field(description="Where a failure stopped it.")
    failed_statement: str | None = strawberry.field(description="Which statement failed.")
    promoted_at: datetime | None = strawberry.field(description="Since when it serves, or when it last began to.")
    promoted_by: str | None = strawberry.field(description="Who let it serve: a pseudonym.")
    failed_checks: list[FailedCheck] = strawberry.field(
        description="Checks that did not hold once it was built; one that fails keeps it from serving."
    )
    events_per_second: int | None = strawberry.field(
        default=None, description="While it is being built and `projectionProgress` follows it: how fast."
    )
    seconds_left: int | None = strawberry.field(default=None, description="And how long that will take yet.")
    message: strawberry.Private[str | None] = None

    @strawberry.field(description="What the failed statement said; it may quote the event.")
    def failure(self, info: Info) -> str | None:
        return self.message if may_see_field(info.context.viewer.role, "Projection.failure") else None


def role_of(event: LoggedEvent) -> Role | None:
    """Return the role that an event was recorded in; None where it was not noted, or is a newer program's."""
    return Role(event.role) if event.role in list(Role) else None


def log_event(event: LoggedEvent) -> LogEvent:
    """Return an event as the API shows it."""
    known = event.stream_type in AGGREGATE_NAMES
    return LogEvent(
        id=event.id,
        position=Position(event.position),
        type=event.type,
        schema_version=event.schema_version,
        stream_id=event.stream_id,
        stream_type=event.stream_type,
        aggregate_id=strawberry.ID(global_id(event.stream_type, event.stream_id)) if known else None,
        version=event.version,
        store_id=store_gid(event.store_id),
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        time_zone=event.time_zone,
        actor=event.actor,
        role=role_of(event),
        origin=event.origin,
        idempotency_key=event.idempotency_key,
        correlation_id=event.correlation_id,
        causation_position=None if event.causation_position is None else Position(event.causation_position),
        data=Json(event.data),
        hash=bytes(event.hash).hex(),
    )


def head(context: Context) -> LogHead:
    """Return the end of the log (blocking)."""
    found = context.services.log.head()
    return LogHead(position=Position(found.position), hash=bytes(found.hash).hex(), recorded_at=found.recorded_at)


def verify(context: Context, after: int, limit: int) -> Verification:
    """Check a part of the chain (blocking)."""
    end = head(context)
    until = max(after, min(after + limit, end.position))
    with context.services.database.pool.connection() as connection:
        findings = list(check_chain(connection, after, until))
    return Verification(
        after=Position(after),
        until=Position(until),
        head=end,
        holds=not findings,
        findings=[
            AuditFinding(
                check=each.check,
                position=None if each.position is None else Position(each.position),
                message=each.message,
            )
            for each in findings[:100]
        ],
    )


def projections(context: Context) -> list[Projection]:
    """Return every version of every read model (blocking)."""
    found: list[Any] = context.services.read_models.status()
    return [
        Projection(
            name=each.entry.name,
            version=each.entry.version,
            state=each.entry.state,
            question=each.question,
            position=Position(each.entry.position),
            lag=each.lag,
            rules=Json(each.entry.rules),
            digest=each.entry.digest,
            failed_position=None if each.entry.failed_position is None else Position(each.entry.failed_position),
            failed_statement=each.entry.failed_statement,
            promoted_at=each.entry.promoted_at,
            promoted_by=each.entry.promoted_by,
            failed_checks=[
                FailedCheck(
                    check=failed["check"],
                    description=failed["description"],
                    ended=failed["rows"] is not None,
                    found=failed["rows"] or [],
                )
                for failed in each.entry.failed_checks or ()
            ],
            message=each.entry.error,
        )
        for each in found
    ]
