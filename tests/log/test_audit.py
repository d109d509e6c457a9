"""Whoever alters history is found: by the chain, and where the chain was made anew, by the anchors outside."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from opscore.audit import AnchorsUnreadable, anchor, read_anchors, verify
from opscore.database import Database
from opscore.log.canonical import GENESIS, canonical, event_hash, microseconds, with_role
from opscore.settings import Settings
from opscore.writer import Writer
from tests.shop import Shop


@pytest.fixture
def shop(database: Database, settings: Settings) -> Iterator[Shop]:
    writer = Writer(database, settings)
    writer.start()
    opened = Shop.open(writer)
    sku = opened.sku(stock=100)
    for _ in range(20):
        opened.do(opened.order((sku, 1)))
    yield opened
    writer.stop()


@pytest.fixture
def anchors(database: Database, shop: Shop, tmp_path: Path) -> Path:
    anchor(database, tmp_path / "anchors.jsonl")
    return tmp_path / "anchors.jsonl"


def flip(connection: psycopg.Connection[Any]) -> int:
    connection.execute("UPDATE events SET data = jsonb_set(data, '{code}', '\"forged\"') WHERE type = 'SkuRegistered'")
    return int(_one(connection, "SELECT min(position) FROM events WHERE type = 'SkuRegistered'"))


def delete(connection: psycopg.Connection[Any]) -> int:
    connection.execute("DELETE FROM events WHERE position = 12")
    return 12


def swap(connection: psycopg.Connection[Any]) -> int:
    connection.execute("UPDATE events SET position = position + 1000000 WHERE position IN (9, 10)")
    connection.execute("UPDATE events SET position = 1000019 - position WHERE position > 1000000")
    return 9


def backdate(connection: psycopg.Connection[Any]) -> int:
    connection.execute("UPDATE events SET occurred_at = occurred_at - interval '1 microsecond' WHERE position = 7")
    return 7


def another_actor(connection: psycopg.Connection[Any]) -> int:
    connection.execute("UPDATE events SET actor = 'somebody else' WHERE position = 5")
    return 5


def insert(connection: psycopg.Connection[Any]) -> int:
    head = int(_one(connection, "SELECT max(position) FROM events"))
    connection.execute(
        "INSERT INTO events SELECT position + 1, gen_random_uuid(), 1, stream_type, type, schema_version, store_id,"
        " occurred_at, recorded_at + interval '1 second', time_zone, actor, origin, 'forged', NULL, NULL, data, hash"
        " FROM events WHERE position = %s",
        (head,),
    )
    return head + 1


@pytest.mark.parametrize("tamper", [flip, delete, swap, backdate, another_actor, insert])
def test_a_changed_row_is_named_with_its_position(
    database: Database, shop: Shop, tamper: Callable[[psycopg.Connection[Any]], int]
) -> None:
    position = _as_superuser(database, tamper)
    found = [finding for finding in verify(database, workers=1).findings if finding.check == "chain"]
    assert found and found[0].position == position


def test_a_log_cut_off_at_its_end_fits_together_and_only_the_anchor_tells(
    database: Database, shop: Shop, anchors: Path
) -> None:
    def cut(connection: psycopg.Connection[Any]) -> int:
        connection.execute("DELETE FROM events WHERE position > 30")
        return 30

    _as_superuser(database, cut)
    assert verify(database, workers=1).holds
    report = verify(database, anchors=anchors, workers=1)
    assert [finding.check for finding in report.findings] == ["anchors"]
    assert "missing" in report.findings[0].message


def test_a_log_rewritten_as_a_whole_fits_together_and_only_the_anchor_tells(
    database: Database, shop: Shop, anchors: Path
) -> None:
    def rewrite(connection: psycopg.Connection[Any]) -> int:
        connection.execute("UPDATE events SET actor = 'somebody else' WHERE position = 5")
        rows = connection.execute(
            "SELECT position, stream_id, version, stream_type, type, schema_version, store_id, occurred_at,"
            " recorded_at, time_zone, actor, origin, idempotency_key, correlation_id, causation_position, data::text,"
            " role"
            " FROM events ORDER BY position"
        ).fetchall()
        previous = GENESIS
        for row in rows:
            columns = (*row[:7], microseconds(row[7]), microseconds(row[8]), *row[9:15])
            previous = event_hash(previous, with_role(columns, row[16]), canonical(msgspec.json.decode(row[15])))
            connection.execute("UPDATE events SET hash = %s WHERE position = %s", (previous, row[0]))
        return 5

    _as_superuser(database, rewrite)
    assert verify(database, workers=1).holds
    report = verify(database, anchors=anchors, workers=1)
    assert [(finding.check, finding.position) for finding in report.findings] == [
        ("anchors", read_anchors(anchors)[0].position)
    ]


def test_forged_anchors_and_lines_that_are_none_are_refused(database: Database, shop: Shop, anchors: Path) -> None:
    good = json.loads(anchors.read_text(encoding="utf-8"))
    chance = random.Random(7)
    for _ in range(50):
        digits = list(good["hash"])
        place = chance.randrange(64)
        digits[place] = chance.choice([digit for digit in "0123456789abcdef" if digit != digits[place]])
        anchors.write_text(json.dumps({**good, "hash": "".join(digits)}) + "\n", encoding="utf-8")
        assert not verify(database, anchors=anchors, workers=1).holds
    anchors.write_text("{}\n", encoding="utf-8")
    with pytest.raises(AnchorsUnreadable, match="line 1"):
        read_anchors(anchors)


def test_an_untouched_log_holds_with_its_anchors_and_several_workers(
    database: Database, shop: Shop, anchors: Path
) -> None:
    shop.sku()
    later = anchor(database, anchors)
    assert anchor(database, anchors) == later  # The same head is not written twice.
    assert len(read_anchors(anchors)) == 2
    done: list[int] = []
    report = verify(database, anchors=anchors, workers=2, progress=lambda now, total: done.append(now))
    assert report.holds and report.anchors == 2
    assert done[-1] == report.events == later.position


def test_an_empty_log_holds(database: Database) -> None:
    assert verify(database).holds


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def _as_superuser(database: Database, tamper: Callable[[psycopg.Connection[Any]], int]) -> int:
    with database.connect("admin") as connection:
        connection.execute("ALTER TABLE events DISABLE TRIGGER USER")
        return tamper(connection)
