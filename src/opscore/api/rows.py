"""Objects of the schema that stand in rows: which attribute is made of which columns, and how.

A page of a read model is handed to the executor as the rows that came from the database. The compiled executor writes
the answer straight from them; everybody else sees a list of objects, made when they are looked at.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple, overload

from opscore.api.naming import camel

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """An attribute that is made of these columns of a row; without `make`, the one column as it is.

    make: is given the values of the columns, in their order.
    repeats: whether a page has the same values again and again, so that what is written of them is worth keeping. Only
    where equal columns look alike: 1.5 and 1.50 are equal and do not.
    """

    columns: tuple[str, ...]
    make: Callable[..., Any] | None = None
    repeats: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class MadeObject:
    """An object whose attributes are made of one row. kind: its class in the schema."""

    kind: type
    attributes: Mapping[str, Attribute]

    def columns(self, fields: Collection[str]) -> tuple[str, ...]:
        """Return the columns that these fields of the schema are made of, each once: fetching them all takes longer."""
        return _columns(self, frozenset(fields))

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the schema that can be made of a row."""
        return frozenset(map(_spelled, self.attributes))


_spelled = functools.cache(camel)


@functools.lru_cache(maxsize=1_000)
def _columns(of: MadeObject, fields: frozenset[str]) -> tuple[str, ...]:
    wanted = (each for name, each in of.attributes.items() if _spelled(name) in fields)
    return tuple(dict.fromkeys(column for each in wanted for column in columns_of(each)))


def as_they_are(names: str) -> dict[str, Attribute]:
    """Return the attributes that are columns of the same name as they are."""
    return {name: Made((name,)) for name in names.split()}


def member_in(kind: type[enum.StrEnum], column: str) -> Made:
    """Return how a member of an enum is made of the column that holds its value; none of a column without one."""
    members: dict[str | None, enum.StrEnum | None] = {member.value: member for member in kind}
    return Made((column,), {**members, None: None}.__getitem__)


@dataclass(frozen=True, slots=True)
class MadeList:
    """A list of objects, made of the rows that are found under the value of a column."""

    column: str
    item: MadeObject


Attribute = Made | MadeObject | MadeList


def columns_of(attribute: Attribute) -> Iterator[str]:
    """Yield the columns of a row that an attribute is made of."""
    match attribute:
        case Made(columns):
            yield from columns
        case MadeObject(_, attributes):
            for each in attributes.values():
                yield from columns_of(each)
        case MadeList(column):
            yield column


class Found(NamedTuple):
    """Rows of another query, by the value under which they are looked up."""

    columns: tuple[str, ...]
    rows: Mapping[Any, Sequence[Row]]


@dataclass(slots=True)
class Rows(Sequence[Any]):
    """A list of objects in the form of rows. lists: the rows of each attribute that is a list."""

    of: MadeObject
    columns: tuple[str, ...]
    rows: Sequence[Row]
    lists: Mapping[str, Found] = field(default_factory=dict)

    @property
    def layout(self) -> tuple[Any, ...]:
        """Return what tells how to read these rows, the same for all rows that are read alike."""
        return (self.of, self.columns, *[(name, found.columns) for name, found in self.lists.items()])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return self._objects(self.rows)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Rows(self.of, self.columns, self.rows[index], self.lists)
        [found] = self._objects([self.rows[index]])
        return found

    def _objects(self, rows: Iterable[Row]) -> Iterator[Any]:
        made = _maker(self.of, self.columns, self.lists)
        return (made(row) for row in rows)


def _maker(of: MadeObject, columns: tuple[str, ...], lists: Mapping[str, Found]) -> Callable[[Row], Any]:
    """Return what makes an object of a row: with the attributes that its columns suffice for, and no others."""
    place = {name: index for index, name in enumerate(columns)}
    makers: list[tuple[str, Callable[[Row], Any]]] = []
    for name, each in of.attributes.items():
        if _is_there(name, each, place.keys(), lists.keys()):
            makers.append((name, _attribute_maker(name, each, columns, place, lists)))

    def made(row: Row) -> Any:
        shown: Any = object.__new__(of.kind)
        # Not initialised: a field that nobody wants takes no time.
        shown.__dict__.update([(name, make(row)) for name, make in makers])
        return shown

    return made


def _is_there(name: str, attribute: Attribute, columns: Collection[str], lists: Collection[str]) -> bool:
    """Say whether an attribute can be made of these columns; an object can when anything of it can."""
    match attribute:
        case Made(own):
            return all(each in columns for each in own)
        case MadeList(column):
            return column in columns and name in lists
        case MadeObject(_, attributes):
            return any(_is_there(inner, each, columns, lists) for inner, each in attributes.items())


def _attribute_maker(
    name: str, attribute: Attribute, columns: tuple[str, ...], place: Mapping[str, int], lists: Mapping[str, Found]
) -> Callable[[Row], Any]:
    match attribute:
        case Made([column], None):
            return itemgetter(place[column])
        case Made(own, make):
            assert make is not None, "several columns do not make a value by themselves"
            indexes = [place[each] for each in own]
            return lambda row: make(*[row[index] for index in indexes])
        case MadeObject():
            return _maker(attribute, columns, lists)
        case MadeList(column, item):
            found, index = lists[name], place[column]
            make_item = _maker(item, found.columns, {})
            return lambda row: [make_item(each) for each in found.rows.get(row[index], ())]
