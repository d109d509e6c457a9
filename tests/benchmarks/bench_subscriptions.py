"""What 1,000 idle subscriptions cost: memory of the server, and the orders a second that it places beside them.

Each subscription has a filter that matches nothing, so it waits at the live end while orders are placed; the
subscriptions lie on 10 sockets, then on 500, then each on one of its own. The aims: 30 kB for each, and commands slowed
by less than a tenth.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from opscore.settings import Settings
from tests.benchmarks.bench_api import load, serving
from tests.benchmarks.harness import Aim, Table, fresh_database

SUBSCRIPTIONS = 1_000
SECONDS = 3.0
CLIENTS = 8
KB_EACH = Aim(30, most=True)
OF_ALONE = Aim(90)
"""Percent of the orders that are placed while nobody is subscribed."""
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
        return float((await asyncio.to_thread(load, job))["per_second"])

    await orders("warm")
    alone = await orders("alone")
    table.row("orders placed, nobody subscribed", f"{alone:,.0f} /s", f"{CLIENTS} clients")
    for sockets in (10, 500, 1_000):
        before = server.memory_info().rss
        opened = await idle(ready, sockets)
        each = (server.memory_info().rss - before) / SUBSCRIPTIONS / 1e3
        table.row(
            f"{SUBSCRIPTIONS:,} idle subscriptions on {sockets:,} sockets", f"{each:,.1f} kB each", KB_EACH.judged(each)
        )
        beside = await orders(f"beside {sockets}")
        share = beside / alone
        table.row(
            "orders placed beside them", f"{beside:,.0f} /s", f"{share:.0%} of alone", OF_ALONE.judged(share * 100)
        )
        for socket in opened:
            await socket.close()


def run(table: Table, settings: Settings) -> None:
    """Start a server and measure it."""
    with serving(settings) as (ready, process):
        asyncio.run(measure(table, ready, process))


def main() -> None:
    """Run on a database of its own."""
    with fresh_database() as (_, settings), Table("Subscriptions") as table:
        run(table, settings)


if __name__ == "__main__":
    main()
