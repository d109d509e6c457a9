"""The scalars of the API: each takes one spelling of a value and refuses every other.

A number that is silently read as another number is worse than a refusal, so decimals travel as strings in one
canonical form, times carry their offset, and integers beyond 32 bits have scalars of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal as PythonDecimal
from typing import Any, NewType
from uuid import UUID as PythonUUID

import orjson
import strawberry
from graphql import GraphQLError, ValueNode
from graphql.language import IntValueNode, StringValueNode
from graphql.utilities import value_from_ast_untyped

from opscore.domain.values import MAX_MINOR

Position = NewType("Position", int)
MinorUnits = NewType("MinorUnits", int)
Json = NewType("Json", object)

MAX_POSITION = 2**53 - 1

YEARS = range(1000, 9000)
"""What may be asked and told of time: far enough from the calendar's ends for every zone, period and term."""

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,6})?")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _string_literal(node: ValueNode, what: str) -> str:
    if not isinstance(node, StringValueNode):
        raise GraphQLError(f"{what} is written as a string.", node)
    return node.value


def _literal(parse: Callable[[Any], Any], what: str) -> Callable[..., Any]:
    def parse_literal(node: ValueNode, _variables: Any = None) -> Any:
        text = _string_literal(node, what)
        try:
            return parse(text)
        except GraphQLError as error:
            raise GraphQLError(error.message, node) from None

    return parse_literal


def parse_decimal(value: Any) -> PythonDecimal:
    """Return the number that a string such as "12.50" spells; refuses every other form."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise GraphQLError('Decimal is a string such as "12.50": at most 18 digits before the point and 6 after it.')
    number = PythonDecimal(value)
    return number or PythonDecimal(0)


def serialize_decimal(value: Any) -> str:
    """Return the number without an exponent: "12.50", not "1.25E+1"."""
    if isinstance(value, PythonDecimal) and value.is_finite():
        text = str(value)
        # Hardly ever has it one, and format() takes four times as long.
        return format(value, "f") if "E" in text else text
    raise GraphQLError("Decimal cannot represent this value.")


def parse_date_time(value: Any) -> datetime:
    """Return the moment in UTC; refuses a time without its offset, and years at the ends of the calendar."""
    if isinstance(value, str) and _DATE_TIME.fullmatch(value) and int(value[:4]) in YEARS:
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            pass
    raise GraphQLError(
        'DateTime is a string with an offset, such as "2026-03-31T18:30:00+08:00", of the years 1000 to 8999.'
    )


def serialize_date_time(value: Any) -> str:
    """Return the moment in UTC with a Z at the end."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise GraphQLError("DateTime cannot represent this value.")
    # As isoformat() writes it, in a quarter of the time.
    written = orjson.dumps(value if value.tzinfo is UTC else value.astimezone(UTC), option=orjson.OPT_UTC_Z)
    return written[1:-1].decode()


def parse_date(value: Any) -> date:
    """Return the calendar day of an ISO string."""
    if isinstance(value, str) and _DATE.fullmatch(value) and int(value[:4]) in YEARS:
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise GraphQLError('Date is a string such as "2026-03-31", of the years 1000 to 8999.')


def serialize_date(value: Any) -> str:
    """Return the day as YYYY-MM-DD."""
    if type(value) is not date:
        raise GraphQLError("Date cannot represent this value.")
    return value.isoformat()


def parse_uuid(value: Any) -> PythonUUID:
    """Return the UUID of its canonical lower-case spelling."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise GraphQLError('UUID is a string such as "0b0e7e9c-3f0e-5b53-8a5e-0a6c1f1f9f3b", in lower case.')
    return PythonUUID(value)


def _integer(name: str, low: int, high: int) -> tuple[Any, Any, Any]:
    def parse(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise GraphQLError(f"{name} is a whole number between {low} and {high}.")
        return value

    def literal(node: ValueNode, _variables: Any = None) -> int:
        # Eighteen characters hold every number in range; int() of thousands of digits is work for nothing.
        if not isinstance(node, IntValueNode) or len(node.value) > 18:
            raise GraphQLError(f"{name} is a whole number between {low} and {high}.", node)
        return parse(int(node.value))

    return parse, literal, parse


def _json_output(value: Any) -> Any:
    return value


def _json_literal(node: ValueNode, variables: Any = None) -> Any:
    return value_from_ast_untyped(node, variables)


_parse_position, _position_literal, _serialize_position = _integer("Position", 0, MAX_POSITION)
parse_minor_units, _minor_literal, _ = _integer("MinorUnits", -MAX_MINOR, MAX_MINOR)
# A sum over many orders may pass the bound of one amount.
_, _, _serialize_minor = _integer("MinorUnits", -MAX_POSITION, MAX_POSITION)

SCALARS: dict[object, Any] = {
    PythonDecimal: strawberry.scalar(
        name="Decimal",
        description='An exact number as a string, such as "12.50": at most 18 digits before the point, 6 after it.',
        serialize=serialize_decimal,
        parse_value=parse_decimal,
        parse_literal=_literal(parse_decimal, "Decimal"),
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment of the years 1000 to 8999 as an RFC 3339 string with its offset; answers are in UTC.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=serialize_date_time,
        parse_value=parse_date_time,
        parse_literal=_literal(parse_date_time, "DateTime"),
    ),
    date: strawberry.scalar(
        name="Date",
        description='A calendar day of the store\'s own time zone, such as "2026-03-31"; of the years 1000 to 8999.',
        specified_by_url="https://scalars.graphql.org/andimarek/local-date.html",
        serialize=serialize_date,
        parse_value=parse_date,
        parse_literal=_literal(parse_date, "Date"),
    ),
    PythonUUID: strawberry.scalar(
        name="UUID",
        description="A UUID in canonical lower-case spelling.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        serialize=str,
        parse_value=parse_uuid,
        parse_literal=_literal(parse_uuid, "UUID"),
    ),
    Position: strawberry.scalar(
        name="Position",
        description="A position in the event log: 1, 2, 3, ... without gaps; 0 is before the first event.",
        serialize=_serialize_position,
        parse_value=_parse_position,
        parse_literal=_position_literal,
    ),
    MinorUnits: strawberry.scalar(
        name="MinorUnits",
        description="An amount as a whole number of the currency's minor unit (pence, fen); never a fraction.",
        serialize=_serialize_minor,
        parse_value=parse_minor_units,
        parse_literal=_minor_literal,
    ),
    Json: strawberry.scalar(
        name="JSON",
        description="A JSON value whose shape depends on its kind, such as the data of an event.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=_json_output,
        parse_value=_json_output,
        parse_literal=_json_literal,
    ),
}
"""Python type -> scalar, for the schema's configuration."""
