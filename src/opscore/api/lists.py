"""Lists of read models: which query has the rows, what they can be sorted by, and how a page of them is fetched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg

from opscore.api.context import Context
from opscore.api.errors import BadCursor, BadInput, Forbidden
from opscore.api.figures import reading
from opscore.api.filters import Direction
from opscore.api.ids import BAD_CURSOR
from opscore.api.naming import camel
from opscore.api.paging import KeyKind, Window, connection, connection_of_rows, window
from opscore.api.rows import Rows
from opscore.domain.command import Role
from opscore.permissions import may_see_field
from opscore.projector import Ask
from opscore.projector.lists import ALL, Column, Condition, Key, Page, Total, compared

RowT = TypeVar("RowT")

NUMBERS = frozenset({"bigint", "smallint", "numeric"})


class PageArguments(NamedTuple):
    """What a connection is asked for: rows of it, and where."""

    first: int | None
    after: str | None
    last: int | None
    before: str | None

    def window(self, binding: str, kinds: Sequence[KeyKind]) -> Window:
        """Return the window; see `paging.window`."""
        return window(binding, kinds, *self)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of a read model."""

    projection: str
    query: str
    tail: tuple[Column, ...]
    """What tells its rows apart; the end of every order."""
    sorts: Mapping[Any, Column]
    """What it can be sorted by, under the members of its enum."""
    default: tuple[Any, Direction]
    """How it is sorted when nothing is said."""
    shown_as: Mapping[Any, str] = field(default_factory=dict)
    """Members of `sorts` -> the field that shows what they sort by, if only some roles see that."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Columns that hold nothing unless an argument of the question is given -> that argument."""

    def keys(self, sort: Any) -> tuple[Key, ...]:
        """Return the order that is asked for, an input with `by` and `direction`, and at its end what is unique."""
        by, direction = self.default if sort is None else (sort.by, sort.direction)
        columns = dict.fromkeys((self.sorts[by], *self.tail))
        return tuple(Key(column, direction is Direction.DESC) for column in columns)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list, and how to ask for it."""

    listing: Listing
    condition: Condition
    keys: tuple[Key, ...]
    asked: Window
    binding: str
    counted: bool
    """Whether somebody wants to know how long the whole list is."""

    def rows(self, ask: Ask, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of the page in list order, and one more if there is one (blocking)."""
        return self._fetched(lambda: ask(self.listing.query, params, self._shape(())))

    def tuples(
        self, ask: Ask, params: Mapping[str, Any], columns: Iterable[str]
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return (columns, rows) of the page; see `rows`. columns: what is wanted of them beside their keys."""
        names = tuple(dict.fromkeys((*columns, *self.key_names)))
        return names, self._fetched(lambda: ask.tuples(self.listing.query, params, self._shape(names)))

    @property
    def key_names(self) -> list[str]:
        """The columns of the sort keys."""
        return [key.column.name for key in self.keys]

    def _shape(self, columns: tuple[str, ...]) -> Page:
        asked = self.asked
        return Page(self.condition, self.keys, asked.fetch, asked.after, asked.before, asked.backwards, columns)

    def _fetched(self, fetch: Callable[[], list[RowT]]) -> list[RowT]:
        try:
            rows = fetch()
        except psycopg.DataError:
            if self.asked.after is None and self.asked.before is None:
                raise
            raise BadCursor(BAD_CURSOR) from None
        return rows[::-1] if self.asked.backwards else rows

    def total(self, ask: Ask, params: Mapping[str, Any] | None = None) -> int | None:
        """Return how long the whole list is, if somebody wants to know (blocking)."""
        if not self.counted:
            return None
        [row] = ask(self.listing.query, params, Total(self.condition))
        found: int = row["rows"]
        return found

    def connection(self, rows: list[dict[str, Any]], node: Any, total: int | None, *, edges: bool = True) -> Any:
        """Return the connection of these rows. node: what is shown of a row. edges: whether somebody looks at them."""
        names = self.key_names

        def keys(row: dict[str, Any]) -> list[Any]:
            return [row[name] for name in names]

        return connection(rows, self.asked, self.binding, keys, node, total, edges=edges)

    def connection_of_rows(self, rows: Rows, total: int | None, *, edges: bool) -> Any:
        """Return the connection of these rows of objects; see `connection`."""
        return connection_of_rows(rows, self.asked, self.binding, self.key_names, total, edges=edges)

    def cut(self, rows: Sequence[RowT]) -> Sequence[RowT]:
        """Return the rows that the page shows."""
        return self.asked.cut(rows)


def refuse_hidden(role: Role, listing: Listing, sort: Any) -> None:
    """Refuse an order by what the role does not see: the order of the rows would tell. Raises Forbidden."""
    hidden = None if sort is None else listing.shown_as.get(sort.by)
    if hidden is not None and not may_see_field(role, hidden):
        raise Forbidden(f"Your role ({role}) does not see {hidden}, and may not sort by it.")


def refuse_unsaid(listing: Listing, condition: Condition, sort: Any, given: Collection[str]) -> None:
    """Refuse a condition on what the question did not say enough for, and an order by it; raises BadInput.

    given: the arguments of the question that are given.
    """
    for column in (*compared(condition), *(key.column for key in listing.keys(sort))):
        needed = listing.needs.get(column.name)
        if needed is not None and needed not in given:
            name = camel(column.name.removesuffix("_minor"))
            raise BadInput(f"Give {needed} as well: without it there is no {name} to look for or to sort by.")


def listed(
    listing: Listing, condition: Condition, sort: Any, page: PageArguments, *, counted: bool, scope: Any = None
) -> Listed:
    """Return the page asked for; raises PageSize or BadCursor. scope: what else decides which rows there are."""
    keys = listing.keys(sort)
    plain = condition == ALL and sort is None
    binding = f"{listing.query}:{scope}" if plain else f"{listing.query}:{scope}:{condition}:{keys}"
    asked = page.window(binding, [partial(_fits, key) for key in keys])
    return Listed(listing, condition, keys, asked, binding, counted)


def _fits(key: Key, value: Any) -> bool:
    """Say whether a value may be one of a key's column, as far as its kind tells."""
    if value is None:
        return key.column.nullable
    return type(value) is str or (type(value) is int and key.column.type in NUMBERS)


def rows_of(
    context: Context,
    page: Listed,
    params: Mapping[str, Any] | None = None,
    *,
    store_ids: list[UUID] | None,
    at_least: int | None,
) -> tuple[list[dict[str, Any]], int | None]:
    """Return the rows of a page and how long the whole list is, if that is wanted (blocking).

    params: what the list's query takes beside the stores.
    """
    return reading(
        context,
        page.listing.projection,
        lambda ask: (page.rows(ask, params), page.total(ask, params)),
        store_ids=store_ids,
        at_least=at_least,
    )
