"""Sends an import's commands to the writer: hundreds in flight, in order, each under a key that names its content."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from opscore import sqlfiles
from opscore.database import Database
from opscore.domain.command import Actor, Command, Origin
from opscore.imports.report import ImportReport
from opscore.writer import Busy, Outcome, Refused, Request, Writer

BUSY_SECONDS = 0.01
PROGRESS_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is: rows done of `total` in this phase, rows per second, seconds left (None while unknown)."""

    phase: str
    done: int
    total: int | None
    rate: float
    eta_seconds: float | None


class Meter:
    """Tells a listener how far a phase is, at most five times a second."""

    def __init__(self, listener: Callable[[Progress], None]) -> None:
        self._listener = listener
        self._phase = ""
        self._total: int | None = None
        self._done = 0
        self._created = self._began = self._told = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the first phase."""
        return time.monotonic() - self._created

    def begin(self, phase: str, total: int | None = None) -> None:
        """Start a phase of `total` rows (None: not known); the one before is over."""
        if self._phase and self._total is None:
            self._total = self._done
            self._tell(self._done, time.monotonic())
        self._phase, self._total, self._done = phase, total, 0
        self._began = time.monotonic()
        self._tell(0, self._began)

    def at(self, done: int) -> None:
        """Say how many rows of the phase are done."""
        self._done = done
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS or done == self._total:
            self._tell(done, now)

    def _tell(self, done: int, now: float) -> None:
        self._told = now
        seconds = now - self._began
        rate = done / seconds if seconds > 0 else 0.0
        eta = (self._total - done) / rate if self._total is not None and rate > 0 else None
        self._listener(Progress(self._phase, done, self._total, rate, eta))


def known_commands(database: Database, actor: Actor, prefix: str) -> dict[str, UUID | None]:
    """Return the keys of all commands by which `actor` imported something, each with the stream that it began."""
    query = sqlfiles.load(__file__, "known.sql")["known"]
    with database.connect() as connection:
        return dict(connection.execute(query, {"actor": actor.id, "prefix": prefix}).fetchall())


@dataclass(slots=True)
class Sent:
    """A command that was sent, or that the log has already."""

    future: Future[Outcome] | None
    known_id: UUID | None = None
    name: str = ""
    may_exist: bool = False
    on_refused: Callable[[Refused], None] | None = None

    def is_decided(self) -> bool:
        """Say whether the outcome is there."""
        return self.future is None or self.future.done()

    def aggregate_or_holder_id(self) -> UUID | None:
        """Wait for the outcome and return the aggregate that it shows, or the one that had the reference already."""
        if self.future is None:
            return self.known_id
        outcome = self.future.result()
        if outcome.refusal is not None and outcome.refusal.code == "REFERENCE_TAKEN":
            return outcome.refusal.ids[0]
        return outcome.aggregate_id


@dataclass
class Pipeline:
    """Keeps commands in flight to one writer.

    The writer decides them in the order in which they are sent, so only a command that needs the id another one made
    has to wait for it. An error that is no refusal stops the import; to run it again is to resume it.
    """

    writer: Writer
    actor: Actor
    report: ImportReport
    known: dict[str, UUID | None]
    correlation_id: str
    in_flight: int
    _flying: deque[Sent] = field(default_factory=deque)

    def send(
        self,
        key: str,
        command: Command,
        at: datetime,
        *,
        may_exist: bool = False,
        on_refused: Callable[[Refused], None] | None = None,
    ) -> Sent:
        """Send a command unless the log has it; waits while too many are in flight.

        at: when it happened, UTC.
        may_exist: whether it does as well when something else has the name already, which is then no refusal.
        on_refused: called by a later `send` or `drain` when the command is refused.
        """
        if key in self.known:
            self.report.commands_known += 1
            return Sent(None, self.known[key])
        while len(self._flying) >= self.in_flight or (self._flying and self._flying[0].is_decided()):
            self._land()
        request = Request(command, self.actor, key, Origin.IMPORT, at, correlation_id=self.correlation_id)
        while True:
            try:
                future = self.writer.submit(request)
                break
            except Busy:
                if self._flying:
                    self._land()
                else:
                    time.sleep(BUSY_SECONDS)
        sent = Sent(future, name=command.command_name(), may_exist=may_exist, on_refused=on_refused)
        self._flying.append(sent)
        return sent

    def drain(self) -> None:
        """Wait until everything that was sent has been decided."""
        while self._flying:
            self._land()

    def _land(self) -> None:
        """Wait for the oldest command in flight and count its outcome."""
        sent = self._flying.popleft()
        assert sent.future is not None
        outcome = sent.future.result()
        if outcome.refusal is not None and sent.may_exist and outcome.refusal.code == "REFERENCE_TAKEN":
            self.report.commands_known += 1
        elif outcome.refusal is not None:
            self.report.commands_refused[outcome.refusal.code] += 1
            if sent.on_refused is not None:
                sent.on_refused(outcome.refusal)
        elif outcome.replayed:
            self.report.commands_replayed += 1
        else:
            self.report.commands[sent.name] += 1
