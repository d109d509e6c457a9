"""A receiver on loopback, as somebody else would write it: verifies by the words of the convention, answers as told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Say whether a message is by who knows the secret, written from the convention and not from our code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body.decode()}"
    wanted = base64.b64encode(hmac.new(key, content.encode(), hashlib.sha256).digest()).decode()
    given = [each.split(",", 1) for each in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(value, wanted) for version, value in given)


@dataclass(frozen=True)
class Message:
    """What came in."""

    headers: dict[str, str]
    body: bytes
    path: str = "/hook"

    @property
    def id(self) -> str:
        """The id by which repeats are known."""
        return self.headers["webhook-id"]

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def position(self) -> int:
        """The position of the event it carries."""
        found: int = self.content["data"]["position"]
        return found


Reply = tuple[int, dict[str, str]]


@dataclass
class Receiver:
    """Listens on a free port of loopback. `reply` is asked about each message; it may take its time."""

    reply: Callable[[Message], Reply] = lambda message: (204, {})
    messages: list[Message] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                message = Message({name.lower(): value for name, value in self.headers.items()}, body, self.path)
                receiver.addresses.append(self.client_address[0])
                receiver.messages.append(message)
                status, headers = receiver.reply(message)
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass  # The sender was killed meanwhile.

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class calls it so.
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    @property
    def positions(self) -> list[int]:
        """The positions that came in, repeats included, in the order in which they came."""
        return [message.position for message in list(self.messages)]

    def wait_for(self, holds: Callable[[], bool], what: str, seconds_max: float = 30.0) -> None:
        """Wait until a condition holds."""
        until = time.monotonic() + seconds_max
        while not holds():
            assert time.monotonic() < until, f"after {seconds_max} s still not: {what}; came: {self.positions}"
            time.sleep(0.01)
