"""kill -9 of the server under load: what was acknowledged is in the log once, what was repeated has one effect."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opscore.database import Database
from opscore.settings import Settings
from tests.end_to_end.servers import Load, owner_token, require_each_once, require_sound, serving, wait_until
from tests.shop import Shop

ROUNDS = 7
CLIENTS = 6
SEED = 20101201


def moments() -> Iterator[float]:
    """Return how long the server lives in each round at least, in seconds; the same in every run."""
    dice = random.Random(SEED)
    return iter([dice.uniform(0.15, 0.9) for _ in range(ROUNDS)])


def test_what_a_killed_server_acknowledged_is_in_the_log_once_and_what_is_repeated_has_one_effect(
    database: Database, settings: Settings, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(settings, tmp_path) as (server,):
        skus = [shop.sku(stock=100_000) for _ in range(5)]
        server.wait_ready()
        load = Load([server.url], owner_token(database), shop.store_id, skus, CLIENTS)
        load.start()
        back = []
        acknowledged = []
        for lives in moments():
            time.sleep(lives)
            before = acknowledged[-1] if acknowledged else 0
            wait_until(lambda before=before: len(load.ledger.acknowledged) > before, "commands are answered")
            server.kill()
            acknowledged.append(len(load.ledger.acknowledged))
            server.start()
            back.append(server.wait_ready())
        time.sleep(0.5)
        ledger = load.stop()

        # Kills did hit commands under way.
        assert len(ledger.unanswered) >= ROUNDS
        require_each_once(database, ledger)
        require_sound(database)
    # An answer that had been given and lost came again as a replay.
    replayed = [answer for _, answer in ledger.acknowledged.values() if answer.replayed]
    with capsys.disabled():
        print(
            f"\n{ROUNDS} kills of the server: {len(ledger.acknowledged)} commands acknowledged, 0 lost, 0 doubled;"
            f" {len(ledger.unanswered)} had to be repeated, {len(replayed)} of these had been recorded;"
            f" back in {min(back):.1f} to {max(back):.1f} s"
        )
