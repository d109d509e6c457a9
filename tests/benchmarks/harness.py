"""What every benchmark stands on: a fresh durable PostgreSQL, and a table that is printed as it fills."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
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


class Table:
    """Rows of (what, figure, remark), printed one by one so that a long run shows where it is."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._console = Console(width=140, highlight=False)

    def row(self, what: str, figure: str, remark: str = "") -> None:
        """Print one measurement."""
        self._console.print(f"  {what:<48}{figure:>24}   {remark}")

    def __enter__(self) -> Self:
        self._console.print(f"\n[bold]{self.title}[/bold]")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._console.print()
