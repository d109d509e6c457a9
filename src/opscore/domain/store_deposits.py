"""How a frozen deposit leaves a store: the platform takes of it for a cause, and gives back what is left at the end."""

from __future__ import annotations

from datetime import datetime, timedelta

from opscore.domain.policies import AfterSale
from opscore.domain.store import Store
from opscore.domain.store_events import (
    ClaimsOpen,
    DepositDeducted,
    DepositReleased,
    ExceedsDeposit,
    StoreStatus,
)


def release(store: Store, amount_minor: int, currency: str, at: datetime) -> None:
    """Take deposit back from a closed store, once the after-sale days since its closing are over.

    Refuses: WrongState, CurrencyMismatch, ClaimsOpen, ExceedsDeposit.
    """
    store.require_status(StoreStatus.CLOSED)
    store.require_currency(currency)
    assert store.closed_at is not None
    until = store.closed_at + timedelta(days=store.policy(AfterSale, at).days)
    if at < until:
        raise ClaimsOpen(until=until.isoformat(), ids=[store.id])
    _require_frozen(store, amount_minor)
    store.trigger_event(DepositReleased, occurred_at=at, amount_minor=amount_minor, currency=currency)


def deduct(
    store: Store, amount_minor: int, currency: str, reason: str, case_reference: str | None, at: datetime
) -> None:
    """Record that the platform took of the deposit; what is missing is asked for when terms are looked at next.

    Refuses: CurrencyMismatch, ExceedsDeposit.
    """
    store.require_currency(currency)
    _require_frozen(store, amount_minor)
    store.trigger_event(
        DepositDeducted,
        amount_minor=amount_minor,
        currency=currency,
        reason=reason,
        case_reference=case_reference,
        occurred_at=at,
    )


def _require_frozen(store: Store, amount_minor: int) -> None:
    if amount_minor > store.deposit_minor:
        raise ExceedsDeposit(frozen_minor=store.deposit_minor, path=("amount_minor",), ids=[store.id])
