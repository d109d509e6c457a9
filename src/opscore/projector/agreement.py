"""Rules of one name that several projections have: while they differ, figures of the same name differ too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from opscore.projector.folder import Definition


def disagreements(definitions: Mapping[str, Definition]) -> dict[str, str]:
    """Return, by projection, a sentence about its rules that another projection has with another value.

    A rule that changes on a day agrees when it does so in both.
    """
    held: dict[str, dict[str, list[tuple[date | None, Any]]]] = {}
    for name, definition in definitions.items():
        for rule in definition.rules:
            held.setdefault(rule, {})[name] = _course(definition, rule)
    found: dict[str, list[str]] = {}
    for rule, courses in held.items():
        for name, course in courses.items():
            if others := sorted(other for other, theirs in courses.items() if theirs != course):
                found.setdefault(name, []).append(f"{rule} is another in {', '.join(others)}")
    return {
        name: f"{'; '.join(each)}: figures that rest on both will not agree. Change the rule in each of them"
        for name, each in found.items()
    }


def _course(definition: Definition, rule: str) -> list[tuple[date | None, Any]]:
    """Return from when on a rule has which value: only days on which it changes."""
    course: list[tuple[date | None, Any]] = []
    for first, _, values in definition.rules_by_day:
        if not course or course[-1][1] != values[rule]:
            course.append((first, values[rule]))
    return course
