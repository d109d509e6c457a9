"""A server process of the API benchmark: opscore over one database, a stocked store, and ceilings beside it.

A ceiling answers with the very bytes that an answer of opscore had, made anew by orjson each time, by a plain Starlette
route that reads its request: what anything on Starlette can do at the most. `/memory` is opscore's own endpoint over a
schema that hands out a hundred rows that lie ready.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg
import strawberry
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opscore import logs
from opscore.api.engine import GraphQLEngine
from opscore.api.guard import Limits
from opscore.api.http import GraphQLEndpoint
from opscore.api.ids import global_id
from opscore.app import HttpServer, create_app, http_config
from opscore.database import Database
from opscore.domain.command import Role
from opscore.domain.order_commands import PayOrder
from opscore.settings import Settings
from opscore.tokens import create_token
from tests.benchmarks import generate
from tests.benchmarks.rows import RowQuery
from tests.shop import Shop

SKUS = 50
ORDERS = 200
PAST, PAST_EVENTS = timedelta(days=364), 20_000
"""Trade that is over, for key figures of a year."""
ASKERS = ("opscore-read", "opscore-writer")
"""Threads whose statements are for a request; others follow the log or look whether there is anything to do."""


def stock(writer: Any) -> dict[str, Any]:
    """Open a store with articles and some paid orders; return the ids that clients need."""
    shop = Shop.open(writer, name="Bench shop")
    skus = [shop.sku(f"B-{number}", stock=10**9, price="2.50", cost="1.00") for number in range(SKUS)]
    orders = []
    for number in range(ORDERS):
        lines = [(skus[(number + step) % SKUS], 1 + step) for step in range(3)]
        order = shop.do(shop.order(*lines))
        shop.do(PayOrder(order_id=order, amount_minor=1500, method="card", currency="GBP"))
        orders.append(global_id("Order", order))
    return {
        "store": global_id("Store", shop.store_id),
        "skus": [global_id("Sku", each) for each in skus],
        "orders": orders,
    }


def past(settings: Settings) -> dict[str, str]:
    """Import a year of trade that was made up, up to yesterday; return its first and last day and a store of it."""
    rows = list(generate.busy_log(PAST_EVENTS, skus=300))
    occurred, recorded, origin = (generate.COLUMNS.index(name) for name in ("occurred_at", "recorded_at", "origin"))
    first, last = rows[0][recorded], rows[-1][recorded]
    end = datetime.now(UTC) - timedelta(days=1)

    def moved(row: generate.Row) -> generate.Row:
        """Stretch time, and import it, so that nobody acts upon what happened long ago."""
        new = list(row)
        for each in (occurred, recorded):
            new[each] = end - (last - row[each]) / (last - first) * PAST
        new[origin] = "import"
        return tuple(new)

    with Database.open(settings) as database, database.connect("admin") as connection:
        generate.copy_in(connection, database.schema, map(moved, rows))
    store = rows[-1][generate.COLUMNS.index("store_id")]
    return {"from": str((end - PAST).date()), "to": str(end.date()), "pastStore": global_id("Store", UUID(str(store)))}


class Statements:
    """Counts what is sent to PostgreSQL for requests, while it is asked to."""

    def __init__(self) -> None:
        self._real = {name: getattr(psycopg.Cursor, name) for name in ("execute", "executemany", "copy")}
        self.counted: Counter[str] = Counter()

    def begin(self) -> None:
        """Count from nothing."""
        self.counted.clear()
        for name, real in self._real.items():
            setattr(psycopg.Cursor, name, self._noted(name, real))

    def end(self) -> int:
        """Count no more; return how many there were."""
        for name, real in self._real.items():
            setattr(psycopg.Cursor, name, real)
        return self.counted.total()

    def _noted(self, name: str, real: Any) -> Any:
        def noted(cursor: Any, *given: Any, **named: Any) -> Any:
            if threading.current_thread().name.startswith(ASKERS):
                self.counted[name] += 1
            return real(cursor, *given, **named)

        return noted


class RowEngine(GraphQLEngine):
    """Answers for rows that no role has a rule for; all else is as it is served."""

    def _require_permitted(self, *_: Any) -> None:
        pass


async def main(settings: Settings) -> None:
    """Serve until the process is ended; print one line of JSON once it can be used."""
    period = await asyncio.to_thread(past, settings)
    app = create_app(settings)
    ceilings: dict[str, Any] = {}
    statements = Statements()

    async def ceiling(request: Request) -> Response:
        await request.body()
        return Response(orjson.dumps(ceilings[request.path_params["name"]]), media_type="application/json")

    async def set_ceiling(request: Request) -> Response:
        given = await request.body()
        ceilings[request.path_params["name"]] = orjson.loads(given)
        return Response(status_code=200 if orjson.dumps(orjson.loads(given)) == given else 500)

    async def count(request: Request) -> Response:
        if request.method == "PUT":
            statements.begin()
            return Response()
        return Response(str(statements.end()))

    # In front, where /graphql is too: what is looked at before it counts.
    app.router.routes[:0] = [
        Route("/ceiling/{name}", ceiling, methods=["POST"]),
        Route("/ceiling/{name}", set_ceiling, methods=["PUT"]),
    ]
    app.router.routes.append(Route("/statements", count, methods=["PUT", "GET"]))
    server = HttpServer(http_config(app, "127.0.0.1", 0))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    running = app.state.server
    rows = RowEngine(strawberry.Schema(query=RowQuery)._schema, running.services, Limits())
    app.direct["http", "/memory"] = GraphQLEndpoint(rows, Limits(), None)
    ready = await asyncio.to_thread(stock, running.writer)
    _, token = await asyncio.to_thread(create_token, running.database, "bench", Role.OWNER)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({**ready, **period, "port": port, "token": token}), flush=True)
    await serving


if __name__ == "__main__":
    logs.configure("ERROR")
    # As `opscore serve` does: the loop is a part of what is measured.
    uvloop.run(main(Settings(_env_file=None, **json.loads(sys.argv[1]))))
