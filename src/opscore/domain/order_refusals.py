"""How an order says no. The docstring of a refusal is its message."""

from __future__ import annotations

from opscore.domain.refusals import Refusal


class PriceChanged(Refusal):
    """The price of {sku_code} is {current} now, not {given}; show it to the buyer and place the order again."""


class TotalChanged(Refusal):
    """The order comes to {current} minor units now, not {given}; show it to the buyer and place the order again."""


class OrderAlreadyPaid(Refusal):
    """Money came in for this order already; its price can no longer change, refund a part instead."""


class PaymentExceedsDue(Refusal):
    """Only {due} minor units are still to be paid, not {given}; take what is due."""


class PaymentReferenceReused(Refusal):
    """Payment '{reference}' was recorded with {recorded} minor units, not {given}; check it with the provider."""


class ReservationExpired(Refusal):
    """The order ran out unpaid and its goods went back on sale; place it again."""


class OrderNotExpired(Refusal):
    """The order may be paid until {expires_at}; cancel it if it is to end before."""


class OrderAlreadyShipped(Refusal):
    """Goods of this order have left already; ask for a return instead, or cancel what has not shipped by line."""


class CancelExceedsOpen(Refusal):
    """Only {available} of line {line} can still be called off, not {asked}; unpack its parcel first, or cancel all."""


class NothingShort(Refusal):
    """Only {available} of line {line} are still to be packed, not {asked}; report no more than that."""


class CustomerNotContacted(Refusal):
    """Nobody has talked to the customer about the shortage; do that first."""


class ArticleMismatch(Refusal):
    """The scanned article is not the one of line {line}; take it out of the parcel."""


class QuantityMismatch(Refusal):
    """{scanned} of line {line} were scanned, but {expected} are still to be packed; put back what is too much."""


class ParcelEmpty(Refusal):
    """A parcel holds at least one unit; scan what goes into it."""


class ParcelAskedBack(Refusal):
    """Units of line {line} in this parcel were asked back, so the customer has them; call the return off first."""


class DefectsExceedArrived(Refusal):
    """Only {available} of line {line} can have defects, not {asked}; the rest was not sent, or asked back already."""


class InspectionRequired(Refusal):
    """Goods of that worth are looked at by whoever receives them; look, then confirm the receipt with `inspected`."""


class DamageUnreported(Refusal):
    """Nobody complained that goods of this parcel came damaged; open a dispute, or a return, for it first."""


class LossSettled(Refusal):
    """What was lost with this parcel was sent once more or called off already; there is nothing left to do about it."""


class ClaimExists(Refusal):
    """{amount_minor} minor units were claimed for this parcel already; settle that claim instead."""


class ReturnWindowOver(Refusal):
    """Goods could be sent back until {until}; offer compensation instead."""


class ReturnExceedsDelivered(Refusal):
    """Only {available} of line {line} can come back, not {asked}; the rest was not sent or was asked back already."""


class ReturnExceedsApproved(Refusal):
    """Only {available} of line {line} are expected back, not {asked}; approve more first."""


class FaultUnknown(Refusal):
    """Nobody found out whose fault this return is, which decides who bears its freight; verify the return first."""


class FreightNotOurs(Refusal):
    """By whose fault it is, {bearer} bears the freight of this return; nothing is paid for it."""


class FreightPaidAlready(Refusal):
    """{amount_minor} minor units were paid for carrying this return back already; it is done once."""


class ExchangeExceedsReturned(Refusal):
    """Goods can be sent for {available} of line {line} that came back, not {asked}; receive the goods first."""


class DisposalExceedsReceived(Refusal):
    """Only {available} of line {line} wait for a decision, not {asked}; count what came back first."""


class RefundExceedsReturned(Refusal):
    """Only {available} of line {line} can be refunded, not {asked}; receive the goods that come back first."""


class RefundExceedsPrice(Refusal):
    """These units of line {line} were sold for {price_minor} minor units, not {asked}; give back no more than that."""


class RefundExceedsPaid(Refusal):
    """Only {available} minor units can go back, not {asked}; nobody gets back more than was paid."""


class PriceProtectionOver(Refusal):
    """A price that fell is made good until {until}; that is over."""


class PriceProtectedAlready(Refusal):
    """A lower price was made good for line {line} already; it is done once."""


class PriceNotLower(Refusal):
    """The units of line {line} that the buyer keeps cost {paid_minor} minor units, no more than at the other price."""


class NothingToRefund(Refusal):
    """No money is due back; receive a return, cancel goods, or name an amount and why."""
