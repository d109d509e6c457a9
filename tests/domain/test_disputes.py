"""Complaints about an order, step by step: who may take which, and what is refused while an earlier one is missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Command, Role
from opscore.domain.followups import DUE_RULES
from opscore.domain.order import Order
from opscore.domain.order_commands import CompleteOrder, DeliverOrder, LineQuantity
from opscore.domain.order_dispute_commands import (
    AcceptDispute,
    AgreeDispute,
    ArbitrateDispute,
    CloseDispute,
    DeclineDisputeOffer,
    FollowUpDispute,
    NegotiateDispute,
    OpenDispute,
    PayCompensation,
    SettleDispute,
    VerifyDispute,
    WithdrawDispute,
)
from opscore.domain.order_disputes import (
    Arbiter,
    CompensationAbovePolicy,
    CompensationPaid,
    DecidedFor,
    Dispute,
    DisputeArbitrated,
    DisputeClosed,
    DisputeNegotiated,
    DisputeOpen,
    DisputeOpened,
    DisputeRemedy,
    DisputeStatus,
    FaultParty,
    FaultPartyMissing,
    FollowUpResult,
    NoFollowUp,
    NoOfferOpen,
    NothingToPay,
    NotNegotiated,
    OfferOpen,
    RemedyNotDone,
)
from opscore.domain.order_events import RefundReason
from opscore.domain.order_refunds import (
    RefundOf,
    RefundOrder,
)
from opscore.domain.order_refusals import RefundExceedsPaid
from opscore.domain.policies import PolicyInvalid, ProblemKind
from opscore.domain.readiness import DONE_ALREADY
from opscore.domain.refusals import InvalidField, NotFound, Refusal, WrongState
from opscore.domain.store_commands import SetPolicy
from tests.domain.desk import BUYER, MANAGER, SERVICE, WAREHOUSE
from tests.domain.selling import Shop
from tests.domain.test_readiness import codes, possible

AFTER_SALES = Actor(id="ada", role=Role.AFTER_SALES)


class Case:
    """One complaint about two of three lamps at 100, delivered."""

    def __init__(self, shop: Shop, *, order_id: UUID | None = None, **fields: Any) -> None:
        self.shop = shop
        self.order_id = order_id or shop.delivered((shop.article(), "3"), **fields)
        self.id = self.open()

    def open(self, kind: ProblemKind = ProblemKind.QUALITY, quantity: str = "2", **fields: Any) -> UUID:
        lines = (LineQuantity(line=1, quantity=Decimal(quantity)),)
        self.shop.desk.do(OpenDispute(order_id=self.order_id, kind=kind, lines=lines, **fields))
        return list(self.order.disputes)[-1]

    @property
    def order(self) -> Order:
        return self.shop.order(self.order_id)

    @property
    def dispute(self) -> Dispute:
        return self.order.disputes[self.id]

    def do(self, command: Callable[..., Command], actor: Actor = MANAGER, **fields: Any) -> None:
        self.shop.desk.do(command(order_id=self.order_id, dispute_id=self.id, **fields), actor=actor)

    def verified(self, **fields: Any) -> Case:
        self.do(AcceptDispute, SERVICE)
        given = {"real": True, "solution": DisputeRemedy.REFUND, "fault_party": FaultParty.SUPPLIER} | fields
        self.do(VerifyDispute, AFTER_SALES, **given)
        return self

    def offered(self, remedy: DisputeRemedy = DisputeRemedy.NOTHING, **fields: Any) -> Case:
        self.do(NegotiateDispute, remedy=remedy, **fields)
        return self

    def agreed(self, remedy: DisputeRemedy = DisputeRemedy.NOTHING, **fields: Any) -> Case:
        self.verified().offered(remedy, **fields).do(AgreeDispute)
        return self

    def settled(self) -> Case:
        self.agreed().do(SettleDispute)
        return self


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def case(shop: Shop) -> Case:
    return Case(shop)


def policy(shop: Shop, **rules: Any) -> None:
    shop.desk.do(SetPolicy(store_id=shop.store_id, kind="compensation", params={"rules": rules}))


# The whole way -------------------------------------------------------------------------------------------------------


def test_a_complaint_goes_from_the_first_word_to_the_last(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    herself = Actor(id="ann", role=Role.CUSTOMER, customer_id=ann)
    order_id = shop.delivered((shop.article(), "3"), customer_id=ann)
    lines = (LineQuantity(line=1, quantity=Decimal(2)),)
    complaint = OpenDispute(
        order_id=order_id,
        kind=ProblemKind.PAGE_DIFFERS,
        lines=lines,
        statement="the page says brass",
        evidence="photo 7",
    )
    shop.desk.do(complaint, actor=herself)
    opened = shop.desk.last(DisputeOpened)
    assert shop.desk.unseal(ann, opened.statement) == "the page says brass"
    assert [(line.line, line.quantity) for line in opened.lines] == [(1, Decimal(2))]
    target: dict[str, Any] = {"order_id": order_id, "dispute_id": opened.dispute_id}
    do = shop.desk.do

    do(AcceptDispute(**target), actor=SERVICE)
    found = {"real": True, "kind": ProblemKind.WRONG_ITEM, "fault_party": FaultParty.OWNER}
    do(VerifyDispute(**target, **found, solution=DisputeRemedy.REFUND), actor=AFTER_SALES)
    do(NegotiateDispute(**target, remedy=DisputeRemedy.REFUND, amount_minor=5_000), actor=AFTER_SALES)
    do(AgreeDispute(**target), actor=herself)
    do(RefundOrder(order_id=order_id, other_minor=5_000, reason=RefundReason.OTHER), actor=AFTER_SALES)
    refund_id = shop.order(order_id).refunds[0].refund_id
    do(SettleDispute(**target, refund_ids=(refund_id,)), actor=AFTER_SALES)
    do(FollowUpDispute(**target, result=FollowUpResult.SOLVED), actor=SERVICE)
    do(CloseDispute(**target), actor=SERVICE)

    dispute = shop.order(order_id).disputes[opened.dispute_id]
    assert dispute.status is DisputeStatus.CLOSED and not dispute.is_open
    assert (dispute.kind, dispute.found_kind) == (ProblemKind.PAGE_DIFFERS, ProblemKind.WRONG_ITEM)
    assert (dispute.fault_party, dispute.remedy, dispute.amount_minor) == ("owner", "refund", 5_000)
    assert dispute.refund_ids == [refund_id]


STEPS: list[tuple[type[Command], dict[str, Any]]] = [
    (AcceptDispute, {}),
    (VerifyDispute, {"real": True, "solution": DisputeRemedy.NOTHING, "fault_party": FaultParty.COURIER}),
    (NegotiateDispute, {"remedy": DisputeRemedy.NOTHING}),
    (AgreeDispute, {}),
    (SettleDispute, {}),
    (FollowUpDispute, {"result": FollowUpResult.SOLVED}),
    (CloseDispute, {}),
]


@pytest.mark.parametrize("reached", range(len(STEPS)))
def test_no_step_is_taken_while_an_earlier_one_is_missing(case: Case, reached: int) -> None:
    for command, fields in STEPS[:reached]:
        case.do(command, **fields)

    for command, fields in STEPS[reached + 1 :]:
        with pytest.raises(Refusal) as refused:
            case.do(command, **fields)
        assert refused.value.CODE in {"WRONG_STATE", "NO_OFFER_OPEN", "NO_FOLLOW_UP"}
        name = command.command_name()
        assert codes(case.shop.desk, Order, case.order_id)[name] == refused.value.CODE
    assert STEPS[reached][0].command_name() in possible(case.shop.desk, Order, case.order_id)


@pytest.mark.parametrize(("command", "fields"), [(AcceptDispute, {}), (CloseDispute, {}), (WithdrawDispute, {})])
def test_what_says_nothing_more_is_recorded_once(case: Case, command: type[Command], fields: dict[str, Any]) -> None:
    if command is CloseDispute:
        case.settled().do(FollowUpDispute, result=FollowUpResult.SOLVED)
    case.do(command, **fields)
    before = len(case.shop.desk.events)

    case.do(command, **fields)

    assert len(case.shop.desk.events) == before
    assert codes(case.shop.desk, Order, case.order_id)[command.command_name()] == DONE_ALREADY


# Opening -------------------------------------------------------------------------------------------------------------


def test_nobody_complains_about_an_order_that_is_not_paid(shop: Shop) -> None:
    order_id = shop.place((shop.article(), "1"))

    with pytest.raises(WrongState):
        shop.desk.do(OpenDispute(order_id=order_id, kind=ProblemKind.LATE))


def test_nobody_complains_about_more_than_was_ordered_nor_about_a_line_twice(case: Case) -> None:
    with pytest.raises(InvalidField, match="only 3 of line 1"):
        case.open(quantity="4")
    twice = (LineQuantity(line=1, quantity=Decimal(1)),) * 2
    with pytest.raises(InvalidField, match="named twice"):
        case.shop.desk.do(OpenDispute(order_id=case.order_id, kind=ProblemKind.LATE, lines=twice))


def test_a_stranger_neither_complains_nor_answers(shop: Shop) -> None:
    case = Case(shop, customer_id=shop.desk.register(shop.store_id))
    bob = Actor(id="bob", role=Role.CUSTOMER, customer_id=shop.desk.register(shop.store_id))
    case.verified().offered()

    with pytest.raises(NotFound):
        shop.desk.do(OpenDispute(order_id=case.order_id, kind=ProblemKind.LATE), actor=bob)
    for command in (AgreeDispute, DeclineDisputeOffer, WithdrawDispute):
        with pytest.raises(NotFound):
            case.do(command, bob)


def test_an_order_has_several_disputes_each_at_its_own_step(case: Case) -> None:
    first = case.id
    second = case.open(ProblemKind.LATE)
    case.settled()

    assert [each.status for each in case.order.disputes.values()] == [DisputeStatus.SETTLED, DisputeStatus.OPENED]
    with pytest.raises(NoFollowUp):
        case.do(CloseDispute)
    case.id = second
    with pytest.raises(WrongState, match="one with a dispute that is verified or negotiating"):
        case.do(NegotiateDispute, remedy=DisputeRemedy.NOTHING)
    case.do(AcceptDispute)
    assert case.order.disputes[first].status is DisputeStatus.SETTLED


# Who may do what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        (OpenDispute, (WAREHOUSE,)),
        (AcceptDispute, (BUYER, WAREHOUSE)),
        (VerifyDispute, (BUYER, WAREHOUSE, SERVICE)),
        (NegotiateDispute, (BUYER, SERVICE)),
        (DeclineDisputeOffer, (WAREHOUSE,)),
        (AgreeDispute, (WAREHOUSE,)),
        (ArbitrateDispute, (BUYER, SERVICE, AFTER_SALES)),
        (PayCompensation, (BUYER, SERVICE)),
        (SettleDispute, (BUYER, SERVICE)),
        (FollowUpDispute, (BUYER, WAREHOUSE)),
        (CloseDispute, (BUYER, WAREHOUSE)),
        (WithdrawDispute, (WAREHOUSE,)),
    ],
)
def test_each_step_is_for_those_whose_work_it_is(
    case: Case, command: type[Command], refused: tuple[Actor, ...]
) -> None:
    for actor in refused:
        said = codes(case.shop.desk, Order, case.order_id, actor)
        assert said[command.command_name()] == "NOT_AUTHORISED"


# Verifying -----------------------------------------------------------------------------------------------------------


def test_what_is_real_is_somebodys_fault_and_what_is_not_is_nobodys(case: Case) -> None:
    case.do(AcceptDispute)
    with pytest.raises(FaultPartyMissing):
        case.do(VerifyDispute, real=True, solution=DisputeRemedy.REFUND)
    with pytest.raises(InvalidField):
        case.do(VerifyDispute, real=False, solution=DisputeRemedy.NOTHING, fault_party=FaultParty.CUSTOMER)
    case.do(VerifyDispute, real=False, solution=DisputeRemedy.NOTHING)
    assert (case.dispute.real, case.dispute.found_kind, case.dispute.fault_party) == (False, "quality", None)


# Negotiating and arbitrating -----------------------------------------------------------------------------------------


def test_the_last_offer_is_the_one_that_is_agreed_on(case: Case) -> None:
    case.verified().offered(DisputeRemedy.REFUND, amount_minor=1_000).do(DeclineDisputeOffer)
    case.offered(DisputeRemedy.REFUND, amount_minor=2_000).do(AgreeDispute)

    assert (case.dispute.status, case.dispute.round, case.dispute.amount_minor) == ("agreed", 2, 2_000)


def test_an_answer_needs_an_offer(case: Case) -> None:
    case.verified().offered().do(DeclineDisputeOffer)
    for command in (AgreeDispute, DeclineDisputeOffer):
        with pytest.raises(NoOfferOpen):
            case.do(command)


@pytest.mark.parametrize(
    ("remedy", "amount_minor"),
    [(DisputeRemedy.REFUND, None), (DisputeRemedy.NOTHING, 1), (DisputeRemedy.EXCHANGE, 1)],
)
def test_an_amount_goes_with_the_remedy(case: Case, remedy: DisputeRemedy, amount_minor: int | None) -> None:
    case.verified()
    with pytest.raises(InvalidField):
        case.offered(remedy, amount_minor=amount_minor)


def test_no_more_is_offered_back_than_was_paid(case: Case) -> None:
    case.verified()
    with pytest.raises(RefundExceedsPaid):
        case.offered(DisputeRemedy.REFUND, amount_minor=30_001)


def test_a_dispute_is_arbitrated_after_a_failed_round_alone(case: Case) -> None:
    decision: dict[str, Any] = {
        "decided_by": Arbiter.PLATFORM,
        "decided_for": DecidedFor.BUYER,
        "remedy": DisputeRemedy.COMPENSATION,
        "amount_minor": 9_000,
        "reason": "in doubt for the buyer",
        "fault_party": FaultParty.COURIER,
    }
    case.verified()
    with pytest.raises(NotNegotiated):
        case.do(ArbitrateDispute, **decision)
    case.offered()
    with pytest.raises(OfferOpen):
        case.do(ArbitrateDispute, **decision)
    case.do(DeclineDisputeOffer)

    case.do(ArbitrateDispute, Actor(id="pia", role=Role.PLATFORM), **decision)

    assert case.dispute.status is DisputeStatus.ARBITRATED and case.dispute.unpaid_minor == 9_000
    assert (case.dispute.decided_by, case.dispute.decided_for) == ("platform", "buyer")
    assert case.dispute.borne_by is FaultParty.COURIER
    assert case.shop.desk.last(DisputeArbitrated).reason == "in doubt for the buyer"


def test_what_did_not_help_is_negotiated_anew_before_it_may_be_arbitrated(case: Case) -> None:
    case.verified().offered().do(DeclineDisputeOffer)
    case.offered().do(AgreeDispute)
    case.do(SettleDispute)
    case.do(FollowUpDispute, result=FollowUpResult.NOT_SOLVED)
    assert (case.dispute.status, case.dispute.remedy) == (DisputeStatus.VERIFIED, None)

    case.offered()
    case.offered()  # A better one, before the customer has answered.
    with pytest.raises(OfferOpen):
        case.do(
            ArbitrateDispute,
            decided_by=Arbiter.MANAGEMENT,
            decided_for=DecidedFor.SPLIT,
            remedy=DisputeRemedy.NOTHING,
            reason="x",
        )
    case.do(AgreeDispute)


# Compensation --------------------------------------------------------------------------------------------------------


def test_the_policy_says_what_a_kind_of_problem_is_made_good_with(case: Case) -> None:
    policy(case.shop, quality={"share": "0.125"}, late={"amount_minor": 500})
    case.verified().offered(DisputeRemedy.COMPENSATION)

    offer = case.shop.desk.last(DisputeNegotiated)
    assert (offer.amount_minor, offer.policy_minor) == (2_500, 2_500)  # An eighth of two lamps at 100.
    second = Case(case.shop, order_id=case.order_id)
    second.do(AcceptDispute)
    second.do(
        VerifyDispute,
        real=True,
        kind=ProblemKind.LATE,
        fault_party=FaultParty.COURIER,
        solution=DisputeRemedy.COMPENSATION,
    )
    second.offered(DisputeRemedy.COMPENSATION)
    assert second.dispute.amount_minor == 500


@pytest.mark.parametrize(
    "rules",
    [{"quality": {}}, {"quality": {"amount_minor": 1, "share": "0.1"}}, {"quality": {"share": "1.1"}}, {"dull": {}}],
)
def test_a_rule_is_an_amount_or_a_part_of_what_was_paid(shop: Shop, rules: dict[str, Any]) -> None:
    with pytest.raises(PolicyInvalid):
        policy(shop, **rules)


def test_more_than_the_policy_gives_is_for_owners_and_managers_knowingly(case: Case) -> None:
    policy(case.shop, quality={"amount_minor": 500})
    case.verified()
    more: dict[str, Any] = {"remedy": DisputeRemedy.COMPENSATION, "amount_minor": 501}
    with pytest.raises(CompensationAbovePolicy, match="gives 500 minor units for this, not 501"):
        case.do(NegotiateDispute, MANAGER, **more)
    with pytest.raises(CompensationAbovePolicy):
        case.do(NegotiateDispute, AFTER_SALES, **more, above_policy=True)
    case.do(NegotiateDispute, MANAGER, **more, above_policy=True)
    assert (case.dispute.amount_minor, case.shop.desk.last(DisputeNegotiated).policy_minor) == (501, 500)


def test_a_kind_without_a_rule_is_made_good_by_nobody_but_a_manager(case: Case) -> None:
    case.verified()
    with pytest.raises(InvalidField, match="say how much"):
        case.offered(DisputeRemedy.COMPENSATION)
    with pytest.raises(CompensationAbovePolicy):
        case.do(NegotiateDispute, AFTER_SALES, remedy=DisputeRemedy.COMPENSATION, amount_minor=1)


def test_a_compensation_is_paid_on_top_of_the_order_and_is_borne_by_whose_fault_it_is(case: Case) -> None:
    policy(case.shop, quality={"amount_minor": 40_000})
    before = case.order
    case.agreed(DisputeRemedy.COMPENSATION)

    case.do(PayCompensation, AFTER_SALES, amount_minor=15_000, provider_reference="C-1")
    case.do(PayCompensation, AFTER_SALES, provider_reference="C-2")

    paid = case.shop.desk.last(CompensationPaid)
    assert (paid.kind, paid.borne_by, paid.amount_minor, paid.currency) == ("quality", "supplier", 25_000, "CNY")
    assert case.dispute.compensated_minor == 40_000
    # More than the order cost: it is no refund, and what may be refunded is what it was.
    after = case.order
    assert (after.refundable_minor, after.refunded_minor) == (before.refundable_minor, 0)
    with pytest.raises(NothingToPay):
        case.do(PayCompensation)


def test_a_payment_of_a_compensation_counts_once_by_its_reference(case: Case) -> None:
    policy(case.shop, quality={"amount_minor": 500})
    case.agreed(DisputeRemedy.COMPENSATION)
    case.do(PayCompensation, provider_reference="C-1")
    before = len(case.shop.desk.events)

    case.do(PayCompensation, provider_reference="C-1")

    assert len(case.shop.desk.events) == before


def test_no_more_is_paid_than_was_agreed_and_nothing_that_was_not(case: Case) -> None:
    policy(case.shop, quality={"amount_minor": 500})
    with pytest.raises(WrongState):
        case.do(PayCompensation)
    case.agreed(DisputeRemedy.COMPENSATION)
    with pytest.raises(InvalidField, match="only 500"):
        case.do(PayCompensation, amount_minor=501)


def test_what_the_customer_is_given_without_being_right_is_the_owners_to_bear(case: Case) -> None:
    policy(case.shop, quality={"amount_minor": 500})
    case.do(AcceptDispute)
    case.do(VerifyDispute, real=False, solution=DisputeRemedy.NOTHING)
    case.offered(DisputeRemedy.COMPENSATION).do(AgreeDispute)
    case.do(PayCompensation)
    assert case.shop.desk.last(CompensationPaid).borne_by is FaultParty.OWNER


def test_what_was_paid_in_vain_counts_against_the_policy_and_not_against_the_next_offer(case: Case) -> None:
    policy(case.shop, quality={"amount_minor": 500})
    case.verified().offered(DisputeRemedy.COMPENSATION, amount_minor=200).do(AgreeDispute)
    case.do(PayCompensation)
    case.do(SettleDispute)
    case.do(FollowUpDispute, result=FollowUpResult.NOT_SOLVED)

    case.offered(DisputeRemedy.COMPENSATION).do(AgreeDispute)

    assert (case.dispute.amount_minor, case.dispute.unpaid_minor, case.dispute.compensated_minor) == (300, 300, 200)


# Settling ------------------------------------------------------------------------------------------------------------


def test_a_refund_settles_what_was_agreed_once_it_is_enough(case: Case) -> None:
    case.agreed(DisputeRemedy.REFUND, amount_minor=3_000)
    with pytest.raises(RemedyNotDone, match="has not gone back"):
        case.do(SettleDispute)
    refunds = []
    for amount_minor in (2_000, 1_000):
        refund = RefundOrder(order_id=case.order_id, other_minor=amount_minor, reason=RefundReason.OTHER)
        case.shop.desk.do(refund)
        refunds.append(case.order.refunds[-1].refund_id)
    with pytest.raises(RemedyNotDone, match="2000 of 3000"):
        case.do(SettleDispute, refund_ids=(refunds[0],))
    with pytest.raises(NotFound):
        case.do(SettleDispute, refund_ids=(case.id,))
    with pytest.raises(InvalidField, match="one dispute, once"):
        case.do(SettleDispute, refund_ids=(refunds[0], refunds[0]))
    case.do(SettleDispute, refund_ids=tuple(refunds))
    assert case.dispute.refund_ids == refunds

    other = Case(case.shop, order_id=case.order_id).agreed(DisputeRemedy.REFUND, amount_minor=1_000)
    with pytest.raises(InvalidField, match="one dispute, once"):
        other.do(SettleDispute, refund_ids=(refunds[1],))


def test_what_went_back_before_anybody_complained_settles_nothing(shop: Shop) -> None:
    order_id = shop.delivered((shop.article(), "3"))
    shop.desk.do(RefundOrder(order_id=order_id, other_minor=1_000, reason=RefundReason.OTHER))
    case = Case(shop, order_id=order_id).agreed(DisputeRemedy.REFUND, amount_minor=1_000)

    with pytest.raises(InvalidField, match="before anybody complained"):
        case.do(SettleDispute, refund_ids=(case.order.refunds[0].refund_id,))


def test_goods_that_come_back_settle_with_the_money_for_them(case: Case) -> None:
    case.agreed(DisputeRemedy.RETURN)
    return_id = case.shop.returned(case.order_id, (1, "2"))
    case.shop.desk.do(RefundOrder(order_id=case.order_id, lines=(RefundOf(line=1, quantity=Decimal(2)),)))
    refund_id = case.order.refunds[0].refund_id

    with pytest.raises(RemedyNotDone, match="the goods have not come back"):
        case.do(SettleDispute, refund_ids=(refund_id,))
    with pytest.raises(NotFound):
        case.do(SettleDispute, refund_ids=(refund_id,), return_id=case.id)
    case.do(SettleDispute, refund_ids=(refund_id,), return_id=return_id)
    assert case.dispute.return_id == return_id


def test_an_exchange_names_the_order_by_which_something_else_was_sent(shop: Shop) -> None:
    ann = shop.desk.register(shop.store_id)
    case = Case(shop, customer_id=ann).agreed(DisputeRemedy.EXCHANGE)
    cup = shop.article("cup")
    with pytest.raises(RemedyNotDone, match="nothing was sent instead"):
        case.do(SettleDispute)
    with pytest.raises(InvalidField, match="another order of the same store and customer"):
        case.do(SettleDispute, replacement_order_id=case.order_id)
    with pytest.raises(InvalidField):
        case.do(SettleDispute, replacement_order_id=shop.place((cup, "1")))
    other = shop.place((cup, "1"), customer_id=ann)
    case.do(SettleDispute, replacement_order_id=other)
    assert case.dispute.replacement_order_id == other


def test_a_compensation_that_is_not_paid_settles_nothing(case: Case) -> None:
    policy(case.shop, quality={"amount_minor": 500})
    case.agreed(DisputeRemedy.COMPENSATION)
    with pytest.raises(RemedyNotDone, match="500 minor units of the compensation"):
        case.do(SettleDispute)
    case.do(PayCompensation)
    case.do(SettleDispute)


# Following up and closing --------------------------------------------------------------------------------------------


def test_a_dispute_is_not_closed_before_the_customer_was_asked(case: Case) -> None:
    case.settled()
    with pytest.raises(NoFollowUp):
        case.do(CloseDispute)


def test_who_is_not_reached_three_times_counts_as_asked(case: Case) -> None:
    case.settled()
    for _ in range(2):
        case.do(FollowUpDispute, result=FollowUpResult.NOT_REACHED)
        assert case.dispute.status is DisputeStatus.SETTLED
    case.do(FollowUpDispute, result=FollowUpResult.NOT_REACHED)
    case.do(CloseDispute)


def test_nobody_withdraws_what_was_agreed(case: Case) -> None:
    case.agreed()
    with pytest.raises(WrongState):
        case.do(WithdrawDispute)


# The sale ------------------------------------------------------------------------------------------------------------


def test_a_sale_becomes_final_once_its_disputes_are_over(case: Case) -> None:
    with pytest.raises(DisputeOpen):
        case.shop.desk.do(CompleteOrder(order_id=case.order_id))
    case.do(WithdrawDispute)
    case.shop.desk.do(CompleteOrder(order_id=case.order_id))
    case.open()  # One may complain about what is final.


class _Now:
    """What a rule may look at: everything as it is."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def then(self, kind: type[Any], stream_id: UUID) -> Any:
        return self._shop.desk.get(kind, stream_id)

    now = then


def test_a_dispute_holds_up_that_an_order_completes_by_itself(shop: Shop) -> None:
    rule = next(rule for rule in DUE_RULES if rule.name == "complete_order")
    order_id = shop.shipped((shop.article(), "3"))
    case = Case(shop, order_id=order_id)
    shop.desk.do(DeliverOrder(order_id=order_id, parcel_id=next(iter(shop.order(order_id).parcels))))
    assert rule.due(shop.desk.events[-1][1], _Now(shop)) == ()
    assert rule.then(order_id, _Now(shop)) is None

    case.settled().do(FollowUpDispute, result=FollowUpResult.SOLVED)
    shop.desk.now += timedelta(days=2)
    case.do(CloseDispute)

    delivered_at = case.order.delivered_at
    assert delivered_at is not None
    assert rule.due(shop.desk.last(DisputeClosed), _Now(shop)) == (delivered_at + timedelta(days=10),)
    assert rule.then(order_id, _Now(shop)) == CompleteOrder(order_id=order_id)
