"""An operator's own folder of projections: laid over the package's, begun with an example, fed with copies."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from opscore.projector import lock, sqltext
from opscore.projector.folder import FILES, Definition, read_all
from opscore.projector.sqltext import SqlFileError, Statement

_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
_VERSION = re.compile(r"^version = \d+$", re.MULTILINE)


def laid_over(packaged: Mapping[str, Definition], folder: Path) -> dict[str, Definition]:
    """Return the packaged projections with those of an operator's folder in their place or beside them.

    Raises `SqlFileError` for a folder that is not there, a name that cannot be one, a copy of a packaged projection
    without a higher version, or without a query or column that it has (the API asks for them); `EditedWithoutVersion`.
    """
    if not folder.is_dir():
        raise SqlFileError(f"there is no folder {folder} of projections; run: opscore projections init {folder}")
    own = read_all(folder)
    lock.refuse_edited(folder, own)
    for name, definition in own.items():
        if not _NAME.fullmatch(name):
            raise SqlFileError(f"{folder / name}: a projection's name has at most 30 of a-z, 0-9 and _")
        original = packaged.get(name)
        if original is None:
            continue
        if definition.version <= original.version and definition.digest != original.digest:
            raise SqlFileError(
                f"{folder / name}: opscore's own {name} has version {original.version} now; raise yours above it"
            )
        asked, kept = ({each.name: each for each in one.statements("queries.sql")} for one in (original, definition))
        if missing := sorted(asked.keys() - kept.keys()):
            raise SqlFileError(f"{folder / name}/queries.sql: keep the query {missing[0]}; the API asks for it")
        for query, statement in asked.items():
            if lost := sorted(_columns(statement) - _columns(kept[query])):
                raise SqlFileError(
                    f"{folder / name}/queries.sql: keep the column {lost[0]} of {query}; the API may ask for it"
                )
    return {**packaged, **own}


def _columns(statement: Statement) -> set[str]:
    return {each[-1].lower() for each in sqltext.selected(statement.sql)}


def begin(folder: Path, example: Path) -> list[str]:
    """Make an operator's folder of `example`: a README and one small projection; return the names of what was made.

    Raises `SqlFileError` for a folder with anything in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SqlFileError(f"{folder} has something in it already; choose an empty or new folder")
    shutil.copytree(example, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return sorted(path.name for path in folder.iterdir())


def copy(definition: Definition, folder: Path) -> Path:
    """Write a packaged projection into an operator's folder with its version raised by one, to be changed there.

    Raises `SqlFileError` when there is one of this name already.
    """
    target = folder / definition.name
    if target.exists():
        raise SqlFileError(f"{target} is there already; change it there")
    texts = {file: text for file, text in definition.texts.items() if file in FILES}
    texts["projection.toml"], found = _VERSION.subn(
        f"version = {definition.version + 1}", texts["projection.toml"], count=1
    )
    if not found:
        raise SqlFileError(f"{definition.name}/projection.toml: write its version as 'version = {definition.version}'")
    target.mkdir(parents=True)
    for file, text in texts.items():
        (target / file).write_text(text, "utf-8")
    return target
