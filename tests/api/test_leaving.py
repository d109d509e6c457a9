"""A client that leaves: what was read for it ends, what it had decided is decided."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest

from opscore.api.patience import Leaving, Patience, at_once_or_within
from opscore.api.throttle import Throttle
from tests.api.conftest import Api
from tests.api.socket_client import socket
from tests.api.test_deadlines import ORDERS, stuck, waiting
from tests.api.test_reaching import until
from tests.shop import Shop

MANY = f"{{ {' '.join(f'a{number}: {ORDERS[1:-1]}' for number in range(4))} }}"


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """Nothing ends by itself."""
    return {"read_seconds_max": 3600, "statement_seconds_max": 3600}


@contextmanager
def connected(api: Api) -> Iterator[sockets.socket]:
    """Connect to the server; the connection is gone after the block."""
    address = urlsplit(api.url)
    assert address.hostname is not None and address.port is not None
    with sockets.create_connection((address.hostname, address.port)) as connection:
        yield connection


def posted(token: str, body: dict[str, Any]) -> bytes:
    """Return a request with a body."""
    text = json.dumps(body).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def got(token: str, query: str) -> bytes:
    """Return a request without a body."""
    return f"GET /graphql?query={quote(query)} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def abandoned(api: Api) -> float:
    """Return how many queries were."""
    labels = {"operation": "query", "outcome": "abandoned"}
    return api.server.metrics._registry.get_sample_value("opscore_graphql_requests_total", labels) or 0.0


@pytest.mark.parametrize("by_get", [False, True])
def test_what_is_read_for_a_client_ends_when_it_leaves(api: Api, shop: Shop, by_get: bool) -> None:
    before, token = abandoned(api), api.token()
    with stuck(api, "order_book") as onlooker:
        with connected(api) as connection:
            connection.sendall(got(token, MANY) if by_get else posted(token, {"query": MANY}))
            until(lambda: waiting(onlooker) > 0, "nothing is read")
        until(lambda: waiting(onlooker) == 0, "its statements go on")
        until(lambda: abandoned(api) == before + 1, "it is not counted as left")

    assert api.ask(ORDERS) == {"orders": {"nodes": []}}


def test_whoever_stays_is_answered_when_another_leaves(api: Api, shop: Shop) -> None:
    token = api.token()
    with ThreadPoolExecutor(1) as clients:
        with stuck(api, "order_book") as onlooker:
            staying = clients.submit(api.ask, ORDERS, token=token)
            until(lambda: waiting(onlooker) == 1, "it is not read")
            with connected(api) as connection:
                connection.sendall(posted(token, {"query": ORDERS}))
                until(lambda: waiting(onlooker) == 2, "they are not read")
            until(lambda: waiting(onlooker) == 1, "what was read for the one that left goes on")
            assert not staying.done()

        assert staying.result(60) == {"orders": {"nodes": []}}


@pytest.mark.parametrize("over_socket", [False, True])
def test_leaving_costs_what_staying_would(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch, over_socket: bool
) -> None:
    token = api.token(name=f"hasty {over_socket}")
    throttle: Throttle = api.sockets.engine._throttle
    now = throttle._clock_ns()
    monkeypatch.setattr(throttle, "_clock_ns", lambda: now)  # Nothing comes back while the test runs.
    count, key = abandoned(api), Throttle.key_of(token)
    with stuck(api, "order_book") as onlooker:
        if over_socket:
            with socket(api.url, token) as client:
                client.subscribe(MANY)
                until(lambda: waiting(onlooker) > 0, "nothing is read")
        else:
            with connected(api) as connection:
                connection.sendall(posted(token, {"query": MANY}))
                until(lambda: waiting(onlooker) > 0, "nothing is read")
        until(lambda: abandoned(api) == count + 1, "it is not counted as left")
    left = throttle.available(key)

    assert left < throttle.maximum
    api.ask(MANY, token=token)
    # Whoever stayed gets back what was asked for and not there.
    assert throttle.maximum - left == 404 > left - throttle.available(key)


def test_a_command_of_a_client_that_left_is_decided_once(api: Api, shop: Shop) -> None:
    document = "mutation ($input: ApplyForStoreInput!) { applyForStore(input: $input) { store { name } replayed } }"
    fields = {"operator": "Gifts Ltd", "currency": "GBP", "timeZone": "UTC", "platform": "own", "name": "Left"}
    body = {"query": document, "variables": {"input": {"idempotencyKey": str(uuid4()), **fields}}}
    head = api.server.services.log.head().position
    with api.server.database.connect(autocommit=False) as holder:
        holder.execute("SELECT 1 FROM log_lock FOR UPDATE")
        with api.server.database.connect("admin") as onlooker:
            with connected(api) as connection:
                connection.sendall(posted(api.token(), body))
                until(lambda: waiting(onlooker) == 1, "the writer has not got it")
            time.sleep(0.3)  # As long as it takes to notice that somebody has left, and longer.
            assert waiting(onlooker) == 1
    until(lambda: api.server.services.log.head().position > head, "it is not decided")

    assert api.post(body).json()["data"] == {"applyForStore": {"store": {"name": "Left"}, "replayed": True}}


@pytest.mark.parametrize("says_so", [True, False])
def test_a_command_that_nobody_waits_for_over_a_socket_is_decided_and_so_are_those_beside_it(
    api: Api, shop: Shop, says_so: bool
) -> None:
    document = "mutation ($input: ApplyForStoreInput!) { applyForStore(input: $input) { store { name } replayed } }"

    def applied(name: str) -> dict[str, Any]:
        fields = {"operator": "Gifts Ltd", "currency": "GBP", "timeZone": "UTC", "platform": "own", "name": name}
        return {"input": {"idempotencyKey": f"{name} {says_so}", **fields, "name": f"{name} {says_so}"}}

    writer = api.server.writer
    with ThreadPoolExecutor(2) as clients, socket(api.url, api.token()) as client:
        with api.server.database.connect(autocommit=False) as holder:
            holder.execute("SELECT 1 FROM log_lock FOR UPDATE")
            with api.server.database.connect("admin") as onlooker:
                first = clients.submit(api.ask, document, applied("First"))
                until(lambda: waiting(onlooker) == 1, "the writer has not got it")
                client.subscribe(document, applied("Left"))
                until(lambda: writer.queue_length == 1, "it does not wait")
                beside = clients.submit(api.ask, document, applied("Beside"))
                until(lambda: writer.queue_length == 2, "they do not wait together")
                if says_so:
                    client.send({"id": "1", "type": "complete"})
                    client.subscribe("{ __typename }", key="2")
                    client.next("2")  # It has read what came before.
                else:
                    client.connection.close()
                    until(lambda: not api.sockets.sessions, "it is not seen to have left")
        for each, name in ((first, "First"), (beside, "Beside")):
            assert each.result(30) == {"applyForStore": {"store": {"name": f"{name} {says_so}"}, "replayed": False}}
        assert api.ask(document, applied("Left"))["applyForStore"]["replayed"]


@pytest.mark.parametrize("says_so", [True, False])
def test_what_is_read_over_a_socket_ends_with_it_and_when_its_client_says_so(
    api: Api, shop: Shop, says_so: bool
) -> None:
    before, token = abandoned(api), api.token()
    with stuck(api, "order_book") as onlooker, socket(api.url, token) as client:
        client.subscribe(ORDERS)
        until(lambda: waiting(onlooker) == 1, "nothing is read")
        if says_so:
            client.send({"id": "1", "type": "complete"})
        else:
            client.connection.close()
        until(lambda: waiting(onlooker) == 0, "its statement goes on")
        until(lambda: abandoned(api) == before + 1, "it is not counted as left")


def test_nobody_is_watched_who_is_answered_at_once() -> None:
    looked: list[str] = []

    async def leaving() -> None:
        looked.append("looked")
        await asyncio.Event().wait()

    async def run() -> tuple[str, int]:
        async with Patience(3600, leaving):
            answer = "at once"
        return answer, len(asyncio.all_tasks())

    assert asyncio.run(run()) == ("at once", 1)
    assert looked == []


def test_patience_ends_when_its_time_is_up_or_its_client_has_left() -> None:
    async def gone() -> None:
        return

    async def run(seconds_max: float, leaving: Leaving | None) -> tuple[bool, bool]:
        patience = Patience(seconds_max, leaving)
        with pytest.raises(TimeoutError):
            async with patience:
                await asyncio.Event().wait()
        return patience.expired, patience.client_left

    assert asyncio.run(run(0.01, None)) == (True, False)
    assert asyncio.run(run(3600, gone)) == (True, True)


def test_what_a_block_raises_of_its_own_is_its_own() -> None:
    async def run() -> bool:
        patience = Patience(3600, None)
        with pytest.raises(TimeoutError, match="mine"):
            async with patience:
                raise TimeoutError("mine")
        return patience.expired

    assert asyncio.run(run()) is False


async def _doubled(waiting: asyncio.Future[int]) -> int:
    try:
        return 2 * await waiting
    except ValueError as error:
        return len(str(error)) + await asyncio.sleep(0, 100)


def test_work_that_need_not_wait_is_done_without_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        done.set_result(3)
        timers: list[float] = []

        def noting(when: float, *rest: Any, **named: Any) -> asyncio.TimerHandle:
            timers.append(when)
            return at(when, *rest, **named)

        at = loop.call_at
        monkeypatch.setattr(loop, "call_at", noting)
        return await at_once_or_within(60, _doubled(done)), len(timers)

    assert asyncio.run(run()) == (6, 0)


@pytest.mark.parametrize(("answered", "expected"), [(3, 6), (ValueError("four"), 104), (KeyError("x"), KeyError)])
def test_work_that_waits_goes_on_with_what_comes(answered: Any, expected: Any) -> None:
    async def run() -> int:
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        give = waiting.set_exception if isinstance(answered, Exception) else waiting.set_result
        asyncio.get_running_loop().call_soon(give, answered)
        return await at_once_or_within(60, _doubled(waiting))

    if isinstance(expected, int):
        assert asyncio.run(run()) == expected
    else:
        with pytest.raises(expected):
            asyncio.run(run())


def test_work_that_waits_too_long_is_cancelled_and_its_end_awaited() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("ended")

    async def too_long() -> None:
        with pytest.raises(TimeoutError):
            await at_once_or_within(0.01, work())

    async def cancelled() -> None:
        task = asyncio.create_task(at_once_or_within(60, work()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(too_long())
    asyncio.run(cancelled())
    assert ended == ["ended", "ended"]
