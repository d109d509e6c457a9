"""Bodies that do not come to an end: the server waits for them as long as it is told to, and no longer."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.api.conftest import Api

HEAD = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = b'{"query":"{ __typename }"}'


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """A server without patience."""
    return {"body_seconds_max": 0.3}


@contextmanager
def connected(api: Api) -> Iterator[socket.socket]:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def everything_from(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    found = b""
    while piece := connection.recv(65_536):
        found += piece
    return found


def one_answer_from(connection: socket.socket) -> bytes:
    """Return the next answer whole: its head and its body may come one after the other."""
    found, whole = b"", None
    while whole is None or len(found) < whole:
        piece = connection.recv(65_536)
        assert piece, "the connection was closed"
        found += piece
        end = found.find(b"\r\n\r\n")
        if end >= 0:
            whole = end + 4 + int(found[:end].partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return found


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"content-length: 26\r\n\r\n",
        HEAD + b"content-length: 27\r\n\r\n" + BODY,
        HEAD + b"transfer-encoding: chunked\r\n\r\n1a\r\n" + BODY + b"\r\n",
    ],
)
def test_a_body_that_stops_is_answered_with_408_and_the_connection_is_closed(api: Api, sent: bytes) -> None:
    with connected(api) as connection:
        connection.sendall(sent)
        answer = everything_from(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"BODY_TOO_SLOW"' in answer and b"connection: close" in answer


def test_a_body_that_comes_a_byte_at_a_time_is_cut_off_all_the_same(api: Api) -> None:
    with connected(api) as connection:
        connection.sendall(HEAD + b"content-length: 90000\r\n\r\n")
        for _ in range(90_000):
            connection.sendall(b" ")
            if select.select([connection], [], [], 0.02)[0]:
                break

        assert everything_from(connection).startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_is_idle_between_requests_is_left_open(api: Api) -> None:
    with connected(api) as idle:
        answers = []
        for _ in range(2):
            idle.sendall(HEAD + b"content-length: 26\r\n\r\n" + BODY)
            answers.append(one_answer_from(idle))
            with connected(api) as slow:  # Until that one is cut off, nothing is sent here.
                slow.sendall(HEAD + b"content-length: 26\r\n\r\n")
                assert everything_from(slow).startswith(b"HTTP/1.1 408 ")

    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 200 "] * 2
