"""`opscore projections`: build read models beside those that serve, compare, promote and drop them."""

# Modules are imported where they are used, so that `opscore --help` answers at once.

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opscore.cli.common import opened_projector
from opscore.console import Bars, fail, out, stoppable, table

if TYPE_CHECKING:
    from opscore.projector import Comparison

projections_app = typer.Typer(help="Read models: list, build beside, compare, promote, drop.", no_args_is_help=True)


@projections_app.command("list")
def projections_list() -> None:
    """List every version: its state, its position in the log, and the question it answers."""
    with opened_projector() as projector:
        rows = projector.status()
    table(
        ("name", "version", "state", "position", "behind", "question"),
        [
            (row.entry.name, row.entry.version, row.entry.state, row.entry.position, row.lag, row.question)
            for row in rows
        ],
        right=(1, 3, 4),
    )
    for row in rows:
        if row.entry.failed_position is not None:
            out.print(
                f"{row.entry.name} {row.entry.version} stopped at position {row.entry.failed_position} in "
                f"{row.entry.failed_statement}: {row.entry.error}",
                markup=False,
            )


@projections_app.command("plan")
def projections_plan() -> None:
    """Say what `projections rebuild` would do, and change nothing."""
    with opened_projector() as projector:
        lines = projector.plan()
    table(
        ("name", "version", "serving", "action", "why"),
        [(line.name, line.version, line.serving, line.action, line.why) for line in lines],
        right=(1, 2),
    )


@projections_app.command("rebuild")
def projections_rebuild(
    name: Annotated[str | None, typer.Argument(help="The projection; all that are missing if none.")] = None,
) -> None:
    """Build the newest version beside the one that serves. Can be stopped and run again."""
    with opened_projector() as projector, Bars() as bars, stoppable() as stop:
        if name is None:
            projector.deploy(by="cli", progress=bars.projecting, stop=stop)
        else:
            projector.rebuild(name, by="cli", progress=bars.projecting, stop=stop)


@projections_app.command("compare")
def projections_compare(
    name: Annotated[str, typer.Argument(help="The projection.")],
    old: Annotated[int, typer.Argument(help="The version to compare with.")],
    new: Annotated[int, typer.Argument(help="The version to compare.")],
    rows: Annotated[int, typer.Option(min=0, help="How many differing rows to show.")] = 20,
) -> None:
    """Say which rows differ between two versions, by how much, and which events are behind it."""
    with opened_projector() as projector:
        result = projector.compare(name, old, new, by="cli", sample=rows)
    _print_comparison(result)


def _print_comparison(result: Comparison) -> None:
    out.print(f"{result.name} {result.old_version} and {result.new_version} at position {result.position}:")
    for name, totals in result.totals.items():
        out.print(
            f"  {name}: differing rows {totals['differing_rows']}, only in {result.old_version} {totals['only_old']}, "
            f"only in {result.new_version} {totals['only_new']}; rows in all {totals['old']} and {totals['new']}",
            markup=False,
        )
        for column, sums in totals["columns"].items():
            out.print(f"    {column}: {sums['old']} -> {sums['new']} ({sums['difference']})", markup=False)
    for row in result.sample:
        key = ", ".join(f"{column} {value}" for column, value in row["key"].items())
        out.print(f"  {row['table']} [{key}]", markup=False)
        sides = (row["old"] or {}, row["new"] or {})
        for column in dict.fromkeys([*sides[0], *sides[1]]):
            before, after = (side.get(column) for side in sides)
            if before != after:
                out.print(f"    {column}: {before} -> {after}", markup=False)
        if row["events"]:
            out.print(f"    events {', '.join(str(event['position']) for event in row['events'])}", markup=False)
    out.print(f"Differing rows in all: {result.differing_rows}")


@projections_app.command("promote")
def projections_promote(
    name: Annotated[str, typer.Argument(help="The projection.")],
    version: Annotated[int, typer.Argument(help="The version that shall serve.")],
    by: Annotated[str, typer.Option(help="Who decided it; kept in the catalogue.")] = "cli",
) -> None:
    """Let a compared version serve from now on. Going back is the same word with the old version."""
    with opened_projector() as projector:
        entry = projector.promote(name, version, by=by)
    out.print(f"{entry.name} version {entry.version} serves.")


@projections_app.command("drop")
def projections_drop(
    name: Annotated[str, typer.Argument(help="The projection.")],
    version: Annotated[int, typer.Argument(help="The version whose tables shall go.")],
) -> None:
    """Drop the tables of a version that does not serve."""
    with opened_projector() as projector:
        projector.drop(name, version)
    out.print(f"{name} version {version} is gone.")


@projections_app.command("resume")
def projections_resume(
    name: Annotated[str, typer.Argument(help="The projection.")],
    version: Annotated[int, typer.Argument(help="The version that a failure stopped.")],
) -> None:
    """Let a version that a failure stopped try again from where it stands."""
    with opened_projector() as projector:
        projector.resume(name, version)
    out.print(f"{name} version {version} goes on.")


@projections_app.command("lock")
def projections_lock(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when a version is not locked.")] = False,
) -> None:
    """Write the digest of each new version to projections/versions.lock."""
    from opscore import resources
    from opscore.projector import lock, read_all

    folder = resources.path("projections")
    definitions = read_all(folder)
    lock.refuse_edited(folder, definitions)
    missing = lock.unlocked(folder, definitions)
    if check and missing:
        raise fail(f"Not locked yet: {', '.join(missing)}; run: opscore projections lock")
    if not check:
        lock.write(folder, definitions)
    out.print(f"{len(definitions)} projections are locked" + (f", {', '.join(missing)} newly." if missing else "."))
