"""versions.lock: which rules each version of each projection had when it was released; kpis.lock the same of KPIs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from opscore.projector.sqltext import SqlFileError

FILE = "versions.lock"
_HEAD = "# name version digest; written by: opscore projections lock\n"


class Versioned(Protocol):
    """What has versions that may not be edited: a projection, or a key figure."""

    @property
    def name(self) -> str:
        """What it is called in the lock file."""

    @property
    def version(self) -> int:
        """Its version, from 1."""

    @property
    def digest(self) -> str:
        """Hexadecimal digest of everything that decides its figures."""


class EditedWithoutVersion(Exception):
    """The rules of a version that is locked were edited; the message says which and how to mend it."""


def read(folder: Path, file: str = FILE) -> dict[tuple[str, int], str]:
    """Return the locked digests by (name, version); raises `SqlFileError` for a line that is none."""
    path = folder / file
    if not path.exists():
        return {}
    locked = {}
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
        if line and not line.startswith("#"):
            try:
                name, version, digest = line.split()
                locked[(name, int(version))] = digest
            except ValueError:
                raise SqlFileError(
                    f"{path}, line {number}: write NAME VERSION DIGEST, or take the line out and run: opscore "
                    "projections lock"
                ) from None
    return locked


def stamp(folder: Path, file: str = FILE) -> tuple[int, int] | None:
    """Return what changes when a lock file is written: its time (nanoseconds) and size; None where there is none."""
    try:
        found = (folder / file).stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def refuse_edited(
    folder: Path, definitions: Mapping[str, Versioned], file: str = FILE, *, edited: str = "projection.toml"
) -> None:
    """Raise `EditedWithoutVersion` for a definition that differs from what is locked under its version.

    edited: the file in which its version is raised.
    """
    locked = read(folder, file)
    for definition in definitions.values():
        digest = locked.get((definition.name, definition.version))
        if digest is not None and digest != definition.digest:
            raise EditedWithoutVersion(
                f"{definition.name}: its rules differ from version {definition.version} as locked; raise the version in"
                f" {edited}, then run: opscore projections lock"
            )


def unlocked(folder: Path, definitions: Mapping[str, Versioned], file: str = FILE) -> list[str]:
    """Return the names whose version has no line in the lock file yet."""
    locked = read(folder, file)
    return [name for name, definition in definitions.items() if (name, definition.version) not in locked]


def write(folder: Path, definitions: Mapping[str, Versioned], file: str = FILE, *, anew: bool = False) -> None:
    """Add a line for each version that has none.

    anew: take the rules as they are for versions that were locked with others; only for versions nobody has built.
    Raises `EditedWithoutVersion` otherwise.
    """
    if not anew:
        refuse_edited(folder, definitions, file)
    locked = read(folder, file)
    locked.update({(name, definition.version): definition.digest for name, definition in definitions.items()})
    lines = [f"{name} {version} {digest}\n" for (name, version), digest in sorted(locked.items())]
    (folder / file).write_text(_HEAD + "".join(lines), "utf-8")
