"""Mutations made from the domain's commands: an input, a payload and an error enum for each, one resolver for all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import GenericAlias
from typing import Any
from uuid import UUID

import msgspec
import strawberry
from strawberry.types import Info

from opscore.api import contacts, enums
from opscore.api.context import Context, Services
from opscore.api.errors import ApiError, NotReady
from opscore.api.ids import global_id
from opscore.api.inputs import InputFault, InputType, InputTypes, decoded, kind_of
from opscore.api.naming import camel, sentence
from opscore.api.outputs import PARENT
from opscore.api.scalars import Position
from opscore.domain.aggregate import Aggregate
from opscore.domain.command import COMMANDS, COMMON_REFUSALS, Command
from opscore.domain.refusals import (
    IdempotencyKeyReused,
    InvalidField,
    Refusal,
    RejectedWithOthers,
    StaleVersion,
)
from opscore.log.event_log import LoggedEvent
from opscore.permissions import BULK
from opscore.writer import Busy, NotDeciding, Outcome, Refused, Request, Unavailable, Writer

KEY_LENGTH_MAX = 255

RETRYABLE = {
    "BUSY": "More commands wait than this server takes. Nothing was decided; send the same input again in a moment.",
    "UNAVAILABLE": "The database cannot be reached, and whether the command was recorded is not known; send the same "
    "input with the same key again.",
}
"""Errors that are no decision: the very same input may be sent again."""


FIGURES: dict[type[Command], Callable[[Context, Any, int], object]] = {}
"""What a command is decided on that only read models know: takes it and a position that they have to have reached.

It blocks. What it returns goes to the writer beside the command (`Request.figures`) and is no part of what was asked.
"""

NOT_DECIDED = (Busy, Unavailable, NotDeciding)
"""What the writer says instead of deciding; the very same command may be given again."""


def writer_of(context: Context) -> Writer:
    """Return who decides; raises NotReady in a process that takes no commands."""
    writer = context.services.writer
    if writer is None:
        raise NotReady("This server takes no commands.")
    return writer


@strawberry.interface(description="Why a command was not carried out. Nothing was recorded.")
class UserError:
    message: str = strawberry.field(description="What is wrong and what to do about it, in English.")
    path: list[str] = strawberry.field(
        description="Where in the input, as names and list indexes from the top; empty when it is no single field."
    )
    ids: list[strawberry.ID] = strawberry.field(
        description="What is at fault: global ids, and plain UUIDs of what has none (a location, a parcel)."
    )
    current_version: int | None = strawberry.field(
        description="With STALE_VERSION: the version that the object has now."
    )
    retryable: bool = strawberry.field(
        description="Whether the same input with the same idempotency key may be sent again as it is."
    )


@dataclass(slots=True)
class Payload:
    """The answer to a command, for every payload type alike."""

    user_errors: list[Any]
    aggregate_id: UUID | None = None
    position: int | None = None
    replayed: bool = False
    shown: Any = None
    """The object, where it was fetched with others."""
    given: Request | None = None
    """What was decided."""


class UndeclaredRefusal(ApiError):
    """A refusal that its command does not declare: shown as it is, so that the client learns why."""

    def __init__(self, refusal: Refused) -> None:
        super().__init__(refusal.message, ids=[str(each) for each in refusal.ids])
        self.extensions["code"] = refusal.code


def ids_in(value: Any, name: str = "") -> Iterator[tuple[UUID, str]]:
    """Give every id of a command's input as it is shown: a global id where its field names an aggregate."""
    if isinstance(value, UUID):
        kind = kind_of(name)
        yield value, str(value) if kind is None else global_id(kind, value)
    elif isinstance(value, msgspec.Struct):
        for each in value.__struct_fields__:
            yield from ids_in(getattr(value, each), each)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from ids_in(item, name)


