"""What must hold of the whole, checked from the outside in: the chain, its anchors, the snapshots, the read models.

A check never stops at the first fault; it returns every finding as data. A chain alone proves nothing, since whoever
can rewrite the table can rewrite the hashes: anchors kept where the database's owner cannot write are what a rewrite
fails on.
"""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.types.numeric import Int8BinaryLoader

from opscore.database import Database
from opscore.domain.aggregate import AGGREGATE_CLASSES, Aggregate
from opscore.log.canonical import GENESIS, canonical, event_hash
from opscore.log.event_log import EventLog, lend
from opscore.log.recorder import read_head
from opscore.log.snapshots import fold_digest, state_bytes, state_shape

FINDINGS_MAX = 1000
"""Findings of one kind that are kept; a rewritten log would otherwise name every row."""
SLICE = 20_000
"""Events that one step of the chain check reads."""

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True)
class Finding:
    """Something that does not hold: which check, where, and what was found."""

    check: str
    position: int | None
    message: str


@dataclass(frozen=True)
class Anchor:
    """The head of the chain at a moment, kept outside the database."""

    position: int
    hash: str
    """Hexadecimal."""
    anchored_at: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class Report:
    """What `verify` looked at and what it found."""

    events: int
    head_hash: str
    anchors: int
    snapshots: int
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


# Anchors -------------------------------------------------------------------------------------------------------------


def anchor(database: Database, file: Path) -> Anchor:
    """Append the present head of the chain to `file` (JSON lines) and return it; the same head is not written twice."""
    with database.connect() as connection:
        head = read_head(connection)
    now = Anchor(head.position, head.hash.hex(), datetime.now(UTC).isoformat(timespec="seconds"))
    known = read_anchors(file) if file.exists() else []
    if known and (known[-1].position, known[-1].hash) == (now.position, now.hash):
        return known[-1]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(now)) + "\n")
        out.flush()
        os.fsync(out.fileno())
    return now


def read_anchors(file: Path) -> list[Anchor]:
    """Return the anchors of a file, oldest first; raises ValueError naming the line that is none."""
    anchors = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            anchors.append(msgspec.json.decode(line, type=Anchor))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{file}, line {number}: not an anchor ({error})") from error
    return anchors


# The chain -----------------------------------------------------------------------------------------------------------

_READ = (
    "SELECT position, stream_id, version, stream_type, type, schema_version, store_id, occurred_at, recorded_at,"
    " time_zone, actor, origin, idempotency_key, correlation_id, causation_position,"
    " convert_to(data::text, 'UTF8'), hash"
    " FROM events WHERE position > %s AND position <= %s ORDER BY position"
)
_POSTGRES_EPOCH = 946_684_800_000_000
"""Microseconds from 1970-01-01T00:00:00Z to 2000-01-01T00:00:00Z, from where PostgreSQL counts its own."""


def check_chain(connection: psycopg.Connection[Any], after: int, until: int) -> Iterator[Finding]:
    """Yield what is wrong with the positions in (after, until]: gaps, altered or swapped rows, time running backwards.

    The hash of the row at `after` is taken as given; checking the range before it vouches for that.
    """
    previous, recorded_at = GENESIS, None
    cursor = connection.cursor(binary=True)
    # A timestamptz on the wire is the count of microseconds that the hash wants; a datetime in between only costs time.
    cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
    if after:
        row = cursor.execute("SELECT hash, recorded_at FROM events WHERE position = %s", (after,)).fetchone()
        if row is None:
            yield Finding("chain", after, "this position is missing")
        else:
            previous, recorded_at = bytes(row[0]), row[1]
    expected = after
    for start in range(after, until, SLICE):
        for row in cursor.execute(_READ, (start, min(start + SLICE, until))):
            position, stored = row[0], row[16]
            expected += 1
            if position != expected:
                missing = f"{expected}" if position == expected + 1 else f"{expected} to {position - 1}"
                yield Finding("chain", expected, f"position {missing} is missing")
                expected = position
            columns = (*row[:7], row[7] + _POSTGRES_EPOCH, row[8] + _POSTGRES_EPOCH, *row[9:15])
            if event_hash(previous, columns, canonical(msgspec.json.decode(row[15]))) != stored:
                yield Finding("chain", position, "the hash is not that of this event behind the one before it")
            if recorded_at is not None and row[8] <= recorded_at:
                yield Finding("chain", position, "recorded_at does not rise")
            previous, recorded_at = stored, row[8]
    if expected < until:
        yield Finding("chain", expected + 1, f"positions {expected + 1} to {until} are missing")


