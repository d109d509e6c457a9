"""Takes one window of events into one version of a projection, and moves its checkpoint, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

import opscore.domain.catalogue  # noqa: F401  (so that every event class is known, whoever calls)
from opscore.domain.aggregate import EVENT_CLASSES
from opscore.projector.catalogue import Catalogue, Connection, Part
from opscore.projector.folder import Loaded, Ready

SMALL_WINDOW = 5_000
"""Up to this many events it pays to look first which types occur; a larger window runs every statement."""


_PLAN_ONCE = (
    # In a window of a few events, planning is most of the cost of a statement, and the plan is always one: look up what
    # each event names. Kept for the connection, and used for small windows alone.
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_hashjoin', 'off', true),"
    " set_config('enable_mergejoin', 'off', true)"
)

Seen = dict[tuple[int, int], list[tuple[str, int]]]
"""The (type, schema_version) pairs that occur in a window (low, high]: the log never changes, so neither do they."""


@dataclass(frozen=True, slots=True)
class Advance:
    """What one step did: the checkpoint before and after, and the head seen. `busy`: somebody else is at it."""

    before: int
    after: int
    head: int
    busy: bool = False
    failed: bool = False


class StatementFailed(Exception):
    """A statement failed on the window (low, high]; nothing of that window was kept."""

    def __init__(self, statement: str, low: int, high: int, message: str) -> None:
        self.statement = statement
        self.low = low
        self.high = high
        self.message = message
        super().__init__(f"{statement} failed on positions {low + 1} to {high}: {message}")


def advance(
    connection: Connection,
    catalogue: Catalogue,
    loaded: Loaded,
    *,
    limit: int,
    head: int | None = None,
    wait: bool = True,
    statuses: tuple[str, ...] = ("ready", "serving"),
    seen: Seen | None = None,
    part: Part | None = None,
) -> Advance:
    """Take in at most `limit` events, up to `head` (the log's own when None).

    A window that fails is cut in halves until the one event is known that a statement fails on; the version then stops
    before it and its entry says where and why. What is not the fault of an event or a statement (a lost connection, a
    deadlock, a full disk) is raised.
    seen: what occurs in windows that were looked at for other versions; what is looked at is added.
    part: only the streams of this part of a rebuild, from the checkpoint of that part.
    """
    while True:
        try:
            with connection.transaction():
                entry = catalogue.lock(connection, loaded.name, loaded.version, wait=wait, part=part)
                if entry is None or entry.status not in statuses or entry.failed_position is not None:
                    position = 0 if entry is None else entry.position
                    return Advance(position, position, head or position, busy=entry is None, failed=entry is not None)
                top = catalogue.head(connection) if head is None else head
                high = min(entry.position + limit, top)
                if high > entry.position:
                    take_in(connection, catalogue, loaded, entry.position, high, seen, part)
                    catalogue.move(connection, loaded.name, loaded.version, high, part=part)
                return Advance(entry.position, max(high, entry.position), top)
        except StatementFailed as failure:
            if failure.high - failure.low > 1:
                limit = (failure.high - failure.low) // 2
                continue
            catalogue.fail(connection, loaded.name, loaded.version, failure.high, failure.statement, failure.message)
            return Advance(failure.low, failure.low, failure.high, failed=True)


def advance_together(
    connection: Connection, catalogue: Catalogue, behind: Sequence[tuple[Loaded, int]], head: int
) -> list[tuple[str, int]]:
    """Take several versions up to `head` in one transaction; return the (name, version) of those that were free.

    behind: each version with its checkpoint, at most some hundred events before `head`. One transaction and a few round
    trips for all of them: on a few events, these cost more than the events. Nothing is kept when one statement fails;
    `advance` then finds out which. Errors of psycopg and `StatementFailed` are raised.
    """
    with connection.pipeline(), connection.transaction():
        connection.execute(_PLAN_ONCE)
        free = catalogue.lock_free(connection, [(loaded.name, loaded.version, low) for loaded, low in behind])
        taken = [(loaded, low) for loaded, low in behind if (loaded.name, loaded.version) in free]
        seen: Seen = {}
        # Whatever asks and waits for the answer comes first; the statements then travel together.
        occurring = [_occurring(connection, catalogue, loaded, low, head, seen) for loaded, low in taken]
        cursor = psycopg.RawCursor(connection)
        for (loaded, low), types in zip(taken, occurring, strict=True):
            for statement in _due(loaded, types):
                cursor.execute(statement.over_window(types), (low, head))
        catalogue.move_all(connection, free, head)
    return free


def take_in(
    connection: Connection,
    catalogue: Catalogue,
    loaded: Loaded,
    low: int,
    high: int,
    seen: Seen | None = None,
    part: Part | None = None,
) -> None:
    """Run the statements of `loaded` over the window (low, high]; the caller's transaction, the caller's checkpoint.

    Raises `StatementFailed` for an event or a statement at fault; other errors of the connection pass through.
    """
    occurring = _occurring(connection, catalogue, loaded, low, high, seen)
    cursor = psycopg.RawCursor(connection)
    parameters = (low, high) if part is None else (low, high, part.first_stream, part.last_stream)
    for statement in _due(loaded, occurring):
        try:
            cursor.execute(statement.over_window(occurring, part=part is not None), parameters)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            message = error.diag.message_primary or str(error)
            detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
            raise StatementFailed(statement.name, low, high, message + detail) from error


def _due(loaded: Loaded, occurring: set[str]) -> list[Ready]:
    """Return the statements that have something to do in a window in which these types occur."""
    if not occurring:
        return []
    # A statement that reads no event reads what others have made of the window.
    return [statement for statement in loaded.apply if not statement.events or statement.events & occurring]


def _occurring(
    connection: Connection, catalogue: Catalogue, loaded: Loaded, low: int, high: int, seen: Seen | None
) -> set[str]:
    """Return which types of `loaded` occur in the window (all of them, for a large one that is not looked at).

    Raises `StatementFailed` for an event whose version is newer than we know.
    """
    known = {name: EVENT_CLASSES[name].VERSION for name in loaded.definition.events}
    occurring: set[str] = set(known)
    if high - low <= SMALL_WINDOW:
        pairs = None if seen is None else seen.get((low, high))
        if pairs is None:
            pairs = catalogue.event_types(connection, low, high)
            if seen is not None:
                seen[low, high] = pairs
        occurring = {name for name, _ in pairs if name in known}
        strange = any(version > known[name] for name, version in pairs if name in known)
    else:
        strange = True  # Not looked at yet.
    if strange:
        unknown = catalogue.first_unknown(connection, low, high, list(known), list(known.values()))
        if unknown is not None:
            position, name, version = unknown
            failed = StatementFailed(name, low, high, f"{name} at position {position} has unknown version {version}")
            raise failed
    return occurring
