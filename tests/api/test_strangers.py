"""Requests of nobody we know: counted by the address they come from, and at nobody else's expense."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from opscore.domain.command import Role
from opscore.tokens import TokenBook
from tests.api.conftest import Api
from tests.api.socket_client import socket

MAXIMUM = 20
UNKNOWN = "opscore_" + "A" * 43
_hosts = itertools.count(1)


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """Buckets of few points."""
    return {"throttle_address_points": MAXIMUM, "throttle_address_points_per_second": 1}


@pytest.fixture
def host(api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address that nobody has used yet, and to which nothing comes back while a test runs.

    The server believes the proxy on its own machine.
    """
    strangers = api.sockets.engine._strangers
    now = strangers._clock_ns()
    monkeypatch.setattr(strangers, "_clock_ns", lambda: now)
    return f"203.0.113.{next(_hosts)}"


def sent(api: Api, host: str, query: str, token: str | None = None) -> httpx.Response:
    return api.post({"query": query}, token=token, headers={"x-forwarded-for": host})


def used_up(api: Api, host: str, query: str = "{", token: str | None = None) -> int:
    """Send requests from an address until it is told to come again later; return how many were looked at."""
    for number in range(2 * MAXIMUM):
        answer = sent(api, host, query, token)
        if answer.status_code == 429:
            [error] = answer.json()["errors"]
            assert error["extensions"]["code"] == "THROTTLED"
            assert error["message"].startswith("This address ")
            assert int(answer.headers["retry-after"]) == error["extensions"]["retryAfter"] >= 1
            return number
    raise AssertionError("nobody is ever sent away")


@pytest.mark.parametrize(
    ("query", "token"),
    [
        ("{", None),
        ("{ nothing }", None),
        ("{ __typename }", None),
        ("{ head { hash } }", None),
        ("{ __typename }", UNKNOWN),
        ("{ __typename }", "x"),
    ],
)
def test_an_address_has_so_many_points_for_whoever_shows_no_token_that_is_known(
    api: Api, host: str, query: str, token: str | None
) -> None:
    good = api.token(Role.OWNER)
    assert sent(api, host, "{ __typename }", good).json()["data"] == {"__typename": "Query"}

    assert used_up(api, host, query, token) == MAXIMUM

    # Others, and those at this address who are known, have points of their own.
    assert sent(api, f"{host}0", query, token).status_code != 429
    for _ in range(3):
        assert sent(api, host, "{ __typename }", good).json()["data"] == {"__typename": "Query"}


def test_what_the_schema_answers_to_anybody_costs_what_it_holds(api: Api, host: str) -> None:
    query = "{ __schema { types { fields { type { name } } } } }"

    assert used_up(api, host, query) < MAXIMUM // 2


def test_tokens_are_not_tried_out_faster_than_an_address_has_points(
    api: Api, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used_up(api, host)
    asked: list[Any] = []
    monkeypatch.setattr(TokenBook, "ask", lambda self, given: asked.append(given))

    for number in range(5):
        assert sent(api, host, "{ __typename }", f"opscore_{number:043d}").status_code == 429
    for path in ("/exports/x", "/metrics"):
        answer = api.client.get(path, headers={"x-forwarded-for": host, "authorization": f"Bearer {UNKNOWN}"})
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["extensions"]["code"]) == (429, "THROTTLED")
        assert int(answer.headers["retry-after"]) == error["extensions"]["retryAfter"] >= 1, path

    assert asked == []


def test_a_token_that_is_known_costs_its_address_nothing(api: Api, host: str) -> None:
    for number in range(MAXIMUM + 5):
        token = api.token(Role.OWNER, name=f"one of many {number}")
        assert sent(api, host, "{ __typename }", token).status_code == 200


def test_sockets_are_counted_like_requests(api: Api, host: str) -> None:
    used_up(api, host)
    with socket(api.url, additional_headers={"x-forwarded-for": host}) as client:
        client.send({"type": "connection_init", "payload": {"authorization": f"Bearer {UNKNOWN}"}})
        with pytest.raises(ConnectionClosed) as closed:
            client.receive()

    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason[:31]) == (4403, "Forbidden: This address has use")
