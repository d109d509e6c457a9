"""The words of `opscore`. Each is a thin call into the module that does the work."""

# Modules are imported where they are used, so that `opscore --help` answers at once.

from __future__ import annotations

import gc
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from opscore import __version__
from opscore.cli.common import bring_up_to_date, migrated, opened, position_or_time
from opscore.cli.export import export
from opscore.cli.projections import projections_app
from opscore.cli.replay import replay
from opscore.cli.tokens import token_app
from opscore.cli.webhooks import webhook_app
from opscore.console import Bars, Stopped, counted, err, fail, out, stoppable
from opscore.settings import Settings, SetupError, load_settings, unknown_settings

if TYPE_CHECKING:
    from opscore.database import Database
    from opscore.imports.pipeline import Progress as ImportProgress
    from opscore.writer import Writer

STOPPED_EXIT = 130
"""What a shell calls a program that Ctrl-C ended."""

app = typer.Typer(
    name="opscore",
    help="Event-sourced operations core for online retail. Settings are OPSCORE_... variables; see the README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
audit_app = typer.Typer(help="Prove that the log is what it was.", no_args_is_help=True)
import_app = typer.Typer(help="Book what is in a file as commands.", no_args_is_help=True)
schema_app = typer.Typer(help="What others rely on: the SDL and the stored events.", no_args_is_help=True)
app.add_typer(token_app, name="token")
app.add_typer(projections_app, name="projections")
app.add_typer(audit_app, name="audit")
app.add_typer(import_app, name="import")
app.add_typer(schema_app, name="schema")
app.add_typer(webhook_app, name="webhook")


def main() -> None:
    """Run the command line; what a person can mend is said in a sentence, without a trace."""
    # Told to end by whoever runs services, a word lets go of all that it uses as after Ctrl-C: the embedded PostgreSQL
    # would otherwise run on with nobody to use it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # Under nohup it is ignored, and stays so.
        signal.signal(signal.SIGHUP, _hang_up)
    try:
        _run()
    except KeyboardInterrupt:  # While modules are still being loaded, too.
        raise fail("Stopped at once.", code=STOPPED_EXIT) from None


def _hang_up(number: int, frame: FrameType | None) -> None:
    """Do what SIGTERM does at this moment: the terminal was closed, and nobody reads on."""
    signal.raise_signal(signal.SIGTERM)


def _run() -> None:
    # Half a million objects of modules and schema stay: looking for dead ones among them is a quarter of a start.
    gc.set_threshold(100_000, 20, 20)
    _require_text(sys.argv[1:])
    for sentence in unknown_settings():
        err.print(sentence, markup=False)
    try:
        app()
    except SystemExit as ended:  # Before what is below: the errors named there load most of the program.
        if ended.code == STOPPED_EXIT:
            raise KeyboardInterrupt from None  # Typer ends without a word.
        raise
    except KeyboardInterrupt:
        raise
    except _explained() as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(_of_the_system(error)) from None
    except _away() as error:
        raise fail(
            f"PostgreSQL could not go on: {str(error).strip()}\nWhat was done is kept; run the same command again once "
            "that is mended."
        ) from None
    except Stopped:
        raise fail("Stopped. Run the same command again to go on.", code=STOPPED_EXIT) from None


def _explained() -> tuple[type[Exception], ...]:
    """Return the errors that say by themselves what to do."""
    from opscore.kpis import KpiFileError
    from opscore.projector import ProjectionRefused
    from opscore.projector.lock import EditedWithoutVersion
    from opscore.projector.sqltext import SqlFileError

    return SetupError, ProjectionRefused, EditedWithoutVersion, SqlFileError, KpiFileError


def _away() -> type[Exception]:
    """Return what is raised when the database cannot be reached or goes away."""
    from psycopg import OperationalError

    return OperationalError


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no UTF-8: neither the database nor a message could hold them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode(errors="backslashreplace").decode()
            raise fail(f"'{shown}' is no text in UTF-8; write it in UTF-8, and give a file a name in UTF-8") from None


def _of_the_system(error: OSError) -> str:
    """Say which file it was, if it was one, and what to do about it."""
    why = error.strerror or str(error)
    if error.filename is None:
        return f"The system refused: {why}. Mend that, and run the same command again."
    return f"{error.filename}: {why}. Choose another place, or mend that, and run the same command again."


def _warn_without_checksums(database: Database) -> None:
    from opscore.database import has_data_checksums

    if not has_data_checksums(database):
        err.print(
            "This PostgreSQL keeps no data checksums, so it would not notice a page that its disk has altered; stop it "
            "and run: pg_checksums --enable"
        )


@app.callback(invoke_without_command=True)
def opscore(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    """Take options that go before any word."""
    if version:
        out.print(f"opscore {__version__}")
        raise typer.Exit


@app.command()
def migrate() -> None:
    """Set up the database, or bring it up to date."""
    from opscore.database import newest_version

    settings = load_settings()
    with opened(settings) as database:
        database.require_durable()
        _warn_without_checksums(database)
        worked = bring_up_to_date(database)
    done = ", newly." if worked else "; nothing to do."
    out.print(f"Schema '{settings.schema_name}' is at {newest_version()}{done}")


# Serving -------------------------------------------------------------------------------------------------------------


def _require_free_port(settings: Settings) -> None:
    """Say at once, not after an import, that somebody else listens there."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except socket.gaierror:
            raise SetupError(f"There is no address '{settings.host}' to listen on; set OPSCORE_HOST") from None
        except OSError as error:
            raise SetupError(
                f"Cannot listen on {settings.host} port {settings.port} ({error.strerror}); choose another one, such "
                f"as OPSCORE_PORT={settings.port % 65535 + 1}"
            ) from None


def _with_address(host: str | None, port: int | None) -> Settings:
    settings = load_settings()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return settings.model_copy(update=given)


Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")]


@app.command()
def serve(host: Host = None, port: Port = None) -> None:
    """Serve the API until told to stop. Several servers may share one database."""
    from opscore.app import serve as run
    from opscore.database import Database

    settings = _with_address(host, port)
    _require_free_port(settings)
    if settings.database_url is None:
        # The embedded database has no other user who could be surprised; a shared one is migrated on purpose.
        with opened(settings) as database:
            bring_up_to_date(database)
            run(settings)
    else:
        with Database.open(settings) as database:
            _warn_without_checksums(database)
        run(settings)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Show the figures and end; do not serve.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the demonstration's data and end.")] = False,
    host: Host = None,
    port: Port = None,
) -> None:
    """Import real retail history, build its figures, show them, and serve. Run again it goes on with the same data."""
    from opscore import demo as demonstration
    from opscore.app import serve as run

    settings = _with_address(host, port)
    if remove:
        removed = demonstration.remove(settings)
        out.print("The demonstration is gone; `opscore demo` starts afresh." if removed else "There was none.")
        return
    if not once:
        _require_free_port(settings)
    with opened(settings) as database:
        database.require_durable()
        bring_up_to_date(database)
        with Bars() as bars, stoppable() as stop:
            new = demonstration.load(database, settings, bars, stop)
        out.print(f"{counted(new, 'command')} new." if new else "Everything was there already.")
        found = demonstration.figures(database)
        demonstration.show(found, demonstration.tokens(database, settings, found.store_id), settings)
        if not once:
            out.print(f"Serving at http://{settings.host}:{settings.port} (Ctrl-C ends it; the data stay)")
            run(settings)


# In the order of `--help`: what everybody needs comes first.
app.command()(export)
app.command()(replay)

# Imports -------------------------------------------------------------------------------------------------------------


@contextmanager
def _booking(stopped: type[Exception]) -> Iterator[tuple[Writer, Callable[[ImportProgress], None]]]:
    """Lend an import a writer and a bar; the command ends with a message when it stops or a file does not read."""
    from opscore.imports.reader import UnreadableFile
    from opscore.writer import Writer

    with migrated(new=True) as (database, settings), Bars() as bars, stoppable() as stop:
        writer = Writer(database, settings)
        writer.start()
        try:
            yield writer, bars.importing(stop)
        except (stopped, UnreadableFile) as error:
            raise fail(f"{error}") from None
        finally:
            writer.stop()


@import_app.command("online-retail")
def import_online_retail(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The CSV file, plain or gzipped.")],
    store: Annotated[str | None, typer.Option(help="Name of the store to book to; made when absent.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where to write rows not booked as they stood; default: <file>.rejects.csv.")
    ] = None,
) -> None:
    """Import a file of Online Retail II. Run again it adds only what is new; it can be stopped and run again."""
    from opscore.imports.online_retail import ImportStopped, RetailStore, import_online_retail as book

    rejects = rejects or Path(f"{file.name}.rejects.csv")
    named = None if store is None else RetailStore(name=store)
    with _booking(ImportStopped) as (writer, progress):
        report = book(writer, file, store=named, rejects=rejects, progress=progress)
    for line in report.lines():
        out.print(line, markup=False)
    out.print(f"Rows that were not booked as they stood: {rejects}", markup=False)


@import_app.command("taobao-behaviour")
def import_taobao_behaviour(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The CSV file, plain or gzipped.")],
    store: Annotated[str, typer.Option(help="Name of the store to book to; made when absent.")] = "Taobao",
    rejects: Annotated[
        Path | None, typer.Option(help="Where to write rows that were not booked; default: <file>.rejects.csv.")
    ] = None,
) -> None:
    """Import a file of Taobao user behaviour: traffic by day and hour, purchases as orders without a price."""
    from opscore.imports.taobao_behaviour import TaobaoStopped, import_taobao_behaviour as book

    rejects = rejects or Path(f"{file.name}.rejects.csv")
    with _booking(TaobaoStopped) as (writer, progress):
        report = book(writer, file, store=store, rejects=rejects, progress=progress)
    for line in report.lines():
        out.print(line, markup=False)
    out.print(f"Rows that were not booked: {rejects}", markup=False)


@import_app.command("complete-journey")
def import_complete_journey(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Holds campaign_descriptions, campaigns and coupon_redemptions.",
        ),
    ],
    store: Annotated[str, typer.Option(help="Name of the store to book to; made when absent.")] = "Complete Journey",
    rejects: Annotated[
        Path | None, typer.Option(help="Where to write rows that were not booked; default: <folder>.rejects.csv.")
    ] = None,
) -> None:
    """Import the campaigns of 84.51 Complete Journey: whom each reached, and the coupons that were redeemed."""
    from opscore.imports.complete_journey import CompleteJourneyStopped, import_complete_journey as book

    rejects = rejects or Path(f"{folder.name}.rejects.csv")
    with _booking(CompleteJourneyStopped) as (writer, progress):
        report = book(writer, folder, store=store, rejects=rejects, progress=progress)
    for line in report.lines():
        out.print(line, markup=False)
    out.print(f"Rows that were not booked: {rejects}", markup=False)


# Audit ---------------------------------------------------------------------------------------------------------------

ANCHORS = "anchors.jsonl"


@audit_app.command("verify")
def audit_verify(
    anchors: Annotated[
        Path | None, typer.Option(help="File of anchors; default: the one in the data directory.")
    ] = None,
) -> None:
    """Check the whole log against its hashes and anchors, the snapshots, and what must hold of every read model."""
    from opscore.audit import verify
    from opscore.log.chain import Finding
    from opscore.projector import Projector

    with migrated() as (database, settings), Bars() as bars:
        if anchors is None and (settings.data_dir / ANCHORS).exists():
            anchors = settings.data_dir / ANCHORS
        if anchors is not None and not anchors.exists():
            raise fail(f"There is no file {anchors}")

        def read_models() -> Iterator[Finding]:
            for failure in Projector(database).check():
                yield Finding(
                    f"{failure.name} {failure.version}", None, f"{failure.check}: {failure.description} {failure.row}"
                )

        report = verify(
            database,
            anchors=anchors,
            checks=[read_models],
            progress=lambda done, total: bars.at("events verified", done, total),
        )
    for finding in report.findings:
        where = "" if finding.position is None else f" at position {finding.position}"
        out.print(f"{finding.check}{where}: {finding.message}", markup=False)
    out.print(
        f"{counted(report.events, 'event')}, {counted(report.anchors, 'anchor')} and "
        f"{counted(report.snapshots, 'snapshot')} checked; "
        f"the head is {report.head_hash}"
    )
    if report.anchors == 0:
        out.print(
            "Without an anchor kept elsewhere this shows only that the log agrees with itself: opscore audit anchor"
        )
    if not report.holds:
        raise fail(f"{counted(len(report.findings), 'finding')}.")
    out.print("Everything holds.")


@audit_app.command("anchor")
def audit_anchor(
    file: Annotated[
        Path | None, typer.Argument(help="Where to append it; keep this file where the database's owner cannot write.")
    ] = None,
) -> None:
    """Write the present head of the log (position, hash, time) to a file outside the database."""
    from opscore.audit import anchor

    with migrated() as (database, settings):
        path = file or settings.data_dir / ANCHORS
        written = anchor(database, path)
    out.print(f"position {written.position}  {written.hash}  -> {path}", markup=False)


@audit_app.command("export")
def audit_export(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The .zip to write.")],
    after: Annotated[
        str | None, typer.Option(help="Begin behind this position or recording time; default: the beginning.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="End with this position or recording time; default: the head.")
    ] = None,
    anchors: Annotated[
        Path | None, typer.Option(help="File of anchors to put in; default: the one in the data directory.")
    ] = None,
) -> None:
    """Write the events of a period, the rules and a verifier to one file for an auditor, who needs no opscore."""
    from opscore.bundle import BundleRefused, export

    period = {name: position_or_time(text) for name, text in (("after", after), ("until", until)) if text is not None}
    with migrated() as (database, settings), Bars() as bars, stoppable() as stop:
        if anchors is None and (settings.data_dir / ANCHORS).exists():
            anchors = settings.data_dir / ANCHORS
        if anchors is not None and not anchors.exists():
            raise fail(f"There is no file {anchors}")
        try:
            written = export(
                database,
                file,
                after=period.get("after"),
                until=period.get("until"),
                anchors=anchors,
                progress=lambda done, total: bars.at("events exported", done, total),
                stop=stop,
            )
        except BundleRefused as error:
            raise fail(f"{error}") from None
    out.print(
        f"{counted(written.events, 'event')}, positions {written.after + 1} to {written.until} -> {written.file}\n"
        f"digest {written.digest}\n"
        "Give the digest to the auditor by another way than the file. The bundle checks itself: python "
        "verify_bundle.py BUNDLE --digest DIGEST --anchors FILE",
        markup=False,
    )


# Schema --------------------------------------------------------------------------------------------------------------


@schema_app.command("export")
def schema_export(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when the code says otherwise.")] = False,
) -> None:
    """Write schema/opscore.graphql and the JSON Schema of new event versions; name what would break a client."""
    from opscore import resources
    from opscore.api import promises
    from opscore.api.command_documents import command_documents
    from opscore.api.schema import build_schema, export_schema
    from opscore.api.trusted import MANIFEST, manifest, operations_folder
    from opscore.log import schemas

    folder = resources.path("schema")
    path = folder / "opscore.graphql"
    listed = operations_folder() / MANIFEST
    commands = {operations_folder() / name: text for name, text in command_documents(build_schema()._schema).items()}
    kept, now = path.read_text(encoding="utf-8") if path.exists() else "", export_schema()
    promised = promises.promised_path().read_text(encoding="utf-8")
    broken = promises.broken(promised, now)
    if not check:
        for line in broken:
            out.print(f"breaks clients of the last release: {line}", markup=False)
        for line in promises.surprising(promised, now):
            out.print(f"may surprise clients of the last release: {line}", markup=False)
    if not check:
        path.write_text(now, encoding="utf-8")
        for file, text in commands.items():
            file.write_text(text, encoding="utf-8")
        listed.write_text(manifest(), encoding="utf-8")
        for written in schemas.export(folder / "events"):
            out.print(f"new: {written.name}", markup=False)
    faults = [fault.message for fault in schemas.faults(folder / "events")]
    if check and kept != now:
        faults.append("schema/opscore.graphql is not what the code says; run: opscore schema export")
    if check:
        faults += [
            f"schema/operations/{file.name} is not what the code says; run: opscore schema export"
            for file, text in commands.items()
            if not file.exists() or file.read_text(encoding="utf-8") != text
        ]
    if check and broken:
        faults += [f"breaks clients of the last release: {line}" for line in broken]
        faults.append(promises.REMEDY)
    if check and (not listed.exists() or listed.read_text(encoding="utf-8") != manifest()):
        faults.append(f"schema/operations/{MANIFEST} does not list the documents; run: opscore schema export")
    if faults:
        raise fail("\n".join(faults))
    out.print(f"{path.name} and the event schemas are what the code says.", markup=False)


@schema_app.command("release")
def schema_release(
    breaking: Annotated[bool, typer.Option("--breaking", help="This release breaks clients of the last one.")] = False,
) -> None:
    """Promise clients the API as it is now, unless that breaks the promise before: schema/released/opscore.graphql."""
    from opscore.api import promises
    from opscore.api.schema import export_schema

    path = promises.promised_path()
    for line in promises.release(path, export_schema(), breaking=breaking):
        out.print(f"breaks clients of the last release: {line}", markup=False)
    out.print(
        f"{path.parent.name}/{path.name} is the API as it is now; later changes are held against it.", markup=False
    )
