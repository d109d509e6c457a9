"""How long things go on: a query for as long as it may and while somebody waits for its answer, a body for its time."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

UNWATCHED_SECONDS = 0.1
"""A query that is answered by then is not watched: it costs one timer, as its limit alone does."""

Leaving = Callable[[], Awaitable[None]]
"""Returns once the client has left."""


class Patience:
    """A block that is cancelled when its time is up or its client has left, by TimeoutError as `asyncio.timeout` is."""

    def __init__(self, seconds_max: float, leaving: Leaving | None) -> None:
        """leaving: None where whoever runs the block is cancelled when the client leaves."""
        self.client_left = False
        self._seconds_max = seconds_max
        self._leaving = leaving
        self._timeout: asyncio.Timeout | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def expired(self) -> bool:
        """Whether the block was cancelled by this, and not by anything that it did."""
        return self._timeout is not None and self._timeout.expired()

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._seconds_max
        self._timer = loop.call_later(min(UNWATCHED_SECONDS, self._seconds_max), self._begin_watching)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        assert self._timeout is not None
        await self._timeout.__aexit__(kind, error, trace)

    def _begin_watching(self) -> None:
        assert self._timeout is not None
        self._timeout.reschedule(self._until)
        if self._leaving is not None:
            self._watch = asyncio.create_task(self._end_when_left(self._leaving))

    async def _end_when_left(self, leaving: Leaving) -> None:
        await leaving()
        assert self._timeout is not None
        if not self._timeout.expired():
            self.client_left = True
            self._timeout.reschedule(asyncio.get_running_loop().time())


async def at_once_or_within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; raises TimeoutError when it takes longer.

    Work that need not wait for anything is done without a timer, which would take longer than most of it.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _continued(work, waits_for)


@types.coroutine
def _continued(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Go on with work that has begun and waits: hand on what it yields to the event loop, and what comes back to it."""
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:
            go_on = partial(work.throw, error)
        else:
            go_on = partial(work.send, sent)
        try:
            waits_for = go_on()
        except StopIteration as done:
            result: T = done.value
            return result
