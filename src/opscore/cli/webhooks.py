"""The words `opscore webhook ...`: what owners do over the API, for those who sit at the server."""

# Modules are imported where they are used, so that `opscore --help` answers at once.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import typer

from opscore.cli.common import key_of, migrated
from opscore.console import fail, out, table
from opscore.domain.command import Actor, Role

if TYPE_CHECKING:
    from opscore.webhooks.book import WebhookBook

webhook_app = typer.Typer(help="Webhooks: add, list, rotate, pause, resume, remove, send again.", no_args_is_help=True)

POSITION_MAX = 2**63 - 1
"""The database's own: what PostgreSQL calls bigint."""

ACTOR = Actor(id="cli", role=Role.OWNER)

WebhookId = Annotated[UUID, typer.Argument(help="The id that `webhook list` shows.")]


@contextmanager
def _book() -> Iterator[WebhookBook]:
    from opscore.domain.refusals import NotFound, Refusal
    from opscore.webhooks.book import WebhookBook

    with migrated() as (database, _):
        try:
            yield WebhookBook(database)
        except NotFound as missing:
            if missing.facts["what"] != "webhook":
                raise fail(missing.message) from None
            raise fail("There is no webhook with this id; see: opscore webhook list") from None
        except Refusal as refusal:
            raise fail(refusal.message) from None


@webhook_app.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where to send to: https.")],
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="An event type to send; repeatable; all if none.")
    ] = None,
    store: Annotated[
        list[str] | None, typer.Option(help="A store, by global id or UUID; repeatable; all if none.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for; no personal data.")] = "",
    after: Annotated[
        int | None,
        typer.Option(
            min=0, max=POSITION_MAX, help="Begin behind this position, 0 for the whole log; default: from now on."
        ),
    ] = None,
    imports: Annotated[bool, typer.Option("--imports", help="Send imported history as well.")] = False,
) -> None:
    """Send events to a URL from now on. The secret that signs is shown this once."""
    with _book() as book:
        answer = book.register(
            ACTOR,
            str(uuid4()),
            url,
            description=description,
            types=type_ or None,
            store_ids=[key_of(each, "Store") for each in store] if store else None,
            with_imports=imports,
            after=after,
        )
    out.print(f"id      {answer.webhook.id}\nsecret  {answer.secret}", markup=False)


@webhook_app.command("list")
def listing() -> None:
    """List the webhooks and how they get on; never their secrets."""
    with _book() as book:
        rows = book.listed(ACTOR)
    table(
        ("id", "state", "behind", "dead", "url", "reason"),
        [
            (row.id, row.state, row.head - row.position, row.dead_letters, row.url, row.reason or row.last_error)
            for row in rows
        ],
        right=(2, 3),
    )


@webhook_app.command("rotate")
def rotate(
    webhook_id: WebhookId,
    overlap_hours: Annotated[int, typer.Option(min=0, max=168, help="For how long the old secret signs too.")] = 24,
) -> None:
    """Make a new secret and print it; for a while the ones before sign as well."""
    with _book() as book:
        answer = book.rotate(ACTOR, webhook_id, str(uuid4()), timedelta(hours=overlap_hours))
    out.print(f"secret  {answer.secret}", markup=False)


@webhook_app.command("pause")
def pause(webhook_id: WebhookId) -> None:
    """Deliver no more until it is resumed; its place in the log is kept."""
    with _book() as book:
        book.pause(ACTOR, webhook_id)
    out.print("Paused.")


@webhook_app.command("resume")
def resume(webhook_id: WebhookId) -> None:
    """Go on where it stopped; nothing in between is left out."""
    with _book() as book:
        book.resume(ACTOR, webhook_id)
    out.print("It delivers again.")


@webhook_app.command("remove")
def remove(webhook_id: WebhookId) -> None:
    """End a webhook and forget its secrets."""
    with _book() as book:
        book.delete(ACTOR, webhook_id)
    out.print("Removed.")


@webhook_app.command("ping")
def ping(webhook_id: WebhookId) -> None:
    """Send a signed message of type webhook.ping and say what came of it."""
    with _book() as book:
        sent, _ = book.ping(ACTOR, webhook_id)
    if sent.error is not None:
        raise fail(f"Not taken: {sent.error}")
    out.print(f"Taken, with status {sent.status}.")


@webhook_app.command("dead")
def dead(webhook_id: WebhookId) -> None:
    """List the first hundred events that were put aside after their last try."""
    from opscore.domain.refusals import NotFound

    with _book() as book:
        if book.one(ACTOR, webhook_id) is None:
            raise NotFound(what="webhook")
        rows = book.dead_letters(ACTOR, webhook_id)
    table(
        ("position", "type", "tries", "since", "why"),
        [(row.position, row.type, row.attempts, f"{row.dead_at:%Y-%m-%d %H:%M}", row.error) for row in rows],
        right=(0, 2),
    )


@webhook_app.command("redeliver")
def redeliver(
    webhook_id: WebhookId,
    position: Annotated[
        list[int] | None, typer.Option(min=1, max=POSITION_MAX, help="A dead letter; repeatable; all if none.")
    ] = None,
) -> None:
    """Try dead letters once more; a server that runs does it."""
    with _book() as book:
        _, count = book.redeliver(ACTOR, webhook_id, position or None)
    out.print(f"{count} events are tried once more.")
