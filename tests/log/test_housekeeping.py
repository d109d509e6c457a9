"""What is kept for a while goes when its while is over, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from opscore.database import Database
from opscore.domain.sku import Sku
from opscore.housekeeping import Housekeeping
from opscore.log.event_log import EventLog
from opscore.retries import Attempt
from opscore.settings import Settings
from opscore.writer import Writer
from tests.shop import OWNER, Shop


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    writer = Writer(database, settings)
    writer.start()
    yield Shop.open(writer)
    writer.stop()


def test_keys_are_remembered_for_their_days_and_then_forgotten(
    database: Database, settings: Settings, shop: Shop
) -> None:
    sku = shop.sku()
    old, young = shop.order((sku, 1)), shop.order((sku, 2))
    first = shop.give(old, key="old")
    shop.give(young, key="young")
    with database.connect() as connection:
        connection.execute(
            "UPDATE commands SET recorded_at = recorded_at - make_interval(days => %s) WHERE key = 'old'",
            (settings.keep_commands_days + 1,),
        )
    assert Housekeeping(database, settings).run_once()[0] == 1
    assert shop.give(young, key="young").replayed
    again = shop.give(old, key="old")
    # The answer is forgotten, the order is not: it is never placed a second time.
    assert first.refusal is None
    assert again.refusal is not None and again.refusal.code == "ALREADY_EXISTS"


def test_keys_of_what_records_nothing_are_forgotten_likewise(database: Database, settings: Settings) -> None:
    def once(key: str) -> bool:
        with database.connect() as connection, connection.transaction():
            return Attempt(OWNER, key, ("anything",)).once(connection, str, lambda: "done")[1]

    assert [once(key) for key in ("old", "young", "old", "young")] == [False, False, True, True]
    with database.connect() as connection:
        connection.execute(
            "UPDATE operation_keys SET recorded_at = recorded_at - make_interval(days => %s) WHERE key = 'old'",
            (settings.keep_commands_days + 1,),
        )
    Housekeeping(database, settings).run_once()
    assert [once(key) for key in ("old", "young")] == [False, True]


def test_only_the_newest_snapshot_of_the_present_rules_stays(
    database: Database, settings: Settings, shop: Shop
) -> None:
    sku = shop.sku()
    log = EventLog(database.pool.connection)
    for _ in range(2):
        kept = log.aggregate(Sku, sku)
        assert kept is not None
        log.take_snapshot_of(kept)
        shop.do(shop.order((sku, 1)))
    with database.connect("admin") as connection:
        connection.execute(
            "INSERT INTO snapshots SELECT %s, version, stream_type, 'older rules', state, started_at, recorded_at"
            " FROM snapshots LIMIT 1",
            (uuid4(),),
        )
    assert Housekeeping(database, settings).run_once()[1] == 2
    with database.connect() as connection:
        assert connection.execute("SELECT stream_id, version FROM snapshots").fetchall() == [(sku, kept.version)]


def test_the_thread_starts_at_once_and_stops_at_once(database: Database, settings: Settings) -> None:
    housekeeping = Housekeeping(database, settings)
    housekeeping.start()
    housekeeping.stop()
    assert housekeeping._thread is not None and not housekeeping._thread.is_alive()
