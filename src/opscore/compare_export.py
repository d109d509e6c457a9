"""Writes what differs between two compared versions to a file for a spreadsheet or a notebook: CSV, or Parquet."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from opscore.projector import Comparison, Projector

COLUMNS = ("number", "table", "key", "column", "old", "new", "difference", "events")
"""A line for each value that differs: the row's number and key (JSON), both values as text, new less old where both are
numbers, and the positions of the events behind the row, with blanks between."""
FORMATS = (".csv", ".parquet")
PAGE = 100

Line = tuple[int, str, str, str, str | None, str | None, str | None, str | None]


class ExportRefused(ValueError):
    """The comparison cannot be written as asked; the message says what to do."""


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
    if file.suffix not in FORMATS:
        raise ExportRefused(f"{file.name} should end in {' or '.join(FORMATS)}")
    writing = _csv if file.suffix == ".csv" else _parquet()
    count = 0

    def pages() -> Iterator[list[Line]]:
        nonlocal count
        done = 0
        while rows := projector.compare_rows(compared.id, after=done, limit=PAGE):
            if stop():
                raise ExportRefused("The export was stopped; no file was written.")
            behind = projector.events_behind(compared, rows)
            page = [line for row, events in zip(rows, behind, strict=True) for line in _lines(row, events)]
            count += len(page)
            done = rows[-1].number
            progress(done, compared.differing_rows)
            yield page

    with _appearing(file) as out:
        writing(out, pages())
    return count


def _lines(row: Any, events: list[dict[str, Any]] | None) -> Iterator[Line]:
    old: Mapping[str, Any] = row.old or {}
    new: Mapping[str, Any] = row.new or {}
    key = json.dumps(row.key, ensure_ascii=False)
    positions = None if events is None else " ".join(str(event["position"]) for event in events)
    for column in dict.fromkeys([*old, *new]):
        before, after = old.get(column), new.get(column)
        if before != after:
            yield (
                row.number, row.table, key, column, _text(before), _text(after), _difference(before, after), positions,
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


def _csv(out: IO[bytes], pages: Iterator[list[Line]]) -> None:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for page in pages:
        writer.writerows(page)
    text.detach()


def _parquet() -> Callable[[IO[bytes], Iterator[list[Line]]], None]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ExportRefused("Parquet needs the extra `parquet`: pip install 'opscore[parquet]'") from None

    types = [pyarrow.int64(), *[pyarrow.string()] * 7]
    schema = pyarrow.schema(list(zip(COLUMNS, types, strict=True)))

    def write(out: IO[bytes], pages: Iterator[list[Line]]) -> None:
        with parquet.ParquetWriter(out, schema) as writer:
            for page in pages:
                values = [list(column) for column in zip(*page, strict=True)] or [[] for _ in COLUMNS]
                arrays = [pyarrow.array(column, kind) for column, kind in zip(values, types, strict=True)]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))

    return write


@contextlib.contextmanager
def _appearing(file: Path) -> Iterator[IO[bytes]]:
    """Give a file to write that gets its name once it is whole; after any failure there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
    try:
        with os.fdopen(handle, "w+b") as out:
            yield out
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
