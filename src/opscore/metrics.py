"""What a monitoring system reads from /metrics, in the text format of Prometheus (or OpenMetrics, if it asks for that).

Two kinds of figures. What happens in this process is counted as it happens; what is in the database (positions, lags,
webhooks, exports) is asked when somebody reads, so several servers of one database show the same there. No label names
a store, a customer, a token or a document: there are as many series as the program and its projections have parts.

Figures tell how much is sold. They are for a token of a role that may see figures, of all stores, so that what a token
of one store does not tell is not told here either; a token that is good for nothing else has the scope `metrics`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
from prometheus_client import (
    CollectorRegistry,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opscore.api.counting import SECONDS, RequestCounts
from opscore.api.errors import Forbidden, NotAuthenticated, NotReady
from opscore.api.http import address_of_scope
from opscore.domain.command import READ, Actor
from opscore.permissions import METRICS, may_read_metrics
from opscore.sqlfiles import load
from opscore.tokens import ROLE_HEADER

if TYPE_CHECKING:
    from opscore.api.engine import GraphQLEngine
    from opscore.app import Server
    from opscore.database import Database
    from opscore.writer import Batch

SQL = load(__file__, "metrics.sql")

PATIENCE_SECONDS = 2.0
"""How long a reader waits for a connection: those who scrape have little patience, and the rest is worth having."""
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

# When a series began is of no use here, and would double their number. The library has no type for this one.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The series of one process. `text` may be asked from any thread and blocks on the database."""

    def __init__(self, server: Server) -> None:
        self._registry = CollectorRegistry()
        self.requests = RequestCounts(self._registry)
        self._batch_size = Histogram(
            "opscore_batch_commands", "Commands in a commit.", buckets=BATCH_SIZES, registry=self._registry
        )
        self._batch_seconds = Histogram(
            "opscore_batch_seconds",
            "Time from taking the lock of the log to the end of the commit.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._commit_seconds = Histogram(
            "opscore_commit_seconds",
            "Time to write down a batch and commit it, the wait for the disk included.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._registry.register(_OfProcess(server))
        self._registry.register(_OfDatabase(server))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        server.writer.after_batch.append(self._note)

    def _note(self, batch: Batch) -> None:
        self._batch_size.observe(batch.commands)
        self._batch_seconds.observe(batch.seconds)
        self._commit_seconds.observe(batch.commit_seconds)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return all series and their media type. accept: the header of that name of whoever reads."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type


class _OfProcess(Collector):
    """What the parts of this process count by themselves."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is collected is known when it is collected."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        writer, follower = self._server.writer, self._server.follower
        commands = CounterMetricFamily(
            "opscore_commands",
            "Commands that were answered, by name and outcome: accepted, refused, replayed, failed (a fault of ours).",
            labels=("command", "outcome"),
        )
        for (name, outcome), count in writer.statistics.outcomes.copy().items():
            commands.add_metric((name, outcome), count)
        yield commands
        yield _counter("opscore_commands_turned_away", "Commands that a full queue did not take.",
                       writer.queue.turned_away)  # fmt: skip
        yield _counter("opscore_events_recorded", "Events that this process appended.", writer.statistics.events)
        yield _counter("opscore_writer_reconnects", "Connections that the writer lost.", writer.statistics.reconnects)
        yield _gauge("opscore_writer_halted", "Whether the writer met events of a newer program and stopped.",
                     writer.halted is not None)  # fmt: skip
        yield _gauge("opscore_writer_queue", "Commands that wait for the writer.", writer.queue_length)
        yield _gauge("opscore_writer_queue_limit", "Commands that may wait, and as many of imports.",
                     self._server.settings.queue_size)  # fmt: skip
        rounds = follower.statistics
        yield SummaryMetricFamily(
            "opscore_follower_window_seconds",
            "Windows of events that were taken into the read models, and how long that took.",
            count_value=rounds.windows,
            sum_value=rounds.seconds,
        )
        yield _counter("opscore_follower_events", "Events taken in, once for each projection.", rounds.events)
        yield _counter("opscore_follower_failed_rounds", "Rounds of the follower that an error ended.",
                       rounds.failed_rounds)  # fmt: skip
        yield from _pool(self._server.database)


class _OfDatabase(Collector):
    """What is asked of the database when somebody reads; while it does not answer, only that it does not."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is collected is known when it is collected."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        try:
            found = [*self._projections(), *self._webhooks(), *self._exports()]
        except psycopg.Error:
            yield _gauge("opscore_database_up", "Whether the database answers.", 0)
            return
        yield _gauge("opscore_database_up", "Whether the database answers.", 1)
        yield from found

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self._server.database.pool.connection(timeout=PATIENCE_SECONDS) as connection:
            return connection.execute(SQL[statement]).fetchall()

    def _projections(self) -> Iterator[Metric]:
        yield _gauge("opscore_log_position", "The newest position of the log.", self._rows("head")[0][0])
        which = ("projection", "version")
        status = GaugeMetricFamily(
            "opscore_projection_status",
            "1 for what a version is: building, ready (follows beside the serving one), serving or frozen.",
            labels=(*which, "status"),
        )
        position = GaugeMetricFamily(
            "opscore_projection_position", "The position that a version has reached.", labels=which
        )
        events = GaugeMetricFamily(
            "opscore_projection_lag_events", "Events that a version has still to take in.", labels=which
        )
        seconds = GaugeMetricFamily(
            "opscore_projection_lag_seconds", "How long the first of them has been waiting.", labels=which
        )
        failed = GaugeMetricFamily(
            "opscore_projection_failed",
            "1 for a version that a failure has stopped, until it is resumed or another one serves: raise the alarm.",
            labels=which,
        )
        for name, version, state, reached, stopped, lag_events, lag_seconds in self._rows("projections"):
            labels = (name, str(version))
            status.add_metric((*labels, state), 1)
            position.add_metric(labels, reached)
            events.add_metric(labels, lag_events)
            seconds.add_metric(labels, lag_seconds)
            failed.add_metric(labels, stopped)
        yield from (status, position, events, seconds, failed)

    def _webhooks(self) -> Iterator[Metric]:
        counts = self._server.webhooks.counts()
        states = GaugeMetricFamily("opscore_webhooks", "Webhooks by state.", labels=("state",))
        for state in ("active", "paused", "disabled"):
            states.add_metric((state,), getattr(counts, state))
        yield states
        yield _gauge("opscore_webhooks_due", "Webhooks that have something to be delivered now.",
                     len(self._server.webhooks.due()))  # fmt: skip
        yield _gauge("opscore_webhook_dead_letters", "Events that receivers would not take.", counts.dead_letters)
        yield _gauge("opscore_webhook_lag_events", "Events that the slowest active webhook is behind.", counts.behind)

    def _exports(self) -> Iterator[Metric]:
        exports = GaugeMetricFamily("opscore_exports", "Exports by state, until they are forgotten.", labels=("state",))
        found = dict(self._rows("exports"))
        for state in ("waiting", "done", "failed", "cancelled"):
            exports.add_metric((state,), found.get(state, 0))
        yield exports


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _pool(database: Database) -> Iterator[Metric]:
    """Yield how the shared connections are used; the writer, the follower and others have connections of their own."""
    stats = database.pool.get_stats()
    size, free = stats.get("pool_size", 0), stats.get("pool_available", 0)
    yield _gauge("opscore_pool_connections", "Shared connections that are open.", size)
    yield _gauge("opscore_pool_connections_used", "Shared connections that somebody holds.", size - free)
    yield _gauge("opscore_pool_connections_limit", "Shared connections that there may be.", stats.get("pool_max", 0))
    yield _gauge("opscore_pool_waiting", "Requests that wait for a connection.", stats.get("requests_waiting", 0))
    yield SummaryMetricFamily(
        "opscore_pool_wait_seconds",
        "Requests for a connection, and how long all of them waited.",
        count_value=stats.get("requests_num", 0),
        sum_value=stats.get("requests_wait_ms", 0) / 1000,
    )
    yield _counter("opscore_pool_errors", "Requests for a connection that got none.", stats.get("requests_errors", 0))


# Over HTTP -----------------------------------------------------------------------------------------------------------


def _require_permitted(actor: Actor) -> None:
    if not may_read_metrics(actor.role) or not actor.covers(READ, METRICS):
        raise Forbidden("Metrics are for a token that may see figures, such as one of an auditor.")
    if actor.stores is not None:
        raise Forbidden("Metrics count what happens in all stores; use a token of all stores.")


def route(engine: GraphQLEngine, metrics: Metrics) -> Route:
    """Return the route that the series are read from; it raises ApiError, which the application answers."""

    async def read(request: Request) -> Response:
        authorization = request.headers.get("authorization")
        if authorization is None:
            raise NotAuthenticated("Send 'Authorization: Bearer <token>'.")
        role = request.headers.get(ROLE_HEADER)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                actor = await engine.authenticate(authorization, address_of_scope(request.scope), role)
        except TimeoutError:
            raise NotReady("Nobody says in time whose token this is; see /readyz.") from None
        _require_permitted(actor)
        text, media_type = await asyncio.to_thread(metrics.text, request.headers.get("accept", ""))
        return Response(text, media_type=media_type, headers={"cache-control": "no-store"})

    return Route("/metrics", read, methods=["GET"])
