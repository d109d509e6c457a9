"""Filters of lists as typed inputs: a class for each list says which columns can be asked about, and how.

A member of a list's filter is declared with `on`: the column it is about and, by its type, how that column may be
compared. What is given becomes a condition over those columns; the list's own query stays what says which rows there
are.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import strawberry
from strawberry.types.unset import UNSET

from opscore.api.enums import expose
from opscore.api.errors import Forbidden
from opscore.api.ids import key_of
from opscore.api.scalars import MinorUnits, Position
from opscore.domain.command import Role
from opscore.permissions import may_see_field
from opscore.projector.lists import Column, Compare, Condition, Either, Every, Operator, Without

MemberT = TypeVar("MemberT")

_ABOUT, _SHOWN_AS = "about", "shown as"
_SET = "Whether there is one at all."


def _given(value: Any) -> bool:
    return value is not UNSET and value is not None


def _optional(description: str, **named: Any) -> Any:
    return strawberry.field(default=UNSET, description=description, **named)


class Tested:
    """How a kind of column may be compared; each member that is given has to hold."""

    SQL: ClassVar[str]
    OPERATORS: ClassVar[dict[str, Operator]]

    def comparisons(self, column: Column, of: str | None) -> Iterator[Compare]:
        """Yield the conditions on a column. of: the type whose global ids the column holds, if it does."""
        for name, operator in self.OPERATORS.items():
            value = getattr(self, name)
            if _given(value):
                yield Compare(column, operator, self.plain(value, of))
        if _given(value := getattr(self, "eq", None)):
            yield Compare(column, Operator.IS_IN, [self.plain(value, of)])
        value = getattr(self, "in_", None)
        if value is not UNSET and value is not None:
            yield Compare(column, Operator.IS_IN, [self.plain(each, of) for each in value])

    def plain(self, value: Any, of: str | None) -> Any:
        """Return a value as PostgreSQL takes it."""
        return value


@strawberry.input(description="A condition on an id; all that is given has to hold.")
class IdFilter(Tested):
    eq: strawberry.ID | None = _optional("This one.")
    in_: list[strawberry.ID] | None = _optional("One of these; of none, nothing is found.", name="in")
    is_set: bool | None = _optional(_SET)

    SQL = "uuid"
    OPERATORS: ClassVar[dict[str, Operator]] = {}

    def plain(self, value: Any, of: str | None) -> Any:
        """Return the key of a global id; raises BadId."""
        assert of is not None
        return key_of(value, of)


@strawberry.input(description="A condition on the plain id of what has no global one; all that is given has to hold.")
class UuidFilter(Tested):
    eq: UUID | None = _optional("This one.")
    in_: list[UUID] | None = _optional("One of these; of none, nothing is found.", name="in")
    is_set: bool | None = _optional(_SET)

    SQL = "uuid"
    OPERATORS: ClassVar[dict[str, Operator]] = {}


@strawberry.input(
    description="A condition on a text; all that is given has to hold. Every character stands for itself alone."
)
class TextFilter(Tested):
    eq: str | None = _optional("Exactly this.")
    in_: list[str] | None = _optional("Exactly one of these; of none, nothing is found.", name="in")
    starts_with: str | None = _optional("Begins with exactly this.")
    contains: str | None = _optional("Has this somewhere in it, in capitals or not (A to Z).")
    is_set: bool | None = _optional(_SET)

    SQL = "text"
    OPERATORS: ClassVar[dict[str, Operator]] = {"starts_with": Operator.STARTS_WITH, "contains": Operator.CONTAINS}


_FROM = {"from_": Operator.AT_LEAST}
_RANGE = {**_FROM, "to": Operator.AT_MOST}


@strawberry.input(description="A condition on a moment; all that is given has to hold.")
class TimeFilter(Tested):
    from_: datetime | None = _optional("At this moment or later.", name="from")
    before: datetime | None = _optional("Before this moment.")
    is_set: bool | None = _optional(_SET)

    SQL = "timestamptz"
    OPERATORS: ClassVar[dict[str, Operator]] = {**_FROM, "before": Operator.BEFORE}


@strawberry.input(description="A condition on a day; all that is given has to hold.")
class DayFilter(Tested):
    from_: date | None = _optional("On this day or later.", name="from")
    to: date | None = _optional("On this day or earlier.")
    is_set: bool | None = _optional(_SET)

    SQL = "date"
    OPERATORS: ClassVar[dict[str, Operator]] = _RANGE


@strawberry.input(
    description="A condition on an amount in minor units of its own currency; all that is given has to hold."
)
class AmountFilter(Tested):
    from_: MinorUnits | None = _optional("This much or more.", name="from")
    to: MinorUnits | None = _optional("This much or less.")

    SQL = "bigint"
    OPERATORS: ClassVar[dict[str, Operator]] = _RANGE


@strawberry.input(description="A condition on an exact number; all that is given has to hold.")
class DecimalFilter(Tested):
    from_: Decimal | None = _optional("This much or more.", name="from")
    to: Decimal | None = _optional("This much or less.")
    is_set: bool | None = _optional(_SET)

    SQL = "numeric"
    OPERATORS: ClassVar[dict[str, Operator]] = _RANGE


@strawberry.input(description="A condition on a whole number; all that is given has to hold.")
class IntFilter(Tested):
    from_: int | None = _optional("This much or more.", name="from")
    to: int | None = _optional("This much or less.")
    is_set: bool | None = _optional(_SET)

    SQL = "bigint"
    OPERATORS: ClassVar[dict[str, Operator]] = _RANGE


@strawberry.input(description="A condition on a position in the log; all that is given has to hold.")
class PositionFilter(Tested):
    from_: Position | None = _optional("At this position or later.", name="from")
    to: Position | None = _optional("At this position or earlier.")

    SQL = "bigint"
    OPERATORS: ClassVar[dict[str, Operator]] = _RANGE


@strawberry.input(description="A condition on one of a few words; all that is given has to hold.")
class Filter(Tested, Generic[MemberT]):
    eq: MemberT | None = _optional("This one.")
    in_: list[MemberT] | None = _optional("One of these; of none, nothing is found.", name="in")

    SQL = "text"
    OPERATORS: ClassVar[dict[str, Operator]] = {}

    def plain(self, value: Any, of: str | None) -> Any:
        """Return the word as it is stored."""
        return value.value


def on(
    column: str,
    description: str,
    *,
    of: str | None = None,
    link: str | None = None,
    key: str = "",
    shown_as: str | None = None,
) -> Any:
    """Declare a member of a list's filter: a condition on a column of its rows, or of rows linked to them.

    of: the type whose global ids the column holds. link, key: see `Column`. shown_as: the field that shows it, if only
    some roles see that: whoever does not see a value may not find it out by asking for rows that have it.
    """
    about = {"column": column, "of": of, "link": link, "key": key}
    return _optional(description, metadata={_ABOUT: about, _SHOWN_AS: shown_as})


def every() -> Any:
    """Declare `and`."""
    return _optional("All of these hold.", name="and")


def either() -> Any:
    """Declare `or`."""
    return _optional("At least one of these holds; of none, nothing is found.", name="or")


def without() -> Any:
    """Declare `not`."""
    return _optional("This does not hold.", name="not")


def condition(given: Any, role: Role) -> Condition:
    """Return what a list's filter asks for; everything that is given has to hold.

    role: of who asks. Raises BadId, and Forbidden for a member about what the role does not see.
    """
    found: list[Condition] = []
    if not _given(given):
        return Every()
    for member in dataclasses.fields(given):
        value = getattr(given, member.name)
        if not _given(value):
            continue
        about = member.metadata.get(_ABOUT)
        if about is not None:
            hidden = member.metadata[_SHOWN_AS]
            if hidden is not None and not may_see_field(role, hidden):
                raise Forbidden(f"Your role ({role}) does not see {hidden}, and may not ask for it.")
            found += _tests(value, **about)
        elif member.name == "and_":
            found += [condition(each, role) for each in value]
        elif member.name == "or_":
            found.append(Either(tuple(condition(each, role) for each in value)))
        else:
            found.append(Without(condition(value, role)))
    return found[0] if len(found) == 1 else Every(tuple(found))


def _tests(value: Any, column: str, of: str | None, link: str | None, key: str) -> Iterator[Condition]:
    if isinstance(value, bool):
        yield Compare(Column(column, "boolean", link=link, key=key), Operator.IS_IN, [value])
        return
    about = Column(column, value.SQL, link=link, key=key)
    yield from value.comparisons(about, of)
    wanted = getattr(value, "is_set", UNSET)
    if _given(wanted):
        there = Compare(about, Operator.IS_SET)
        yield there if wanted else Without(there)


class Direction(enum.StrEnum):
    """Which end of an order comes first."""

    ASC = "asc"
    """The least, the earliest or the first of the alphabet first."""
    DESC = "desc"
    """The greatest, the latest or the last of the alphabet first."""


expose(Direction)
