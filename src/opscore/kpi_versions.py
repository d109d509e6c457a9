"""Which version of each key figure was in force when: kept beside the log, so that no past definition is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from opscore import kpis
from opscore.database import Database
from opscore.kpis import Kpi
from opscore.projector.lock import EditedWithoutVersion
from opscore.sqlfiles import load

SQL = load(__file__, "kpi_versions.sql")


@dataclass(frozen=True, slots=True)
class InForce:
    """A version of a key figure and when it was in force here; `until` is None while it is."""

    kpi: Kpi
    digest: str
    since: datetime
    until: datetime | None


def take_into_service(database: Database, definitions: dict[str, Kpi] | None = None) -> None:
    """Enter the definitions of kpis.toml (or these) as in force from now on; what is in force already goes on.

    A version that another one replaces, or whose figure is gone, is in force until now and stays on record. May be
    called by any number of processes at once. Raises `EditedWithoutVersion` when a version was in force here with
    another meaning, `KpiFileError` for a file that does not read as it should.
    """
    known = kpis.load() if definitions is None else definitions
    released = kpis.released(known)
    given = {
        "codes": list(released),
        "versions": [each.version for each in released.values()],
        "digests": [each.digest for each in released.values()],
        "definitions": [Jsonb(kpis.as_json(kpi)) for kpi in known.values()],
    }
    with database.pool.connection() as connection, connection.transaction():
        if differing := connection.execute(SQL["differing"], given).fetchone():
            raise EditedWithoutVersion(
                f"{differing[0]}: its definition differs from version {differing[1]} as it was in force here; raise the"
                " version in kpis.toml, then run: opscore projections lock"
            )
        for statement in ("end", "end_gone", "begin"):
            connection.execute(SQL[statement], given)


def listed(database: Database, code: str | None = None) -> list[InForce]:
    """Return every stretch of time in which a version was in force, by code, oldest first; of one code or of all."""
    with database.pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(SQL["listed"], {"code": code}).fetchall()
    return [
        InForce(kpis.from_json(row["definition"]), row["digest"], row["in_force_from"], row["in_force_until"])
        for row in rows
    ]
