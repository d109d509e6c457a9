"""Finds the folders that other people read without Python: inside an installed package, else at the repository root."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_REPOSITORY = _PACKAGE.parents[1]


def path(name: str) -> Path:
    """Return the folder or file `name`: "schema", "projections", "alembic", "data", "explorer", ...

    A wheel carries them inside the package; an editable install and a bare `PYTHONPATH=src` use the repository's own.
    Raises FileNotFoundError when neither has it.
    """
    for root in (_PACKAGE, _REPOSITORY):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"opscore's '{name}' is missing from {_PACKAGE} and {_REPOSITORY}; install opscore again")
