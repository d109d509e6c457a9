"""Customers as the API shows them: membership, points, coupons, spend. Personal data is not shown here."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from opscore.api.context import Context
from opscore.api.enums import expose
from opscore.api.history import HistoryEvent, history_field
from opscore.api.money import Money, money, money_or_none
from opscore.api.nodes import Stream, gid, store_gid, stream_fields
from opscore.api.paging import Connection
from opscore.domain import customer as domain
from opscore.domain.customer_events import CustomerStatus

expose(CustomerStatus)


@strawberry.type(description="Whether a customer may be reached by a channel.")
class Consent:
    channel: str = strawberry.field(description="The channel.")
    granted: bool = strawberry.field(description="Whether the customer agreed.")


@strawberry.type(description="Points left of one earning.")
class PointsLot:
    lot_id: UUID = strawberry.field(description="Its id.")
    amount: int = strawberry.field(description="Points left.")
    expires_at: datetime | None = strawberry.field(description="When they lapse.")


@strawberry.type(description="A coupon that a customer holds.")
class CustomerCoupon:
    coupon_id: UUID = strawberry.field(description="Its id, which commands about the coupon take.")
    code: str = strawberry.field(description="Its code.")
    currency_code: str = strawberry.field(description="ISO 4217 code of its amounts.")
    off: Money | None = strawberry.field(description="What it takes off.")
    percent: Decimal | None = strawberry.field(description="Or how many percent it takes off.")
    max_off: Money | None = strawberry.field(description="The most it takes off.")
    spend: Money = strawberry.field(description="What the goods must be worth at the least.")
    campaign_id: strawberry.ID | None = strawberry.field(description="The campaign that gave it.")
    only_store_id: strawberry.ID | None = strawberry.field(description="The one store it is for.")
    valid_from: datetime | None = strawberry.field(description="From when on it can be used.")
    expires_at: datetime | None = strawberry.field(description="Until when it can be used.")
    used_by: strawberry.ID | None = strawberry.field(description="The order it was used on.")


@strawberry.type(description="One customer of the operator. Name, address and contact data are not shown here.")
class Customer(Stream):
    history: Connection[HistoryEvent] | None = history_field("Customer")
    store_id: strawberry.ID = strawberry.field(description="The store that registered the customer.")
    status: CustomerStatus = strawberry.field(description="Whether the customer may act.")
    channel: str = strawberry.field(description="Where the customer came in.")
    references: list[str] = strawberry.field(description="What platforms call the customer.")
    region: str | None = strawberry.field(description="Where the customer is.")
    birth_year: int | None = strawberry.field(description="Year of birth.")
    has_contact_card: bool = strawberry.field(description="Whether contact data is kept, encrypted.")
    consents: list[Consent] = strawberry.field(description="What the customer agreed to be reached by.")
    tier: str | None = strawberry.field(description="Member tier; null for no member.")
    points_balance: int = strawberry.field(description="Points that can be spent, less those owed.")
    points_lots: list[PointsLot] = strawberry.field(description="Points by earning, first to lapse first.")
    points_owed: int = strawberry.field(description="Points taken back beyond what was left.")
    coupons: list[CustomerCoupon] = strawberry.field(description="Coupons, used ones too.")
    spend: list[Money] = strawberry.field(description="Running spend, in each currency.")
    referrer_id: strawberry.ID | None = strawberry.field(description="The customer who brought this one.")
    referral_rewarded: bool = strawberry.field(description="Whether that was rewarded.")
    first_order_id: strawberry.ID | None = strawberry.field(description="The first order that was completed.")
    merged_into_id: strawberry.ID | None = strawberry.field(description="The record that took this one in.")
    merged_ids: list[strawberry.ID] = strawberry.field(description="Records that this one took in.")


def customer_view(customer: domain.Customer, _: Context) -> Customer:
    """Return a customer as the API shows it."""
    return Customer(
        **stream_fields(customer),
        store_id=store_gid(customer.store_id),
        status=customer.status,
        channel=customer.channel,
        references=list(customer.references),
        region=customer.region,
        birth_year=customer.birth_year,
        has_contact_card=customer.has_contact_card,
        consents=[Consent(channel=channel, granted=granted) for channel, granted in customer.consents.items()],
        tier=customer.tier,
        points_balance=sum(lot.amount for lot in customer.lots) - customer.owed,
        points_lots=[
            PointsLot(lot_id=lot.lot_id, amount=lot.amount, expires_at=lot.expires_at) for lot in customer.lots
        ],
        points_owed=customer.owed,
        coupons=[_coupon(each) for each in customer.coupons.values()],
        spend=[money(amount, currency) for currency, amount in customer.spend_minor.items()],
        referrer_id=gid("Customer", customer.referrer_id),
        referral_rewarded=customer.referral_rewarded,
        first_order_id=gid("Order", customer.first_order_id),
        merged_into_id=gid("Customer", customer.merged_into),
        merged_ids=[gid("Customer", each) for each in customer.merged_ids],
    )


def _coupon(coupon: Any) -> CustomerCoupon:
    return CustomerCoupon(
        coupon_id=coupon.coupon_id,
        code=coupon.code,
        currency_code=coupon.currency,
        off=money_or_none(coupon.off_minor, coupon.currency),
        percent=coupon.percent,
        max_off=money_or_none(coupon.max_off_minor, coupon.currency),
        spend=money(coupon.spend_minor, coupon.currency),
        campaign_id=gid("Campaign", coupon.campaign_id),
        only_store_id=gid("Store", coupon.only_store_id),
        valid_from=coupon.valid_from,
        expires_at=coupon.expires_at,
        used_by=gid("Order", coupon.used_by),
    )
