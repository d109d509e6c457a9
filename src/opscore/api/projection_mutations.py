"""What an admin page does with versions of read models: build, compare, ask what if, promote, resume, drop.

The rules and the SQL come from the operator's folders alone; what is sent here names versions and values of rules.
"""

# Strawberry declares its field decorator untyped; the resolvers themselves are checked.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: A002 -- arguments are called what the schema calls them.

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any
from uuid import UUID, uuid5

import msgspec
import strawberry

from opscore.api import log, projections as views
from opscore.api.arguments import ContextInfo
from opscore.api.context import Context
from opscore.api.operations import checked_key, error_type, user_error
from opscore.comparisons import REFUSED, OfVersions, WhatIf
from opscore.domain.refusals import IdempotencyKeyReused, InvalidField, Refusal, SamePerson
from opscore.domain.values import Reason
from opscore.projector import ChecksFail, ComparedAlone, PlanLine, ProjectionRefused, Projector
from opscore.sqlfiles import load

SQL = load(__file__, "projections.sql")
WAIT_SECONDS_MAX = 20.0
"""How long an answer waits for a comparison; what takes longer goes on, and is asked for by its id."""
COMPARES = UUID("1f0a3c52-7c0e-5d0b-9a55-3f6f4e0b7c11")
"""Name space of the ids of comparisons: the same request has the same one."""


class ProjectionStays(Refusal):
    """Nothing was changed: {why}."""


class ProjectionChecksFail(Refusal):
    """Nothing was changed, since the checks of this version fail: {why}."""


ProjectionError, _CODE = error_type(
    "ProjectionError",
    "something about a read model",
    (ProjectionStays, ProjectionChecksFail, SamePerson, IdempotencyKeyReused, InvalidField),
)


@strawberry.type(description="Answer to a mutation of a read model.")
class ProjectionPayload:
    projection: log.Projection | None = strawberry.field(
        description="The version afterwards; null when it was refused, dropped or is not begun yet."
    )
    replayed: bool = strawberry.field(description="Whether this key had been answered before; nothing was done again.")
    # Its type is made from the refusals when the program starts.
    user_errors: list[ProjectionError] = strawberry.field(  # type: ignore[valid-type]
        description="Why it was refused; empty when it was done or begun."
    )


@strawberry.type(description="Answer to a mutation that compares.")
class ProjectionComparePayload:
    compare: views.ProjectionCompare | None = strawberry.field(
        description="The comparison; null while it is being made, and when it was refused."
    )
    compare_id: UUID | None = strawberry.field(
        description="Its id: ask `projectionCompare` by it when the comparison takes longer; null when it was refused."
    )
    replayed: bool = strawberry.field(description="Whether this key had been answered before and this is that answer.")
    # Its type is made from the refusals when the program starts.
    user_errors: list[ProjectionError] = strawberry.field(  # type: ignore[valid-type]
        description="Why it was refused; empty when it was done or is being done."
    )


_KEY = "Names this request: sent again, nothing is done again."


@strawberry.input(description="Which read model.")
class RebuildProjectionInput:
    name: str = strawberry.field(description="The read model.")
    idempotency_key: str = strawberry.field(description=_KEY)


@strawberry.input(description="Which version.")
class ProjectionVersionInput:
    name: str = strawberry.field(description="The read model.")
    version: int = strawberry.field(description="The version.")
    idempotency_key: str = strawberry.field(description=_KEY)


@strawberry.input(description="Which version, and why.")
class PromoteDespiteChecksInput:
    name: str = strawberry.field(description="The read model.")
    version: int = strawberry.field(description="The version.")
    reason: str = strawberry.field(
        description="Why it shall serve though its checks fail, 1 to 500 characters; kept for ever."
    )
    idempotency_key: str = strawberry.field(description=_KEY)


@strawberry.input(description="Which two versions.")
class CompareProjectionsInput:
    name: str = strawberry.field(description="The read model.")
    old_version: int = strawberry.field(description="The version to compare with.")
    new_version: int = strawberry.field(description="The version to compare.")
    idempotency_key: str = strawberry.field(description=_KEY)


@strawberry.input(description="A rule with another value.")
class RuleValue:
    rule: str = strawberry.field(description="The rule, as `projections` shows it.")
    value: str = strawberry.field(description='The value as text: "true", "12", "0.15", "2026-02-01".')


@strawberry.input(description="What would be otherwise.")
class WhatIfProjectionInput:
    name: str = strawberry.field(description="The read model.")
    rules: list[RuleValue] = strawberry.field(description="The rules that would differ.")
    from_day: date | None = strawberry.field(
        default=strawberry.UNSET, description="From this local day on; in all history if left out."
    )
    idempotency_key: str = strawberry.field(description=_KEY)


