"""`opscore replay`: read models as they were known at a moment of the past, or the life of one aggregate."""

# Modules are imported where they are used, so that `opscore --help` answers at once.

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from opscore.cli.common import migrated, position_or_time
from opscore.console import Bars, counted, err, fail, out, stoppable

if TYPE_CHECKING:
    from opscore.projector import Projector
    from opscore.streams import Moment

VALUE_WIDTH = 100
"""How much of a changed value is shown on a terminal."""


def replay(
    until: Annotated[
        str | None, typer.Option(help="A position, or a time such as 2026-03-31T23:59:59+08:00; the head if left out.")
    ] = None,
    into: Annotated[str | None, typer.Option(help="Name of the copies: <into>/<projection>.")] = None,
    stream: Annotated[
        str | None, typer.Option(help="Print the life of one aggregate: its id, or its code or reference.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Build copies that are there already anew, as of another moment.")
    ] = False,
) -> None:
    """Build every read model as it was known at a position or time, or print the life of one aggregate.

    Copies are built by the newest rules in the folder of projections, those that were never promoted included, whatever
    serves now. They are asked like any projection: `opscore projections show kpi_daily --as <into>`. Making them can be
    stopped and run again.
    """
    from opscore.projector import Projector

    if (into is None) == (stream is None):
        raise fail("Say either --into NAME (copies of every read model) or --stream ID (the life of one aggregate)")
    with migrated() as (database, _):
        projector = Projector(database)
        end = None if until is None else _end(projector, until)
        if stream is not None:
            from opscore.streams import StreamUnknown, find, life

            try:
                _print_life(life(database, find(database, stream), until=end))
            except StreamUnknown as unknown:
                raise fail(str(unknown)) from None
            return
        assert into is not None
        if end is None:
            raise fail("Say until when: --until POSITION or --until TIME")
        with Bars() as bars, stoppable() as stop:
            entries = projector.replay(end, into, progress=bars.projecting, stop=stop, replace=replace)
    for entry in entries:
        out.print(f"{entry.name} at position {entry.position}", markup=False)
    out.print(f"Ask them by: opscore projections show kpi_daily --as {into}", markup=False)


def _end(projector: Projector, text: str) -> int:
    """Return the position that was asked for; says so when the log does not reach it yet."""
    asked = position_or_time(text)
    end, head = projector.position_of(asked), projector.head()
    if end > head or (isinstance(asked, datetime) and asked > datetime.now(UTC)):
        err.print(f"The log ends at position {head}; nothing behind it has been recorded yet.", markup=False)
    return min(end, head)


def _print_life(moments: Any) -> None:
    """Print a line and what it changed for each event; JSON lines where nobody looks at a terminal."""
    before: dict[str, Any] = {}
    count = 0
    for moment in moments:
        if out.is_terminal:
            _print_moment(moment, before)
            before = moment.state
        else:
            out.file.write(json.dumps(_as_json(moment), ensure_ascii=False) + "\n")
        count += 1
    if out.is_terminal:
        out.print(f"{counted(count, 'event')}; personal fields are shown as they are stored: sealed.")


def _print_moment(moment: Moment, before: dict[str, Any]) -> None:
    from opscore.streams import changes

    happened = moment.occurred_at.astimezone(ZoneInfo(moment.time_zone))
    out.print(
        f"{moment.position:>10}  {moment.stream_type} v{moment.version:<4} {happened:%Y-%m-%d %H:%M:%S %Z}  "
        f"{moment.type}  by {moment.actor}",
        style="bold",
        markup=False,
    )
    for name, value in changes(before, moment.state).items():
        text = json.dumps(value, ensure_ascii=False)
        cut = text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 1] + "\u2026"
        out.print(f"            {name} = {cut}", markup=False)


def _as_json(moment: Moment) -> dict[str, Any]:
    return {
        "position": moment.position,
        "stream_type": moment.stream_type,
        "version": moment.version,
        "type": moment.type,
        "occurred_at": moment.occurred_at.isoformat(),
        "recorded_at": moment.recorded_at.isoformat(),
        "time_zone": moment.time_zone,
        "actor": moment.actor,
        "origin": moment.origin,
        "data": moment.data,
        "state": moment.state,
    }
