"""What 1,000 idle subscriptions cost: memory of the server, and the orders a second that it places beside them.

Each subscription has a filter that matches nothing, so it waits at the live end while orders are placed; the
subscriptions lie on 10 sockets, then on 500.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from opscore.settings import Settings
from tests.benchmarks.bench_api import load
from tests.benchmarks.harness import Table, fresh_database

SUBSCRIPTIONS = 1_000
SECONDS = 3.0
CLIENTS = 8
QUERY = 'subscription ($actor: String!) { events(filter: {types: ["OrderPlaced"], actor: $actor}) { position } }'


async def idle(ready: dict[str, Any], sockets: int) -> list[ClientConnection]:
    """Open sockets with subscriptions, evenly, each for an actor of its own; return when all are being served."""
    url = f"ws://127.0.0.1:{ready['port']}/graphql"
    opened = []
    for number in range(sockets):
        each = await connect(url, subprotocols=["graphql-transport-ws"], compression=None)
        payload = {"authorization": f"Bearer {ready['token']}"}
        await each.send(json.dumps({"type": "connection_init", "payload": payload}))
        await each.recv()
        for index in range(SUBSCRIPTIONS // sockets):
            request = {"query": QUERY, "variables": {"actor": f"nobody {number}.{index}"}}
            await each.send(json.dumps({"id": str(index), "type": "subscribe", "payload": request}))
        await each.send('{"type": "ping"}')
        await each.recv()
        opened.append(each)
    await asyncio.sleep(1)
    return opened


async def measure(table: Table, ready: dict[str, Any], server: psutil.Process) -> None:
    """Measure and print."""

    async def orders(seed: str) -> float:
        job = {**ready, "kind": "place", "path": "/graphql", "clients": CLIENTS, "seconds": SECONDS, "seed": seed}
        seen = await asyncio.to_thread(load, job)
        assert not seen["faults"], seen["faults"]
        return float(seen["per_second"])

    await orders("warm")
    alone = await orders("alone")
    table.row("orders placed, nobody subscribed", f"{alone:,.0f} /s", f"{CLIENTS} clients")
    for sockets in (10, 500):
        before = server.memory_info().rss
        opened = await idle(ready, sockets)
        each = (server.memory_info().rss - before) / SUBSCRIPTIONS / 1e3
        table.row(f"{SUBSCRIPTIONS:,} idle subscriptions on {sockets} sockets", f"{each:,.1f} kB each")
        beside = await orders(f"beside {sockets}")
        table.row("orders placed beside them", f"{beside:,.0f} /s", f"{beside / alone:.0%} of alone")
        for socket in opened:
            await socket.close()


def run(table: Table, settings: Settings) -> None:
    """Start a server and measure it."""
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
        asyncio.run(measure(table, json.loads(server.stdout.readline()), psutil.Process(server.pid)))
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Run on a database of its own."""
    with fresh_database() as (_, settings), Table("Subscriptions") as table:
        run(table, settings)


if __name__ == "__main__":
    main()
