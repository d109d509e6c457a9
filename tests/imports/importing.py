"""Run an import in a process of its own, so that a test can kill it: `python -m tests.imports.importing FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from opscore.database import Database
from opscore.imports.online_retail import import_online_retail
from opscore.settings import Settings
from opscore.writer import Writer


def run(file: Path) -> None:
    """Import `file` into the database that the environment names."""
    settings = Settings(_env_file=None)
    with Database.open(settings) as database:
        writer = Writer(database, settings)
        writer.start()
        import_online_retail(writer, file, in_flight=64)
        writer.stop()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
