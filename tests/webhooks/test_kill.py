"""kill -9 of a real server while it delivers: nothing is lost, nothing overtakes, repeats are known."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

from opscore.database import Database
from opscore.settings import Settings
from opscore.webhooks.book import WebhookBook
from tests.end_to_end.servers import serving
from tests.shop import OWNER, Shop
from tests.webhooks.receiver import Message, Receiver, verified

KILLS = 4
ORDERS = 30


def test_a_server_that_is_killed_while_it_delivers_loses_nothing_and_keeps_the_order(
    database: Database, settings: Settings, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    sku = shop.sku(stock=1_000)
    secret = WebhookBook(database).register(OWNER, "k", receiver.url, types=["OrderPlaced"]).secret
    assert secret is not None
    ended = threading.Event()
    with serving(settings, tmp_path) as (server,):
        server.wait_ready()
        kills = itertools.count(1)
        last_killed = 0

        def reply(message: Message) -> tuple[int, dict[str, str]]:
            # Every sixth message is the last that this process lives to send: it never hears that it was taken.
            nonlocal last_killed
            if len(receiver.messages) % 6 == 0 and last_killed < KILLS:
                last_killed = next(kills)
                server.kill()
                ended.set()
            return 200, {}

        receiver.reply = reply
        for number in range(ORDERS):
            shop.do(shop.order((sku, 1)), key=f"order-{number}")
            if ended.is_set():
                ended.clear()
                server.start()
        with database.connect() as connection:
            rows = connection.execute("SELECT position FROM events WHERE type = 'OrderPlaced' ORDER BY 1").fetchall()
        expected = [position for (position,) in rows]
        assert len(expected) == ORDERS

        def arrived() -> bool:
            if ended.is_set():
                ended.clear()
                server.start()
            return expected[-1] in receiver.positions

        receiver.wait_for(arrived, "the last order", seconds_max=90)
        assert last_killed == KILLS

    came = receiver.messages
    for message in came:
        assert verified(secret, message.headers, message.body)
    # What came twice came twice in a row, under one id: in order, each once, when repeats are left out.
    assert [message.position for message, before in zip(came, [None, *came[:-1]], strict=True)
            if before is None or before.id != message.id] == expected  # fmt: skip
    repeats = len(came) - len(expected)
    assert repeats >= KILLS, "each kill hit a delivery whose taking was not noted"
    assert repeats <= 2 * KILLS


def test_two_servers_share_a_webhook_and_no_event_comes_twice(
    database: Database, settings: Settings, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    sku = shop.sku(stock=1_000)
    WebhookBook(database).register(OWNER, "k", receiver.url, types=["OrderPlaced"])
    with serving(settings, tmp_path, count=2) as servers:
        for server in servers:
            server.wait_ready()
        for number in range(ORDERS):
            shop.do(shop.order((sku, 1)), key=f"order-{number}")
        receiver.wait_for(lambda: len(receiver.messages) >= ORDERS, "all orders")
    assert len(receiver.positions) == ORDERS
    assert receiver.positions == sorted(set(receiver.positions))
