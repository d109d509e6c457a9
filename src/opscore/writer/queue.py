"""The queue of commands: bounded, with a lane for imports, which wait until no live command does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from opscore.domain.command import Origin
from opscore.writer.requests import Request


class Busy(Exception):
    """The queue of commands is full; nothing was decided. Send the same command with the same key again in a moment."""


@dataclass(slots=True)
class Pending:
    """A request in the queue and whoever waits for its outcome."""

    request: Request
    future: Future[Any]
    request_hash: bytes
    together: tuple[Pending, ...] = ()
    """The requests that are recorded all or none; this one stands for them in the queue and waits for all."""

    @property
    def members(self) -> tuple[Pending, ...]:
        """The requests to decide: those that belong together, or this one."""
        return self.together or (self,)

    @property
    def key(self) -> tuple[str, str, str]:
        """What the idempotency key is kept under."""
        return self.request.actor.id, self.request.scope, self.request.key


class Queue:
    """Takes entries from any thread, and gives them in batches to the one that decides."""

    def __init__(self, size: int) -> None:
        """size: how many entries may wait in each lane."""
        self.changed = threading.Condition()
        """Held while anything is put in or taken out; whoever holds it keeps the queue as it is."""
        self.turned_away = 0
        """Commands that a full lane did not take."""
        self._size = size
        self._live: deque[Pending] = deque()
        self._imports: deque[Pending] = deque()
        self._closed = False

    def __len__(self) -> int:
        """Return how many entries wait."""
        return len(self._live) + len(self._imports)

    def put(self, pending: Pending) -> None:
        """Put in an entry. Raises Busy when its lane is full, or when nothing more is taken."""
        # Begun, so that nobody can call it off: what is queued is decided, whoever has stopped waiting for it.
        pending.future.set_running_or_notify_cancel()
        lane = self._lane(pending)
        with self.changed:
            if self._closed:
                raise Busy("this server is shutting down; send the same command with the same key to another")
            if len(lane) >= self._size:
                self.turned_away += len(pending.members)
                raise Busy(" ".join((Busy.__doc__ or "").split()))
            lane.append(pending)
            self.changed.notify()

    def wait(self) -> bool:
        """Wait until there is an entry; False when there is none and nothing more is taken."""
        with self.changed:
            while not self:
                if self._closed:
                    return False
                self.changed.wait()
        return True

    def take(self, most: int) -> list[Pending]:
        """Return entries of about `most` commands, live ones first."""
        with self.changed:
            batch: list[Pending] = []
            size = 0
            for lane in (self._live, self._imports):
                while lane and size < most:
                    batch.append(lane.popleft())
                    size += len(batch[-1].members)
            return batch

    def put_back(self, rest: Sequence[Pending]) -> None:
        """Put entries that were taken where they came from, however full it is."""
        with self.changed:
            for pending in reversed(rest):
                self._lane(pending).appendleft(pending)

    def close(self) -> None:
        """Take nothing more."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def _lane(self, pending: Pending) -> deque[Pending]:
        return self._live if pending.request.origin is Origin.LIVE else self._imports
