"""Named statements of a `.sql` file beside a module, as psycopg takes them."""

from __future__ import annotations

from pathlib import Path

from psycopg.sql import SQL

from opscore.projector.sqltext import bind, statements


def load(module_file: str, name: str) -> dict[str, SQL]:
    """Return the statements of the file `name` beside a module (`__file__`) by their names; `:x` is a parameter."""
    path = Path(module_file).with_name(name)
    # The text is the program's own; psycopg's types ask for literals to keep values of callers out of it.
    return {each.name: SQL(bind(each.sql)) for each in statements(path.read_text(encoding="utf-8"), path.name)}