def _check_range(conninfo: str, after: int, until: int) -> list[Finding]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        findings = []
        for finding in check_chain(connection, after, until):
            findings.append(finding)
            if len(findings) == FINDINGS_MAX:
                break
        return findings


def _check_whole_chain(database: Database, until: int, progress: Progress, workers: int) -> list[Finding]:
    """Check the chain in ranges, several at once: each range's first link is the last that another one vouches for."""
    size = max(SLICE, min(100_000, -(-until // (4 * workers)) or 1))
    ranges = [(after, min(after + size, until)) for after in range(0, until, size)]
    if workers == 1 or len(ranges) == 1:
        return _merged((_check_range(database.conninfo(), *each) for each in ranges), ranges, progress, until)
    # Fresh interpreters: a fork would share this process's sockets and locks.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        results = pool.map(_check_range, [database.conninfo()] * len(ranges), *zip(*ranges, strict=True))
        return _merged(results, ranges, progress, until)


def _merged(
    results: Iterable[list[Finding]], ranges: Sequence[tuple[int, int]], progress: Progress, until: int
) -> list[Finding]:
    findings: list[Finding] = []
    for (_, end), found in zip(ranges, results, strict=True):
        findings.extend(found)
        progress(end, until)
    return findings[:FINDINGS_MAX]


# Streams and snapshots -----------------------------------------------------------------------------------------------


def check_streams(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Yield streams whose versions are not 1, 2, 3, ... in order of position."""
    rows = connection.execute(
        "SELECT stream_id, min(position) FROM ("
        " SELECT stream_id, position, version, row_number() OVER (PARTITION BY stream_id ORDER BY position) AS expected"
        " FROM events) AS numbered WHERE version <> expected GROUP BY stream_id LIMIT %s",
        (FINDINGS_MAX,),
    )
    for stream_id, position in rows:
        yield Finding("streams", position, f"the versions of stream {stream_id} are not in order")


def check_snapshots(connection: psycopg.Connection[Any]) -> Iterator[Finding | None]:
    """Fold every snapshotted stream again; yield None for a snapshot that agrees, a finding for one that does not."""
    log = EventLog(lend(connection))
    rows = connection.execute(
        "SELECT stream_id, version, stream_type, fold_digest, convert_to(state::text, 'UTF8') FROM snapshots",
        binary=True,
    ).fetchall()
    for stream_id, version, stream_type, digest, state in rows:
        if digest != fold_digest():
            continue
        folded: Any = None
        for event in log.events.get(stream_id, lte=version):
            folded = event.mutate(folded)  # type: ignore[attr-defined]
        shape = state_shape(AGGREGATE_CLASSES[stream_type])
        restored = msgspec.json.encode(msgspec.json.decode(state, type=shape))
        if not isinstance(folded, Aggregate) or state_bytes(folded) != restored:
            yield Finding("snapshots", None, f"the snapshot of {stream_type} {stream_id} at {version} is not its fold")
        else:
            yield None


# All of it -----------------------------------------------------------------------------------------------------------


def verify(
    database: Database,
    *,
    anchors: Path | None = None,
    checks: Sequence[Callable[[], Iterable[Finding]]] = (),
    progress: Progress = lambda done, total: None,
    workers: int | None = None,
) -> Report:
    """Check the whole log and what is derived from it.

    anchors: file written by `anchor`; without one, only inner consistency can be shown.
    checks: further invariants, such as the `checks.sql` of every projection.
    progress: called with (events checked, events in all).
    """
    findings: list[Finding] = []
    with database.connect() as connection:
        head = read_head(connection)
        known = read_anchors(anchors) if anchors is not None else []
        for each in known:
            row = connection.execute("SELECT hash FROM events WHERE position = %s", (each.position,)).fetchone()
            if each.position == 0:
                continue
            if row is None:
                findings.append(Finding("anchors", each.position, f"anchored on {each.anchored_at}, now missing"))
            elif bytes(row[0]).hex() != each.hash:
                findings.append(Finding("anchors", each.position, f"not the hash anchored on {each.anchored_at}"))
        if head.position:
            findings += _check_whole_chain(database, head.position, progress, workers or os.cpu_count() or 1)
        findings += check_streams(connection)
        snapshots = 0
        for finding in check_snapshots(connection):
            snapshots += 1
            if finding is not None:
                findings.append(finding)
        for unknown in EventLog(lend(connection)).unknown_types():
            findings.append(Finding("event types", None, f"{unknown} is not known to this program"))
    for check in checks:
        findings += check()
    return Report(head.position, head.hash.hex(), len(known), snapshots, tuple(findings))
