"""How long a query may take: then it is answered, and what was read for it has come to an end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from opscore.api.context import READ_THREADS
from opscore.database import Database
from opscore.deadlines import CURRENT, Deadline, DeadlinePassed
from tests.api.conftest import Api
from tests.api.socket_client import socket
from tests.api.test_reaching import until
from tests.shop import Shop

ORDERS = "{ orders(first: 100) { nodes { id } } }"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'
"""


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """Queries have little time, and a statement all of it and more: it ends only where somebody ends it."""
    return {"read_seconds_max": 0.5, "statement_seconds_max": 3600}


@contextmanager
def stuck(api: Api, name: str) -> Iterator[psycopg.Connection[Any]]:
    """Have every statement over a read model, or over the log, take for ever; gives a connection that is not stuck."""
    versions = {each.entry.name: each.entry.version for each in api.server.projector.status()}
    table = "events" if name == "events" else f"{name}_v{versions[name]}__{name}"
    with api.server.database.connect("admin", autocommit=False) as holder:
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        with api.server.database.connect("admin") as onlooker:
            yield onlooker


def waiting(onlooker: psycopg.Connection[Any]) -> int:
    """Return how many statements are stuck."""
    row = onlooker.execute(WAITING).fetchone()
    assert row is not None
    return int(row[0])


def require_timed_out(answer: dict[str, Any]) -> None:
    assert answer["data"] is None
    [error] = answer["errors"]
    assert error["extensions"] == {"code": "TIMED_OUT", "retryable": False}
    assert "narrow it" in error["message"]


def test_a_query_that_takes_too_long_is_answered_and_what_it_reads_is_ended(api: Api, shop: Shop) -> None:
    with stuck(api, "order_book") as onlooker:
        answer = api.post({"query": ORDERS})
        until(lambda: waiting(onlooker) == 0, "its statement goes on")

    assert answer.status_code == 200
    require_timed_out(answer.json())
    # Rows that did not come in time are not given back: the work was done.
    assert answer.json()["extensions"]["cost"]["actual"] == answer.json()["extensions"]["cost"]["requested"] == 101
    assert api.ask(ORDERS) == {"orders": {"nodes": []}}


def test_more_queries_than_threads_end_and_leave_the_threads_to_others(api: Api, shop: Shop) -> None:
    many = " ".join(f"a{number}: {ORDERS[1:-1]}" for number in range(2 * READ_THREADS))
    token = api.token()
    with stuck(api, "order_book") as onlooker:
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda _: api.post({"query": f"{{ {many} }}"}, token=token).json(), range(4)))
        until(lambda: waiting(onlooker) == 0, "their statements go on")
        assert api.ask("{ head { position } }", token=token)["head"]["position"] > 0

    for answer in answers:
        require_timed_out(answer)


def test_a_query_over_a_socket_ends_as_well(api: Api, shop: Shop) -> None:
    with stuck(api, "order_book") as onlooker, socket(api.url, api.token()) as client:
        client.subscribe(ORDERS)
        message = client.receive()
        until(lambda: waiting(onlooker) == 0, "its statement goes on")

    require_timed_out(message["payload"])


def test_a_query_of_statements_without_end_begins_no_other_one(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    seen: list[BaseException] = []

    def one_after_the_other() -> Any:
        try:
            with api.server.services.database.pool.connection() as connection:
                while True:
                    connection.execute("SELECT 1")
        except BaseException as error:
            seen.append(error)
            raise
        finally:
            ended.set()

    with monkeypatch.context() as patch:
        patch.setattr(api.server.services.log, "head", one_after_the_other)
        require_timed_out(api.post({"query": "{ head { position } }"}).json())

    assert ended.wait(60) and isinstance(seen[0], DeadlinePassed | psycopg.errors.QueryCanceled)


def test_a_command_is_answered_however_long_its_decision_takes(api: Api, shop: Shop) -> None:
    fields = {"operator": "Gifts Ltd", "currency": "GBP", "timeZone": "UTC", "platform": "own", "name": "Slow"}
    token = api.token()
    with ThreadPoolExecutor(1) as client:
        with api.server.database.connect(autocommit=False) as connection:
            connection.execute("SELECT 1 FROM log_lock FOR UPDATE")
            given = client.submit(api.give, "applyForStore", "store { name } userErrors { code }", fields, token=token)
            # Longer than any query may take, which shows by one that is cut off meanwhile.
            with stuck(api, "order_book"):
                require_timed_out(api.post({"query": ORDERS}, token=token).json())
                require_timed_out(api.post({"query": ORDERS}, token=token).json())
            assert not given.done()

        assert given.result(60) == {"store": {"name": "Slow"}, "userErrors": []}


def test_what_is_cancelled_is_never_the_statement_of_whoever_has_the_connection_next(database: Database) -> None:
    with database.pool.connection() as first:  # One connection, so that it is always the same.
        for number in range(150):
            deadline = Deadline()
            begun = threading.Event()

            def pass_by(deadline: Deadline = deadline, begun: threading.Event = begun, pause: float = number) -> None:
                begun.wait(10)
                threading.Event().wait(pause % 10 / 3000)
                deadline.passed = True
                deadline.cancel()

            passing = threading.Thread(target=pass_by)
            passing.start()
            token = CURRENT.set(deadline)
            try:
                with pytest.raises((DeadlinePassed, psycopg.errors.QueryCanceled)), deadline.covering(first):
                    begun.set()
                    while True:
                        first.execute("SELECT pg_sleep(0.001)")
            finally:
                CURRENT.reset(token)
            assert first.execute("SELECT pg_sleep(0.001)").fetchone() is not None
            passing.join(30)


def test_only_what_is_read_for_requests_is_bounded_in_time(api: Api) -> None:
    def limit(connection: psycopg.Connection[Any]) -> Any:
        row = connection.execute("SHOW statement_timeout").fetchone()
        return row and row[0]

    with api.server.services.database.pool.connection() as connection:
        assert limit(connection) == "1h"
    with api.server.database.pool.connection() as connection:
        assert limit(connection) == "0"
    for database in (api.server.database, api.server.services.database):
        with database.connect() as connection:
            assert limit(connection) == "0"
    for projector in (api.server.projector, api.server.services.read_models):
        with projector.connect() as connection:
            assert limit(connection) == "0"


def test_a_token_that_nobody_looks_up_in_time_is_answered_all_the_same(api: Api) -> None:
    token = api.token()
    with api.server.database.connect("admin", autocommit=False) as holder:
        holder.execute("LOCK TABLE api_tokens IN ACCESS EXCLUSIVE MODE")
        answer = api.post({"query": "{ __typename }"}, token=token)

    assert answer.status_code == 503 and answer.headers["retry-after"]
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "NOT_READY"} and "whose token this is" in error["message"]
    assert api.post({"query": "{ __typename }"}, token=token).json()["data"] == {"__typename": "Query"}
