"""Writes what an auditor takes home: the events of a period, what they are read by, and a program that checks them.

A bundle is one .zip. What it holds, member by member, stands at the head of `data/verify_bundle.py`, which goes into
each bundle and needs neither opscore nor a database. Events are written as they are stored: personal fields stay
ciphertext. The same period of the same database gives the same bytes again (with the same zlib).
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import dict_row

from opscore import __version__, resources, sqlfiles
from opscore.audit import Progress, read_anchors
from opscore.database import Database
from opscore.files import appearing
from opscore.log import schemas
from opscore.log.canonical import GENESIS, HASHED_COLUMNS, canonical, microseconds
from opscore.log.event_log import EventLog, lend
from opscore.log.event_types import event_types
from opscore.projector.folder import Definition

FORMAT = "opscore audit bundle"
FORMAT_VERSION = 2
HASH_FORMAT_VERSION = 1
"""The version of what schema/events/HASH.md describes."""
ROWS_AT_ONCE = 500
SLICE = 5_000
"""Events that are read at a time; between slices the export can be stopped."""

_SQL = sqlfiles.load(__file__, "bundle.sql")
_OCCURRED_AT, _RECORDED_AT = HASHED_COLUMNS.index("occurred_at"), HASHED_COLUMNS.index("recorded_at")
_CUT_SHORT = "The export was stopped; no bundle was written."


class BundleRefused(ValueError):
    """The period asked for is none; the message says what to ask for instead."""


class BundleStopped(Exception):
    """The export was stopped before its end; nothing was left behind."""


@dataclass(frozen=True)
class Bundle:
    """What was written: events of the positions after `after` up to `until`, and how to recognise the bundle."""

    file: Path
    after: int
    until: int
    events: int
    digest: str
    """SHA-256 of the manifest, hexadecimal. Whoever knows it from elsewhere recognises every member."""


def export(
    database: Database,
    file: Path,
    *,
    after: int | datetime | None = None,
    until: int | datetime | None = None,
    anchors: Path | None = None,
    progress: Progress = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Bundle:
    """Write the bundle of a period to `file`, which appears complete or not at all and replaces one of that name.

    after, until: positions, or recording times (UTC) that stand for the last position recorded by then; the first event
    is the one behind `after`, so that the bundle until March and the one after March leave nothing out. None is the
    beginning and the head of the log. A damaged log is exported as it stands: finding the damage is the verifier's.
    anchors: file written by `opscore audit anchor`; it goes into the bundle.
    progress: called with (events written, events in all). stop: asked after every slice.
    Raises BundleRefused, BundleStopped, and AnchorsUnreadable for a file of anchors that holds something else.
    """
    known = [asdict(anchor) for anchor in read_anchors(anchors)] if anchors is not None else []
    with database.connect() as connection:
        first, last = _period(connection, after, until)
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            catalogue = _rows(connection, "catalogue")
            compares = _rows(connection, "compares", after=first, until=last)
            kpis = _rows(connection, "kpis")
            promotions = _rows(connection, "promotions", after=first, until=last)
        with appearing(file) as out, zipfile.ZipFile(out, "w") as archive:
            members = _Members(archive)
            events = _Events(connection, first, last, progress, stop)
            members.write("events.jsonl", events.lines())
            members.write("anchors.jsonl", (canonical(anchor) + b"\n" for anchor in known))
            published = _schemas()
            for name, content in published.items():
                members.write(f"schemas/{name}", [content])
            texts = _write_catalogue(members, catalogue)
            members.write("compares.json", [_document(compares)])
            members.write("kpis.json", [_document(kpis)])
            members.write("compare_rows.jsonl", _compare_rows(connection, [each["id"] for each in compares], stop))
            members.write("promotions.json", [_document(promotions)])
            for source in (
                resources.path("schema") / "events" / "HASH.md",
                resources.path("data") / "verify_bundle.py",
            ):
                members.write(source.name, [source.read_bytes()])
            manifest = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "hash_format_version": HASH_FORMAT_VERSION,
                "opscore": __version__,
                "schema": database.schema,
                "period": {
                    "after": first,
                    "until": last,
                    "asked_after": _asked(after),
                    "asked_until": _asked(until),
                    "first_recorded_at": events.first_recorded_at,
                    "last_recorded_at": events.last_recorded_at,
                },
                "previous_hash": events.previous_hash,
                "last_hash": events.last_hash,
                "counts": {
                    "events": events.count,
                    "anchors": len(known),
                    "schemas": len(published),
                    "rules": len(catalogue),
                    "rule_texts": texts,
                    "compares": len(compares),
                    "kpis": len(kpis),
                    "compare_rows": sum(each["rows_kept"] for each in compares),
                    "promotions": len(promotions),
                },
                "members": members.listed,
            }
            content = _document(manifest)
            members.write("manifest.json", [content])
            if stop():
                raise BundleStopped(_CUT_SHORT)
    return Bundle(file, first, last, events.count, hashlib.sha256(content).hexdigest())


# The period ----------------------------------------------------------------------------------------------------------


def _period(
    connection: psycopg.Connection[Any], after: int | datetime | None, until: int | datetime | None
) -> tuple[int, int]:
    log = EventLog(lend(connection))
    head = log.head().position

    def position(asked: int | datetime | None, default: int) -> int:
        if isinstance(asked, datetime):
            return log.position_at(asked)
        return default if asked is None else asked

    first, last = position(after, 0), position(until, head)
    if first < 0 or last > head:
        there = (
            f"The log has the positions 1 to {head}; ask for events among them." if head else "The log is empty yet."
        )
        raise BundleRefused(there)
    if first > last:
        raise BundleRefused(f"The period begins after position {first} and ends at {last}; turn it round.")
    return first, last


def _asked(asked: int | datetime | None) -> int | str | None:
    return asked.astimezone(UTC).isoformat() if isinstance(asked, datetime) else asked


class _Events:
    """Reads the events of a period once, and remembers what the manifest says of them."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        after: int,
        until: int,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._after, self._until = after, until
        self._progress, self._stop = progress, stop
        row = connection.execute(_SQL["previous_hash"], {"position": after}).fetchone()
        # Where that row was taken away the chain has lost its hold, and the verifier says so.
        self.previous_hash = (GENESIS if row is None else bytes(row[0])).hex()
        self.last_hash = self.previous_hash
        self.count = 0
        self.first_recorded_at: int | None = None
        self.last_recorded_at: int | None = None

    def lines(self) -> Iterator[bytes]:
        """Yield the events, a slice of lines at a time."""
        total = self._until - self._after
        for start in range(self._after, self._until, SLICE):
            if self._stop():
                raise BundleStopped(_CUT_SHORT)
            end = min(start + SLICE, self._until)
            rows = self._connection.execute(_SQL["events"], {"after": start, "until": end}, binary=True)
            yield b"".join(map(self._line, rows))
            self._progress(end - self._after, total)

    def _line(self, row: tuple[Any, ...]) -> bytes:
        event = dict(zip(HASHED_COLUMNS, row, strict=False))
        event["occurred_at"] = microseconds(row[_OCCURRED_AT])
        event["recorded_at"] = microseconds(row[_RECORDED_AT])
        if row[-3] is not None:
            event["role"] = row[-3]
        event["data"] = msgspec.json.decode(row[-2])
        event["hash"] = self.last_hash = bytes(row[-1]).hex()
        self.last_recorded_at = event["recorded_at"]
        if self.count == 0:
            self.first_recorded_at = self.last_recorded_at
        self.count += 1
        return canonical(event) + b"\n"


