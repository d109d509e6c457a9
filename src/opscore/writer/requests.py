"""What the writer is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from opscore.domain.command import Actor, Command, Origin
from opscore.domain.refusals import Refusal


class Unavailable(Exception):
    """The database cannot be reached, so whether this was recorded is not known; send it again with the same key."""


class NotDeciding(Exception):
    """This process met events of a newer version and stopped deciding; upgrade it. Nothing was decided."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command with who sends it and under which idempotency key (1 to 255 characters, scoped to actor and store)."""

    command: Command
    actor: Actor
    key: str
    origin: Origin = Origin.LIVE
    occurred_at: datetime | None = None
    """When it happened, UTC; None means now."""
    expected_version: int | None = None
    correlation_id: str | None = None
    causation_position: int | None = None
    figures: object = None
    """What was read for it before it was given (`UnitOfWork.figures`); no part of what was asked, nor of its hash."""

    @property
    def scope(self) -> str:
        """The store that the idempotency key is scoped to, '-' for a command that names none."""
        return str(getattr(self.command, "store_id", None) or "-")


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal as it is kept and answered."""

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    ids: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, refusal: Refusal) -> Refused:
        """Return the answer that a refusal of the domain is."""
        return cls(refusal.CODE, refusal.message, refusal.path, refusal.ids)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a command: accepted (`aggregate_id`, `position`) or refused; `replayed` when given before.

    `position` is that of the command's last event, or where the log stood when nothing had to be recorded.
    """

    aggregate_id: UUID | None
    position: int
    replayed: bool = False
    refusal: Refused | None = None

    @classmethod
    def kept(cls, aggregate_id: UUID | None, position: int, refusal: Any) -> Outcome:
        """Return an answer that was given before, as the table of commands has it."""
        refused = None if refusal is None else msgspec.convert(refusal, Refused)
        return cls(aggregate_id, position, replayed=True, refusal=refused)

    def again(self) -> Outcome:
        """Return the same answer as it is given to who asks once more."""
        return Outcome(self.aggregate_id, self.position, replayed=True, refusal=self.refusal)

    @property
    def word(self) -> str:
        """What became of the command, in one word: accepted, refused, or replayed."""
        if self.replayed:
            return "replayed"
        return "accepted" if self.refusal is None else "refused"


Answer = Outcome | list[Outcome] | Exception
"""What a future is given: an outcome, those of commands that were given together, or the error that deciding met."""
