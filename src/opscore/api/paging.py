"""Connections with keyset cursors: a page is the rows next to a row, whatever arrives or goes meanwhile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry

from opscore.api.errors import BadCursor, PageSize
from opscore.api.ids import BAD_CURSOR, decode_cursor, encode_cursor
from opscore.api.rows import Made, MadeObject, Row, Rows
from opscore.api.scalars import MAX_POSITION
from opscore.api.sizing import PAGE_MAX

NodeT = TypeVar("NodeT")
RowT = TypeVar("RowT")

KeyKind = Callable[[Any], bool]
"""Says whether a value may be a sort key, as far as its kind tells.

A cursor is no secret: whoever knows how they are made can write one that holds anything.
"""

_CURSOR = " cursor"
"""The column of an edge's cursor; no query has one of this name."""


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether rows follow this page.")
    has_previous_page: bool = strawberry.field(
        description="Whether rows precede this page; known when paging backwards or from a cursor."
    )
    start_cursor: str | None = strawberry.field(description="Cursor of the first row; null for an empty page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last row; null for an empty page.")


@strawberry.type(description="A row of a list and its cursor.")
class Edge(Generic[NodeT]):
    cursor: str = strawberry.field(description="Pass it as `after` or `before` to go on from this row.")
    node: NodeT = strawberry.field(description="The row.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeT]):
    edges: list[Edge[NodeT]] = strawberry.field(description="The rows with their cursors.")
    nodes: list[NodeT] = strawberry.field(description="The rows without their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies.")
    total_count: int = strawberry.field(
        description="How many rows the whole list has now, not this page alone; counted only when asked for."
    )


@dataclass(frozen=True, slots=True)
class Window:
    """What a page asks of a list: at most `limit` rows between two keys (exclusive), from its end when `backwards`."""

    limit: int
    after: list[Any] | None
    before: list[Any] | None
    backwards: bool

    @property
    def fetch(self) -> int:
        """One row more than the page, which tells whether there is another page."""
        return self.limit + 1

    def numbers_after(self, size: int) -> tuple[int, ...]:
        """Return the keys to go on behind, of a list whose keys are numbers from 1 on; zeros at its beginning."""
        return (0,) * size if self.after is None else tuple(self.after)

    def cut(self, rows: Sequence[RowT]) -> Sequence[RowT]:
        """Return the rows that the page shows of those fetched."""
        if len(rows) <= self.limit:
            return rows
        return rows[1:] if self.backwards else rows[:-1]


def number(key: Any) -> bool:
    """Say whether a key may be a position, a version or a place."""
    return type(key) is int and 0 <= key <= MAX_POSITION


def amount(key: Any) -> bool:
    """Say whether a key may be a sum of minor units, which can be of any sign and beyond a single amount."""
    return type(key) is int and abs(key) < 10**30


def word(key: Any) -> bool:
    """Say whether a key may be a text that PostgreSQL stores."""
    return type(key) is str and "\x00" not in key


def moment(key: Any) -> bool:
    """Say whether a key may be a moment in ISO 8601, with its offset."""
    return _reads(datetime.fromisoformat, key) and datetime.fromisoformat(key).tzinfo is not None


def plain_id(key: Any) -> bool:
    """Say whether a key may be a UUID."""
    return _reads(UUID, key)


def anything(_: Any) -> bool:
    """Leave it to whoever asks to tell what a key may be."""
    return True


def _reads(read: Callable[[str], Any], key: Any) -> bool:
    try:
        return type(key) is str and bool(read(key))
    except ValueError:
        return False


def window(
    binding: str,
    kinds: Sequence[KeyKind],
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> Window:
    """Return what a page asks for.

    binding: names the list, its filter and its order, which cursors are bound to. kinds: of its sort keys.
    Raises PageSize unless exactly one of `first` and `last` is given, from 1 to `PAGE_MAX`; BadCursor.
    """
    if (first is None) == (last is None):
        raise PageSize(f"Say either first or last, from 1 to {PAGE_MAX}.", most=PAGE_MAX)
    limit = first if first is not None else last
    assert limit is not None
    if not 1 <= limit <= PAGE_MAX:
        raise PageSize(f"A page has from 1 to {PAGE_MAX} rows, not {limit}.", most=PAGE_MAX)
    return Window(limit, _keys(binding, kinds, after), _keys(binding, kinds, before), last is not None)


def _keys(binding: str, kinds: Sequence[KeyKind], cursor: str | None) -> list[Any] | None:
    if cursor is None:
        return None
    keys = decode_cursor(binding, cursor, len(kinds))
    if not all(fits(key) for fits, key in zip(kinds, keys, strict=True)):
        raise BadCursor(BAD_CURSOR)
    return keys


def connection(
    rows: Sequence[Any],
    asked: Window,
    binding: str,
    keys: Callable[[Any], Sequence[Any]],
    node: Callable[[Any], Any],
    total: int | None,
    *,
    edges: bool = True,
) -> Any:
    """Return the page of these rows, which were fetched with `asked.fetch` and are in list order.

    keys: the sort keys of a row; node: what is shown of it, None for a row that is not. total: rows of the whole list;
    None where nobody has asked for it (see `selected.wants_total`), never otherwise. edges: whether somebody looks at
    them; a cursor for each row takes a tenth of a page's time.
    """
    shown = [(row, made) for row in asked.cut(rows) if (made := node(row)) is not None]

    def cursor(row: Any) -> str:
        return encode_cursor(binding, keys(row))

    return Connection(
        edges=[Edge(cursor=cursor(row), node=made) for row, made in shown] if edges else [],
        nodes=[made for _, made in shown],
        page_info=page_info(rows, asked, cursor),
        total_count=total,  # type: ignore[arg-type]  # Nobody looks at it where nobody asked.
    )


def connection_of_rows(
    rows: Rows,
    asked: Window,
    binding: str,
    keys: Sequence[str],
    total: int | None,
    *,
    edges: bool,
) -> Any:
    """Return the page of these rows of objects; see `connection`. keys: the columns that hold the sort keys."""
    places = [rows.columns.index(name) for name in keys]

    def cursor(row: Row) -> str:
        return encode_cursor(binding, [row[place] for place in places])

    shown = replace(rows, rows=asked.cut(rows.rows))
    # The schema says lists and a number. Executors take any sequence, and look at a total only where it was asked for.
    return Connection(
        edges=edges_of(shown, cursor) if edges else [],  # type: ignore[arg-type]
        nodes=shown,  # type: ignore[arg-type]
        page_info=page_info(rows.rows, asked, cursor),
        total_count=total,  # type: ignore[arg-type]
    )


def edges_of(rows: Rows, cursor: Callable[[Row], str]) -> Rows:
    """Return rows of edges: the cursor of each, and behind it the columns of its node."""
    return Rows(edge_of(rows.of), (_CURSOR, *rows.columns), [(cursor(row), *row) for row in rows.rows], rows.lists)


@functools.cache
def edge_of(node: MadeObject) -> MadeObject:
    """Return how an edge with such a node is made."""
    return MadeObject(Edge, {"cursor": Made((_CURSOR,)), "node": node})


def page_info(rows: Sequence[Any], asked: Window, cursor: Callable[[Any], str]) -> PageInfo:
    """Return where the page of these rows lies, which were fetched with `asked.fetch`."""
    more, shown = len(rows) > asked.limit, asked.cut(rows)
    return PageInfo(
        has_next_page=asked.before is not None if asked.backwards else more,
        has_previous_page=more if asked.backwards else asked.after is not None,
        start_cursor=cursor(shown[0]) if shown else None,
        end_cursor=cursor(shown[-1]) if shown else None,
    )
