"""Opens the store that an import books to, by the steps that any store takes; nothing is waived for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from opscore.domain.command import Command
from opscore.domain.store_commands import (
    ApplyForStore,
    CertifyPaymentAccount,
    FreezeDeposit,
    OpenStore,
    PassAudit,
    PayServiceFee,
    SetCouriers,
    SetPaymentMethods,
    SignStoreAgreement,
    SubmitForAudit,
    SubmitStoreInfo,
)

Ask = Callable[[str, Command, datetime, bool], UUID]
"""Gives a command under a name, as of a time (UTC), by the platform if it says so; returns the id that it is about."""


@dataclass(frozen=True, slots=True)
class NewStore:
    """What an import says of its store where the file says nothing: whose it is, its clock, how it is paid."""

    name: str
    operator: str
    brand: str
    currency: str
    time_zone: str
    provider: str
    method: str


def open_store(new: NewStore, at: datetime, ask: Ask) -> UUID:
    """Take every step to an open store, or find them taken; return the store's id."""
    store = ask(
        "store:apply",
        ApplyForStore(
            name=new.name, operator=new.operator, platform="own", currency=new.currency, time_zone=new.time_zone
        ),
        at,
        False,
    )
    steps: list[tuple[str, Command, bool]] = [
        (
            "account",
            CertifyPaymentAccount(
                store_id=store, provider=new.provider, account_reference="assumed", holder=new.operator
            ),
            False,
        ),
        ("info", SubmitStoreInfo(store_id=store, company=new.operator, brands=(new.brand,)), False),
        ("agreement", SignStoreAgreement(store_id=store, terms_version="1"), False),
        ("submit", SubmitForAudit(store_id=store), False),
        # Nobody audits their own application.
        ("audit", PassAudit(store_id=store), True),
        ("deposit", FreezeDeposit(store_id=store, amount_minor=0, currency=new.currency), False),
        ("fee", PayServiceFee(store_id=store, amount_minor=0, currency=new.currency), False),
        ("payment", SetPaymentMethods(store_id=store, methods=(new.method,)), False),
        ("courier", SetCouriers(store_id=store, couriers=("unknown",)), False),
        ("open", OpenStore(store_id=store), False),
    ]
    for name, command, by_platform in steps:
        ask(f"store:{name}", command, at, by_platform)
    return store
