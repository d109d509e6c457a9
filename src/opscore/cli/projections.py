"""`opscore projections`: build read models beside those that serve, ask them, compare, promote and drop them."""

# Modules are imported where they are used, so that `opscore --help` answers at once.

from __future__ import annotations

import csv
import getpass
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opscore.cli.common import migrated, opened_projector
from opscore.console import Bars, Stopped, StopSwitch, counted, fail, figure, out, stoppable, table
from opscore.settings import load_settings

if TYPE_CHECKING:
    from opscore.projector import Comparison, Projector
    from opscore.projector.asking import Rows
    from opscore.projector.catalogue import Entry

projections_app = typer.Typer(
    help="Read models: list, ask, build beside, compare, promote, drop; what if; your own.", no_args_is_help=True
)

TABLE_ROWS = 50
SHOW_SECONDS_MAX = 600

Name = Annotated[str, typer.Argument(help="The projection.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A value as name=value; repeatable.")]
ShownRows = Annotated[int, typer.Option("--rows", min=0, help="How many differing rows to show.")]
ExportFile = Annotated[
    Path | None, typer.Option("--export", dir_okay=False, help="Also write what differs to this .csv or .parquet file.")
]


# What there is -------------------------------------------------------------------------------------------------------


@projections_app.command("list")
def projections_list() -> None:
    """List every version: its state, its position in the log, and the question it answers."""
    with opened_projector() as projector:
        rows = projector.status()
    if not rows:
        out.print("No read model has been built yet; run: opscore projections rebuild")
        return
    table(
        ("name", "version", "state", "position", "behind", "question"),
        [
            (row.entry.name, row.entry.version, row.entry.state, row.entry.position, figure(row.lag), row.question)
            for row in rows
        ],
        right=(1, 3, 4),
    )
    for row in rows:
        entry = row.entry
        if entry.failed_position is not None:
            out.print(
                f"{entry.name} {entry.version} stopped at position {entry.failed_position} in "
                f"{entry.failed_statement}: {entry.error}\n"
                f"  Once that is mended: opscore projections resume {entry.name} {entry.version}",
                markup=False,
            )
        _print_checks(entry)


def _print_checks(entry: Entry) -> None:
    for each in entry.failed_checks or ():
        found = "took too long to end" if each["rows"] is None else f"fails: {each['rows'][0]}"
        out.print(f"{entry.name} {entry.version}: check {each['check']} {found}", markup=False)


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
    for line in lines:
        if line.warning is not None:
            out.print(f"{line.name}: {line.warning}.", markup=False)


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


@projections_app.command("show")
def projections_show(
    name: Name,
    query: Annotated[str | None, typer.Option(help="What to ask; without it, what may be asked is listed.")] = None,
    given: Sets = None,
    output: Annotated[Format, typer.Option("--format", help="How to write the rows.")] = Format.TABLE,
    copy: Annotated[str | None, typer.Option("--as", help="Ask the copy that a replay made under this name.")] = None,
    version: Annotated[int | None, typer.Option(help="Ask this version; the one that serves if left out.")] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help=f"At most this many rows; a table has {TABLE_ROWS} if left out.")
    ] = None,
) -> None:
    """Ask a projection one of its queries and print the rows, or list what may be asked."""
    asked = name if copy is None else f"{copy}/{name}"
    values = _pairs(given)
    with opened_projector() as projector:
        if query is None:
            _print_questions(projector, asked, version)
            return
        limit = rows if rows is not None else TABLE_ROWS + 1 if output is Format.TABLE else None
        page = projector.rows(
            asked, query, values, store_ids=None, version=version, limit=limit, seconds_max=SHOW_SECONDS_MAX
        )
    _print_rows(page, output, TABLE_ROWS if rows is None else rows)


def _print_questions(projector: Projector, name: str, version: int | None) -> None:
    entry, questions = projector.questions(name, version=version)
    out.print(f"{entry.name} version {entry.version}, {entry.state} at position {entry.position}", style="bold")
    for rule, value in entry.rules.items():
        out.print(f"  rule {rule} = {json.dumps(value)}", markup=False)
    for each in questions:
        out.print(f"\n--query {each.name}: {each.description}", markup=False)
        for parameter in each.parameters:
            out.print(f"  --set {parameter.name}={parameter.type or 'value'}", markup=False)
        out.print(f"  columns: {', '.join(f'{column.name} {column.type}' for column in each.columns)}", markup=False)


