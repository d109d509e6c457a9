"""What must hold of the whole, checked from the outside in: the chain, its anchors, the snapshots, the read models.

A check never stops at the first fault; it returns every finding as data. A chain alone proves nothing, since whoever
can rewrite the table can rewrite the hashes: anchors kept where the database's owner cannot write are what a rewrite
fails on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from opscore.database import Database
from opscore.domain.aggregate import AGGREGATE_CLASSES, Aggregate
from opscore.log.chain import Finding, check_whole
from opscore.log.event_log import EventLog, lend
from opscore.log.recorder import read_head
from opscore.log.snapshots import fold_digest, state_bytes, state_shape
from opscore.settings import SetupError

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


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


class AnchorsUnreadable(SetupError):
    """A file that was given as anchors holds something else; name the one that `audit anchor` wrote."""


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
    """Return the anchors of a file, oldest first; raises AnchorsUnreadable naming the line that is none."""
    anchors = []
    # Read as bytes: what is no UTF-8 is no anchor either, and its line is named like that of any other.
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            anchors.append(msgspec.json.decode(line, type=Anchor))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise AnchorsUnreadable(
                f"{file}, line {number}: not an anchor ({error}); name the file that opscore audit anchor wrote"
            ) from None
    return anchors


# Snapshots -----------------------------------------------------------------------------------------------


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
            findings += check_whole(database.conninfo(), head.position, progress, workers or os.cpu_count() or 1)
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
