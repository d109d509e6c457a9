"""A client of graphql-transport-ws for tests: it sends what a test says and hands over what comes, as it came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SUBPROTOCOL = "graphql-transport-ws"


class Socket:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, message: Any) -> None:
        """Send a message; a string goes out as it is."""
        self.connection.send(message if isinstance(message, str) else json.dumps(message))

    def receive(self, timeout: float = 15) -> dict[str, Any]:
        """Return the next message."""
        found: dict[str, Any] = json.loads(self.connection.recv(timeout))
        return found

    def init(self, token: str) -> None:
        """Introduce ourselves."""
        self.send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
        assert self.receive() == {"type": "connection_ack"}

    def subscribe(self, query: str, variables: dict[str, Any] | None = None, *, key: str = "1") -> None:
        """Begin an operation."""
        self.send({"id": key, "type": "subscribe", "payload": {"query": query, "variables": variables or {}}})

    def next(self, key: str = "1", timeout: float = 15) -> dict[str, Any]:
        """Return the payload of the next message, which has to be one of this operation."""
        message = self.receive(timeout)
        assert (message.get("id"), message["type"]) == (key, "next"), message
        payload: dict[str, Any] = message["payload"]
        assert "errors" not in payload, payload
        return payload["data"]

    def silent(self, seconds: float) -> bool:
        """Say whether nothing comes for this long."""
        try:
            self.connection.recv(seconds)
        except TimeoutError:
            return True
        return False

    def closed(self, timeout: float = 15) -> int | None:
        """Read on until the server has closed, and return its code."""
        try:
            while True:
                self.connection.recv(timeout)
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd is not None else None


@contextmanager
def socket(url: str, token: str | None = None, **more: Any) -> Iterator[Socket]:
    """Connect to a server's /graphql, and introduce ourselves when there is a token."""
    given = {"subprotocols": [SUBPROTOCOL], "compression": None, "close_timeout": 1, **more}
    with connect(url.replace("http://", "ws://") + "/graphql", **given) as connection:
        client = Socket(connection)
        if token is not None:
            client.init(token)
        yield client
