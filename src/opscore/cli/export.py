"""`opscore export`: rows into a file, read from one snapshot, as a job of the server writes them."""

# Modules are imported where they are used, so that `opscore --help` answers at once.

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from opscore.cli.common import key_of, migrated, position_or_time
from opscore.console import Bars, fail, out, stoppable
from opscore.domain.command import Role

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)
Moment = Annotated[str | None, typer.Option(help="A time such as 2026-03-31T23:59:59+08:00.")]


def export(
    name: Annotated[
        str,
        typer.Argument(
            help="orders, order_lines, stock_movements, stock_levels, skus, customers, customer_sales,"
            " reviews, campaign_results, events, kpi_daily or compares.",
            metavar="NAME",
        ),
    ],
    format_: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet.")] = "csv",
    store: Annotated[
        list[str] | None, typer.Option(help="Rows of this store, by global id or UUID; repeatable; all if none.")
    ] = None,
    since: Moment = None,
    before: Moment = None,
    compare: Annotated[UUID | None, typer.Option(help="Of compares: rows of this comparison; of all if none.")] = None,
    file: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="The file to write; default: <name>.<format>.")
    ] = None,
) -> None:
    """Write rows to a file for other programs; it appears whole or not at all. Says the position it was read at."""
    from opscore.domain.refusals import Refusal
    from opscore.exports.datasets import ABOUT, Dataset, Wanted, require_there
    from opscore.exports.files import ExportStopped, write
    from opscore.exports.formats import Format
    from opscore.projector import Projector

    dataset, format_of = _one_of(Dataset, "dataset", name), _one_of(Format, "format", format_)
    about = ABOUT[dataset]
    if not about.period and (since or before):
        raise fail(f"{dataset} cannot be narrowed to a period")
    if about.all_stores and store:
        raise fail(f"{dataset} are of all stores together")
    if compare is not None and dataset is not Dataset.COMPARES:
        raise fail(f"{dataset} are of no comparison")
    store_ids = [key_of(each, "Store") for each in store] if store else None
    wanted = Wanted(dataset, store_ids, _time(since), _time(before), compare)
    if wanted.since is not None and wanted.before is not None and wanted.since >= wanted.before:
        raise fail("The period ends before it begins: turn --since and --before round")
    path = file or Path(f"{dataset}.{format_of}")
    with migrated() as (database, _), Bars() as bars, stoppable() as stop:
        try:
            with database.pool.connection() as connection:
                require_there(connection, store_ids, compare)
            manifest = write(
                database,
                Projector(database),
                wanted,
                format_of,
                Role.OWNER,
                path,
                progress=lambda rows, percent: bars.at("rows written", rows, None),
                stop=stop,
            )
        except (Refusal, ExportStopped) as error:
            raise fail(f"{error}") from None
    out.print(
        f"{manifest.rows:,} rows as of position {manifest.position} -> {path}\nsha256 {manifest.sha256}", markup=False
    )


def _one_of(kind: type[ChoiceT], what: str, given: str) -> ChoiceT:
    from opscore.spelling import hint

    try:
        return kind(given)
    except ValueError:
        known = [str(each) for each in kind]
        raise fail(f"There is no {what} {given}{hint(given, known)}; there are {', '.join(known)}") from None


def _time(text: str | None) -> datetime | None:
    found = None if text is None else position_or_time(text)
    if isinstance(found, int):
        raise fail("A period is bounded by times such as 2026-03-31T23:59:59+08:00")
    return found