def _print_rows(page: Rows, output: Format, rows_max: int) -> None:
    columns = [column.name for column in page.question.columns]
    if output is Format.TABLE:
        numbers = [
            place
            for place, column in enumerate(page.question.columns)
            if column.type in ("smallint", "integer", "bigint", "numeric")
        ]
        table(columns, [[figure(value) for value in row] for row in page.rows[:rows_max]], right=numbers)
        more = " There are more: --rows, or --format csv." if len(page.rows) > rows_max else ""
        out.print(f"Version {page.version} at position {page.position}.{more}")
    elif output is Format.CSV:
        writer = csv.writer(out.file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_plain(value) for value in row] for row in page.rows)
    else:
        for row in page.rows:
            values = {name: _plain(value) for name, value in zip(columns, row, strict=True)}
            out.file.write(json.dumps(values, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value if value is None or isinstance(value, str | int | bool | list | dict) else str(value)


def _pairs(given: list[str] | None) -> dict[str, str]:
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise fail(f"'{text}' is not name=value")
        if name in found:
            raise fail(f"{name} is given twice")
        found[name] = value
    return found


# Build, compare, promote, drop ---------------------------------------------------------------------------------------


@projections_app.command("rebuild")
def projections_rebuild(
    name: Annotated[str | None, typer.Argument(help="The projection; all that are missing if none.")] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Build a complete version once more; it does not answer meanwhile.")
    ] = False,
) -> None:
    """Build the newest version beside the one that serves. Can be stopped and run again."""
    if anew and name is None:
        raise fail("Say which projection to build anew: opscore projections rebuild NAME --anew")
    from opscore import kpi_versions
    from opscore.projector import Projector

    with migrated() as (database, _), Bars() as bars, stoppable() as stop:
        projector = Projector(database)
        if name is None:
            kpi_versions.take_into_service(database)
            projector.deploy(by=_user(), progress=bars.projecting, stop=stop)
        else:
            _print_checks(projector.rebuild(name, by=_user(), progress=bars.projecting, stop=stop, anew=anew))


@projections_app.command("compare")
def projections_compare(
    name: Name,
    old: Annotated[int, typer.Argument(help="The version to compare with.")],
    new: Annotated[int, typer.Argument(help="The version to compare.")],
    rows: ShownRows = 20,
    export: ExportFile = None,
) -> None:
    """Say which rows differ between two versions, by how much, and which events are behind it."""
    _require_writable(export)
    with opened_projector() as projector:
        with Bars() as bars, stoppable() as stop:
            result = projector.compare(
                name, old, new, by=_user(), sample=rows, progress=_parts(bars, stop, f"{name} {old} and {new}")
            )
        _print_comparison(result, f"{name} {old} and {new}", f"in {old}", f"in {new}")
        _export(projector, result, export)


def _parts(bars: Bars, stop: StopSwitch, title: str) -> Callable[[int, int], None]:
    """Return what shows how far a comparison is, and ends it once `stop` is set; nothing of it is stored then."""

    def show(done: int, parts: int) -> None:
        bars.at(title, done, parts)
        if stop():
            raise Stopped

    return show


@projections_app.command("whatif")
def projections_whatif(
    name: Name,
    given: Annotated[list[str], typer.Option("--set", help="A rule as rule=value; repeatable.")],
    from_day: Annotated[
        str | None, typer.Option("--from", help="From this local day on, such as 2026-02-01; all history if left out.")
    ] = None,
    rows: ShownRows = 20,
    export: ExportFile = None,
) -> None:
    """Say what the figures would be under other rules: build aside, compare, drop. Can be stopped and run again."""
    _require_writable(export)
    day = None if from_day is None else _day(from_day)
    with opened_projector() as projector:
        with Bars() as bars, stoppable() as stop:
            result = projector.whatif(
                name, _pairs(given), from_day=day, by=_user(), sample=rows, progress=bars.projecting, stop=stop
            )
        _print_comparison(result, f"{name} as it is and as it would be", "now", "then")
        _export(projector, result, export)
    out.print(f"Nothing was changed: {name} serves as before.", markup=False)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise fail(f"'{text}' is no day such as 2026-02-01") from None


def _require_writable(file: Path | None) -> None:
    """Say of a file for what differs that it cannot be, before the work on it is done."""
    from opscore.compare_export import ExportRefused, require_writable

    try:
        if file is not None:
            require_writable(file)
    except ExportRefused as refused:
        raise fail(str(refused)) from None


def _export(projector: Projector, result: Comparison, file: Path | None) -> None:
    if file is None:
        return
    from opscore.compare_export import ExportRefused, export

    try:
        with Bars() as bars, stoppable() as stop:
            lines = export(
                projector, result, file, stop=stop, progress=lambda done, total: bars.at("rows written", done, total)
            )
    except ExportRefused as refused:
        raise fail(str(refused)) from None
    out.print(f"{counted(lines, 'differing value')} -> {file}", markup=False)


def _print_comparison(result: Comparison, title: str, old: str, new: str) -> None:
    out.print(f"{title} at position {result.position}:", markup=False)
    for name, totals in result.totals.items():
        out.print(
            f"  {name}: differing rows {totals['differing_rows']:,}, only {old} {totals['only_old']:,}, "
            f"only {new} {totals['only_new']:,}; rows in all {totals['old']:,} and {totals['new']:,}",
            markup=False,
        )
        for column, sums in totals["columns"].items():
            out.print(
                f"    {column}: {_number(sums['old'])} -> {_number(sums['new'])} ({_number(sums['difference'])})",
                markup=False,
            )
    for row in result.sample:
        key = ", ".join(f"{column} {value}" for column, value in row["key"].items())
        out.print(f"  {row['table']} [{key}]", markup=False)
        values = (row["old"] or {}, row["new"] or {})
        for column in dict.fromkeys([*values[0], *values[1]]):
            before, after = (side.get(column) for side in values)
            if before != after:
                out.print(f"    {column}: {figure(before) or 'none'} -> {figure(after) or 'none'}", markup=False)
        if row["events"]:
            named = list(dict.fromkeys(event["position"] for event in row["events"]))
            more = row["event_count"] - len(row["events"])
            behind = f" and {more:,} more (--export)" if more else ""
            out.print(f"    events {', '.join(map(str, named))}{behind}", markup=False)
    if result.differing_rows > len(result.sample):
        out.print(f"  ... and {counted(result.differing_rows - len(result.sample), 'row')} more (--rows, --export)")
    for remark in result.remarks:
        out.print(f"  Note: {remark}.", markup=False)
    out.print(f"Differing rows in all: {result.differing_rows:,}")


def _number(text: str) -> str:
    from opscore.domain.values import plain

    try:
        return figure(plain(Decimal(text)))
    except InvalidOperation:
        return text


@projections_app.command("promote")
def projections_promote(
    name: Name,
    version: Annotated[int, typer.Argument(help="The version that shall serve.")],
    by: Annotated[
        str | None, typer.Option(help="Who decided it; kept for ever. The user of this machine if left out.")
    ] = None,
    despite_checks: Annotated[
        str | None, typer.Option(help="Let it serve though its checks fail, and why; kept for ever.")
    ] = None,
) -> None:
    """Let a compared version serve from now on. Going back is the same word with the old version."""
    with opened_projector() as projector:
        entry = projector.promote(name, version, by=by or _user(), despite=despite_checks)
    out.print(f"{entry.name} version {entry.version} serves.")


@projections_app.command("upgrade")
def projections_upgrade(
    names: Annotated[list[str] | None, typer.Argument(help="The projections; all of them if none.")] = None,
    promote: Annotated[bool, typer.Option("--promote", help="Let each serve once it is compared.")] = False,
    by: Annotated[
        str | None, typer.Option(help="Who decided it; kept for ever. The user of this machine if left out.")
    ] = None,
) -> None:
    """Build the newest versions, as after an update of opscore, and compare each with the one that serves.

    Can be stopped and run again: what serves by then goes on serving.
    """
    from opscore import kpi_versions
    from opscore.projector import ProjectionRefused, Projector

    who = by or _user()
    rows, refused = [], []
    with migrated() as (database, _), Bars() as bars, stoppable() as stop:
        projector = Projector(database)
        for name in names or ():
            projector.require_known(name)
        kpi_versions.take_into_service(database)
        projector.deploy(by=who, progress=bars.projecting, stop=stop)
        waiting = [pair for pair in projector.superseding() if not names or pair[0].name in names]
        for serving, newest in waiting:
            if stop():
                break
            differing, state = None, newest.state
            try:
                # One that a failure has stopped cannot be compared, and need not be.
                if serving.failed_position is None:
                    title = f"{newest.name} {serving.version} and {newest.version}"
                    compared = projector.compare(
                        newest.name, serving.version, newest.version,
                        by=who, sample=0, progress=_parts(bars, stop, title),
                    )  # fmt: skip
                    differing = compared.differing_rows
                if promote:
                    state = projector.promote(newest.name, newest.version, by=who).state
            except ProjectionRefused as fault:
                refused.append(str(fault))
                state = "refused"
            rows.append((serving.name, serving.version, newest.version, differing, state))
    if not waiting:
        out.print("Every projection serves its newest version.")
        return
    table(
        ("name", "serving", "newest", "differing rows", "the newest"),
        [(name, old, new, figure(differing), state) for name, old, new, differing, state in rows],
        right=(1, 2, 3),
    )
    for each in refused:
        out.print(each, markup=False)
    if refused:
        raise fail("not every projection could be let serve" if promote else "not every projection could be compared")
    if not promote:
        out.print(
            "What differs: opscore projections compare NAME SERVING NEWEST. To let them serve:"
            " opscore projections upgrade --promote"
        )


@projections_app.command("history")
def projections_history(
    name: Annotated[str | None, typer.Argument(help="The projection; all of them if left out.")] = None,
) -> None:
    """List which version was let serve when, by whom, and on which comparison; latest first."""
    with opened_projector() as projector:
        if name is not None:
            projector.require_known(name)
        found = projector.promotions(name)
    if not found:
        out.print("No version has been let serve yet.")
        return
    table(
        ("name", "number", "version", "before", "when", "who", "comparison", "despite its checks"),
        [
            (
                each.name, each.number, each.version, each.from_version, f"{each.promoted_at:%Y-%m-%d %H:%M:%S %Z}",
                each.promoted_by, each.compare_id, each.despite,
            )
            for each in found
        ],
        right=(1, 2, 3),
    )  # fmt: skip


def _user() -> str:
    """Return who uses this machine: what somebody decides here is kept with a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise fail("This user has no name on this machine; set LOGNAME, or say who it is with --by") from None


@projections_app.command("drop")
def projections_drop(
    name: Annotated[str | None, typer.Argument(help="The projection.")] = None,
    version: Annotated[int | None, typer.Argument(help="The version whose tables shall go.")] = None,
    superseded_days: Annotated[
        int | None,
        typer.Option(
            min=1, max=36_500, help="Instead: every version that a promoted one has replaced this many days ago."
        ),
    ] = None,
) -> None:
    """Drop the tables of a version that does not serve, or of all that were replaced long enough ago."""
    if (superseded_days is None) == (name is None or version is None):
        raise fail("Say which: opscore projections drop NAME VERSION, or --superseded-days DAYS")
    with opened_projector() as projector:
        if superseded_days is not None:
            dropped = projector.drop_superseded(days=superseded_days, now=datetime.now(UTC))
            for entry in dropped:
                out.print(f"{entry.name} version {entry.version} is gone.", markup=False)
            if not dropped:
                out.print("No version was replaced that long ago.")
            return
        assert name is not None and version is not None
        projector.drop(name, version)
    out.print(f"{name} version {version} is gone.")


@projections_app.command("resume")
def projections_resume(
    name: Name,
    version: Annotated[int, typer.Argument(help="The version that a failure stopped.")],
) -> None:
    """Let a version that a failure stopped try again from where it stands."""
    with opened_projector() as projector:
        projector.resume(name, version)
    out.print(f"{name} version {version} goes on.")


# The folder ----------------------------------------------------------------------------------------------------------


@projections_app.command("init")
def projections_init(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A new or empty folder.")],
) -> None:
    """Start a folder of your own projections, with a README and one small example; needs no database."""
    from opscore import resources
    from opscore.projector import own

    made = own.begin(folder, resources.path("data") / "own_projections")
    out.print(
        f"{folder} holds {' and '.join(made)}. Let opscore know of it: OPSCORE_PROJECTIONS={folder.resolve()}",
        markup=False,
    )


@projections_app.command("copy")
def projections_copy(name: Name) -> None:
    """Copy one of opscore's own projections into your folder, a version higher, to be changed there."""
    from opscore import resources, spelling
    from opscore.projector import own, read_all

    folder = load_settings().projections
    if folder is None:
        raise fail("You have no folder of your own yet; run: opscore projections init DIR, and set OPSCORE_PROJECTIONS")
    packaged = read_all(resources.path("projections"))
    if name not in packaged:
        near = spelling.hint(name, packaged)
        raise fail(f"opscore has no projection {name}{near}; there are {', '.join(packaged)}")
    made = own.copy(packaged[name], folder)
    out.print(f"{made} is version {packaged[name].version + 1}: change it there.", markup=False)


@projections_app.command("lock")
def projections_lock(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when a version is not locked.")] = False,
) -> None:
    """Write the digest of each new version to versions.lock, in your own folder if you have one, and to kpis.lock."""
    from opscore import kpis, resources
    from opscore.projector import lock, read_all

    own = load_settings().projections
    folder = own or resources.path("projections")
    locked: dict[str, Mapping[str, lock.Versioned]] = {lock.FILE: read_all(folder)}
    if own is None:
        locked[kpis.LOCK] = kpis.released(kpis.load())
    missing = []
    for file, definitions in locked.items():
        lock.refuse_edited(folder, definitions, file)
        missing += lock.unlocked(folder, definitions, file)
    if check and missing:
        raise fail(f"Not locked yet: {', '.join(missing)}; run: opscore projections lock")
    for file, definitions in locked.items():
        if not check:
            lock.write(folder, definitions, file)
    counts = " and ".join(
        counted(len(definitions), what)
        for what, definitions in zip(("projection", "key figure"), locked.values(), strict=False)
    )
    out.print(f"{counts} locked" + (f", {', '.join(missing)} newly." if missing else "."))
