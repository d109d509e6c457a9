"""Says what is wrong with a value in the field's own terms: its name, what was given, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from opscore.api.naming import camel

SHOWN_MAX = 40
"""Most characters of a given text that a message repeats."""

_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+|\.\.\.)\]")
_LENGTH = re.compile(r"Expected `\w+` of length (>=|<=|==) (\d+)")
_BOUND = re.compile(r"Expected `\w+` (>=|<=|>|<) (-?\d+)")
_PATTERN = re.compile(r"Expected `str` matching regex '(.*)'")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_WORDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "exactly"}


def explained(error: str, fields: Any) -> tuple[str, list[str | int]]:
    """Return (message, path in the spelling of the wire) of a fault as msgspec words it.

    fields: what was to be converted, in which the faulty value is looked up.
    """
    where = _PATH.search(error)
    text = error if where is None else error[: where.start()]
    steps: list[str | int] = []
    for name, index in _STEP.findall("" if where is None else where.group(1)):
        if name:
            steps.append(name)
        elif index.isdigit():
            steps.append(int(index))
    if (missing := _MISSING.fullmatch(text)) is not None:
        steps.append(missing.group(1))
        return f"{camel(missing.group(1))} is missing", _wire(steps)
    names = [step for step in steps if isinstance(step, str)]
    what = camel(names[-1]) if names else "it"
    return _said(text, what, _value(fields, steps)), _wire(steps)


def _said(text: str, what: str, given: Any) -> str:
    if (length := _LENGTH.fullmatch(text)) is not None and hasattr(given, "__len__"):
        unit = "character" if isinstance(given, str) else "entry"
        number = len(given)
        many = unit if number == 1 else {"character": "characters", "entry": "entries"}[unit]
        verb = "may have" if length.group(1) == "<=" else "needs"
        return f"{what} has {number} {many} and {verb} {_WORDS[length.group(1)]} {length.group(2)}"
    if (bound := _BOUND.fullmatch(text)) is not None:
        return f"{what} is {_shown(given)} and has to be {_WORDS[bound.group(1)]} {bound.group(2)}"
    if (pattern := _PATTERN.fullmatch(text)) is not None:
        return f"{what} is {_shown(given)} and has to match {pattern.group(1)}"
    if text.startswith(("Expected `", "Invalid ")):
        return f"{what} is {_shown(given)}, which is nothing that it can be"
    # A check of the domain's own, which says what it means.
    return text


def _shown(given: Any) -> str:
    if not isinstance(given, str):
        return str(given)
    return f'"{given}"' if len(given) <= SHOWN_MAX else f'"{given[:SHOWN_MAX]}..."'


def _value(fields: Any, steps: Sequence[str | int]) -> Any:
    """Return what lies at a path; None where it ends early."""
    for step in steps:
        try:
            fields = fields[step]
        except (KeyError, IndexError, TypeError):
            return None
    return fields


def _wire(steps: Sequence[str | int]) -> list[str | int]:
    return [camel(step) if isinstance(step, str) else step for step in steps]
