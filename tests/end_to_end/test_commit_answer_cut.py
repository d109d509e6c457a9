"""The network fails between a COMMIT and its answer: the writer finds out; each command has one effect."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from opscore.audit import verify
from opscore.database import Database
from opscore.settings import Settings
from opscore.writer import Outcome, Request, Writer
from tests.shop import OWNER, Shop

CUTS = 20
SOCKET = ".s.PGSQL.5432"
IDLE = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery outside of a transaction: what was open is committed."""


class Cut(Enum):
    """What becomes of the next COMMIT."""

    NOT_SENT_ON = "the server never hears of it"
    NOT_WAITED_FOR = "the server hears of it as the connection goes"
    ANSWER_DROPPED = "the server has committed, and its answer is thrown away"


class Passage:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._dropping = False
        self._back = threading.Thread(target=self._backward, daemon=True)
        self._there = threading.Thread(target=self._forward, daemon=True)
        self._back.start()
        self._there.start()

    def _forward(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(65536):
                how = self._proxy.take_cut() if b"COMMIT" in data else None
                if how is Cut.NOT_SENT_ON:
                    break
                # What is still to come of a commit whose answer is dropped, is sent on until the server has committed.
                self._dropping = self._dropping or how is Cut.ANSWER_DROPPED
                self._server.sendall(data)
                if how is Cut.NOT_WAITED_FOR:
                    break
        self.end()

    def _backward(self) -> None:
        dropped = b""
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                if self._dropping:
                    dropped += data
                    if IDLE in dropped:
                        break
                else:
                    self._client.sendall(data)
        self.end()

    def end(self) -> None:
        """Cut both sides off."""
        for each in (self._client, self._server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut both sides off and wait until nothing of this is left."""
        self.end()
        for thread in (self._there, self._back):
            thread.join(30)
        self._client.close()
        self._server.close()


class Proxy:
    """Stands between a client and PostgreSQL and passes on every byte, until it is told to cut at a COMMIT."""

    def __init__(self, folder: Path, server: Path) -> None:
        self._server = server
        self._next: Cut | None = None
        self._passages: list[Passage] = []
        self.cuts = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut_at_next_commit(self, how: Cut) -> None:
        """Cut the connection at the next COMMIT that comes by."""
        self._next = how

    def take_cut(self) -> Cut | None:
        """Return what becomes of a COMMIT that has come by now; None when it may pass."""
        how, self._next = self._next, None
        self.cuts += how is not None
        return how

    def close(self) -> None:
        """Let nobody in any more and end what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(30)
        self._listener.close()
        for each in self._passages:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            self._passages.append(Passage(self, client, server))


@pytest.fixture
def proxy(settings: Settings) -> Iterator[tuple[Proxy, Settings]]:
    """A proxy to this test's database, and the settings that lead through it."""
    assert settings.database_url is not None
    given = conninfo_to_dict(settings.database_url.get_secret_value())
    folder = Path(tempfile.mkdtemp(prefix="opscore-cut-"))
    proxy = Proxy(folder, Path(str(given["host"])) / SOCKET)
    through = make_conninfo(**{**given, "host": str(folder)})
    try:
        yield proxy, settings.model_copy(update={"database_url": SecretStr(through)})
    finally:
        proxy.close()
        shutil.rmtree(folder)


@pytest.fixture
def far_writer(proxy: tuple[Proxy, Settings]) -> Iterator[Writer]:
    """A writer whose connection goes through the proxy."""
    _, settings = proxy
    with Database.open(settings) as database:
        writer = Writer(database, settings)
        writer.start()
        try:
            yield writer
        finally:
            writer.stop()


@pytest.mark.parametrize("how", Cut)
def test_a_commit_whose_answer_is_cut_off_has_one_effect_and_no_false_conflict(
    how: Cut, proxy: tuple[Proxy, Settings], far_writer: Writer, shop: Shop, database: Database
) -> None:
    cutter, _ = proxy
    sku = shop.sku(stock=CUTS)
    accepted: dict[str, Outcome] = {}
    for number in range(CUTS):
        cutter.cut_at_next_commit(how)
        with far_writer.queue.changed:  # One batch, so that the cut hits an order and a refusal.
            order = far_writer.submit(Request(shop.order((sku, 1)), OWNER, f"cut-{number}"))
            refused = far_writer.submit(Request(shop.order((sku, CUTS + 1)), OWNER, f"too-many-{number}"))
        accepted[f"cut-{number}"] = order.result(60)
        refusal = refused.result(60).refusal
        assert refusal is not None and refusal.code == "STOCK_INSUFFICIENT"
        # What the writer found of its own commit is an answer given before; what never arrived is decided afresh.
        if how is not Cut.NOT_WAITED_FOR:
            assert accepted[f"cut-{number}"].replayed is (how is Cut.ANSWER_DROPPED)
    # An answer may slip through before the connection goes: the next command finds that out, and the last has none.
    unnoticed = 1 if how is Cut.NOT_WAITED_FOR else 0
    assert cutter.cuts == CUTS and far_writer.statistics.reconnects >= CUTS - unnoticed

    assert [outcome.refusal for outcome in accepted.values()] == [None] * CUTS
    with database.connect() as connection:
        effects = connection.execute(
            "SELECT idempotency_key, array_agg(stream_id) FILTER (WHERE type = 'OrderPlaced'), max(position)"
            " FROM events WHERE idempotency_key LIKE 'cut-%' GROUP BY 1"
        ).fetchall()
        sold = connection.execute(
            "SELECT sum((data ->> 'quantity')::numeric) FROM events WHERE type = 'StockReserved'"
        ).fetchone()
    assert {key: (orders, position) for key, orders, position in effects} == {
        key: ([outcome.aggregate_id], outcome.position) for key, outcome in accepted.items()
    }
    assert sold == (CUTS,)
    # Twenty units, twenty orders: the next one finds the shelf empty, in the cache of the cut writer as in the log.
    nothing_left = far_writer.ask(Request(shop.order((sku, 1)), OWNER, "one more")).refusal
    assert nothing_left is not None and nothing_left.code == "STOCK_INSUFFICIENT"
    assert verify(database, workers=1).holds
