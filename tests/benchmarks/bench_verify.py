"""Events a second that `audit verify` checks, over a log of published samples, on one core and on all."""

from __future__ import annotations

import os
import resource
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from opscore.audit import verify
from opscore.database import Database
from opscore.log import schemas
from opscore.log.canonical import canonical
from opscore.log.event_types import event_types
from opscore.log.mapper import RecordedEvent
from opscore.log.recorder import Envelope, append_events, lock_log
from tests.benchmarks.harness import Table, fresh_database

EVENTS = int(os.environ.get("OPSCORE_BENCH_EVENTS", "500000").split(",")[0])
STREAMS = 10_000
BATCH = 2_000
LIFE = ("OrderPlaced", "StockReserved", "PaymentReceived", "OrderPaid", "StockShipped", "OrderShipped")


def fill(database: Database, events: int) -> float:
    """Append `events` sample events; return events a second."""
    kinds = [event_types()[name] for name in LIFE]
    samples = [canonical(schemas.published(kind)["sample"]) for kind in kinds]
    at = datetime(2020, 1, 1, tzinfo=UTC)
    envelopes = [
        Envelope(kind.aggregate.STREAM_TYPE, UUID(int=7), "Europe/London", "bench", "live", "key") for kind in kinds
    ]
    begun = time.perf_counter()
    with database.connect() as connection:
        for start in range(0, events, BATCH):
            rows = []
            for number in range(start, min(start + BATCH, events)):
                at += timedelta(microseconds=1)
                kind = number % len(kinds)
                stream, version = UUID(int=number % STREAMS + 1), number // STREAMS + 1
                rows.append((RecordedEvent(stream, version, LIFE[kind], samples[kind], 1, at, at), envelopes[kind]))
            with connection.transaction():
                append_events(connection, lock_log(connection), rows)
    return events / (time.perf_counter() - begun)


def main() -> None:
    """Run it on a server of its own."""
    with fresh_database() as (database, _), Table(f"Checking the chain of {EVENTS:,} events") as table:
        table.row("append, 2,000 a commit", f"{fill(database, EVENTS):,.0f} events/s")
        for workers in (1, os.cpu_count() or 1):
            begun = time.perf_counter()
            report = verify(database, workers=workers)
            spent = time.perf_counter() - begun
            if not report.holds:
                raise SystemExit(f"the chain does not hold: {report.findings[:3]}")
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            table.row(f"verify, {workers} at once", f"{report.events / spent:,.0f} events/s", f"{memory} MiB")


if __name__ == "__main__":
    main()
