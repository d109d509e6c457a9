"""Writes what differs between two compared versions to a file for a spreadsheet or a notebook: CSV, or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from opscore.exports.datasets import Column, Kind
from opscore.exports.formats import Format, FormatNotInstalled, require, writer
from opscore.files import appearing
from opscore.projector import Comparison, Projector
from opscore.projector.explaining import EventBehind

COLUMNS = ("number", "table", "key", "column", "old", "new", "difference", "events", "event_count")
"""A line for each value that differs: the row's number and key (JSON), both values as text, new less old where both are
numbers, the positions of the events behind the row, with blanks between, and how many they are. The events of a row are
not known once one of the versions was dropped, but for those of the first rows, which are kept."""
FORMATS = (".csv", ".parquet")
PAGE = 100

Line = tuple[Any, ...]


class ExportRefused(ValueError):
    """The comparison cannot be written as asked; the message says what to do."""


def require_writable(file: Path) -> Format:
    """Return the format that a file's name stands for; raises ExportRefused for one that cannot be written."""
    if file.suffix not in FORMATS:
        raise ExportRefused(f"{file.name} should end in {' or '.join(FORMATS)}")
    try:
        require(format_ := Format(file.suffix[1:]))
    except FormatNotInstalled as refused:
        raise ExportRefused(refused.message) from None
    return format_


def export(
    projector: Projector,
    compared: Comparison,
    file: Path,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Write the kept rows of a comparison to a `.csv` or `.parquet` file, whole or not at all; return the lines.

    progress: called with (rows written, rows in all). Raises ExportRefused.
    """
    format_ = require_writable(file)
    columns = [Column(name, Kind.INTEGER if name in ("number", "event_count") else Kind.TEXT) for name in COLUMNS]
    count = 0

    def pages() -> Iterator[list[Line]]:
        nonlocal count
        done = 0
        while rows := projector.compare_rows(compared.id, after=done, limit=PAGE):
            if stop():
                raise ExportRefused("The export was stopped; no file was written.")
            behind = projector.events_behind(compared, rows)
            page = [line for row in rows for line in _lines(row, behind.get(row.number))]
            count += len(page)
            done = rows[-1].number
            progress(done, compared.differing_rows)
            yield page

    facts = {"compare": str(compared.id), "position": compared.position}
    with appearing(file) as out, writer(format_, out, columns, facts) as put:
        for page in pages():
            put(page)
    return count


def _lines(row: Any, events: list[EventBehind] | None) -> Iterator[Line]:
    old: Mapping[str, Any] = row.old or {}
    new: Mapping[str, Any] = row.new or {}
    key = json.dumps(row.key, ensure_ascii=False)
    # One event may have contributed in several ways.
    behind = None if events is None else list(dict.fromkeys(event.position for event in events))
    positions = None if behind is None else " ".join(map(str, behind))
    count = None if behind is None else len(behind)
    for column in dict.fromkeys([*old, *new]):
        before, after = old.get(column), new.get(column)
        if before != after:
            yield (
                row.number, row.table, key, column, _text(before), _text(after), _difference(before, after), positions,
                count,
            )  # fmt: skip


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _difference(old: Any, new: Any) -> str | None:
    """Return new less old of two numbers: whole ones, or decimals, which JSON has as text."""
    try:
        before, after = (Decimal(value if isinstance(value, str) else int(value)) for value in (old, new))
    except (TypeError, ValueError, ArithmeticError):
        return None
    return format(after - before, "f") if before.is_finite() and after.is_finite() else None
