"""What an import says at the end: counts of all it met, and a file of the rows that were not booked as they stood."""

from __future__ import annotations

import csv
import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Any


class Verdict(enum.StrEnum):
    """What became of a row that the report names."""

    REJECTED = "rejected"
    """Not booked."""
    NO_EFFECT = "no effect"
    """Understood, but there is nothing to book."""
    CHANGED = "changed"
    """Booked, but not exactly as written."""


@dataclass
class ImportReport:
    """Counts of one import run."""

    rows: int = 0
    """Data rows read."""
    rows_by_class: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    """Commands accepted in this run, by name."""
    commands_replayed: int = 0
    """Commands that were there already and recorded nothing."""
    commands_known: int = 0
    """Commands not even sent, because the log has their events."""
    commands_refused: Counter[str] = field(default_factory=Counter)
    """Refusals by code."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was noticed about rows, by sentence."""
    verdicts: Counter[str] = field(default_factory=Counter)
    rounding: Decimal = Decimal(0)
    """Exact amounts minus booked amounts, in major units, over all rows."""
    opening_quantity: Decimal = Decimal(0)
    """Units of assumed opening stock that the file needs."""
    seconds: float = 0.0

    @property
    def rows_per_second(self) -> float:
        """Rows of the file per second of the whole run, planning included."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def added(self) -> int:
        """How many commands recorded something in this run."""
        return self.commands.total()

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        text = [f"{self.rows:,} rows in {self.seconds:.1f} s ({self.rows_per_second:,.0f} rows/s)"]
        text += [f"  {count:>9,}  {name} rows" for name, count in sorted(self.rows_by_class.items())]
        text.append(f"{self.added:,} commands accepted, {self.commands_known + self.commands_replayed:,} there already")
        text += [f"  {count:>9,}  {name}" for name, count in sorted(self.commands.items())]
        text += [f"  {count:>9,}  refused: {code}" for code, count in sorted(self.commands_refused.items())]
        text.append(f"opening stock assumed: {self.opening_quantity:,} units")
        text.append(f"rounding of line amounts: {self.rounding}")
        text += [f"  {count:>9,}  {sentence}" for sentence, count in sorted(self.notes.items())]
        text.append(", ".join(f"{self.verdicts[verdict]:,} rows {verdict}" for verdict in Verdict))
        return text


class RejectFile:
    """A CSV file of rows that were rejected, had no effect or were changed: row number, verdict, reason, and the row.

    Without a path it only counts. Use as a context manager.
    """

    def __init__(self, path: Path | None, columns: Sequence[str], report: ImportReport) -> None:
        self._path = path
        self._columns = list(columns)
        self._report = report
        self._file: IO[str] | None = None
        self._writer: Any = None

    def __enter__(self) -> RejectFile:
        if self._path is not None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(["row", "verdict", "reason", *self._columns])
        return self

    def add(self, row: int, verdict: Verdict, reason: str, cells: Sequence[str]) -> None:
        """Name one row of the input; `reason` is a sentence that a person can act on."""
        self._report.verdicts[verdict] += 1
        if self._writer is not None:
            self._writer.writerow([row, verdict.value, reason, *cells])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
