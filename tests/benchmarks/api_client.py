"""A client process of the API benchmark: keeps N connections busy for some seconds and prints what it saw as JSON.

It must not be what is measured: requests are made before the clock starts, and answers are looked at by their length
and two words. It reports its own CPU time, so that it can be seen how much of the machine it took.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from tests.benchmarks.api_cases import body

MADE = 512
"""How many different requests are made for reading; more for what must not be the same twice."""


class Connection(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], until: float, seen: list[float], faults: list[str]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.bytes = 0
        self._requests, self._until, self._seen, self._faults = requests, until, seen, faults
        self._buffer = bytearray()
        self._wanted = -1

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._since = time.perf_counter()
        if self._since >= self._until:
            self._transport.close()
            return
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Take in a part of an answer."""
        self._buffer += data
        if self._wanted < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._wanted = end + 4 + int(length)
            self.bytes = int(length)
        if len(self._buffer) < self._wanted:
            return
        self._seen.append(time.perf_counter() - self._since)
        start = self._wanted - self.bytes
        if b'"errors":' in self._buffer[start : start + 20] or b'"userErrors":[{' in self._buffer:
            self._faults.append(bytes(self._buffer[start : start + 300]).decode())
        self._buffer.clear()
        self._wanted = -1
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        if not self.done.done():
            self.done.set_result(None)


def requests(job: dict[str, Any], number: int) -> Iterator[bytes]:
    """Return the requests of a connection, as bytes to be sent."""
    source = random.Random(f"{job['seed']} {job['clients']} {number}")
    head = f"POST {job['path']} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {job['token']}\r\ncontent-length: "

    def made() -> bytes:
        payload = body(job, source)
        return f"{head}{len(payload)}\r\n\r\n".encode() + payload

    if job["kind"] == "place":
        return iter(made, b"")
    return itertools.cycle([made() for _ in range(max(1, MADE // job["clients"]))])


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Keep all connections busy and sum up."""
    seen: list[float] = []
    faults: list[str] = []
    loop = asyncio.get_running_loop()
    streams = [requests(job, number) for number in range(job["clients"])]
    begun, spent = time.perf_counter(), time.process_time()
    until = begun + job["seconds"]
    opened = [
        (
            await loop.create_connection(
                lambda each=each: Connection(each, until, seen, faults), "127.0.0.1", job["port"]
            )
        )[1]
        for each in streams
    ]
    await asyncio.gather(*(each.done for each in opened))
    lasted = time.perf_counter() - begun
    seen.sort()
    return {
        "per_second": len(seen) / lasted,
        "p50_ms": seen[len(seen) // 2] * 1e3,
        "p99_ms": seen[int(len(seen) * 0.99)] * 1e3,
        "bytes": max(each.bytes for each in opened),
        "client_share": (time.process_time() - spent) / lasted,
        "faults": faults[:3],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
