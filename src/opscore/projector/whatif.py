"""What-if: the rules of a version changed for a comparison, in all history or from a day on, and nowhere kept."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from opscore import spelling
from opscore.projector.folder import WHATIF_FILE, Definition

COPY_PREFIX = "whatif_"
"""What the names of copies made for a what-if begin with."""


class RuleUnknown(ValueError):
    """There is no such rule, or it cannot have this value; the message lists the rules there are."""


def changed(definition: Definition, changes: Mapping[str, str], from_day: datetime.date | None = None) -> Definition:
    """Return the definition with rules set to other values, each written as text: "0.15", "true", "2026-02-01".

    from_day: the first local day on which they hold; None sets them for all history, whatever was in force when.
    Raises RuleUnknown for a rule or value that cannot be, and for changes that change nothing.
    """
    values = {name: _value(definition, name, text) for name, text in changes.items()}
    lines = ["[rules]" if from_day is None else f"[[rules_from]]\nday = {from_day}"]
    lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
    found = Definition(definition.name, {**definition.texts, WHATIF_FILE: "\n".join(lines) + "\n"})
    found.check()
    if not changes or found.digest == definition.digest:
        raise RuleUnknown(f"that is what {definition.name} says already; {rules_in_words(definition)}")
    return found


def rules_in_words(definition: Definition) -> str:
    """Return the rules of a definition with their values, for a message."""
    if not definition.rules:
        return f"{definition.name} has no rules"
    return f"the rules of {definition.name} are " + ", ".join(
        f"{name}={json.dumps(value) if isinstance(value, bool) else value} ({_KINDS[type(value)]})"
        for name, value in definition.rules.items()
    )


def copy_name(definition: Definition) -> str:
    """Return the name under which a changed definition is built; the same changes have the same name."""
    return f"{COPY_PREFIX}{definition.digest[:8]}/{definition.name}"


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    Decimal: "a decimal number",
    str: "text",
    datetime.date: "a day",
}


def _value(definition: Definition, name: str, text: str) -> Any:
    now = definition.rules.get(name)
    if now is None:
        near = spelling.hint(name, definition.rules)
        raise RuleUnknown(f"there is no rule {name}{near}; {rules_in_words(definition)}")
    kind = type(now)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text]
        if kind is Decimal:
            value = Decimal(text)
            if not value.is_finite():
                raise ValueError
            return value
        return datetime.date.fromisoformat(text) if kind is datetime.date else kind(text)
    except (KeyError, ValueError, InvalidOperation):
        raise RuleUnknown(f"{name} is {_KINDS[kind]}, not {text!r}; {rules_in_words(definition)}") from None


def _toml(value: Any) -> str:
    if isinstance(value, Decimal):
        return f'{{ decimal = "{value:f}" }}'
    # A JSON string is a TOML string as well.
    return json.dumps(value) if isinstance(value, bool | int | str) else str(value)
