"""Writes one export to a file: the same for a job of the server and for the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opscore import __version__
from opscore.database import Database
from opscore.domain.command import Role
from opscore.exports.datasets import ABOUT, Column, Wanted, opened
from opscore.exports.formats import Format, require, writer
from opscore.files import appearing
from opscore.permissions import may_see_field
from opscore.projector import Projector
from opscore.projector.snapshot import Batch

Progress = Callable[[int, int | None], None]
"""Called after each batch with the rows written and, where it is known, how much is done in percent."""


class ExportStopped(Exception):
    """The export was stopped before its end; no file was written."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written.

    position: of the log, that all of it was read at. projection, version: what answered, None for the log itself.
    valuation: the version of stock_valuation that costs and values are from, None where there are none.
    sha256: of the file, hexadecimal. taken_at: when the snapshot was taken, UTC.
    """

    rows: int
    bytes: int
    sha256: str
    position: int
    projection: str | None
    version: int | None
    valuation: int | None
    taken_at: str
    columns: list[dict[str, str]]

    def facts(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def write(
    database: Database,
    projector: Projector,
    wanted: Wanted,
    format_: Format,
    role: Role,
    file: Path,
    *,
    progress: Progress = lambda rows, percent: None,
    stop: Callable[[], bool] = lambda: False,
) -> Manifest:
    """Write a dataset to `file`, which appears complete or not at all and replaces one of that name.

    role: whose eyes it is for; columns that this role does not see are null. stop: asked after every batch.
    Raises ExportStopped, ProjectionRefused; refuses FormatNotInstalled.
    """
    require(format_)
    about = ABOUT[wanted.dataset]
    hidden = {name for name, place in about.hidden.items() if not may_see_field(role, place)}
    rows = 0
    with opened(database, projector, wanted) as found:
        taken_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        facts = {"dataset": wanted.dataset.value, "position": found.position, "taken_at": taken_at, "by": __version__}
        with appearing(file) as out, writer(format_, out, found.columns, facts) as put:
            for batch, percent in _blanked(found.batches, found.columns, hidden):
                put(batch)
                rows += len(batch)
                progress(rows, percent)
                if stop():
                    raise ExportStopped("The export was stopped; no file was written.")
    digest, size = _digest(file)
    return Manifest(
        rows=rows,
        bytes=size,
        sha256=digest,
        position=found.position,
        projection=about.projection,
        version=found.version,
        valuation=found.valuation,
        taken_at=taken_at,
        columns=[{"name": column.name, "kind": column.kind.value} for column in found.columns],
    )


def _blanked(
    batches: Iterator[tuple[Batch, int | None]], columns: list[Column], hidden: set[str]
) -> Iterator[tuple[Batch, int | None]]:
    places = {place for place, column in enumerate(columns) if column.name in hidden}
    for batch, percent in batches:
        if places:
            batch = [tuple(None if place in places else value for place, value in enumerate(row)) for row in batch]
        yield batch, percent


def _digest(file: Path) -> tuple[str, int]:
    with file.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256")
        return digest.hexdigest(), written.tell()
