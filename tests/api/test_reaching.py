"""Waiting for one's own write: many may wait, nobody else is kept waiting by them, and it comes to an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from opscore.api.context import READ_THREADS
from opscore.api.errors import NotYetVisible, PositionNotRecorded
from opscore.api.reaching import Reaching
from opscore.domain.sku_commands import RegisterSku
from opscore.projector import Behind
from tests.api.anything import SCHEMA, question
from tests.api.conftest import Api
from tests.shop import Shop

TOTALS = "query ($at: Position) { stockTotals(atLeast: $at) { currencyCode } }"
LAST = 2**53 - 1


@pytest.fixture(autouse=True)
def no_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever waits in vain do so for as long as a test may take."""
    monkeypatch.setattr(api.server.services.reaching, "seconds_max", 60.0)


@contextmanager
def held(api: Api, shop: Shop, *names: str) -> Iterator[int]:
    """Keep read models where they are, as a process does that works on them; give a position that they have not."""
    with api.server.database.connect(autocommit=False) as connection:
        connection.execute("SELECT 1 FROM projection_catalogue WHERE name = ANY (%s) FOR UPDATE", (list(names),))
        shop.do(RegisterSku(store_id=shop.store_id, code=f"S{time.monotonic_ns()}", name="Spoon", category="gifts"))
        yield api.server.services.log.head().position


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_a_question_is_answered_while_many_wait_and_they_are_answered_when_there_is_something(
    api: Api, shop: Shop
) -> None:
    many = 10 * READ_THREADS
    reaching, token = api.server.services.reaching, api.token()
    with ThreadPoolExecutor(many) as clients:
        with held(api, shop, "stock_valuation") as position:
            asked = [clients.submit(api.ask, TOTALS, {"at": position}, token=token) for _ in range(many)]
            until(lambda: len(reaching) == many, "not all of them wait")

            assert api.ask("{ head { position } orderStates { orders } }", token=token)["head"]["position"] == position
            assert len(reaching) == many and not any(each.done() for each in asked)

        assert [each.result(60) for each in asked] == [{"stockTotals": []}] * many
    assert len(reaching) == 0


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (TOTALS, ["stock_valuation"]),
        ("query ($at: Position) { orders(first: 1, atLeast: $at) { nodes { id } } }", ["order_book"]),
        ("query ($at: Position) { skus(first: 1, atLeast: $at) { nodes { id } } }", ["directory"]),
        (
            'query ($at: Position) { kpi(code: "K017", fromDay: "2026-01-01", toDay: "2026-01-01", grain: DAY,'
            " atLeast: $at) { rows { value } } }",
            ["kpi_facts", "kpi_daily", "kpi_orders"],
        ),
        (
            'query ($at: Position) { projectionRows(projection: "stock_ledger", query: "levels", first: 1,'
            " atLeast: $at) { rows } }",
            ["stock_ledger"],
        ),
    ],
)
def test_whoever_waits_in_vain_is_told_so_in_the_end(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch, query: str, names: list[str]
) -> None:
    monkeypatch.setattr(api.server.services.reaching, "seconds_max", 0.2)
    with held(api, shop, *names) as position:
        [error] = api.errors(query, {"at": position})

    assert error["extensions"]["code"] == "NOT_YET_VISIBLE"
    assert f"position {position} yet; ask again" in error["message"]


def test_more_than_so_many_do_not_wait(api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reaching, token = api.server.services.reaching, api.token()
    monkeypatch.setattr(reaching, "waiters_max", 2)
    with ThreadPoolExecutor(2) as clients, held(api, shop, "stock_valuation") as position:
        asked = [clients.submit(api.ask, TOTALS, {"at": position}, token=token) for _ in range(2)]
        until(lambda: len(reaching) == 2, "not both of them wait")

        [error] = api.errors(TOTALS, {"at": position}, token=token)

        assert error["extensions"]["code"] == "NOT_YET_VISIBLE" and "too many wait" in error["message"]
        assert not any(each.done() for each in asked)


WAITING = sorted(name for name, field in SCHEMA.query_type.fields.items() if "atLeast" in field.args)
MEANT = {"code": "K017", "projection": "stock_ledger", "query": "levels"}


@pytest.mark.parametrize("name", WAITING)
def test_a_position_that_the_log_has_not_reached_is_refused_at_once(api: Api, name: str) -> None:
    document, variables = question("query", name)
    variables.update({key: value for key, value in MEANT.items() if key in variables})
    head, _, below = document.partition(f" {{ {name}")
    declared = f"{head[:-1]}, $at: Position)" if "(" in head else "query ($at: Position)"
    given = f"({'' if not variables else ', '.join(f'{key}: ${key}' for key in variables) + ', '}atLeast: $at)"
    selection = below[below.index("{") :]

    [error] = api.errors(f"{declared} {{ {name}{given} {selection}", {**variables, "at": LAST})

    assert error["extensions"]["code"] == "POSITION_NOT_RECORDED", error


# Whoever looks for those who wait ------------------------------------------------------------------------------------


class Log:
    """The end of a log and where a version of it stands, and how often somebody looked."""

    def __init__(self, head: int, position: int, *, goes_on: bool = True) -> None:
        self.head = head
        self.position = position
        self.goes_on = goes_on
        self.looks = 0

    async def look(self) -> Any:
        self.looks += 1
        await asyncio.sleep(0)
        return self.head, {("book", 1): (self.position, self.goes_on)}


def test_one_look_is_for_all_who_wait() -> None:
    async def run() -> tuple[int, int]:
        log = Log(head=7, position=1)
        reaching = Reaching(log.look)
        waiting = [asyncio.create_task(reaching.until(Behind("book", 1, 2 + n % 6))) for n in range(500)]
        while log.looks < 3:
            await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        log.position, before = 7, log.looks
        await asyncio.gather(*waiting)
        await asyncio.sleep(0.05)
        return log.looks - before, len(reaching)

    looks, left = asyncio.run(run())
    # One may have been under way; and nobody looks when nobody waits.
    assert looks <= 2 and left == 0


def test_a_position_is_held_against_a_look_that_began_after_it_was_named() -> None:
    async def run() -> None:
        log = Log(head=1, position=1)
        seen = asyncio.Event()
        go_on = asyncio.Event()

        async def look() -> Any:
            found = await log.look()
            seen.set()
            await go_on.wait()
            return found

        reaching = Reaching(look)
        log.position, log.head = 0, 1
        first = asyncio.create_task(reaching.until(Behind("book", 1, 1)))
        await seen.wait()
        # While that look is on its way back, an event is recorded and somebody asks for it.
        log.position, log.head = 2, 2
        second = asyncio.create_task(reaching.until(Behind("book", 1, 2)))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, second)

    asyncio.run(run())


def test_what_stands_still_what_is_gone_and_what_cannot_be_looked_at_end_the_waiting() -> None:
    async def run() -> None:
        with pytest.raises(NotYetVisible, match="stands still at 1"):
            await Reaching(Log(head=7, position=1, goes_on=False).look).until(Behind("book", 1, 5))
        with pytest.raises(PositionNotRecorded, match="ends at position 7"):
            await Reaching(Log(head=7, position=1).look).until(Behind("book", 1, 8))
        # Another version serves by now: the question is asked anew.
        await Reaching(Log(head=7, position=1).look).until(Behind("book", 0, 5))

        async def broken() -> Any:
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await Reaching(broken).until(Behind("book", 1, 5))

    asyncio.run(run())
