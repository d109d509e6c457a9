"""Suppliers are called on for a campaign until a moment, offer goods, and are answered once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from opscore.domain.campaign import Campaign, CampaignGoal, LineRole, WindowInvalid
from opscore.domain.campaign_commands import AddCampaignLine, CancelCampaign, PlanCampaign, ScheduleCampaign
from opscore.domain.campaign_events import OfferStatus, SupplierCallOpened
from opscore.domain.campaign_offers import (
    AcceptOffer,
    CloseSupplierCall,
    OfferSupply,
    OpenSupplierCall,
    RejectOffer,
    SupplierCallOver,
    WithdrawOffer,
)
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import CurrencyMismatch, InvalidField, NotFound, WrongState
from opscore.domain.suppliers import ExchangeTermsMissing
from tests.domain.buying import Buying
from tests.domain.test_readiness import codes

MAY_20, JUNE, JULY = (datetime(2024, month, day, tzinfo=UTC) for month, day in ((5, 20), (6, 1), (7, 1)))


class Call:
    """A campaign that is planned, an article, and an active supplier of the store."""

    def __init__(self) -> None:
        self.buying = Buying()
        self.do = self.buying.shelf.do
        plan = PlanCampaign(store_id=self.buying.store_id, name="Sale", goal=CampaignGoal.RAISE_SALES)
        self.campaign_id = self.do(plan)
        self.supplier_id = self.buying.active()

    def open(self, until: datetime = MAY_20, **fields: Any) -> None:
        self.do(OpenSupplierCall(campaign_id=self.campaign_id, until=until, **fields))

    def offer(self, quantity: str = "20", **fields: Any) -> UUID:
        known: dict[str, Any] = {
            "supplier_id": self.supplier_id, "sku_id": self.buying.sku_id, "unit_cost": Decimal("3.125"),
            "currency": "GBP",
        }  # fmt: skip
        self.do(OfferSupply(campaign_id=self.campaign_id, quantity=Decimal(quantity), **(known | fields)))
        return list(self.campaign.supply.offers)[-1]

    def answer(self, command: type[Any], offer_id: UUID, **fields: Any) -> None:
        self.do(command(campaign_id=self.campaign_id, offer_id=offer_id, **fields))

    def schedule(self, **fields: Any) -> None:
        self.do(
            AddCampaignLine(
                campaign_id=self.campaign_id, sku_id=self.buying.sku_id, role=LineRole.BASE, price=Decimal(90)
            )
        )
        self.do(ScheduleCampaign(campaign_id=self.campaign_id, starts_at=JUNE, ends_at=JULY, **fields))

    @property
    def campaign(self) -> Campaign:
        return self.buying.shelf.get(Campaign, self.campaign_id)

    def codes(self) -> dict[str, str | None]:
        return codes(self.buying.shelf, Campaign, self.campaign_id)


@pytest.fixture
def call() -> Call:
    return Call()


def test_offers_are_taken_down_and_answered_once(call: Call) -> None:
    call.open(wanted="tea of this spring")
    first, second, third = call.offer("20"), call.offer("5"), call.offer("7")
    call.answer(AcceptOffer, first, quantity=Decimal(12))
    call.answer(RejectOffer, second, reason="too dear")
    call.answer(WithdrawOffer, third)

    offers = call.campaign.supply.offers
    assert [(offer.status, offer.accepted) for offer in offers.values()] == [
        (OfferStatus.ACCEPTED, 12), (OfferStatus.REJECTED, 0), (OfferStatus.WITHDRAWN, 0),
    ]  # fmt: skip
    assert offers[second].rejected_because == "too dear" and offers[first].unit_cost == Decimal("3.125")
    before = len(call.buying.shelf.events)
    call.answer(AcceptOffer, first, quantity=Decimal(12))
    call.answer(RejectOffer, second, reason="too dear")
    call.answer(WithdrawOffer, third)
    assert len(call.buying.shelf.events) == before, "told twice, recorded once"
    for command, offer_id in ((AcceptOffer, second), (WithdrawOffer, first), (AcceptOffer, first)):
        with pytest.raises(WrongState):
            call.answer(command, offer_id)
    assert {call.codes()[name] for name in ("acceptOffer", "rejectOffer", "withdrawOffer")} == {DONE_ALREADY}


def test_no_more_is_accepted_than_was_offered_and_nothing_unknown(call: Call) -> None:
    call.open()
    offer_id = call.offer("5")
    with pytest.raises(InvalidField, match="only 5"):
        call.answer(AcceptOffer, offer_id, quantity=Decimal(6))
    with pytest.raises(NotFound):
        call.answer(AcceptOffer, uuid4())
    call.answer(AcceptOffer, offer_id)
    assert call.campaign.supply.offers[offer_id].accepted == 5


def test_nothing_is_offered_without_a_call_nor_after_it(call: Call) -> None:
    with pytest.raises(SupplierCallOver):
        call.offer()
    assert call.codes()["offerSupply"] == "SUPPLIER_CALL_OVER"
    call.open()
    known = call.offer()
    call.do(CloseSupplierCall(campaign_id=call.campaign_id))
    with pytest.raises(SupplierCallOver):
        call.offer()
    assert call.codes()["closeSupplierCall"] == DONE_ALREADY
    call.answer(AcceptOffer, known)
    call.open()
    offer = OfferSupply(
        campaign_id=call.campaign_id, supplier_id=call.supplier_id, sku_id=call.buying.sku_id, quantity=Decimal(1),
        unit_cost=Decimal(1), currency="GBP",
    )  # fmt: skip
    with pytest.raises(SupplierCallOver):
        call.buying.shelf.do(offer, at=MAY_20)


def test_only_suppliers_whose_terms_stand_offer_and_in_the_campaign_s_currency(call: Call) -> None:
    call.open()
    with pytest.raises(ExchangeTermsMissing):
        call.offer(supplier_id=call.buying.applied("Elm"))
    with pytest.raises(NotFound):
        call.offer(supplier_id=uuid4())
    with pytest.raises(CurrencyMismatch):
        call.offer(currency="CNY")
    for quantity in ("0", "-1"):
        with pytest.raises(InvalidField):
            call.offer(quantity)


def test_a_call_ends_before_the_campaign_is_announced(call: Call) -> None:
    now = call.buying.shelf.now
    with pytest.raises(WindowInvalid):
        call.open(now)
    call.open(JUNE)
    call.open(JUNE)
    assert sum(isinstance(event, SupplierCallOpened) for _, event in call.buying.shelf.events) == 1
    with pytest.raises(WindowInvalid):
        call.schedule(warmup_from=MAY_20)
    call.open(MAY_20)
    call.do(ScheduleCampaign(campaign_id=call.campaign_id, starts_at=JUNE, ends_at=JULY, warmup_from=MAY_20))
    with pytest.raises(WindowInvalid):
        call.open(MAY_20 + timedelta(seconds=1))
    call.do(CancelCampaign(campaign_id=call.campaign_id, reason="no goods"))
    with pytest.raises(WrongState):
        call.open(MAY_20)
