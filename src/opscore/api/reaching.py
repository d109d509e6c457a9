"""Requests that wait for a read model to take in a position: on the event loop, and by one look for all of them.

Whoever waited in a thread that reads would keep it from everybody else.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Mapping

from opscore.api.errors import NotYetVisible, PositionNotRecorded
from opscore.projector import Behind

WAITERS_MAX = 1_000
"""Most who wait at a time; more are told at once to ask again later."""
SECONDS_MAX = 5.0
PAUSE_SECONDS = 0.01

Checkpoints = tuple[int, Mapping[tuple[str, int], tuple[int, bool]]]
"""The end of the log, and of each version by (name, version) where it stands and whether it goes on."""


class Reaching:
    """Those who wait. Used on one event loop."""

    def __init__(
        self,
        look: Callable[[], Awaitable[Checkpoints]],
        *,
        seconds_max: float = SECONDS_MAX,
        waiters_max: int = WAITERS_MAX,
    ) -> None:
        """look: reads the checkpoints. seconds_max: how long anybody waits."""
        self._look = look
        self.seconds_max = seconds_max
        self.waiters_max = waiters_max
        self._waiting: dict[asyncio.Future[None], Behind] = {}
        self._watch: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def until(self, behind: Behind) -> None:
        """Return once a version has taken in the position that it lacked, or is not there any more.

        Raises NotYetVisible when it does not in time, PositionNotRecorded at once when the log has no such position.
        """
        if len(self._waiting) >= self.waiters_max:
            raise _later(behind, "and too many wait for read models already")
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[reached] = behind
        if self._watch is None or self._watch.done():
            # In a context of its own: it looks for all of them, whoever came first.
            self._watch = asyncio.create_task(self._run(), context=contextvars.Context())
        try:
            async with asyncio.timeout(self.seconds_max):
                await reached
        except TimeoutError:
            raise _later(behind) from None
        finally:
            self._waiting.pop(reached, None)

    async def _run(self) -> None:
        """Look until nobody waits."""
        while self._waiting:
            # Those who come while it looks may have been told a position that this look does not see yet.
            asked = dict(self._waiting)
            try:
                found = await self._look()
            except Exception as error:
                for reached in asked:
                    _settle(reached, error)
            else:
                for reached, behind in asked.items():
                    _judge(reached, behind, found)
            await asyncio.sleep(PAUSE_SECONDS)


def _judge(reached: asyncio.Future[None], behind: Behind, found: Checkpoints) -> None:
    """Settle one who waits, if what was found does."""
    head, checkpoints = found
    # A version that is gone has been replaced by another one: the question is to be asked anew.
    position, goes_on = checkpoints.get((behind.name, behind.version), (behind.position, True))
    if behind.position > head:
        _settle(reached, PositionNotRecorded(f"The log ends at position {head}; there is nothing to wait for."))
    elif position >= behind.position:
        _settle(reached, None)
    elif not goes_on:
        _settle(reached, _later(behind, f"and stands still at {position}"))


def _settle(reached: asyncio.Future[None], error: Exception | None) -> None:
    if reached.done():
        return  # Whoever waited has given up meanwhile.
    if error is None:
        reached.set_result(None)
    else:
        reached.set_exception(error)
        reached.exception()  # Nobody may be left to look at it.


def _later(behind: Behind, why: str = "") -> NotYetVisible:
    more = f", {why}" if why else ""
    return NotYetVisible(
        f"{behind.name} has not reached position {behind.position} yet{more}; ask again a little later."
    )
