"""A client process of the API benchmark: keeps N connections busy for some seconds and prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from typing import Any

PLACE = (
    "mutation P($input: PlaceOrderInput!) { placeOrder(input: $input)"
    " { order { id } position replayed userErrors { code message } } }"
)
ORDERS = (
    "query O { orders(first: 50) { nodes { id status placedAt total { amount currencyCode }"
    " lines { skuCode quantity amount { amount } } } } }"
)
ORDER = "query O($id: ID!) { order(id: $id) { id status total { amount } lines { skuCode quantity } } }"
TYPENAME = "{ __typename }"


def body(job: dict[str, Any], source: random.Random) -> bytes:
    """Return a request of the kind that is measured."""
    if job["kind"] == "place":
        lines = [{"skuId": each, "quantity": str(source.randint(1, 3))} for each in source.sample(job["skus"], 3)]
        given = {"storeId": job["store"], "lines": lines, "idempotencyKey": uuid.UUID(int=source.getrandbits(128)).hex}
        return json.dumps({"query": PLACE, "variables": {"input": given}}).encode()
    if job["kind"] == "orders":
        return json.dumps({"query": ORDERS}).encode()
    if job["kind"] == "order":
        return json.dumps({"query": ORDER, "variables": {"id": source.choice(job["orders"])}}).encode()
    return json.dumps({"query": TYPENAME}).encode()


async def client(job: dict[str, Any], number: int, seen: list[float], faults: list[str], size: list[int]) -> None:
    """Send one request after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", job["port"])
    source = random.Random(f"{job['seed']} {job['clients']} {number}")
    head = f"POST {job['path']} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {job['token']}\r\n"
    until = time.perf_counter() + job["seconds"]
    while (start := time.perf_counter()) < until:
        payload = body(job, source)
        writer.write(f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        data = await reader.readexactly(length)
        seen.append(time.perf_counter() - start)
        size[0] = length
        if b'"errors"' in data or b'"code"' in data:
            faults.append(data[:300].decode())
    writer.close()


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Keep all connections busy and sum up."""
    seen: list[float] = []
    faults: list[str] = []
    size = [0]
    begun = time.perf_counter()
    await asyncio.gather(*(client(job, number, seen, faults, size) for number in range(job["clients"])))
    seen.sort()
    return {
        "per_second": len(seen) / (time.perf_counter() - begun),
        "p50_ms": seen[len(seen) // 2] * 1e3,
        "p99_ms": seen[int(len(seen) * 0.99)] * 1e3,
        "bytes": size[0],
        "faults": faults[:3],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
