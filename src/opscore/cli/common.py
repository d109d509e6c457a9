"""What several words of the command line need: the database brought up to date, its projections, a moment as typed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from opscore.console import err, fail
from opscore.settings import Settings, SetupError, load_settings

if TYPE_CHECKING:
    from opscore.database import Database
    from opscore.projector import Projector


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the database that the settings name; says so when that makes a PostgreSQL first, which takes seconds."""
    from opscore.database import Database
    from opscore.embedded import cluster

    if settings.database_url is None and not cluster(settings.data_dir).exists():
        err.print(
            f"Making a PostgreSQL of opscore's own under {settings.data_dir} (once; it takes some seconds) ...",
            markup=False,
        )
    with Database.open(settings) as database:
        yield database


def bring_up_to_date(database: Database) -> bool:
    """Migrate the database if it has to be; return whether it had to."""
    from opscore.database import migrated_version, newest_version

    if migrated_version(database) == newest_version():
        return False
    from opscore.migrations import migrate  # Loading Alembic takes as long as most commands.

    return migrate(database)


@contextmanager
def migrated(*, new: bool = False) -> Iterator[tuple[Database, Settings]]:
    """Open the database that the settings name. Raises SystemExit or SetupError saying what to do.

    new: whether it may begin with this word; a word that only looks says of an empty folder that it is one. Our own
    database is brought up to date; one that may have servers of before is so on purpose alone, by `opscore migrate`.
    """
    from opscore.database import migrated_version, version_fault
    from opscore.embedded import cluster

    settings = load_settings()
    if not new and settings.database_url is None and not cluster(settings.data_dir).exists():
        raise fail(
            f"There are no data of opscore under {settings.data_dir.resolve()}. If they are elsewhere, go there or set"
            " OPSCORE_DATA_DIR; to begin here: opscore demo, opscore serve, or an import."
        )
    with opened(settings) as database:
        database.require_durable()
        if settings.database_url is None:
            bring_up_to_date(database)
        elif fault := version_fault(migrated_version(database)):
            raise SetupError(f"This database cannot be used: {fault}")
        yield database, settings


@contextmanager
def opened_projector() -> Iterator[Projector]:
    """Open the projections of the database that the settings name."""
    from opscore.projector import Projector

    with migrated() as (database, _):
        yield Projector(database)


def key_of(given: str, kind: str) -> UUID:
    """Return the key of a global id of this kind, or of a UUID; raises SystemExit saying what to give."""
    from opscore.api.errors import BadId
    from opscore.api.ids import key_of

    try:
        return UUID(given)
    except ValueError:
        pass
    try:
        return key_of(given, kind)
    except BadId:
        raise fail(f"'{given}' is neither the global id of a {kind.lower()} nor a UUID") from None


def position_or_time(text: str) -> int | datetime:
    """Return the position, or the time with its offset, that somebody typed; raises SystemExit saying what to type."""
    if text.isdecimal():
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise fail(f"'{text}' is neither a position nor a time such as 2026-03-31T23:59:59+08:00") from None
    if time.tzinfo is None:
        raise fail("A time needs its offset, such as 2026-03-31T23:59:59+08:00")
    return time