View = Callable[[Any, Context], Any]
"""Makes the schema's object of an aggregate."""


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """How an aggregate is shown: its object type and the function that makes one."""

    aggregate: type[Aggregate]
    type_: Any
    view: View

    def global_id(self, key: UUID) -> str:
        """Return the global id of an aggregate of this kind."""
        return global_id(self.aggregate.STREAM_TYPE, key)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One command of the domain as a mutation."""

    command: type[Command]
    input: InputType
    error_type: Any
    error_code: Any
    kind: ObjectKind

    @property
    def aggregate_field(self) -> str:
        """The field of the payload that holds the object."""
        name: str = self.kind.type_.__name__
        return name[:1].lower() + name[1:]

    @property
    def payload_name(self) -> str:
        """The name of the payload type."""
        return f"{self.command.__name__}Payload"

    @property
    def error_name(self) -> str:
        """The name of the error type."""
        return f"{self.command.__name__}Error"

    async def submit(self, value: Mapping[str, Any], context: Context) -> Payload:
        """Give the command of an input, as GraphQL has coerced it, to the writer and wait for its decision."""
        payload = await self._decided(self.prepared(value, context), context)
        for old, new in self.input.succeeded.items():
            if value.get(old) is not None and value.get(new) is None:
                # Refusals name the member that was given.
                for error in payload.user_errors:
                    error.path = [old if step == new else step for step in error.path]
        return payload

    def prepared(self, value: Mapping[str, Any], context: Context) -> Request | Payload:
        """Return what the writer is to be given for an input as GraphQL has coerced it, or the refusal that it is."""
        try:
            fields = self.input.to_python(value)
        except InputFault as fault:
            return self.faulty(fault)
        return self._request(
            fields, value["idempotencyKey"], value.get("expectedVersion"), value.get("occurredAt"), context
        )

    def faulty(self, fault: InputFault) -> Payload:
        """Return the answer to an input that cannot be used."""
        why = fault.message.rstrip(".")
        message = InvalidField(why=why[:1].lower() + why[1:]).message
        return self._refused("INVALID_FIELD", message, [str(step) for step in fault.path])

    async def give(
        self,
        fields: dict[str, Any],
        key: str,
        expected_version: int | None,
        occurred_at: datetime | None,
        context: Context,
    ) -> Payload:
        """Give the command of these fields to the writer and wait for its decision."""
        return await self._decided(self._request(fields, key, expected_version, occurred_at, context), context)

    def _request(
        self,
        fields: dict[str, Any],
        key: str,
        expected_version: int | None,
        occurred_at: datetime | None,
        context: Context,
    ) -> Request | Payload:
        if not 1 <= len(key) <= KEY_LENGTH_MAX:
            return self._refused("INVALID_FIELD", "An idempotency key has 1 to 255 characters.", ["idempotencyKey"])
        try:
            command = decoded(self.command, fields)
        except InputFault as fault:
            return self.faulty(fault)
        return Request(command, context.viewer, key, occurred_at=occurred_at, expected_version=expected_version)

    async def _decided(self, prepared: Request | Payload, context: Context) -> Payload:
        if isinstance(prepared, Payload):
            return prepared
        look = FIGURES.get(type(prepared.command))
        if look is not None:
            head = await context.services.read(context.services.log.head)
            figures = await context.services.read(look, context, prepared.command, head.position)
            prepared = replace(prepared, figures=figures)
        try:
            outcome = await asyncio.wrap_future(writer_of(context).submit(prepared))
        except NOT_DECIDED as error:
            return self.not_decided(error)
        return await self.answered(prepared, outcome, context.services)

    def not_decided(self, error: Exception) -> Payload:
        """Return the answer to a command that nobody decided."""
        code = "BUSY" if isinstance(error, Busy) else "UNAVAILABLE"
        return self._refused(code, RETRYABLE[code], retryable=True)

    def rejected(self) -> Payload:
        """Return the answer to a row of a list that is left out because of others."""
        return self._refused(RejectedWithOthers.CODE, RejectedWithOthers().message, retryable=True)

    async def answered(
        self, given: Request, outcome: Outcome, services: Services, names: Mapping[UUID, str] | None = None
    ) -> Payload:
        """Return the answer to a command that was decided. names: global ids of what refusals blame, where known."""
        if outcome.refusal is None:
            return Payload([], outcome.aggregate_id, outcome.position, outcome.replayed, given=given)
        return await self.refusal(given.command, outcome, services, names or {})

    async def refusal(
        self, command: Command, outcome: Outcome, services: Services, names: Mapping[UUID, str]
    ) -> Payload:
        """Return the answer to a command that was refused; see `answered`."""
        refusal = outcome.refusal
        assert refusal is not None
        if refusal.code == RejectedWithOthers.CODE:
            return self.rejected()
        if refusal.code not in self.error_code.__members__:
            raise UndeclaredRefusal(refusal)
        current_version = None
        if refusal.code == StaleVersion.CODE and refusal.ids:
            current_version = await services.read(services.log.version_at, refusal.ids[0])
        # As the input names it: looked up, an id of another's store and one of nothing would differ, and tell the asker
        # which of them it is. What the input does not name comes out of the state of what the asker may see.
        named = dict(ids_in(command))
        others = [each for each in refusal.ids if each not in named]
        looked_up = services.kinds.recall(others)
        if looked_up is None and names:
            looked_up = [names[each] for each in others]
        if looked_up is None:
            looked_up = await services.read(services.kinds.ask, services, others)
        named.update(zip(others, looked_up, strict=True))
        ids = [named[each] for each in refusal.ids]
        path = [str(camel(step)) if isinstance(step, str) else str(step) for step in refusal.path]
        payload = self._refused(refusal.code, refusal.message, path, ids, current_version)
        payload.replayed = outcome.replayed
        return payload

    def _refused(
        self,
        code: str,
        message: str,
        path: list[str] | None = None,
        ids: Sequence[str] = (),
        current_version: int | None = None,
        *,
        retryable: bool = False,
    ) -> Payload:
        error = self.error_type(
            code=self.error_code[code],
            message=message,
            path=[self.input.succeeded.get(step, step) for step in path or ()],
            ids=[strawberry.ID(each) for each in ids],
            current_version=current_version,
            retryable=retryable,
        )
        return Payload([error])

    def aggregate(self, payload: Payload, info: Info[Context, Any]) -> Any:
        """Return the object of a payload; its id alone costs no look at the database."""
        if payload.aggregate_id is None or payload.shown is not None:
            return payload.shown
        selected = {
            getattr(getattr(selection, "name", None), "value", None)
            for node in info._raw_info.field_nodes
            if node.selection_set is not None
            for selection in node.selection_set.selections
        }
        if selected <= {"id", "__typename"}:
            shown = object.__new__(self.kind.type_)
            shown.id = self.kind.global_id(payload.aggregate_id)
            return shown
        return self._load(payload, info.context)

    async def _load(self, payload: Payload, context: Context) -> Any:
        assert payload.aggregate_id is not None
        log = context.services.log
        # A repeated answer shows what the first one showed; a fresh one what the object is now, this command included.
        position = payload.position if payload.replayed else None

        def load(stream_id: UUID) -> Aggregate | None:
            return log.aggregate(self.kind.aggregate, stream_id, position=position)

        found = await context.services.read(load, payload.aggregate_id)
        return None if found is None else self.kind.view(found, context)

    async def event(self, payload: Payload, context: Context) -> LoggedEvent | None:
        """Return the command's last event; None when it was refused, or when nothing had to be recorded."""
        if payload.given is None or payload.position is None:
            return None
        found = await context.event_at(payload.position)
        own = (payload.given.actor.id, payload.given.key)
        # A command that changed nothing is answered with where the log stood: at somebody else's event.
        return found if found is not None and (found.actor, found.idempotency_key) == own else None

    async def contact(self, payload: Payload, context: Context) -> contacts.Contact | None:
        """Return the personal data that the command was given to see; None when it was refused."""
        if payload.aggregate_id is None:
            return None
        look = contacts.of_order if self.kind.aggregate.STREAM_TYPE == "Order" else contacts.of_customer
        return await context.services.read(look, context.services, payload.aggregate_id)