_Rebuild = Annotated[RebuildProjectionInput, strawberry.argument(description="The read model.")]
_Version = Annotated[ProjectionVersionInput, strawberry.argument(description="The version.")]
_Despite = Annotated[PromoteDespiteChecksInput, strawberry.argument(description="The version, and why.")]
_Compare = Annotated[CompareProjectionsInput, strawberry.argument(description="The two versions.")]
_WhatIf = Annotated[WhatIfProjectionInput, strawberry.argument(description="The rules.")]


@strawberry.type
class ProjectionMutations:
    """What can be done with versions of read models."""

    @strawberry.mutation(
        description="Begins to build the version that the folder has beside the one that serves, or goes on with it; "
        "`projectionProgress` follows it. The first version of a read model serves once it is built. One whose server "
        "was stopped goes on with the next server, or when it is sent again."
    )
    async def rebuild_projection(self, info: ContextInfo, input: _Rebuild) -> ProjectionPayload:
        context = info.context

        def begin(projector: Projector) -> int:
            projector.definition_of(input.name)
            line = planned(projector)
            if line.action == "refused":
                raise ProjectionRefused(line.why)
            work(projector)
            return line.version

        def go_on(projector: Projector) -> None:
            # Whoever began with it may be gone.
            if planned(projector).action == "resume":
                work(projector)

        def planned(projector: Projector) -> PlanLine:
            return next(each for each in projector.plan() if each.name == input.name)

        def work(projector: Projector) -> None:
            context.services.works.begin(
                f"rebuild {input.name}",
                lambda stop: projector.rebuild(input.name, by=context.viewer.id, stop=stop),
            )

        asked = ("rebuild", input.name)
        return await _changed(context, input.name, input.idempotency_key, asked, begin, go_on)

    @strawberry.mutation(
        description="Compares two versions at one position of the log and keeps the result, rows and events and all. "
        "One whose server was stopped goes on with the next server, or when it is sent again."
    )
    async def compare_projections(self, info: ContextInfo, input: _Compare) -> ProjectionComparePayload:
        asked = ("compare", input.name, input.old_version, input.new_version)
        question = OfVersions(input.name, input.old_version, input.new_version)
        return await _compared(info.context, input.idempotency_key, asked, question)

    @strawberry.mutation(
        description="Says what the version that serves would show under other rules: builds it aside, compares, drops "
        "what was built. Nothing that serves changes."
    )
    async def what_if_projection(self, info: ContextInfo, input: _WhatIf) -> ProjectionComparePayload:
        rules = {each.rule: each.value for each in input.rules}
        day = None if input.from_day is strawberry.UNSET else input.from_day
        asked = ("whatIf", input.name, *sorted(rules.items()), day)
        return await _compared(info.context, input.idempotency_key, asked, WhatIf(input.name, rules, day))

    @strawberry.mutation(
        description="Lets a version serve that was compared with the one that serves now. That one goes on following "
        "beside it, so going back is the same mutation."
    )
    async def promote_projection(self, info: ContextInfo, input: _Version) -> ProjectionPayload:
        by = info.context.viewer.id

        def promote(projector: Projector) -> int:
            return projector.promote(input.name, input.version, by=by).version

        return await _of_version(info.context, "promote", input, promote)

    @strawberry.mutation(
        description="Lets a version serve as `promoteProjection` does, though its checks fail: a decision that is kept "
        "with who and why, as `despite` in `projectionPromotions`. It takes a second person: somebody else has to have "
        "asked for a comparison of the two versions. One whose checks hold is promoted as ever, without the reason."
    )
    async def promote_projection_despite_checks(self, info: ContextInfo, input: _Despite) -> ProjectionPayload:
        by = info.context.viewer.id

        def promote(projector: Projector) -> int:
            reason = _checked_reason(input.reason)
            try:
                return projector.promote(input.name, input.version, by=by, despite=reason, second_person=True).version
            except ComparedAlone:
                raise SamePerson(actor=by, path=("version",)) from None

        asked = ("promote despite", input.name, input.version, input.reason)
        return await _changed(info.context, input.name, input.idempotency_key, asked, promote)

    @strawberry.mutation(
        description="Lets a version that a failure stopped try again from where it stands, once what failed is mended."
    )
    async def resume_projection(self, info: ContextInfo, input: _Version) -> ProjectionPayload:
        def resume(projector: Projector) -> int:
            projector.resume(input.name, input.version)
            return input.version

        return await _of_version(info.context, "resume", input, resume)

    @strawberry.mutation(description="Drops the tables of a version that does not serve; its rules stay on record.")
    async def drop_projection(self, info: ContextInfo, input: _Version) -> ProjectionPayload:
        def drop(projector: Projector) -> int:
            projector.drop(input.name, input.version)
            return input.version

        return await _of_version(info.context, "drop", input, drop)


