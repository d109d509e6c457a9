"""Two records of one person: what becomes of them when they are made one, and which others there are of a record."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from opscore.domain.command import UnitOfWork
from opscore.domain.customer import Customer
from opscore.domain.customer_events import (
    CustomerMergedInto,
    CustomersMerged,
    CustomerStatus,
    LotUse,
    RedemptionCount,
    SpendTotal,
)
from opscore.domain.policies import Membership
from opscore.domain.refusals import InvalidField

# Which records there are ----------------------------------------------------------------------------------------------


def survivor(work: UnitOfWork, customer_id: UUID) -> Customer:
    """Return a customer, or whom their record was merged into."""
    return records_of(work, work.customer(customer_id))[-1]


def records_of(work: UnitOfWork, customer: Customer) -> list[Customer]:
    """Return a record, the one it was merged into, the one that one was merged into, and so on."""
    records = [customer]
    while customer.merged_into is not None:
        customer = work.customer(customer.merged_into, scoped=False)
        records.append(customer)
    return records


def merged_into(work: UnitOfWork, customer: Customer) -> list[Customer]:
    """Return every record that was merged into this one, by way of others too, once each."""
    found: dict[UUID, Customer] = {}
    left = list(customer.merged_ids)
    while left:
        record = work.customer(left.pop(), scoped=False)
        if record.id not in found:
            found[record.id] = record
            left.extend(record.merged_ids)
    return list(found.values())


# What becomes of them -------------------------------------------------------------------------------------------------


def merge(
    customer: Customer, other: Customer, membership: Membership, policy_version: int, currency: str, at: datetime
) -> None:
    """Let a customer take in another record of the same person: points, coupons, limits and spend move there.

    The higher of two tiers stays, or the one that the spend of both in `currency` reaches; who was blocked under either
    record is blocked. Asked again, only what has come back to the other record since moves.
    Refuses: CustomerNotActive, InvalidField (one record merged with itself).
    """
    customer.require_known(("customer_id",))
    if other.id == customer.id:
        raise InvalidField(why="a record cannot be merged with itself", path=("other_id",))
    if other.merged_into == customer.id:
        _sweep(customer, other, at)
        return
    other.require_known(("other_id",))
    tier, blocked_for = other.tier, other.block_reason
    if tier is not None and customer.tier is not None and not membership.is_higher(tier, customer.tier):
        tier = None
    _take_over(customer, other, at, tier)
    if blocked_for is not None:
        customer.block(blocked_for, at)
    if currency in customer.spend_minor:
        customer.rise_by_spend(currency, membership, policy_version, at)


def hand_on(work: UnitOfWork, customer: Customer) -> None:
    """Let what has come back to a merged record go on to the one that stays. Refuses nothing."""
    kept = records_of(work, customer)[-1]
    if kept is not customer and kept.status is not CustomerStatus.ERASED:
        _sweep(kept, customer, work.occurred_at)


def _sweep(customer: Customer, other: Customer, at: datetime) -> None:
    """Take over what has come back to a record since it was merged, from a cancelled order say; or nothing."""
    holds = other.lots or other.owed or any(coupon.used_by is None for coupon in other.coupons.values())
    counts = any(quantity for by_sku in other.redemptions.values() for quantity in by_sku.values())
    if holds or counts or any(other.spend_minor.values()):
        _take_over(customer, other, at, None)


def _take_over(customer: Customer, other: Customer, at: datetime, tier: str | None) -> None:
    lots = tuple(LotUse(lot_id=lot.lot_id, amount=lot.amount, expires_at=lot.expires_at) for lot in other.lots)
    redemptions = tuple(
        RedemptionCount(campaign_id=campaign_id, sku_id=sku_id, quantity=quantity)
        for campaign_id, by_sku in other.redemptions.items()
        for sku_id, quantity in by_sku.items()
        if quantity
    )
    spend = tuple(
        SpendTotal(currency=currency, amount_minor=amount_minor)
        for currency, amount_minor in other.spend_minor.items()
        if amount_minor
    )
    customer.trigger_event(
        CustomersMerged,
        occurred_at=at,
        merged_id=other.id,
        lots=lots,
        owed=other.owed,
        coupons=tuple(coupon for coupon in other.coupons.values() if coupon.used_by is None),
        redemptions=redemptions,
        spend=spend,
        references=tuple(other.references),
        tier=tier,
    )
    other.trigger_event(CustomerMergedInto, occurred_at=at, into_id=customer.id, lots=lots, owed=other.owed)
