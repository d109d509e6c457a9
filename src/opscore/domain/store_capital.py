"""The money that a store is run with: capital that is put into it, divided among three funds, and moved between them.

What is in a fund is a figure (K101), because what orders bring and goods cost is on record elsewhere; a fund that is
below 0 is shown as that, and refuses nothing: the money has been spent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.command import Command, Role, UnitOfWork
from opscore.domain.policies import CapitalSplit
from opscore.domain.refusals import CurrencyMismatch, InvalidField, Refusal
from opscore.domain.store import Store
from opscore.domain.store_commands import CASHIERS, StoreId
from opscore.domain.store_plan_events import CapitalInvested, Fund, FundsMoved
from opscore.domain.values import Currency, Label, PositiveMinor, Reason

# What may happen next ------------------------------------------------------------------------------------------------


def invest_capital(store: Store, amount_minor: int, currency: str, source: str | None, at: datetime) -> None:
    """Put money into a store, and divide it by the policy `capital_split` that is in force.

    Refuses: WrongState (the store is closed), CurrencyMismatch.
    """
    store.require_not_closed()
    store.require_currency(currency)
    shares = store.policy(CapitalSplit, at).shares(amount_minor)
    store.trigger_event(
        CapitalInvested,
        amount_minor=amount_minor,
        currency=currency,
        policy_version=store.policy_version(CapitalSplit, at),
        source=source,
        occurred_at=at,
        **msgspec.structs.asdict(shares),
    )


def move_funds(
    store: Store, from_fund: Fund, to_fund: Fund, amount_minor: int, currency: str, reason: str, at: datetime
) -> None:
    """Let money of one fund be for another one, in a closed store too.

    Refuses: CurrencyMismatch, InvalidField (from a fund to itself).
    """
    store.require_currency(currency)
    if from_fund is to_fund:
        raise InvalidField(why="money moves from one fund to another", path=("to_fund",))
    store.trigger_event(
        FundsMoved,
        from_fund=from_fund,
        to_fund=to_fund,
        amount_minor=amount_minor,
        currency=currency,
        reason=reason,
        occurred_at=at,
    )


# What may be asked for -----------------------------------------------------------------------------------------------


class InvestCapital(Command):
    """Put money into a store; the policy capital_split says what of it is for what."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = frozenset({Role.OWNER, Role.FINANCE})
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CurrencyMismatch,)

    store_id: StoreId
    amount_minor: Annotated[PositiveMinor, Meta(description="Amount in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]
    source: Annotated[Label | None, Meta(description="Who put it in, or under which contract.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Divide it."""
        store = work.store(self.store_id)
        invest_capital(store, self.amount_minor, self.currency, self.source, work.occurred_at)
        return store.id


class MoveFunds(Command):
    """Let money of one fund of a store be for another one."""

    AGGREGATE: ClassVar[type[Aggregate]] = Store
    ROLES: ClassVar[frozenset[Role]] = CASHIERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (CurrencyMismatch,)

    store_id: StoreId
    from_fund: Annotated[Fund, Meta(description="The fund that has less afterwards.")]
    to_fund: Annotated[Fund, Meta(description="The fund that has more afterwards.")]
    amount_minor: Annotated[PositiveMinor, Meta(description="Amount in minor units.")]
    currency: Annotated[Currency, Meta(description="Its currency.")]
    reason: Annotated[Reason, Meta(description="Why.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Move it; how much there is of a fund is told by figures."""
        store = work.store(self.store_id)
        move_funds(store, self.from_fund, self.to_fund, self.amount_minor, self.currency, self.reason, work.occurred_at)
        return store.id