# The members ---------------------------------------------------------------------------------------------------------


class _Members:
    """Writes members into the archive as they come, the same bytes every time."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.listed: dict[str, dict[str, Any]] = {}
        """Name -> {"bytes", "sha256"} of what was written so far."""

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        info = zipfile.ZipInfo(name)  # Of 1980: when a bundle is written is no part of it.
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3
        info.external_attr = 0o100644 << 16
        digest, size = hashlib.sha256(), 0
        with self._archive.open(info, "w", force_zip64=True) as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.listed[name] = {"bytes": size, "sha256": digest.hexdigest()}


def _document(value: Any) -> bytes:
    """Return JSON as people read it: sorted keys, indented; ids and times as strings."""
    plain = msgspec.json.decode(canonical(value))
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, indent=2).encode() + b"\n"


def _schemas() -> dict[str, bytes]:
    """Return the JSON Schema files of every stored event version: as published, else as the program says it."""
    folder = resources.path("schema") / "events"
    found = {path.name: path.read_bytes() for path in folder.glob("*.v*.json")}
    described = {name: msgspec.json.decode(content) for name, content in found.items()}
    for stored in event_types().values():
        described.setdefault(schemas.file_name(stored.name, stored.version), schemas.published(stored))
    return {name: _document(content) for name, content in sorted(described.items())}


def _write_catalogue(members: _Members, catalogue: list[dict[str, Any]]) -> int:
    """Write the rules of every version and what the catalogue says of it; return the number of texts."""
    count = 0
    for entry in catalogue:
        texts: dict[str, str] = entry.pop("sql")
        entry["files"] = sorted(texts)
        entry["digest_of_texts"] = _digest_of(entry["name"], texts)
        for file in entry["files"]:
            members.write(f"rules/{entry['name']}/v{entry['version']}/{file}", [texts[file].encode()])
        count += len(texts)
    members.write("catalogue.json", [_document(catalogue)])
    return count


def _compare_rows(
    connection: psycopg.Connection[Any], compares: list[UUID], stop: Callable[[], bool]
) -> Iterator[bytes]:
    """Yield the kept rows of comparisons as lines; neither rows nor events of a comparison ever change."""
    with connection.transaction(), connection.cursor(name="compare_rows", row_factory=dict_row) as cursor:
        cursor.execute(_SQL["compare_rows"], {"compares": compares})
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            if stop():
                raise BundleStopped(_CUT_SHORT)
            yield b"".join(canonical(row) + b"\n" for row in rows)


def _digest_of(name: str, texts: Mapping[str, str]) -> str | None:
    """Return the digest that the texts have now; None for texts that are not those of a projection."""
    try:
        return Definition(name, texts).digest if texts else None
    except (ValueError, KeyError, TypeError):
        return None


def _rows(connection: psycopg.Connection[Any], statement: str, **values: Any) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[statement], values).fetchall()
