"""`opscore replay`: read models as they were known at a moment of the past."""

from __future__ import annotations

from typing import Annotated

import typer

from opscore.cli.common import opened_projector, position_or_time
from opscore.console import Bars, out, stoppable


def replay(
    until: Annotated[str, typer.Option(help="A position, or a time such as 2026-03-31T23:59:59+08:00.")],
    into: Annotated[str, typer.Option(help="Name of the copies: <into>/<projection>.")],
) -> None:
    """Build every read model as it was known at a position or time. Can be stopped and run again."""
    end = position_or_time(until)
    with opened_projector() as projector, Bars() as bars, stoppable() as stop:
        entries = projector.replay(end, into, progress=bars.projecting, stop=stop)
    for entry in entries:
        out.print(f"{entry.name} at position {entry.position}", markup=False)