async def _of_version(
    context: Context, what: str, given: ProjectionVersionInput, work: Callable[[Projector], int]
) -> ProjectionPayload:
    return await _changed(context, given.name, given.idempotency_key, (what, given.name, given.version), work)


async def _changed(
    context: Context,
    name: str,
    key: str,
    asked: tuple[Any, ...],
    work: Callable[[Projector], int],
    again: Callable[[Projector], None] = lambda _: None,
) -> ProjectionPayload:
    """Do what is asked once for a key (`work` returns the version), and show the version as it is then.

    again: what is done when the key has been answered before.
    """
    views.require_all_stores(context)

    def do() -> ProjectionPayload:
        projector = context.services.read_models
        try:
            known = _recall(context, checked_key(key), asked)
            if known is None:
                version = _refusing(lambda: work(projector))
                _remember(context, key, asked, None)
            else:
                version = asked[2] if len(asked) > 2 else _refusing(lambda: projector.definition_of(name).version)
                again(projector)
            shown = next(
                (each for each in log.projections(context) if (each.name, each.version) == (name, version)), None
            )
            return ProjectionPayload(projection=shown, replayed=known is not None, user_errors=[])
        except Refusal as refusal:
            return ProjectionPayload(
                projection=None, replayed=False, user_errors=[user_error(ProjectionError, _CODE, refusal)]
            )

    # Promoting takes in what is left of the log; the threads that answer questions do not wait for it.
    return await asyncio.to_thread(do)


async def _compared(
    context: Context, key: str, asked: tuple[Any, ...], question: OfVersions | WhatIf
) -> ProjectionComparePayload:
    """Put a comparison on record once for a key, wait a while for it, and show it if it is there.

    Asked for again, one that nobody makes any more is taken up, and one that was refused is tried again.
    """
    views.require_all_stores(context)
    projector, comparisons = context.services.read_models, context.services.comparisons
    comparison_id = uuid5(COMPARES, f"{context.viewer.id} {key}")
    try:
        known = await context.services.read(_recall, context, checked_key(key), asked)
        found = None if known is None else await context.services.read(projector.compared, comparison_id)
        if found is None:
            await context.services.read(comparisons.ask, comparison_id, question, context.viewer.id)
            await context.services.read(_remember, context, key, asked, comparison_id)
            making = comparisons.take_up(comparison_id)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(making)), WAIT_SECONDS_MAX)
            found = await context.services.read(projector.compared, comparison_id)
        refused = None if found is not None else await context.services.read(comparisons.refusal, comparison_id)
        if refused is not None:
            raise ProjectionStays(why=refused)
    except Refusal as refusal:
        return ProjectionComparePayload(
            compare=None,
            compare_id=None,
            replayed=False,
            user_errors=[user_error(ProjectionError, _CODE, refusal)],
        )
    return ProjectionComparePayload(
        compare=None if found is None else views.compare_view(found),
        compare_id=comparison_id,
        replayed=known is not None,
        user_errors=[],
    )


def _refusing(work: Callable[[], int]) -> int:
    try:
        return work()
    except ChecksFail as refused:
        raise ProjectionChecksFail(why=str(refused).rstrip(".")) from None
    except REFUSED as refused:
        raise ProjectionStays(why=str(refused).rstrip(".")) from None


def _checked_reason(reason: str) -> str:
    try:
        return msgspec.convert(reason, Reason)
    except msgspec.ValidationError:
        raise InvalidField(why="a reason has 1 to 500 characters, not all of them blank", path=("reason",)) from None


def _hash(asked: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(repr(asked).encode()).digest()


def _recall(context: Context, key: str, asked: tuple[Any, ...]) -> tuple[UUID | None] | None:
    """Return what was answered under a key, None for a new one; refuses a key that named another request."""
    with context.services.database.pool.connection() as connection:
        row = connection.execute(SQL["recall"], {"actor": context.viewer.id, "key": key}).fetchone()
    if row is None:
        return None
    if bytes(row[0]) != _hash(asked):
        raise IdempotencyKeyReused(path=("idempotency_key",))
    return (row[1],)


def _remember(context: Context, key: str, asked: tuple[Any, ...], comparison_id: UUID | None) -> None:
    with context.services.database.pool.connection() as connection:
        connection.execute(
            SQL["remember"],
            {
                "actor": context.viewer.id, "key": key, "request_hash": _hash(asked), "aggregate_id": comparison_id,
            },
        )  # fmt: skip
