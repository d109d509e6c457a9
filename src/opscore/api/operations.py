"""Mutations that are no commands of the domain: they tell the servers what to do and leave the log as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from opscore.api import enums
from opscore.api.ids import global_id
from opscore.api.inputs import aggregate_of
from opscore.api.mutations import KEY_LENGTH_MAX, UserError, template
from opscore.api.naming import camel
from opscore.domain.refusals import InvalidField, Refusal

ResultT = TypeVar("ResultT")


def error_type(name: str, what: str, refusals: Sequence[type[Refusal]]) -> tuple[Any, Any]:
    """Return (type, enum of its codes) of the errors of a family of mutations. what: names them in descriptions."""
    codes = {refusal.CODE: template(refusal) for refusal in sorted(refusals, key=lambda each: each.CODE)}
    code = enums.make(f"{name}Code", f"Why {what} may be refused.", codes)
    made = strawberry.type(
        type(
            name,
            (UserError,),
            {
                "__annotations__": {"code": code},
                "__module__": __name__,
                "code": strawberry.field(description="Which refusal it is; its description says what to do."),
            },
        ),
        description=f"Why {what} was refused.",
    )
    return made, code


def user_error(made: Any, code: Any, refusal: Refusal) -> Any:
    """Return a refusal as an error of a type that `error_type` has made."""
    return made(
        code=code[refusal.CODE],
        message=refusal.message,
        path=[camel(step) if isinstance(step, str) else str(step) for step in refusal.path],
        ids=[strawberry.ID(_shown(refusal, each)) for each in refusal.ids],
        current_version=None,
        retryable=False,
    )


def _shown(refusal: Refusal, key: UUID) -> str:
    names = [step for step in refusal.path if isinstance(step, str)]
    kind = aggregate_of(names[-1]) if names else None
    return str(key) if kind is None else global_id(kind, key)


def checked_key(key: str) -> str:
    """Return an idempotency key; refuses one that is empty or too long."""
    if not 1 <= len(key) <= KEY_LENGTH_MAX or "\x00" in key:
        raise InvalidField(why="an idempotency key has 1 to 255 characters", path=("idempotency_key",))
    return key


def optional_key(key: Any) -> str | None:
    """Return an idempotency key that need not be given, None when it is not; refuses one that is empty or too long."""
    return None if key is None or key is strawberry.UNSET else checked_key(key)


def answered(work: Callable[[], ResultT]) -> ResultT | Refusal:
    """Do the work and return its result, or the refusal it ended in."""
    try:
        return work()
    except Refusal as refusal:
        return refusal
