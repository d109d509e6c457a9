"""Deadlines of what is read for a request: when one has passed, its statement is cancelled and no other is begun."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import ConnectionPool

CANCEL_SECONDS_MAX = 5.0


class DeadlinePassed(Exception):
    """Whoever asked has been answered; what is read for them ends here."""


class Deadline:
    """What one request reads, from however many threads, and the end of it."""

    def __init__(self) -> None:
        self.passed = False
        self._running: set[psycopg.Connection[Any]] = set()
        self._lock = threading.Lock()

    def require_time(self) -> None:
        """Raise DeadlinePassed once it has passed."""
        if self.passed:
            raise DeadlinePassed

    @contextmanager
    def covering(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Have the statement that runs on a connection cancelled when the deadline passes, while in this block."""
        with self._lock:
            self.require_time()
            self._running.add(connection)
        try:
            yield
        finally:
            # Not while a cancellation is on its way, or it would meet whoever is lent the connection next.
            with self._lock:
                self._running.discard(connection)

    def cancel(self) -> None:
        """Cancel what runs; blocks for a moment. Mark it as passed before."""
        with self._lock:
            for connection in self._running:
                # One that cannot be reached to cancel ends by its own limit (statement_timeout).
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=CANCEL_SECONDS_MAX)


CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)
"""The deadline of the request that this task or thread works for."""


class WatchedConnection(psycopg.Connection[Any]):
    """A connection that begins no statement for a request whose deadline has passed."""

    if not TYPE_CHECKING:  # Its many types are those of the class above.

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            """Return a cursor, which every statement needs; raises DeadlinePassed."""
            deadline = CURRENT.get()
            if deadline is not None:
                deadline.require_time()
            return super().cursor(*args, **kwargs)


class WatchedPool(ConnectionPool[WatchedConnection]):
    """Lends connections that are watched by the deadline of whoever borrows them."""

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[WatchedConnection]:
        """Lend a connection for the length of a `with` block; raises DeadlinePassed."""
        deadline = CURRENT.get()
        with super().connection(timeout) as connection:
            if deadline is None:
                yield connection
            else:
                with deadline.covering(connection):
                    yield connection