def refusals_of(command: type[Command]) -> dict[str, str]:
    """Return the error codes of a command with what to do about each."""
    refusals: list[type[Refusal]] = [*command.REFUSES, *COMMON_REFUSALS, IdempotencyKeyReused]
    if command.command_name() in BULK:
        refusals.append(RejectedWithOthers)
    codes = {refusal.CODE: template(refusal) for refusal in refusals}
    return {**dict(sorted(codes.items())), **RETRYABLE}


def template(refusal: type[Refusal]) -> str:
    """Return what the refusal says, with the names of the facts in it between angle brackets."""
    return re.sub(r"\{(\w+)\}", lambda found: f"<{found.group(1).replace('_', ' ')}>", sentence(refusal.__doc__))


def make_mutations(kinds: Mapping[type[Aggregate], ObjectKind], inputs: InputTypes) -> dict[str, Mutation]:
    """Return a mutation for each command of the domain, by name."""
    return {name: _mutation(command, inputs, kinds[command.AGGREGATE]) for name, command in sorted(COMMANDS.items())}


def mutation_type(
    mutations: Mapping[str, Mutation], others: Sequence[type], in_bulk: Callable[[Mutation, Any, str], Any]
) -> Any:
    """Return the schema's Mutation.

    others: types with the mutations that are no commands of the domain. in_bulk: makes the field, of a mutation, its
    payload type and a name, that takes many of it.
    """
    payloads = {name: _payload_type(mutation) for name, mutation in mutations.items()}
    members = {_python_name(name): _field(mutation, payloads[name], name) for name, mutation in mutations.items()}
    for name in sorted(BULK):
        of_many = f"{name}InBulk"
        members[_python_name(of_many)] = in_bulk(mutations[name], payloads[name], of_many)
    return strawberry.type(
        type("Mutation", tuple(others), {"__annotations__": {}, "__module__": __name__, **members}),
        description="Commands: intentions that are decided, recorded and answered, or refused with a reason.",
    )


