"""What the command line shows of work that takes longer than a moment, and how it is stopped."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from opscore.imports.pipeline import Progress as ImportProgress
    from opscore.projector import Progress as ProjectionProgress

PLAIN_SECONDS = 5.0
"""How often a line is written where there is no terminal to draw on."""

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Stopped(Exception):
    """The person at the terminal asked to stop; what was done so far is kept."""


class Bars:
    """Shows how far pieces of work are: a bar each on a terminal, otherwise a plain line every five seconds.

    Use as a context manager and call `at` as often as you like.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        if err.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<24}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[pace]}"),
                console=err,
            )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, tuple[float, int]] = {}
        self._told: dict[str, float] = {}
        self._last: dict[str, str] = {}
        self._unknown: dict[str, int] = {}

    def at(
        self, title: str, done: int, total: int | None, *, rate: float | None = None, eta_seconds: float | None = None
    ) -> None:
        """Say how far the work called `title` is.

        done, total: in its own units; total None while unknown. rate: units per second, and eta_seconds: seconds left;
        both are worked out from the first call when not given.
        """
        if total == 0 and title not in self._began:
            return  # There is nothing to do, so nothing to show.
        now = time.monotonic()
        if total is None:
            self._unknown[title] = done
        else:
            self._unknown.pop(title, None)
        began, first = self._began.setdefault(title, (now, done))
        if rate is None:
            rate = (done - first) / (now - began) if now > began else 0.0
            eta_seconds = (total - done) / rate if total is not None and rate > 0 else None
        ended = total is not None and done >= total
        pace = f"{rate:,.0f}/s" if rate > 0 else "starting"
        if ended:
            pace = f"{rate:,.0f}/s, done" if rate > 0 else "done"
        elif eta_seconds is not None:
            pace += f", {duration(eta_seconds)} left"
        if self._bars is not None:
            if title not in self._tasks:
                self._tasks[title] = self._bars.add_task(title, total=total, pace=pace)
            self._bars.update(self._tasks[title], completed=done, total=total, pace=pace)
            return
        line = f"{title}: {done:,}" + ("" if total is None else f" of {total:,}") + f" ({pace})"
        self._last[title] = line
        if ended or now - self._told.get(title, -PLAIN_SECONDS) >= PLAIN_SECONDS:
            self._tell(title, now)

    def importing(self, stop: StopSwitch) -> Callable[[ImportProgress], None]:
        """Return what to hand to an import: shows its phases, and ends it (with `Stopped`) once `stop` is set."""

        def show(progress: ImportProgress) -> None:
            if stop():
                raise Stopped
            self.at(progress.phase, progress.done, progress.total, rate=progress.rate, eta_seconds=progress.eta_seconds)

        return show

    def projecting(self, progress: ProjectionProgress) -> None:
        """Show how far the rebuild of a projection is."""
        self.at(
            f"{progress.name} {progress.version}",
            progress.position,
            progress.target,
            rate=progress.events_per_second,
            eta_seconds=progress.eta_seconds,
        )

    def _tell(self, title: str, now: float) -> None:
        self._told[title] = now
        err.print(self._last.pop(title), markup=False)

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for title, done in list(self._unknown.items()):
                # Nobody could say when it would end; it has ended.
                self.at(title, done, done)
        if self._bars is not None:
            self._bars.stop()
        for title in list(self._last):
            self._tell(title, time.monotonic())


def duration(seconds: float) -> str:
    """Return a length of time as a person says it: '0.4 s', '12 s', '3 min 5 s', '2 h 10 min'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class StopSwitch:
    """Set by Ctrl-C or SIGTERM; asked between steps. A second Ctrl-C ends the program at once."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self) -> bool:
        """Say whether to stop."""
        return self.is_set

    def _set(self, number: int, frame: FrameType | None) -> None:
        if self.is_set:
            raise KeyboardInterrupt
        self.is_set = True
        err.print("Stopping after this step; what is done stays done.")


@contextmanager
def stoppable() -> Iterator[StopSwitch]:
    """Turn Ctrl-C and SIGTERM into a switch for the length of a `with` block; raises `Stopped` at its end if set."""
    switch = StopSwitch()
    before = {number: signal.signal(number, switch._set) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield switch
    except Exception:
        if not switch.is_set:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if switch.is_set:
        raise Stopped


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Print aligned columns, the same on a terminal and in a file; `right` names the columns of numbers."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        placed = (
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(placed).rstrip()

    out.print(line(headers), style="bold", markup=False)
    for row in cells:
        out.print(line(row), markup=False)


def counted(number: int, word: str, words: str | None = None) -> str:
    """Return a number with its word: "1 anchor", "2 anchors", "1,000 entries" (with `words` "entries")."""
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def figure(value: object) -> str:
    """Return a value as people read it: numbers with separators between thousands, anything else as it is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | Decimal) else str(value)


def fail(message: str, *, code: int = 1) -> SystemExit:
    """Print what went wrong and how to mend it; return the exit to raise."""
    err.print(message, style="red", markup=False)
    with suppress(OSError):  # Full or closed: that is what the message says then, and all that can be said.
        sys.stdout.flush()
    return SystemExit(code)
