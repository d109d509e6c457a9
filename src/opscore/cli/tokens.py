"""`opscore token`: who may ask this server, for what, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from opscore.cli.common import key_of, migrated
from opscore.console import fail, out, table
from opscore.domain.command import Role

token_app = typer.Typer(help="Tokens for the API.", no_args_is_help=True)


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Who holds it, as events will show: a pseudonym, no personal data.")],
    role: Annotated[Role, typer.Option(help="What the holder may do.")],
    store: Annotated[
        list[str] | None, typer.Option(help="A store it may act for, by global id or UUID; repeatable; all if none.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="The customer, by global id or UUID, for the role customer.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="All that it is for: read, write, metrics, or the name of one question or command; repeatable; "
            "whatever the role may if none."
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days until it expires.")] = 90,
    signs_in: Annotated[
        bool,
        typer.Option("--signs-in", help="The holder signs in at the identity provider under this name: one person."),
    ] = False,
) -> None:
    """Make a token and print it. It is shown this once; only its hash is kept."""
    from opscore.tokens import create_token

    with migrated(new=True) as (database, _):
        try:
            token_id, token = create_token(
                database,
                name,
                role,
                store_ids=[key_of(each, "Store") for each in store] if store else None,
                customer_id=None if customer is None else key_of(customer, "Customer"),
                scopes=scope or None,
                expires_at=datetime.now(UTC) + timedelta(days=days),
                signs_in=signs_in,
            )
        except ValueError as error:
            raise fail(f"{error}") from None
    out.print(f"id     {token_id}\ntoken  {token}", markup=False)


@token_app.command("add-role")
def token_add_role(
    token_id: Annotated[UUID, typer.Argument(help="The id that `token list` shows.")],
    role: Annotated[Role, typer.Argument(help="What the holder may act as besides, when a request asks for it.")],
    store: Annotated[
        list[str] | None, typer.Option(help="A store it holds for, by global id or UUID; repeatable; all if none.")
    ] = None,
    since: Annotated[datetime | None, typer.Option("--from", help="From when on (UTC); at once if left out.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Until when (UTC); as long as the token if left out.")] = None,
) -> None:
    """Let the holder of a token act in a further role. Given once more, the role's stores and time are replaced."""
    from opscore.tokens import ROLE_HEADER, add_role

    with migrated() as (database, _):
        try:
            add_role(
                database,
                token_id,
                role,
                store_ids=[key_of(each, "Store") for each in store] if store else None,
                valid_from=since and since.replace(tzinfo=UTC),
                valid_until=until and until.replace(tzinfo=UTC),
            )
        except ValueError as error:
            raise fail(f"{error}") from None
    out.print(f"Given. A request acts in it with the header {ROLE_HEADER}: {role}", markup=False)


@token_app.command("end-role")
def token_end_role(
    token_id: Annotated[UUID, typer.Argument(help="The id that `token list` shows.")],
    role: Annotated[Role, typer.Argument(help="The further role.")],
) -> None:
    """Take a further role from a token; every server heeds it within seconds."""
    from opscore.tokens import end_role

    with migrated() as (database, _):
        if not end_role(database, token_id, role):
            raise fail("This token has no such further role; see: opscore token list")
    out.print("Ended.")


@token_app.command("list")
def token_list() -> None:
    """List all tokens; never what they are, only whose."""
    from opscore.tokens import list_roles, list_tokens

    with migrated() as (database, _):
        rows = list_tokens(database)
        further: dict[UUID, list[str]] = {}
        for each in list_roles(database):
            further.setdefault(each.token_id, []).append(each.role)
    table(
        ("id", "name", "role", "stores", "customer", "scopes", "expires", "last used", "state"),
        [
            (
                row.id,
                row.name,
                ", ".join([row.role, *further.get(row.id, ())]),
                "all" if row.store_ids is None else ",".join(map(str, row.store_ids)),
                row.customer_id or "",
                "all" if row.scopes is None else ",".join(row.scopes),
                row.expires_at.date(),
                row.last_used_at and row.last_used_at.date(),
                "revoked" if row.revoked_at else "expired" if row.expires_at <= datetime.now(UTC) else "good",
            )
            for row in rows
        ],
    )


@token_app.command("revoke")
def token_revoke(token_id: Annotated[UUID, typer.Argument(help="The id that `token list` shows.")]) -> None:
    """End a token; every server stops taking it within seconds."""
    from opscore.tokens import revoke_token

    with migrated() as (database, _):
        if not revoke_token(database, token_id):
            raise fail("There is no good token with this id; see: opscore token list")
    out.print("Revoked.")
