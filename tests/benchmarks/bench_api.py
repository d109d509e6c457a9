"""Requests a second through GraphQL over HTTP at 1, 16 and 64 clients, each beside what Starlette can do at the most.

Server, client and PostgreSQL are processes of their own on the same machine. The ceiling is a plain Starlette route
that makes the very same bytes with orjson, under the same client. Statements are those of one request after it has been
sent before, counted where they are sent. Two seconds for each figure: about two and a half minutes in all.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import psutil

from opscore.settings import Settings
from tests.benchmarks.api_cases import body
from tests.benchmarks.harness import Aim, Table, fresh_database

SECONDS = float(os.environ.get("OPSCORE_BENCH_SECONDS", "2"))
CLIENTS = (1, 16, 64)
AIMED_AT = 16
"""How many clients the aims are for."""
P99_MS = Aim(50, most=True)
CASES = (
    ("50 orders with their lines", "orders", "/graphql", Aim(400)),
    ("one order with its lines", "order", "/graphql", Aim(1_500)),
    ("20 products, 8 fields", "products", "/graphql", None),
    ("KPI page of a store over 365 days", "kpis", "/graphql", None),
    ("place an order of 3 lines", "place", "/graphql", Aim(700)),
    ("100 rows of 10 scalars from memory", "memory", "/memory", None),
    ("{ __typename }", "typename", "/graphql", None),
)
OF_CEILING = Aim(30)
"""Percent of its ceiling that the list from memory is to reach."""


def load(job: dict[str, Any]) -> dict[str, Any]:
    """Run a client process and return what it saw."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.api_client", json.dumps(job)],
        check=True,
        capture_output=True,
        text=True,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    assert not seen["faults"], seen["faults"]
    return seen


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[tuple[dict[str, Any], psutil.Process]]:
    """Start a server over a database; yield what clients need to know, and the process."""
    assert settings.database_url is not None and settings.master_key is not None
    given = {
        "database_url": settings.database_url.get_secret_value(),
        "master_key": settings.master_key.get_secret_value(),
        "schema_name": settings.schema_name,
        # One token asks all the time here: counted as ever, never told to come again.
        "throttle_points": 10**9,
        "throttle_points_per_second": 10**9,
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.api_server", json.dumps(given)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline()), psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(30)


def once(job: dict[str, Any], name: str) -> int:
    """Send a request twice, make its answer a ceiling of this name, and return the statements of the second one."""
    source = random.Random(name)
    headers = {"authorization": f"Bearer {job['token']}", "content-type": "application/json"}
    with httpx.Client(base_url=f"http://127.0.0.1:{job['port']}", headers=headers, timeout=30) as client:
        client.post(job["path"], content=body(job, source))
        client.put("/statements").raise_for_status()
        answer = client.post(job["path"], content=body(job, source))
        statements = int(client.get("/statements").text)
        client.put(f"/ceiling/{name}", content=answer.content).raise_for_status()
    return statements


def run(table: Table, settings: Settings) -> None:
    """Measure and print each case."""
    with serving(settings) as (ready, process):
        for what, kind, path, aim in CASES:
            statements = once({**ready, "kind": kind, "path": path}, kind)
            for clients in CLIENTS:
                job = {**ready, "kind": kind, "path": path, "clients": clients, "seconds": SECONDS, "seed": what}
                seen = load(job)
                ceiling = load({**job, "kind": "typename", "path": f"/ceiling/{kind}"})
                share = seen["per_second"] / ceiling["per_second"]
                table.row(
                    f"{what}, {clients} clients",
                    f"{seen['per_second']:,.0f} requests/s",
                    f"p50 {seen['p50_ms']:.1f} ms, p99 {seen['p99_ms']:.1f} ms",
                    f"{seen['bytes']:,} bytes, {statements} statements",
                    f"{share:.0%} of the ceiling ({ceiling['per_second']:,.0f}/s)",
                    f"client {seen['client_share']:.0%} of a core",
                    aim.judged(seen["per_second"]) if aim is not None and clients == AIMED_AT else "",
                    f"p99 {P99_MS.judged(seen['p99_ms'])}" if kind != "typename" and clients == AIMED_AT else "",
                    f"% of ceiling {OF_CEILING.judged(share * 100)}"
                    if kind == "memory" and clients == AIMED_AT
                    else "",
                )
        table.row("server's memory", f"{process.memory_info().rss / 1e6:.0f} MB")


def main() -> None:
    """Run it on a server of its own."""
    with (
        fresh_database() as (_, settings),
        Table("GraphQL over HTTP: server, client and PostgreSQL side by side") as table,
    ):
        run(table, settings)


if __name__ == "__main__":
    main()
