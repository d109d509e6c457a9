"""Twenty copies of one command at once, at two servers: one effect and twenty equal answers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from opscore.database import Database
from opscore.settings import Settings
from tests.end_to_end.servers import Answer, Client, Sampler, owner_token, place_order, serving
from tests.shop import Shop

COPIES, ROUNDS = 20, 10


def test_twenty_copies_at_two_servers_have_one_effect_and_get_equal_answers(
    database: Database, settings: Settings, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(settings, tmp_path, 2) as servers:
        sku = shop.sku(stock=ROUNDS - 1)  # The last round is refused: a refusal is one answer, too.
        token = owner_token(database)
        for server in servers:
            server.wait_ready()
        clients = [Client(servers[number % 2].url, token) for number in range(COPIES)]
        barrier = threading.Barrier(COPIES)

        def send(client: Client, key: str, given: tuple[str, dict[str, Any]]) -> Answer:
            barrier.wait(30)
            return client.once(*given, key)

        with Sampler(database) as sampler, ThreadPoolExecutor(COPIES) as pool:
            rounds = []
            for number in range(ROUNDS):
                given = place_order(shop.store_id, [(sku, 1)])
                copies = [pool.submit(send, client, f"round-{number}", given) for client in clients]
                rounds.append([copy.result(60) for copy in copies])
        for client in clients:
            client.__exit__()

    for answers in rounds:
        assert len({(answer.id, answer.position, answer.codes) for answer in answers}) == 1
        assert sorted(answer.replayed for answer in answers) == [False] + [True] * (COPIES - 1)
    assert len({answers[0].id for answers in rounds[:-1]}) == ROUNDS - 1
    assert rounds[-1][0].codes == ("STOCK_INSUFFICIENT",)
    with database.connect() as connection:
        effects = connection.execute(
            "SELECT idempotency_key, count(*) FILTER (WHERE type = 'OrderPlaced'),"
            " sum((data ->> 'quantity')::numeric) FILTER (WHERE type = 'StockReserved')"
            " FROM events WHERE idempotency_key LIKE 'round-%' GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert effects == [(f"round-{number}", 1, 1) for number in range(ROUNDS - 1)]
    assert sampler.both_in_transaction > 0
    with capsys.disabled():
        print(
            f"\n{ROUNDS} x {COPIES} copies: {ROUNDS - 1} orders and one refusal, equal answers;"
            f" both servers in a transaction in {sampler.both_in_transaction} of {sampler.samples} samples"
        )