def _python_name(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _mutation(command: type[Command], inputs: InputTypes, kind: ObjectKind) -> Mutation:
    codes = refusals_of(command)
    error_code = enums.make(f"{command.__name__}ErrorCode", f"Why `{command.command_name()}` may be refused.", codes)
    error_type = strawberry.type(
        type(
            f"{command.__name__}Error",
            (UserError,),
            {
                "__annotations__": {"code": error_code},
                "__module__": __name__,
                "code": strawberry.field(description="Which refusal it is; its description says what to do."),
            },
        ),
        description=f"Why `{command.command_name()}` was refused.",
    )
    return Mutation(command, inputs.command(command), error_type, error_code, kind)


def _field(mutation: Mutation, payload_type: Any, name: str) -> Any:
    async def resolve(info: Info[Context, Any], input: Any) -> Any:  # noqa: A002 -- the schema calls it so.
        return await mutation.submit(input, info.context)

    resolve.__annotations__.update(info=Info, input=mutation.input.type_)
    resolve.__annotations__["return"] = payload_type
    return strawberry.field(
        resolver=resolve,
        name=name,
        description=_description(mutation.command),
    )


def _description(command: type[Command]) -> str:
    roles = ", ".join(sorted(role.value for role in command.ROLES))
    return f"{sentence(command.__doc__)}\n\nRoles: {roles or 'owner'}."


def _payload_type(mutation: Mutation) -> Any:
    command, kind, name = mutation.command, mutation.kind, mutation.aggregate_field

    def aggregate(root: Any, info: Info[Context, Any]) -> Any:
        return mutation.aggregate(root, info)

    async def event_id(root: Any, info: Info[Context, Any]) -> UUID | None:
        event = await mutation.event(root, info.context)
        return None if event is None else event.id

    async def event_hash(root: Any, info: Info[Context, Any]) -> str | None:
        event = await mutation.event(root, info.context)
        return None if event is None else bytes(event.hash).hex()

    aggregate.__annotations__.update(root=PARENT, info=Info)
    aggregate.__annotations__["return"] = kind.type_ | None
    for resolver in (event_id, event_hash):
        resolver.__annotations__.update(root=PARENT, info=Info)
    members = {
        name: strawberry.field(
            resolver=aggregate,
            name=name,
            description="The object after the command; null when it was refused. A repeated answer shows it as it was.",
        ),
        "user_errors": strawberry.field(description="Why it was refused; empty when it was carried out."),
        "position": strawberry.field(
            description="Position of the command's last event in the log; pass it as `atLeast` to read your own write."
        ),
        "event_id": strawberry.field(
            resolver=event_id,
            description="Id of the command's last event; null when it was refused or nothing had to be recorded.",
        ),
        "event_hash": strawberry.field(
            resolver=event_hash,
            description="Hash of that event over itself and the hash before, hexadecimal: it proves the log later.",
        ),
        "replayed": strawberry.field(description="Whether this key had been answered before and this is that answer."),
    }
    if command.DISCLOSES:

        async def contact(root: Any, info: Info[Context, Any]) -> contacts.Contact | None:
            return await mutation.contact(root, info.context)

        contact.__annotations__.update(root=PARENT, info=Info)
        contact.__annotations__["return"] = contacts.Contact | None
        members["contact"] = strawberry.field(
            resolver=contact,
            description="What was asked for; null when it was refused, never given or erased since.",
        )
    return strawberry.type(
        type(
            mutation.payload_name,
            (),
            {
                "__annotations__": {
                    "user_errors": GenericAlias(list, (mutation.error_type,)),
                    "position": Position | None,
                    "replayed": bool,
                },
                "__module__": __name__,
                **members,
            },
        ),
        description=f"Answer to `{command.command_name()}`.",
    )
