"""Requests a second through GraphQL over HTTP: orders placed at 1, 8 and 32 clients, lists and single orders read.

Server, client and PostgreSQL are processes of their own on the same machine. Beside them in the same run: a bare
Starlette endpoint that answers with bytes of a like size, which is the most that any endpoint here can reach.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import psutil

from opscore.settings import Settings
from tests.benchmarks.harness import Table, fresh_database

SECONDS = 4.0
CASES = (
    ("place an order of 3 lines", "place", "/graphql", (1, 8, 32)),
    ("50 orders with their lines", "orders", "/graphql", (16,)),
    ("one order with its lines", "order", "/graphql", (16,)),
    ("{ __typename }", "typename", "/graphql", (16,)),
    ("bare endpoint, 50 orders", "typename", "/bare", (16,)),
)


def load(job: dict[str, Any]) -> dict[str, Any]:
    """Run a client process and return what it saw."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.api_client", json.dumps(job)],
        check=True,
        capture_output=True,
        text=True,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def run(table: Table, settings: Settings) -> None:
    """Measure and print each case."""
    assert settings.database_url is not None and settings.master_key is not None
    given = {
        "database_url": settings.database_url.get_secret_value(),
        "master_key": settings.master_key.get_secret_value(),
        "schema_name": settings.schema_name,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.api_server", json.dumps(given)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        for name, kind, path, clients in CASES:
            for number in clients:
                job = {**ready, "kind": kind, "path": path, "clients": number, "seconds": SECONDS, "seed": name}
                seen = load(job)
                assert not seen["faults"], seen["faults"]
                memory_mb = psutil.Process(server.pid).memory_info().rss / 1e6
                table.row(
                    f"{name}, {number} clients",
                    f"{seen['per_second']:,.0f} requests/s",
                    f"p50 {seen['p50_ms']:.1f} ms, p99 {seen['p99_ms']:.1f} ms, {seen['bytes']:,} bytes,"
                    f" server {memory_mb:.0f} MB",
                )
    finally:
        server.terminate()
        server.wait(30)


def main() -> None:
    """Run it on a server of its own."""
    with (
        fresh_database() as (_, settings),
        Table("GraphQL over HTTP: server, client and PostgreSQL side by side") as table,
    ):
        run(table, settings)


if __name__ == "__main__":
    main()
