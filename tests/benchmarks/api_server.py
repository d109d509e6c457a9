"""A server process of the API benchmark: opscore over one database, a stocked store, and a bare endpoint beside it.

The bare endpoint answers with ready bytes that orjson makes anew each time: what Starlette can do at the most.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import orjson
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from opscore import logs
from opscore.api.ids import global_id
from opscore.app import HttpServer, create_app, http_config
from opscore.domain.command import Role
from opscore.domain.order_commands import PayOrder
from opscore.settings import Settings
from opscore.tokens import create_token
from tests.shop import Shop

SKUS = 50
ORDERS = 200


def stock(writer: Any) -> dict[str, Any]:
    """Open a store with articles and some paid orders; return the ids that clients need."""
    shop = Shop.open(writer)
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


async def main(settings: Settings) -> None:
    """Serve until the process is ended; print one line of JSON once it can be used."""
    app = create_app(settings)
    row = {"id": "T3JkZXI6", "status": "PAID", "placedAt": "2026-01-01T00:00:00Z", "total": {"amount": "15.00"}}
    rows = {"data": {"orders": {"nodes": [{**row, "lines": [{"skuCode": "B-1", "quantity": "1"}] * 3}] * 50}}}

    async def bare(request: Request) -> Response:
        await request.body()
        return Response(orjson.dumps(rows), media_type="application/json")

    app.router.routes.append(Route("/bare", bare, methods=["POST"]))
    server = HttpServer(http_config(app, "127.0.0.1", 0))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    ready = await asyncio.to_thread(stock, app.state.server.writer)
    _, token = await asyncio.to_thread(create_token, app.state.server.database, "bench", Role.OWNER)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({**ready, "port": port, "token": token}), flush=True)
    await serving


if __name__ == "__main__":
    logs.configure("ERROR")
    # As `opscore serve` does: the loop is a part of what is measured.
    uvloop.run(main(Settings(_env_file=None, **json.loads(sys.argv[1]))))
