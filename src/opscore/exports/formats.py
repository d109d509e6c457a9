"""How rows are written: CSV for people and spreadsheets, JSON lines and Parquet for programs, exact to the last digit.

CSV follows RFC 4180 in UTF-8. A cell of text that a spreadsheet would take for a formula (it begins with = + - @, tab,
carriage return or line feed, or with a full-width form of the first four) gets an apostrophe in front, as OWASP asks
(https://owasp.org/www-community/attacks/CSV_Injection). Numbers and times are ours and stay as they are. Who needs the
text untouched takes JSON lines or Parquet.
"""

from __future__ import annotations

import csv
import enum
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import IO, Any

import orjson

from opscore.domain.refusals import Refusal
from opscore.exports.datasets import Column, Kind
from opscore.projector.snapshot import Batch

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
PARQUET_EXTRA = "parquet"
ROWS_IN_GROUP = 32_768
DECIMAL_PLACES = 12
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?")


class Format(enum.StrEnum):
    """How an export is written."""

    CSV = "csv"
    """Comma-separated values; text that a spreadsheet would run as a formula has an apostrophe in front.

    An empty cell is null or empty text.
    """
    JSONL = "jsonl"
    """One JSON object a line; decimals are strings."""
    PARQUET = "parquet"
    """Apache Parquet, with types; this server needs the extra `parquet` for it."""


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSONL: "application/jsonl",
    Format.PARQUET: "application/vnd.apache.parquet",
}


class FormatNotInstalled(Refusal):
    """This server cannot write {format}: install the extra, pip install 'opscore[{extra}]', or take another format."""


def require(format_: Format) -> None:
    """Refuse a format that this installation cannot write. Refuses: FormatNotInstalled."""
    if format_ is Format.PARQUET:
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise FormatNotInstalled(format="Parquet", extra=PARQUET_EXTRA, path=("format",)) from None


def _same(value: Any) -> Any:
    return value


def _moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _json_text(value: Any) -> str:
    return orjson.dumps(value).decode()


_PLAIN: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: str,
    Kind.INTEGER: _same,
    Kind.DECIMAL: lambda value: format(value, "f"),
    Kind.BOOLEAN: _same,
    Kind.TIME: _moment,
    Kind.DAY: str,
    Kind.JSON: _same,
}
"""Kind -> a value as JSON has it: ids, decimals, moments and days as strings, moments in UTC with a Z."""


def guarded(text: str) -> str:
    """Return text that no spreadsheet takes for a formula; a negative number is none."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not _NEGATIVE.fullmatch(text) else text


Write = Callable[[Batch], None]


def writer(
    format_: Format, out: IO[bytes], columns: Sequence[Column], facts: dict[str, Any]
) -> AbstractContextManager[Write]:
    """Return what writes batches of rows to a file; when it is left without an error, all is written.

    facts: said of the file in the file itself, where the format has a place for it (Parquet). Refuses:
    FormatNotInstalled.
    """
    require(format_)
    if format_ is Format.PARQUET:
        return _parquet(out, columns, facts)
    return _csv(out, columns) if format_ is Format.CSV else _jsonl(out, columns)


_CELLS: dict[Kind, Callable[[Any], Any]] = {
    **_PLAIN,
    Kind.TEXT: lambda value: guarded(str(value)),
    Kind.BOOLEAN: lambda value: "true" if value else "false",
    Kind.JSON: lambda value: guarded(_json_text(value)),
}


@contextmanager
def _csv(out: IO[bytes], columns: Sequence[Column]) -> Iterator[Write]:
    text = io.TextIOWrapper(out, encoding="utf-8", newline="")
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(column.name for column in columns)
    cells = [_CELLS[column.kind] for column in columns]

    def write(batch: Batch) -> None:
        lines.writerows(
            ["" if value is None else cell(value) for cell, value in zip(cells, row, strict=True)] for row in batch
        )

    yield write
    text.flush()
    text.detach()


@contextmanager
def _jsonl(out: IO[bytes], columns: Sequence[Column]) -> Iterator[Write]:
    makers = [(column.name, _PLAIN[column.kind]) for column in columns]

    def write(batch: Batch) -> None:
        out.writelines(_objects(batch, makers))

    yield write


def _objects(batch: Batch, makers: Sequence[tuple[str, Callable[[Any], Any]]]) -> Iterator[bytes]:
    """Yield the rows as lines of JSON. makers: the name of each column and how a value of it is made."""
    for row in batch:
        values = {name: None if value is None else make(value) for (name, make), value in zip(makers, row, strict=True)}
        yield orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


@contextmanager
def _parquet(out: IO[bytes], columns: Sequence[Column], facts: dict[str, Any]) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    types = {
        Kind.INTEGER: pyarrow.int64(),
        Kind.DECIMAL: pyarrow.decimal128(38, DECIMAL_PLACES),
        Kind.BOOLEAN: pyarrow.bool_(),
        Kind.TIME: pyarrow.timestamp("us", "UTC"),
        Kind.DAY: pyarrow.date32(),
    }
    fields = [pyarrow.field(column.name, types.get(column.kind, pyarrow.string())) for column in columns]
    schema = pyarrow.schema(fields, metadata={"opscore": orjson.dumps(facts)})
    # A column of lists or objects is text that holds JSON: its shape differs from row to row.
    texts: dict[Kind, Callable[[Any], Any]] = {Kind.TEXT: str, Kind.JSON: _json_text}
    makers = [texts.get(column.kind, _same) for column in columns]
    waiting: list[Any] = []

    def put() -> None:
        # Small groups of rows would make a large file that is slow to read.
        if waiting:
            file.write_table(pyarrow.Table.from_batches(waiting, schema))
            waiting.clear()

    def write(batch: Batch) -> None:
        if batch:
            arrays = [
                pyarrow.array([None if value is None else make(value) for value in values], field.type)
                for values, make, field in zip(zip(*batch, strict=True), makers, fields, strict=True)
            ]
            waiting.append(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
            if sum(each.num_rows for each in waiting) >= ROWS_IN_GROUP:
                put()

    with parquet.ParquetWriter(out, schema, compression="zstd") as file:
        yield write
        put()
