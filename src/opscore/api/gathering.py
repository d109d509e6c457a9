"""Reads together what many requests ask for at the same time.

A read that is handed to a thread costs as much for one row as for twenty. While batches are being read, what else is
asked for waits and goes together in the next one; when a reader is free, a request goes at once. So the busier a server
is, the less each request costs it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")

READERS = 2
"""Batches that are read at a time: a value that takes long to read does not hold up all others."""
READ_AT_ONCE = 100
"""Most keys of one batch."""


class Gathering(Generic[KeyT, ValueT]):
    """What is being asked for, by key. Used on one event loop.

    A key is only ever read after it was asked for: an answer shows all that was committed before the question.
    """

    def __init__(
        self,
        read: Callable[[Sequence[KeyT]], Awaitable[Mapping[KeyT, ValueT]]],
        unavailable: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> None:
        """read: reads the values of keys; keys without a value are left out of what it returns.

        unavailable: errors that are no fault of any key; after another, each key of the batch is read by itself.
        """
        self._read = read
        self._unavailable = unavailable
        self._waiting: dict[KeyT, asyncio.Future[ValueT | None]] = {}
        self._readers: set[asyncio.Task[None] | None] = set()

    async def get(self, key: KeyT) -> ValueT | None:
        """Return the value of a key, None when it has none; several who ask for one key get the same object."""
        asked = self._waiting.get(key)
        if asked is None:
            asked = self._waiting[key] = asyncio.get_running_loop().create_future()
            if len(self._readers) < READERS:
                # In a context of its own: the deadline of whoever asked first is not that of the others.
                self._readers.add(asyncio.create_task(self._read_waiting(), context=contextvars.Context()))
        # Whoever gives up gives up for themselves alone.
        return await asyncio.shield(asked)

    async def _read_waiting(self) -> None:
        """Read batch after batch until nobody waits."""
        try:
            while self._waiting:
                batch = {key: self._waiting.pop(key) for key in list(self._waiting)[:READ_AT_ONCE]}
                try:
                    await self._settle(batch)
                finally:
                    for asked in batch.values():
                        asked.cancel()  # Those that were not answered, because the server stops.
        finally:
            # At once, and not when the task is found to have ended: what is asked for in between would wait for ever.
            self._readers.discard(asyncio.current_task())

    async def _settle(self, batch: dict[KeyT, asyncio.Future[ValueT | None]]) -> None:
        try:
            found = await self._read(list(batch))
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, self._unavailable):
                # What one of them cannot be read for is no fault of the others.
                for key, asked in batch.items():
                    await self._settle({key: asked})
                return
            for asked in batch.values():
                asked.set_exception(error)
                asked.exception()  # Nobody may be left to look at it.
            return
        for key, asked in batch.items():
            asked.set_result(found.get(key))
