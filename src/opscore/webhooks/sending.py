"""One POST to a receiver: to an address that was judged, within a time, following nothing that the answer says.

httpcore lets us hand in how connections are made. That is where the address is judged and where time is counted: a
receiver that answers a byte at a time gets no more of it than one that does not answer.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from opscore import __version__
from opscore.webhooks.addresses import AddressRefused, Bounds

SECONDS_MAX = 15.0
"""How long a receiver may take from connecting to the head of its answer; the convention asks for 15 to 30."""
_GONE = 410


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a POST. status: of HTTP, None when there was no answer; error: in words, None when it was taken."""

    status: int | None
    error: str | None
    retry_after_seconds: float | None = None

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more of this, ever."""
        return self.status == _GONE


class Sender:
    """Sends. Safe to use from several threads; every POST has a connection of its own."""

    def __init__(self, bounds: Bounds, seconds_max: float = SECONDS_MAX) -> None:
        self._bounds = bounds
        self._seconds_max = seconds_max
        self._tls = httpcore.default_ssl_context()  # Made once: it reads every root certificate.

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """Send a body; whatever happens is returned, nothing is raised."""
        until = time.monotonic() + self._seconds_max
        encrypted = url.startswith("https://")
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._tls,
                    network_backend=_Guarded(self._bounds, encrypted, until),
                    max_keepalive_connections=0,
                ) as pool,
                pool.stream(
                    "POST",
                    url,
                    headers=[
                        ("user-agent", f"opscore/{__version__} webhooks"),
                        ("content-type", "application/json"),
                        *headers.items(),
                    ],
                    content=body,
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._seconds_max)},
                ) as answer,
            ):
                return _read(answer)
        except AddressRefused as error:
            return Sent(None, str(error))
        except (httpcore.TimeoutException, TimeoutError):
            return Sent(None, f"no answer within {self._seconds_max:g} seconds")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
            return Sent(None, f"{type(error).__name__}: {error}"[:300])


def _read(answer: httpcore.Response) -> Sent:
    status = answer.status
    if 200 <= status < 300:
        return Sent(status, None)
    given = {name.lower(): value for name, value in answer.headers}.get(b"retry-after", b"")
    wait = float(given) if given.isdigit() and len(given) < 9 else None
    redirects = " (redirects are not followed; register the new URL)" if 300 <= status < 400 else ""
    return Sent(status, f"answered with status {status}{redirects}", wait)


class _Guarded(httpcore.NetworkBackend):
    """Connects to addresses that were judged, and to no other."""

    def __init__(self, bounds: Bounds, encrypted: bool, until: float) -> None:
        self._bounds = bounds
        self._encrypted = encrypted
        self._until = until
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._bounds.addresses(host, port, encrypted=self._encrypted)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                stream = self._sockets.connect_tcp(address, port, _left(self._until), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Timed(stream, self._until)
        raise failure


class _Timed(httpcore.NetworkStream):
    """A stream whose every step shares one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._until))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._until))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, _left(self._until)), self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
