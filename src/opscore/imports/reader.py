"""Rows of a CSV file, plain or gzipped, each with its number, so that a report can name it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

SHOWN_MAX = 200
"""Of a header that was not expected, how many characters are shown."""


class UnreadableFile(ValueError):
    """The file is not what the importer reads; the message says what was expected."""


def open_text(file: Path) -> IO[str]:
    """Open a CSV file for reading as UTF-8 text; gzip is recognised by its first two bytes, not by the name."""
    with file.open("rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
    if gzipped:
        return io.TextIOWrapper(gzip.open(file, "rb"), encoding="utf-8-sig", errors="replace", newline="")
    return file.open("r", encoding="utf-8-sig", errors="replace", newline="")


def read_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number, cells) for every data row; row 1 follows the header.

    A row may have too few or too many cells: the caller says so in its report.
    Raises UnreadableFile when the header is not exactly `columns`, or the file is no CSV or a broken gzip.
    """
    with open_text(file) as text:
        rows = csv.reader(text)
        try:
            header = next(rows, [])
            if header != list(columns):
                found = ",".join(header)
                shown = "".join(sign if sign.isprintable() else "?" for sign in found[:SHOWN_MAX])
                raise UnreadableFile(f"{file.name}: expected the header {','.join(columns)}, found {shown}")
            yield from enumerate(rows, start=1)
        except (csv.Error, EOFError, gzip.BadGzipFile) as error:
            raise UnreadableFile(f"{file.name}: {error}") from error


def digest(*parts: object) -> str:
    """Return 16 hexadecimal digits that name this content: the same parts always give the same ones."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]
