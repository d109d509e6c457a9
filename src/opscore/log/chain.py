"""Checks the chain of hashes and the versions of streams over ranges of positions, several at once.

Each range is checked by a process that imports no more than this needs (`python -m opscore.log.chain`). The first link
of a range is the last one that the range before it vouches for, and its streams go on where those of the other ended.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
from psycopg.types.numeric import Int8BinaryLoader

from opscore.log.canonical import GENESIS, canonical, event_hash, with_role

FINDINGS_MAX = 1000
"""Findings of one kind that are kept; a rewritten log would otherwise name every row."""
SLICE = 20_000
"""Events that one step of the check reads."""
_RANGE_MAX = 100_000

_READ = (
    "SELECT position, stream_id::text, version, stream_type, type, schema_version, store_id::text, occurred_at,"
    " recorded_at, time_zone, actor, origin, idempotency_key, correlation_id, causation_position,"
    " convert_to(data::text, 'UTF8'), hash, role"
    " FROM events WHERE position > %s AND position <= %s ORDER BY position"
)
_POSTGRES_EPOCH = 946_684_800_000_000
"""Microseconds from 1970-01-01T00:00:00Z to 2000-01-01T00:00:00Z, from where PostgreSQL counts its own."""


class Finding(msgspec.Struct, frozen=True):
    """Something that does not hold: which check, where, and what was found."""

    check: str
    position: int | None
    message: str


class Streams:
    """The versions of every stream in a range: where each began and ended, and which did not rise by one."""

    def __init__(self) -> None:
        self.first: dict[str, tuple[int, int]] = {}
        """Of each stream the first version here, and its position."""
        self.last: dict[str, int] = {}
        self.broken: dict[str, int] = {}
        """Of each stream whose versions are not in order, the position where that shows."""

    def note(self, stream: str, version: int, position: int) -> None:
        """Take the next event of a stream."""
        before = self.last.get(stream)
        if before is None:
            self.first[stream] = (version, position)
        elif version != before + 1:
            self.broken.setdefault(stream, position)
        self.last[stream] = version


def check_chain(
    connection: psycopg.Connection[Any], after: int, until: int, streams: Streams | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with the positions in (after, until]: gaps, altered or swapped rows, time running backwards.

    The hash of the row at `after` is taken as given; checking the range before it vouches for that.
    streams: told of every event, for the versions of its stream.
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
        for row in cursor.execute(_READ, (start, min(start + SLICE, until))).fetchall():
            position, stored = row[0], row[16]
            expected += 1
            if position != expected:
                missing = f"{expected}" if position == expected + 1 else f"{expected} to {position - 1}"
                yield Finding("chain", expected, f"position {missing} is missing")
                expected = position
            columns = (*row[:7], row[7] + _POSTGRES_EPOCH, row[8] + _POSTGRES_EPOCH, *row[9:15])
            if event_hash(previous, with_role(columns, row[17]), canonical(msgspec.json.decode(row[15]))) != stored:
                yield Finding("chain", position, "the hash is not that of this event behind the one before it")
            if recorded_at is not None and row[8] <= recorded_at:
                yield Finding("chain", position, "recorded_at does not rise")
            previous, recorded_at = stored, row[8]
            if streams is not None:
                streams.note(row[1], row[2], position)
    if expected < until:
        yield Finding("chain", expected + 1, f"positions {expected + 1} to {until} are missing")


class Job(msgspec.Struct, frozen=True):
    """A range of positions (after, until] to check in the database behind `conninfo`."""

    conninfo: str
    after: int
    until: int


class Checked(msgspec.Struct, frozen=True):
    """What a range holds: findings of the chain, and its streams as `Streams` has them."""

    findings: list[Finding]
    first: dict[str, tuple[int, int]]
    last: dict[str, int]
    broken: dict[str, int]


def check_whole(conninfo: str, until: int, progress: Callable[[int, int], None], workers: int) -> list[Finding]:
    """Check every position up to `until` on so many processors; return what was found, at most FINDINGS_MAX of a kind.

    progress: called with (events checked, events in all). Raises `psycopg.Error` when the database cannot be read.
    """
    size = max(SLICE, min(_RANGE_MAX, -(-until // (4 * workers)) or 1))
    jobs = [Job(conninfo, after, min(after + size, until)) for after in range(0, until, size)]
    if workers == 1 or len(jobs) == 1:
        return _merged(map(_check, jobs), jobs, progress, until)
    helpers = threading.local()
    started: list[subprocess.Popen[bytes]] = []

    def ask(job: Job) -> Checked:
        process: subprocess.Popen[bytes] | None = getattr(helpers, "process", None)
        if process is None:
            process = helpers.process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which ends its helpers by itself.
            )
            started.append(process)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise psycopg.OperationalError("a process that checked the chain ended before its range was done")
        return msgspec.json.decode(line, type=Checked)

    try:
        with ThreadPoolExecutor(workers, "opscore-verify") as pool:
            try:
                return _merged(pool.map(ask, jobs), jobs, progress, until)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in started:
                    process.kill()  # Whoever is interrupted does not wait for ranges that nobody asks for any more.
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _check(job: Job) -> Checked:
    streams = Streams()
    findings: list[Finding] = []
    with psycopg.connect(job.conninfo, autocommit=True) as connection:
        for finding in check_chain(connection, job.after, job.until, streams):
            if len(findings) < FINDINGS_MAX:
                findings.append(finding)
    return Checked(findings, streams.first, streams.last, streams.broken)


def _merged(
    results: Iterable[Checked], jobs: list[Job], progress: Callable[[int, int], None], until: int
) -> list[Finding]:
    """Put the ranges together, in order: a stream begins at version 1, and goes on where the range before left it."""
    findings: list[Finding] = []
    broken: dict[str, int] = {}
    last: dict[str, int] = {}
    for job, found in zip(jobs, results, strict=True):
        findings += found.findings
        for stream, (version, position) in found.first.items():
            if version != last.get(stream, 0) + 1:
                broken.setdefault(stream, position)
        for stream, position in found.broken.items():
            broken.setdefault(stream, position)
        last.update(found.last)
        progress(job.until, until)
    return findings[:FINDINGS_MAX] + [
        Finding("streams", position, f"the versions of stream {stream} are not in order")
        for stream, position in list(broken.items())[:FINDINGS_MAX]
    ]


if __name__ == "__main__":
    for asked in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(_check(msgspec.json.decode(asked, type=Job))) + b"\n")
        sys.stdout.buffer.flush()
