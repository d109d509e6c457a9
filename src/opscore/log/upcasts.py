"""Old shapes of stored events, read as the newest: declarative steps with one meaning in Python and in SQL.

A step takes the JSON object of one version to that of the next. The log itself is never rewritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

# `OFFSET 0` in the SQL keeps the planner from copying an expression into each place that names it, which would double
# its work with every step.


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Rename:
    """The field `old` is called `new`."""

    old: str
    new: str

    def apply(self, data: dict[str, Any]) -> None:
        """Take the JSON object `data` to the next version, in place."""
        if self.old in data:
            data[self.new] = data.pop(self.old)

    def sql(self, data: str) -> str:
        """Return the same step as SQL over the jsonb expression `data`."""
        old, new = _literal(self.old), _literal(self.new)
        return (
            f"(SELECT CASE WHEN d ? {old} THEN (d - {old}) || jsonb_build_object({new}, d -> {old}) ELSE d END "
            f"FROM (SELECT {data} AS d OFFSET 0) AS step)"
        )


@dataclass(frozen=True)
class Default:
    """The field is `value` where it is absent."""

    name: str
    value: Any

    def apply(self, data: dict[str, Any]) -> None:
        """Take the JSON object `data` to the next version, in place."""
        data.setdefault(self.name, self.value)

    def sql(self, data: str) -> str:
        """Return the same step as SQL over the jsonb expression `data`."""
        value = _literal(orjson.dumps(self.value).decode())
        return f"(jsonb_build_object({_literal(self.name)}, {value}::jsonb) || {data})"


@dataclass(frozen=True)
class Move:
    """The field `name` moves into the object `into` (made when absent) under the name `new`."""

    name: str
    into: str
    new: str

    def apply(self, data: dict[str, Any]) -> None:
        """Take the JSON object `data` to the next version, in place."""
        if self.name in data:
            value = data.pop(self.name)
            data[self.into] = {**(data.get(self.into) or {}), self.new: value}

    def sql(self, data: str) -> str:
        """Return the same step as SQL over the jsonb expression `data`."""
        name, into, new = map(_literal, (self.name, self.into, self.new))
        return (
            f"(SELECT CASE WHEN d ? {name} THEN (d - {name}) || jsonb_build_object({into}, "
            f"COALESCE(NULLIF(d -> {into}, 'null'), '{{}}') || jsonb_build_object({new}, d -> {name})) ELSE d END "
            f"FROM (SELECT {data} AS d OFFSET 0) AS step)"
        )


@dataclass(frozen=True)
class Scale:
    """The integer field is multiplied by an integer `factor` (major to minor units); null stays null."""

    name: str
    factor: int

    def apply(self, data: dict[str, Any]) -> None:
        """Take the JSON object `data` to the next version, in place."""
        if data.get(self.name) is not None:
            data[self.name] *= self.factor

    def sql(self, data: str) -> str:
        """Return the same step as SQL over the jsonb expression `data`."""
        name = _literal(self.name)
        return (
            f"(SELECT CASE WHEN (d ->> {name}) IS NOT NULL THEN d || jsonb_build_object({name}, "
            f"(d ->> {name})::numeric * {self.factor}) ELSE d END FROM (SELECT {data} AS d OFFSET 0) AS step)"
        )


@dataclass(frozen=True)
class Split:
    """The text field becomes several, cut at `separator`; missing parts are '', the last takes the rest."""

    name: str
    separator: str
    into: tuple[str, ...]

    def apply(self, data: dict[str, Any]) -> None:
        """Take the JSON object `data` to the next version, in place."""
        if data.get(self.name) is not None:
            parts = data.pop(self.name).split(self.separator, len(self.into) - 1)
            data.update({new: parts[i] if i < len(parts) else "" for i, new in enumerate(self.into)})

    def sql(self, data: str) -> str:
        """Return the same step as SQL over the jsonb expression `data`."""
        name, separator = _literal(self.name), _literal(self.separator)
        last = len(self.into)
        pairs = [f"{_literal(new)}, COALESCE(p[{i}], '')" for i, new in enumerate(self.into[:-1], start=1)]
        pairs.append(f"{_literal(self.into[-1])}, array_to_string(p[{last}:], {separator}, '')")
        return (
            f"(SELECT CASE WHEN (d ->> {name}) IS NOT NULL THEN (d - {name}) || jsonb_build_object({', '.join(pairs)}) "
            f"ELSE d END FROM (SELECT d, string_to_array(d ->> {name}, {separator}) AS p "
            f"FROM (SELECT {data} AS d OFFSET 0) AS given) "
            f"AS step)"
        )


Step = Rename | Default | Move | Scale | Split


def upcast(data: dict[str, Any], version: int, upcasts: Sequence[Sequence[Step]]) -> dict[str, Any]:
    """Return `data` of an older version in the newest shape (changes `data`)."""
    for steps in upcasts[version - 1 :]:
        for step in steps:
            step.apply(data)
    return data


def upcast_sql(data: str, version: str, upcasts: Sequence[Sequence[Step]]) -> str:
    """Return the SQL expression that does the same to a jsonb expression whose version is the expression `version`."""
    if not upcasts:
        return data
    branches = []
    for stored in range(1, len(upcasts) + 1):
        expression = data
        for steps in upcasts[stored - 1 :]:
            for step in steps:
                expression = step.sql(expression)
        branches.append(f"WHEN {stored} THEN {expression}")
    return f"CASE {version} {' '.join(branches)} ELSE {data} END"
