"""What every benchmark stands on: a fresh durable PostgreSQL, and a table that is printed as it fills."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from opscore.database import Database
from opscore.embedded import EmbeddedServer
from opscore.migrations import migrate
from opscore.settings import Settings

MASTER_KEY = "b3BzY29yZS1iZW5jaG1hcmstbWFzdGVyLWtleS4uLi4="


@contextlib.contextmanager
def fresh_database(**chosen: object) -> Iterator[tuple[Database, Settings]]:
    """Start a PostgreSQL of our own in a temporary folder, durable as in earnest, and migrate it."""
    folder = Path(tempfile.mkdtemp(prefix="opscore-bench-"))
    server = EmbeddedServer(folder / "data")
    try:
        settings = Settings(_env_file=None, database_url=server.url, master_key=MASTER_KEY, **chosen)
        with Database.open(settings) as database:
            migrate(database)
            yield database, settings
    finally:
        server.close()
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure is meant to be, on two cores that the client and PostgreSQL are on as well."""

    number: float
    most: bool = False
    """Whether it is to stay below the number, as a time does; else it is to reach it."""

    def judged(self, measured: float) -> str:
        """Return the aim and whether it is met, in words."""
        met = measured < self.number if self.most else measured >= self.number
        return f"aim {'below ' if self.most else ''}{self.number:,}: {'met' if met else 'MISSED'}"


class Table:
    """Rows of (what, figure, remark), printed one by one so that a long run shows where it is."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._console = Console(width=140, highlight=False)

    def row(self, what: str, figure: str, *remarks: str) -> None:
        """Print one measurement; a remark that says nothing is left out."""
        self._console.print(f"  {what:<48}{figure:>24}   {'; '.join(filter(None, remarks))}", soft_wrap=True)

    def __enter__(self) -> Self:
        self._console.print(f"\n[bold]{self.title}[/bold]")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._console.print()
