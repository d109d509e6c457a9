"""Reads that many requests ask for at the same time: together, each after its question, each with its own fault."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from opscore.api.gathering import READ_AT_ONCE, READERS, Gathering
from opscore.deadlines import CURRENT, Deadline


class Rows:
    """Something to read from, slowly: a batch is answered when `go` lets one through."""

    def __init__(self, values: dict[str, int]) -> None:
        self.values = values
        self.batches: list[list[str]] = []
        self.go = asyncio.Semaphore(0)

    async def read(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.batches.append(list(keys))
        await self.go.acquire()
        if "poison" in keys:
            raise ValueError("poison cannot be read")
        if "gone" in self.values:
            raise ConnectionError("nobody is there")
        return {key: self.values[key] for key in keys if key in self.values}


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def let(rows: Rows, batches: int) -> None:
    for _ in range(batches):
        rows.go.release()


def test_what_is_asked_for_while_others_are_read_goes_together() -> None:
    async def run() -> None:
        rows = Rows({f"k{number}": number for number in range(300)})
        gathering = Gathering(rows.read)
        asked = []
        for number in range(READERS):
            asked.append(asyncio.create_task(gathering.get(f"k{number}")))
            await settled()
        assert rows.batches == [["k0"], ["k1"]]  # Whoever finds a free reader goes at once.

        asked += [asyncio.create_task(gathering.get(f"k{number}")) for number in range(READERS, 250)]
        await settled()
        assert len(rows.batches) == READERS
        let(rows, 10)

        assert await asyncio.gather(*asked) == list(range(250))
        assert [len(batch) for batch in rows.batches] == [1, 1, READ_AT_ONCE, READ_AT_ONCE, 250 - READERS - 200]
        assert sorted(key for batch in rows.batches for key in batch) == sorted(f"k{number}" for number in range(250))
        # And when nothing is left to do, the next one goes at once again.
        assert await gathering.get("k299") == 299

    asyncio.run(run())


def test_an_answer_is_never_older_than_its_question() -> None:
    async def run() -> None:
        rows = Rows({"stock": 1})
        gathering = Gathering(rows.read)
        first = asyncio.create_task(gathering.get("stock"))
        await settled()
        second = asyncio.create_task(gathering.get("stock"))
        third = asyncio.create_task(gathering.get("stock"))
        await settled()
        # The first is being read already; the other two, asked later, are read once more, once for both.
        assert rows.batches == [["stock"], ["stock"]]
        let(rows, 1)
        assert await first == 1
        rows.values["stock"] = 2
        let(rows, 1)
        assert await asyncio.gather(second, third) == [2, 2]

    asyncio.run(run())


def test_who_asks_just_when_the_last_batch_ends_is_answered() -> None:
    async def run() -> None:
        rows = Rows({"a": 1, "b": 2, "c": 3})
        let(rows, 1000)
        gathering = Gathering(rows.read)

        async def ask(key: str, after: int) -> int | None:
            for _ in range(after):
                await asyncio.sleep(0)
            return await gathering.get(key)

        # At every step of the loop somebody comes, so at the one too in which the readers find nothing left.
        for gap in range(12):
            asked = [ask("a", 0), ask("b", 0), *(ask("c", after) for after in range(gap, 12))]
            async with asyncio.timeout(5):
                assert (await asyncio.gather(*asked))[:2] == [1, 2]

    asyncio.run(run())


def test_what_is_not_there_and_what_cannot_be_read_concern_nobody_else() -> None:
    async def run() -> None:
        rows = Rows({"a": 1, "b": 2})
        gathering = Gathering(rows.read)
        busy = [asyncio.create_task(gathering.get(key)) for key in ("a", "b")]
        await settled()
        asked = [asyncio.create_task(gathering.get(key)) for key in ("a", "poison", "nothing", "b")]
        await settled()
        let(rows, 20)

        assert await asyncio.gather(*busy) == [1, 2]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert (found[0], found[2], found[3]) == (1, None, 2)
        assert isinstance(found[1], ValueError)
        with pytest.raises(ValueError, match="poison"):
            await gathering.get("poison")
        assert await gathering.get("b") == 2

    asyncio.run(run())


def test_when_nobody_is_there_everybody_is_told_at_once() -> None:
    async def run() -> None:
        rows = Rows({"gone": 1})
        gathering = Gathering(rows.read, unavailable=ConnectionError)
        asked = [asyncio.create_task(gathering.get(str(number))) for number in range(30)]
        await settled()
        let(rows, 30)
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found] == [ConnectionError] * 30
        assert len(rows.batches) <= 2 * READERS

    asyncio.run(run())


def test_who_gives_up_takes_nobody_along() -> None:
    async def run() -> None:
        rows = Rows({"a": 1})
        gathering = Gathering(rows.read)
        impatient, patient = (asyncio.create_task(gathering.get("a")) for _ in range(2))
        await settled()
        impatient.cancel()
        await settled()
        let(rows, 1)
        assert await patient == 1
        assert impatient.cancelled()

    asyncio.run(run())


def test_a_batch_does_not_end_with_the_time_of_whoever_asked_first() -> None:
    async def run() -> None:
        async def read(keys: Sequence[str]) -> Mapping[str, int]:
            assert CURRENT.get() is None
            return dict.fromkeys(keys, 1)

        CURRENT.set(Deadline())
        assert await Gathering(read).get("a") == 1

    asyncio.run(run())
