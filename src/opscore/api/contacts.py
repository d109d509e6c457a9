"""Personal data in clear: for answers that have put on record who asked for it and why, in notes and in reviews.

Notes of staff are shown without a reason to those who write them: they are there to be read by whoever takes the order
up next. What a review says its writer has published.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import strawberry
from strawberry.dataloader import DataLoader

from opscore.api.context import Context, Services
from opscore.api.errors import NotReady
from opscore.domain.customer_commands import ContactCard
from opscore.log.personal import SubjectErased
from opscore.sqlfiles import load

SQL = load(__file__, "contacts.sql")


@strawberry.type(description="Who somebody is and where they are reached. Null where nothing was given.")
class Contact:
    """Personal data of an order or a customer."""

    name: str | None = strawberry.field(default=None, description="Name, or to whom a parcel is addressed.")
    phone: str | None = strawberry.field(default=None, description="Phone number.")
    email: str | None = strawberry.field(default=None, description="E-mail address.")
    address: str | None = strawberry.field(default=None, description="Postal address.")
    remark: str | None = strawberry.field(default=None, description="What the customer asked for, or is to be known.")


def of_order(services: Services, order_id: UUID) -> Contact | None:
    """Return who ordered and where it goes; None when it was erased or never given (blocking)."""
    assert services.writer is not None
    with services.database.pool.connection() as connection:
        row = connection.execute(SQL["of_order"], {"stream_id": order_id}).fetchone()
        if row is None:
            return None
        subject_id, *sealed = row
        try:
            name, address, remark = (
                None if each is None else services.writer.keyring.open(connection, subject_id, each) for each in sealed
            )
        except SubjectErased:
            return None
    return Contact(name=name, address=address, remark=remark)


def _notes(context: Context) -> DataLoader[tuple[UUID, str], str | None]:
    if context.notes is None:
        services = context.services

        def opened(sealed: list[tuple[UUID, str]]) -> list[str | None]:
            if services.writer is None:
                raise NotReady("This server has no keys to read notes with.")
            with services.database.pool.connection() as connection:
                return services.writer.keyring.open_all(connection, sealed)

        async def load(sealed: list[tuple[UUID, str]]) -> list[str | None]:
            return await services.read(opened, sealed)

        context.notes = DataLoader(load_fn=load)
    return context.notes


async def of_notes(context: Context, subject_id: UUID, sealed: Sequence[str]) -> list[str | None]:
    """Return what notes, or reviews, say, None of who was erased; all that a request asks for are opened together."""
    return await _notes(context).load_many([(subject_id, each) for each in sealed])


def of_customer(services: Services, customer_id: UUID) -> Contact | None:
    """Return a customer's contact card; None when it was erased or never given (blocking)."""
    assert services.writer is not None
    with services.database.pool.connection() as connection:
        row = connection.execute(SQL["of_customer"], {"stream_id": customer_id}).fetchone()
        if row is None:
            return None
        try:
            card = services.writer.keyring.open(connection, customer_id, row[0])
        except SubjectErased:
            return None
    return Contact(**msgspec.structs.asdict(msgspec.json.decode(card, type=ContactCard)))
