"""How the domain says no: a refusal is an answer, not an accident.

The docstring of a refusal is its message; `{fields}` in it are filled from the keyword arguments it is raised with.
The code on the wire is the class name in capitals: `StockInsufficient` is `STOCK_INSUFFICIENT`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

REFUSALS: dict[str, type[Refusal]] = {}
"""Every refusal by code."""


class Refusal(Exception):
    """The command is refused."""

    CODE: ClassVar[str]
    TEMPLATE: ClassVar[str]
    """The docstring on one line."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.TEMPLATE = " ".join(inspect.cleandoc(cls.__doc__ or "").split())
        cls.CODE = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()
        if REFUSALS.setdefault(cls.CODE, cls) is not cls:
            raise TypeError(f"two refusals are named {cls.__name__}; codes must be unique")

    def __init__(self, *, path: Sequence[str | int] = (), ids: Sequence[UUID] = (), **facts: Any) -> None:
        """Refuse, naming the input at fault.

        path: where in the command's input, for example ("lines", 0, "quantity").
        ids: the aggregates at fault.
        facts: values for the `{fields}` of the docstring.
        """
        self.path = tuple(path)
        self.ids = tuple(ids)
        self.facts = facts
        self.message = self.TEMPLATE.format(**facts)
        super().__init__(self.message)


class NotFound(Refusal):
    """There is no {what} with this id that you may see; check the id and the store."""


class AlreadyExists(Refusal):
    """This {what} exists already; use it, or choose another id."""


class NotAuthorised(Refusal):
    """Your role may not do this: {why}."""


class WrongState(Refusal):
    """The {what} is {state}; this needs it to be {needed}."""


class StaleVersion(Refusal):
    """You expected version {expected} but it is {current} now; read it again and decide anew."""


class InvalidField(Refusal):
    """This value cannot be used: {why}."""


class IdempotencyKeyReused(Refusal):
    """This idempotency key was used for another command body; send a new key for a new command."""


class RejectedWithOthers(Refusal):
    """Nothing was recorded, because others of these commands were refused; mend those and send all of them again."""


class SamePerson(Refusal):
    """A second person has to do this: {actor} did the step before."""


class ReasonMissing(Refusal):
    """Say why: this command needs a reason."""


class ReferenceTaken(Refusal):
    """The {what} '{value}' belongs to something else in this store already; use another, or look that one up."""


class CurrencyMismatch(Refusal):
    """Amounts here are in {expected}, not {given}."""
