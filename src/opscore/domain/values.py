"""The words that events and commands are made of: ids, quantities, prices, codes, and what is personal.

Money is an integer of minor units (pence, fen) beside a currency code; unit prices and unit costs are decimals of at
most six places; quantities are decimals of at most six places. No float anywhere.
"""

from __future__ import annotations

import enum
import functools
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Annotated, Any, dataclass_transform
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec
from babel.numbers import get_currency_precision
from msgspec import Meta

NAMESPACE = UUID("6f1d1f0e-2f5e-5c86-9d4c-0f5a2c8f7b11")
"""Name space of every id that is derived from a name (RFC 9562 version 5)."""

MAX_MINOR = 10**15
MAX_PLACES = 6


_EXACT = Context(prec=100)
"""More digits than any price times quantity has; the default of 28 would round some without a word."""
_ONE = Decimal(1)


class _Personal:
    """Marker: this field holds ciphertext of personal data."""

    def __repr__(self) -> str:
        return "PERSONAL"


PERSONAL = _Personal()

Sealed = Annotated[str, PERSONAL]
"""Ciphertext of personal data under its subject's key (see log/personal.py)."""

Code = Annotated[
    str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f\s](?:[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s])?$")
]
Label = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Text = Annotated[str, Meta(max_length=5000, pattern=r"^[^\x00]*$")]
Reason = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]*\S[^\x00]*$")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
TimeZone = Annotated[str, Meta(min_length=1, max_length=64)]
Minor = Annotated[int, Meta(ge=-MAX_MINOR, le=MAX_MINOR)]
PositiveMinor = Annotated[int, Meta(ge=1, le=MAX_MINOR)]
NonNegativeMinor = Annotated[int, Meta(ge=0, le=MAX_MINOR)]
Count = Annotated[int, Meta(ge=1, le=10**9)]
NonNegativeCount = Annotated[int, Meta(ge=0, le=10**9)]


class TrafficSource(enum.StrEnum):
    """By which way somebody came to a shop, whatever it sells through."""

    DIRECT = "direct"
    """They typed its address, or had it among their bookmarks."""
    EXTERNAL = "external"
    """By a link on somebody else's pages."""
    ORGANIC_SEARCH = "organic_search"
    """By a search, from what it found by itself."""
    PAID_SEARCH = "paid_search"
    """By a search, from an advertisement beside what it found."""


def derived_id(kind: str, *parts: object) -> UUID:
    """Return the id that (kind, parts) always map to: the same name gives the same id on every machine."""
    return uuid5(NAMESPACE, "\x1f".join((kind, *map(str, parts))))


@functools.cache
def minor_digits(currency: str) -> int:
    """Return how many decimal places the currency's minor unit has (GBP 2, JPY 0), by CLDR."""
    return get_currency_precision(currency)


def plain(value: Decimal) -> Decimal:
    """Return `value` in its one canonical spelling: no exponent, no trailing zeros ('10', '0.001')."""
    if not value:
        return Decimal(0)
    if value.same_quantum(_ONE):
        return value  # Most quantities: whole, and spelled so.
    normal = value.normalize(_EXACT)
    return normal.quantize(_ONE, context=_EXACT) if normal.as_tuple().exponent > 0 else normal  # type: ignore[operator]


def line_amount_minor(unit_price: Decimal, quantity: Decimal, currency: str) -> int:
    """Return unit_price x quantity in minor units, rounded half-even once."""
    exact = _EXACT.multiply(unit_price, quantity).scaleb(minor_digits(currency), _EXACT)
    return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


def share_minor(total_minor: int, weights: list[int]) -> list[int]:
    """Split an amount in proportion to weights so that the parts sum to it exactly (largest remainder).

    With weights that are all zero the parts are equal, the first ones taking what is left over.
    """
    if not weights:
        return []
    sign = -1 if total_minor < 0 else 1
    total = abs(total_minor)
    base = sum(weights)
    if base == 0:
        weights, base = [1] * len(weights), len(weights)
    parts = [total * weight // base for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % base), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]


def is_time_zone(name: str) -> bool:
    """Say whether `name` is an IANA time zone that this machine knows."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def local_day(at: datetime, time_zone: str) -> str:
    """Return the calendar day (ISO) of the moment `at` in an IANA zone."""
    return at.astimezone(ZoneInfo(time_zone)).date().isoformat()


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value inside an event or a command: compared by its fields, never changed."""


class Part(Value, omit_defaults=True):
    """A value inside a command alone.

    Written down, a command and its parts leave out what stands at its default: what was said stays the same to a later
    program that knows more fields, and so does its hash. An event keeps every field.
    """


def in_full(value: Any) -> Any:
    """Return a value, and all inside it, as plain data with every field; of a tagged value the tag is one."""
    if isinstance(value, msgspec.Struct):
        tag_field = value.__struct_config__.tag_field
        tag = {} if tag_field is None else {tag_field: value.__struct_config__.tag}
        return tag | {name: in_full(getattr(value, name)) for name in value.__struct_fields__}
    return [in_full(each) for each in value] if isinstance(value, list | tuple) else value
