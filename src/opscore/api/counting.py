"""What the API counts of its requests, for /metrics: a few additions a request, nothing for each field."""

from __future__ import annotations

import asyncio
import functools
import time
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from opscore.api.errors import ApiError, ClientLeft, Throttled

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of what takes time here: from a query out of memory to the end of anybody's patience."""


class RequestCounts:
    """Counters of one endpoint; without a registry they are counted and shown nowhere."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._requests = Counter(
            "opscore_graphql_requests",
            "Operations by kind and outcome: answered, errors (some fields), failed (a fault of ours), refused (not"
            " run), throttled, abandoned (the client left).",
            ("operation", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "opscore_graphql_seconds",
            "Time to answer an operation; for a subscription, to begin it.",
            ("operation",),
            buckets=SECONDS,
            registry=registry,
        )
        # Looking a series up by its labels takes longer than counting in it.
        self._counter = functools.cache(lambda *labels: self._requests.labels(*labels).inc)
        self._timer = functools.cache(lambda operation: self._seconds.labels(operation).observe)
        self._deprecated = Counter(
            "opscore_graphql_deprecated",
            "Requests by each deprecated part of the schema that their document uses; none: it can be removed.",
            ("part",),
            registry=registry,
        )
        self._closed = Counter(
            "opscore_sockets_closed",
            "Sockets that we closed, by close code; 4413 is a client that did not read, 1001 a server that stops.",
            ("code",),
            registry=registry,
        )
        self.sockets = Gauge("opscore_sockets_open", "Sockets that are open.", registry=registry)
        self.subscriptions = Gauge("opscore_subscriptions_open", "Subscriptions that are followed.", registry=registry)

    def timed(self) -> TimedRequest:
        """Return what times one request and counts it at its end."""
        return TimedRequest(self)

    def request(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a request. operation: query, mutation, subscription, or unknown when it was not got so far."""
        self._counter(operation, outcome)()
        self._timer(operation)(seconds)

    def deprecated(self, parts: tuple[str, ...]) -> None:
        """Count a request whose document uses these deprecated parts of the schema."""
        for part in parts:
            self._deprecated.labels(part).inc()

    def closed(self, code: int) -> None:
        """Count a socket that we close."""
        self._closed.labels(code).inc()


class TimedRequest:
    """One request, from its beginning to its end, however it ends."""

    __slots__ = ("_began", "_counts", "operation", "outcome")

    def __init__(self, counts: RequestCounts) -> None:
        self._counts = counts
        self.operation = "unknown"
        self.outcome = "answered"

    def answered(self, body: bytes) -> None:
        """Look at an answer: one with errors begins with them."""
        if body.startswith(b'{"errors":'):
            self.outcome = "failed" if b'"extensions":{"code":"INTERNAL"' in body else "errors"

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Throttled):
            self.outcome = "throttled"
        elif isinstance(error, ClientLeft | asyncio.CancelledError):
            self.outcome = "abandoned"
        elif isinstance(error, ApiError):
            self.outcome = "refused"
        elif error is not None:
            self.outcome = "failed"
        self._counts.request(self.operation, self.outcome, time.perf_counter() - self._began)
