"""versions.lock: which rules each version of each projection had when it was released."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from opscore.projector.folder import Definition

FILE = "versions.lock"
_HEAD = "# name version digest; written by: opscore projections lock\n"


class EditedWithoutVersion(Exception):
    """The rules of a version that is locked were edited; the message says which and how to mend it."""


def read(folder: Path) -> dict[tuple[str, int], str]:
    """Return the locked digests by (name, version)."""
    path = folder / FILE
    if not path.exists():
        return {}
    locked = {}
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version, digest = line.split()
            locked[(name, int(version))] = digest
    return locked


def refuse_edited(folder: Path, definitions: Mapping[str, Definition]) -> None:
    """Raise `EditedWithoutVersion` for a projection whose rules differ from those locked under its version."""
    locked = read(folder)
    for definition in definitions.values():
        digest = locked.get((definition.name, definition.version))
        if digest is not None and digest != definition.digest:
            raise EditedWithoutVersion(
                f"{definition.name}: its rules differ from version {definition.version} as locked; raise the version in"
                " projection.toml, then run: opscore projections lock"
            )


def unlocked(folder: Path, definitions: Mapping[str, Definition]) -> list[str]:
    """Return the projections whose version has no line in versions.lock yet."""
    locked = read(folder)
    return [name for name, definition in definitions.items() if (name, definition.version) not in locked]


def write(folder: Path, definitions: Mapping[str, Definition], *, anew: bool = False) -> None:
    """Add a line for each version that has none.

    anew: take the rules as they are for versions that were locked with others; only for versions nobody has built.
    Raises `EditedWithoutVersion` otherwise.
    """
    if not anew:
        refuse_edited(folder, definitions)
    locked = read(folder)
    locked.update({(name, definition.version): definition.digest for name, definition in definitions.items()})
    lines = [f"{name} {version} {digest}\n" for (name, version), digest in sorted(locked.items())]
    (folder / FILE).write_text(_HEAD + "".join(lines), "utf-8")
