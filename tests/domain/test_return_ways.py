"""How goods come back: sent off, found out why, and who pays for carrying them."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from opscore.domain.order import Order
from opscore.domain.order_commands import LineQuantity
from opscore.domain.order_disputes import FaultParty
from opscore.domain.order_events import FreightPayee, ReturnFreightPaid, ReturnReason, ReturnVerified
from opscore.domain.order_refusals import FaultUnknown, FreightNotOurs, FreightPaidAlready
from opscore.domain.order_return_ways import PayReturnFreight, ShipReturn, VerifyReturn, freight_bearer
from opscore.domain.order_returns import ApproveReturn, RequestReturn
from opscore.domain.order_state import ReturnStatus
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import CurrencyMismatch, WrongState
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes


def asked(shop: Shop) -> tuple[UUID, UUID]:
    order_id = shop.delivered((shop.article(), "2"))
    shop.desk.do(RequestReturn(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    return order_id, next(iter(shop.order(order_id).returns))


def test_a_return_is_sent_off_once_it_is_approved_and_told_twice_is_recorded_once() -> None:
    shop = Shop()
    order_id, return_id = asked(shop)
    ship = ShipReturn(order_id=order_id, return_id=return_id, courier="sf", waybill="R1")
    with pytest.raises(WrongState):
        shop.desk.do(ship)
    shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))
    shop.desk.do(ship)
    before = len(shop.desk.events)
    shop.desk.do(ship)
    assert len(shop.desk.events) == before
    case = shop.order(order_id).returns[return_id]
    assert (case.status, case.courier, case.waybill) == (ReturnStatus.SENT, "sf", "R1")


def test_freight_is_paid_once_and_only_where_it_is_not_the_customer_s_fault() -> None:
    shop = Shop()
    order_id, return_id = asked(shop)
    shop.desk.do(ApproveReturn(order_id=order_id, return_id=return_id))
    pay = PayReturnFreight(order_id=order_id, return_id=return_id, amount_minor=900)
    with pytest.raises(WrongState):
        shop.desk.do(pay)
    shop.desk.do(ShipReturn(order_id=order_id, return_id=return_id))
    with pytest.raises(FaultUnknown):
        shop.desk.do(pay)

    def verify(fault: FaultParty) -> None:
        reason = ReturnReason.QUALITY
        shop.desk.do(VerifyReturn(order_id=order_id, return_id=return_id, reason=reason, fault_party=fault))

    verify(FaultParty.CUSTOMER)
    with pytest.raises(FreightNotOurs):
        shop.desk.do(pay)
    verify(FaultParty.SUPPLIER)
    with pytest.raises(CurrencyMismatch):
        shop.desk.do(PayReturnFreight(order_id=order_id, return_id=return_id, amount_minor=900, currency="GBP"))
    shop.desk.do(pay)
    paid = shop.desk.last(ReturnFreightPaid)
    assert (paid.amount_minor, paid.currency, paid.borne_by) == (900, "CNY", FaultParty.SUPPLIER)
    assert shop.order(order_id).refunded_minor == 0
    with pytest.raises(FreightPaidAlready):
        shop.desk.do(pay)
    with pytest.raises(FreightPaidAlready):
        verify(FaultParty.CUSTOMER)


def test_goods_that_a_supplier_ships_are_the_seller_s_to_take_back() -> None:
    assert freight_bearer(FaultParty.CUSTOMER, dropship=True) is FaultParty.OWNER
    assert freight_bearer(FaultParty.SUPPLIER, dropship=True) is FaultParty.SUPPLIER
    assert [freight_bearer(party, dropship=False) for party in FaultParty] == list(FaultParty)
    shop = Shop()
    order_id = shop.delivered((shop.article("ship", "90", "0", mode="dropship"), "1"))
    shop.desk.do(RequestReturn(order_id=order_id, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    [return_id] = shop.order(order_id).returns
    case = {"order_id": order_id, "return_id": return_id}
    shop.desk.do(VerifyReturn(**case, reason=ReturnReason.CHANGED_MIND, fault_party=FaultParty.CUSTOMER))
    assert shop.order(order_id).returns[return_id].freight_borne_by is FaultParty.OWNER


def test_a_payment_with_the_same_reference_is_told_once() -> None:
    shop = Shop()
    order_id = shop.delivered((shop.article(), "1"))
    return_id = shop.returned(order_id, (1, "1"))
    case = {"order_id": order_id, "return_id": return_id}
    shop.desk.do(VerifyReturn(**case, reason=ReturnReason.QUALITY, fault_party=FaultParty.COURIER))
    pay = PayReturnFreight(**case, amount_minor=900, paid_to=FreightPayee.COURIER, provider_reference="F-1")
    shop.desk.do(pay)
    before = len(shop.desk.events)
    shop.desk.do(pay)
    assert len(shop.desk.events) == before and shop.desk.last(ReturnFreightPaid).paid_to is FreightPayee.COURIER
    assert codes(shop.desk, Order, order_id)["payReturnFreight"] == DONE_ALREADY


def test_what_was_found_out_may_be_corrected_and_told_twice_is_recorded_once() -> None:
    shop = Shop()
    order_id, return_id = asked(shop)
    case = {"order_id": order_id, "return_id": return_id}
    for party in (FaultParty.OWNER, FaultParty.COURIER, FaultParty.COURIER):
        shop.desk.do(VerifyReturn(**case, reason=ReturnReason.COURIER_DAMAGE, fault_party=party))
    assert [event.fault_party for _, event in shop.desk.events if isinstance(event, ReturnVerified)] == [
        FaultParty.OWNER, FaultParty.COURIER,
    ]  # fmt: skip
    found = shop.order(order_id).returns[return_id]
    assert (found.reason, found.real_reason) == (ReturnReason.CHANGED_MIND, ReturnReason.COURIER_DAMAGE)
