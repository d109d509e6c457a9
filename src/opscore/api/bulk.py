"""Commands given in lists: an answer for each row, and a policy for what is done when rows are refused.

Every row is an input of the command itself, with its own idempotency key. A list may be sent again as it is: rows that
were carried out are answered as before, and the others are decided.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Any

import strawberry
from strawberry.types import Info

from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.errors import TooManyRows
from opscore.api.mutations import NOT_DECIDED, Mutation, Payload, writer_of
from opscore.api.selected import selected_of
from opscore.writer import Outcome, Request

ROWS_MAX = 100


class BulkPolicy(enum.StrEnum):
    """What is done with a list when rows of it are refused."""

    IGNORE_FAILED_ROWS = "ignore_failed_rows"
    """Each row is decided by itself, in the order of the list; what can be done is done."""
    REJECT_EVERYTHING = "reject_everything"
    """All rows are recorded in one transaction or none is. The rows that could have been are answered as
    REJECTED_WITH_OTHERS; nothing is kept of any, keys included, so the mended list is sent with the same keys."""


expose(BulkPolicy)


@dataclass(frozen=True, slots=True)
class BulkPayload:
    """The answer to a list of commands."""

    rows: list[Payload]
    accepted: int
    refused: int


@dataclass(frozen=True, slots=True)
class Bulk:
    """One command of the domain as a mutation that takes many of it."""

    mutation: Mutation

    async def run(self, value: Mapping[str, Any], info: Info[Context, Any]) -> BulkPayload:
        """Give the commands of a list and return what became of each; raises TooManyRows."""
        rows = value["rows"]
        if not 1 <= len(rows) <= ROWS_MAX:
            raise TooManyRows(f"Send 1 to {ROWS_MAX} rows at once, not {len(rows)}.", most=ROWS_MAX)
        prepared = [self.mutation.prepared(row, info.context) for row in rows]
        if BulkPolicy(value["policy"]) is BulkPolicy.REJECT_EVERYTHING:
            payloads = await self._together(prepared, info.context)
        else:
            payloads = await self._one_by_one(prepared, info.context)
        await self._show(payloads, info)
        refused = sum(bool(payload.user_errors) for payload in payloads)
        return BulkPayload(payloads, len(payloads) - refused, refused)

    async def _one_by_one(self, prepared: list[Request | Payload], context: Context) -> list[Payload]:
        writer = writer_of(context)
        waiting: list[asyncio.Future[Outcome] | Payload] = []
        for row in prepared:
            if isinstance(row, Request):
                try:
                    # All of them before the first answer is waited for: they are decided in this order, together.
                    waiting.append(asyncio.wrap_future(writer.submit(row)))
                except NOT_DECIDED as error:
                    waiting.append(self.mutation.not_decided(error))
            else:
                waiting.append(row)
        futures = [each for each in waiting if not isinstance(each, Payload)]
        done = iter(await asyncio.gather(*futures, return_exceptions=True))
        found = [each if isinstance(each, Payload) else next(done) for each in waiting]
        return await self._answered(prepared, found, context)

    async def _together(self, prepared: list[Request | Payload], context: Context) -> list[Payload]:
        requests = [row for row in prepared if isinstance(row, Request)]
        if len(requests) < len(prepared):
            # A row that is no command: nobody needs to be asked.
            return [self.mutation.rejected() if isinstance(row, Request) else row for row in prepared]
        try:
            outcomes = await asyncio.wrap_future(writer_of(context).submit_together(requests))
        except NOT_DECIDED as error:
            return [self.mutation.not_decided(error) for _ in requests]
        return await self._answered(prepared, outcomes, context)

    async def _answered(
        self, prepared: Sequence[Request | Payload], rows: Sequence[Any], context: Context
    ) -> list[Payload]:
        """Return the payloads of outcomes, errors and payloads; the names of all that refusals blame are asked once."""
        services = context.services
        blamed = [key for row in rows if isinstance(row, Outcome) and row.refusal for key in row.refusal.ids]
        names: dict[Any, str] = {}
        if blamed:
            names = dict(zip(blamed, await services.read(services.kinds.ask, services, blamed), strict=True))
        payloads = []
        for given, row in zip(prepared, rows, strict=True):
            if isinstance(row, NOT_DECIDED):
                payloads.append(self.mutation.not_decided(row))
            elif isinstance(row, BaseException):
                raise row
            elif isinstance(given, Request) and isinstance(row, Outcome):
                payloads.append(await self.mutation.answered(given, row, services, names))
            else:
                payloads.append(row)
        return payloads

    async def _show(self, payloads: list[Payload], info: Info[Context, Any]) -> None:
        """Fetch the objects of all rows at once, if more than their ids is asked for."""
        kind, context = self.mutation.kind, info.context
        wanted = selected_of(info).at("rows", self.mutation.aggregate_field)
        ids = [payload.aggregate_id for payload in payloads if payload.aggregate_id is not None]
        if wanted.keys() <= {"id", "__typename"} or not ids:
            return
        found = await context.services.read(context.services.folded.load, kind.aggregate, ids)
        views = {key: kind.view(aggregate, context) for key, aggregate in found.items()}
        for payload in payloads:
            if payload.aggregate_id is not None:
                payload.shown = views.get(payload.aggregate_id)


def bulk_field(mutation: Mutation, payload_type: Any, name: str) -> Any:
    """Return the root field of Mutation that takes many of a command."""
    bulk = Bulk(mutation)
    command = mutation.command
    single = command.command_name()
    type_name = name[:1].upper() + name[1:]
    input_type: Any = strawberry.input(
        type(
            f"{type_name}Input",
            (),
            {
                "__annotations__": {"rows": GenericAlias(list, (mutation.input.type_,)), "policy": BulkPolicy},
                "__module__": __name__,
                "rows": strawberry.field(description=f"The commands, 1 to {ROWS_MAX}, each with its own key."),
                "policy": strawberry.field(description="What is done when rows are refused."),
            },
        ),
        description=f"Input of `{name}`.",
    )
    input_type.__strawberry_definition__.from_input = lambda _type, value, _context: value
    answer = strawberry.type(
        type(
            f"{type_name}Payload",
            (),
            {
                "__annotations__": {"rows": GenericAlias(list, (payload_type,)), "accepted": int, "refused": int},
                "__module__": __name__,
                "rows": strawberry.field(
                    description="What became of each row, in their order; paths lead into the row, objects are as "
                    "they are now."
                ),
                "accepted": strawberry.field(description="How many were carried out, now or by an earlier try."),
                "refused": strawberry.field(description="How many were not."),
            },
        ),
        description=f"Answer to `{name}`.",
    )

    async def resolve(info: Info[Context, Any], input: Any) -> Any:  # noqa: A002 -- the schema calls it so.
        return await bulk.run(input, info)

    resolve.__annotations__.update(info=Info, input=input_type)
    resolve.__annotations__["return"] = answer
    return strawberry.field(
        resolver=resolve,
        name=name,
        description=f"Gives up to {ROWS_MAX} of `{single}` at once, each answered by itself.",
    )
