"""What suppliers offer for a campaign: the call to them, their offers, and what the mall answers.

An accepted offer is no purchase and changes no line: the mall takes the article into the campaign, or raises its quota,
with `addCampaignLine`, and orders the goods as it orders any.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from opscore.domain.aggregate import Aggregate
from opscore.domain.campaign import Campaign, WindowInvalid
from opscore.domain.campaign_commands import PROMOTERS, CampaignId, Moment
from opscore.domain.campaign_events import (
    OfferStatus,
    SupplierCallClosed,
    SupplierCallOpened,
    SupplyOfferAccepted,
    SupplyOffered,
    SupplyOfferRejected,
    SupplyOfferWithdrawn,
)
from opscore.domain.campaign_state import SupplyOffer
from opscore.domain.command import Command, DoneAlready, Role, UnitOfWork
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, Refusal, WrongState
from opscore.domain.sku_commands import require_unit_price
from opscore.domain.sku_events import HoldsNoStock
from opscore.domain.store import Store
from opscore.domain.supplier_commands import SupplierId, require_active
from opscore.domain.suppliers import ExchangeTermsMissing, SupplierNotActive
from opscore.domain.values import Currency, Reason, plain

OfferId = Annotated[UUID, Meta(description="Which offer: `offerId` of one of the campaign's.")]

# How it says no ------------------------------------------------------------------------------------------------------


class SupplierCallOver(Refusal):
    """Suppliers may not offer goods for this campaign now; open a call with openSupplierCall, until a later moment."""


# What may happen next ------------------------------------------------------------------------------------------------


def require_call_open(campaign: Campaign, at: datetime) -> None:
    """Refuse SupplierCallOver unless suppliers may offer something, WrongState once orders may use the campaign."""
    campaign.require_changeable()
    if not campaign.supply.is_open(at):
        raise SupplierCallOver(path=("campaign_id",), ids=[campaign.id])


def require_closable(campaign: Campaign, at: datetime) -> None:
    """Refuse as `require_call_open`; DoneAlready when the call was closed."""
    if campaign.supply.closed_at is not None:
        raise DoneAlready
    require_call_open(campaign, at)


def require_offer(campaign: Campaign, done: OfferStatus) -> None:
    """Refuse WrongState unless an offer waits for an answer; DoneAlready when one was answered like that."""
    campaign.require_changeable()
    offers = campaign.supply.offers.values()
    if all(offer.status is not OfferStatus.OFFERED for offer in offers):
        if any(offer.status is done for offer in offers):
            raise DoneAlready
        needed = "one with an offer that waits for an answer"
        raise WrongState(what="campaign", state=campaign.status.value, needed=needed, ids=[campaign.id])


def _offer(campaign: Campaign, offer_id: UUID, done: OfferStatus) -> SupplyOffer:
    """Return an offer that may be answered, or was answered like that. Refuses: NotFound, WrongState."""
    campaign.require_changeable()
    offer = campaign.supply.offers.get(offer_id)
    if offer is None:
        raise NotFound(what="offer to this campaign", path=("offer_id",), ids=[offer_id])
    if offer.status not in (OfferStatus.OFFERED, done):
        state, needed = offer.status.value, OfferStatus.OFFERED.value
        raise WrongState(what="offer", state=state, needed=needed, path=("offer_id",), ids=[offer_id])
    return offer


# What may be asked for -----------------------------------------------------------------------------------------------


class OpenSupplierCall(Command):
    """Call on suppliers to offer goods for a campaign until a moment, before its warm-up if that is fixed."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (WindowInvalid,)

    campaign_id: CampaignId
    until: Annotated[Moment, Meta(description="Until when they may offer something, with offset.")]
    wanted: Annotated[Reason | None, Meta(description="What is wanted, in words for the suppliers.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check the time, then open the call, or let it end at another time. Asked twice, recorded once."""
        campaign = work.campaign(self.campaign_id)
        campaign.require_changeable()
        until, supply = self.until.astimezone(UTC), campaign.supply
        if until <= work.occurred_at:
            raise WindowInvalid(why="the call is over before it begins", path=("until",), ids=[campaign.id])
        announced = campaign.warmup_from or campaign.starts_at
        if announced is not None and until > announced:
            why = f"the campaign is announced at {announced.isoformat()}"
            raise WindowInvalid(why=why, path=("until",), ids=[campaign.id])
        if (supply.until, supply.wanted, supply.closed_at) != (until, self.wanted, None):
            campaign.trigger_event(SupplierCallOpened, until=until, wanted=self.wanted, occurred_at=work.occurred_at)
        return campaign.id


class CloseSupplierCall(Command):
    """End the call to suppliers before its time. Offers that were made wait for an answer all the same."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (SupplierCallOver,)

    campaign_id: CampaignId

    def decide(self, work: UnitOfWork) -> UUID:
        """Close it; asked twice, recorded once."""
        campaign = work.campaign(self.campaign_id)
        if campaign.supply.closed_at is None:
            require_call_open(campaign, work.occurred_at)
            campaign.trigger_event(SupplierCallClosed, occurred_at=work.occurred_at)
        return campaign.id


class OfferSupply(Command):
    """Take down what a supplier offers for a campaign: so many units of an article, at a cost each."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS
    REFUSES: ClassVar[tuple[type[Refusal], ...]] = (
        SupplierCallOver,
        SupplierNotActive,
        ExchangeTermsMissing,
        HoldsNoStock,
        CurrencyMismatch,
    )

    campaign_id: CampaignId
    supplier_id: SupplierId
    sku_id: Annotated[UUID, Meta(description="The article, at home in the campaign's store.")]
    quantity: Annotated[Decimal, Meta(description="How much of it, in its unit.")]
    unit_cost: Annotated[Decimal, Meta(description="What one of it would cost; six decimal places at most.")]
    currency: Annotated[Currency, Meta(description="Currency of the cost: the campaign's.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check call, supplier and article, then take the offer down."""
        campaign = work.campaign(self.campaign_id)
        require_call_open(campaign, work.occurred_at)
        campaign.require_currency(self.currency)
        store = work.get(Store, campaign.store_id, scoped=False)
        require_active(store, self.supplier_id)
        sku = work.sku(self.sku_id, path=("sku_id",))
        if sku.store_id != campaign.store_id:
            why = "the article is at home in another store than the campaign, and so are its suppliers"
            raise InvalidField(why=why, path=("sku_id",), ids=[sku.id])
        sku.require_stocked(("sku_id",))
        quantity = sku.require_quantity(self.quantity, ("quantity",))
        campaign.trigger_event(
            SupplyOffered,
            offer_id=work.new_id(),
            supplier_id=self.supplier_id,
            sku_id=sku.id,
            quantity=quantity,
            unit_cost=require_unit_price(self.unit_cost, ("unit_cost",)),
            currency=campaign.currency,
            occurred_at=work.occurred_at,
        )
        return campaign.id


class WithdrawOffer(Command):
    """Take an offer back for the supplier, before it was answered."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    offer_id: OfferId

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it was not answered, then take it back. Asked twice, recorded once."""
        campaign = work.campaign(self.campaign_id)
        if _offer(campaign, self.offer_id, OfferStatus.WITHDRAWN).status is OfferStatus.OFFERED:
            campaign.trigger_event(SupplyOfferWithdrawn, offer_id=self.offer_id, occurred_at=work.occurred_at)
        return campaign.id


class AcceptOffer(Command):
    """Accept what a supplier offers for a campaign, all of it or less."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    offer_id: OfferId
    quantity: Annotated[Decimal | None, Meta(description="How much of it is wanted; all if left out.")] = None

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it waits for an answer, then accept. Asked twice, recorded once."""
        campaign = work.campaign(self.campaign_id)
        offer = _offer(campaign, self.offer_id, OfferStatus.ACCEPTED)
        quantity = offer.quantity
        if self.quantity is not None:
            quantity = work.sku(offer.sku_id, scoped=False).require_quantity(self.quantity, ("quantity",))
        if quantity > offer.quantity:
            why = f"only {plain(offer.quantity)} were offered"
            raise InvalidField(why=why, path=("quantity",), ids=[self.offer_id])
        if offer.status is OfferStatus.OFFERED:
            campaign.trigger_event(
                SupplyOfferAccepted, offer_id=self.offer_id, quantity=quantity, occurred_at=work.occurred_at
            )
        elif quantity != offer.accepted:
            state, needed = OfferStatus.ACCEPTED.value, OfferStatus.OFFERED.value
            raise WrongState(what="offer", state=state, needed=needed, path=("offer_id",), ids=[self.offer_id])
        return campaign.id


class RejectOffer(Command):
    """Say no to what a supplier offers for a campaign."""

    AGGREGATE: ClassVar[type[Aggregate]] = Campaign
    ROLES: ClassVar[frozenset[Role]] = PROMOTERS

    campaign_id: CampaignId
    offer_id: OfferId
    reason: Annotated[Reason, Meta(description="Why, for the supplier.")]

    def decide(self, work: UnitOfWork) -> UUID:
        """Check that it waits for an answer, then reject it. Asked twice, recorded once."""
        campaign = work.campaign(self.campaign_id)
        if _offer(campaign, self.offer_id, OfferStatus.REJECTED).status is OfferStatus.OFFERED:
            campaign.trigger_event(
                SupplyOfferRejected, offer_id=self.offer_id, reason=self.reason, occurred_at=work.occurred_at
            )
        return campaign.id
