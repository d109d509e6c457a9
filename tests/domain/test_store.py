"""Stores: opening in seven steps, stopping and closing, and what the other aggregates ask a store about."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from opscore.domain.calendars import Calendar, CalendarKind, add_working_days
from opscore.domain.command import Actor, Command, Role
from opscore.domain.refusals import (
    AlreadyExists,
    CurrencyMismatch,
    InvalidField,
    NotAuthorised,
    NotFound,
    ReasonMissing,
    ReferenceTaken,
    Refusal,
    SamePerson,
    WrongState,
)
from opscore.domain.store import Store
from opscore.domain.store_commands import (
    AddLocation,
    ApplyForStore,
    CertifyPaymentAccount,
    CloseLocation,
    CloseStore,
    FreezeDeposit,
    OpenStore,
    PassAudit,
    PayServiceFee,
    RecordExpense,
    RejectAudit,
    ReleaseDeposit,
    ReopenStore,
    SetCalendar,
    SetCouriers,
    SetPaymentMethods,
    SetPolicy,
    SignStoreAgreement,
    SubmitForAudit,
    SubmitStoreDocument,
    SubmitStoreInfo,
    SuspendStore,
)
from opscore.domain.store_events import (
    AccountNotOwn,
    AgreementUnsigned,
    AmountDiffersFromTerms,
    AutoDebitRequired,
    BrandNotAuthorised,
    CategoryOutOfScope,
    ClaimsOpen,
    CourierNotAllowed,
    DepositBelowTerms,
    DepositNotFrozen,
    DocumentExpired,
    DocumentKind,
    DocumentMissing,
    ExceedsDeposit,
    FeeUnpaid,
    HoursInvalid,
    InfoMissing,
    LicenceMissing,
    LocationClosedAlready,
    NoCourier,
    NoPaymentMethod,
    PaymentAccountMissing,
    PaymentMethodNotEnabled,
    PlatformUnknown,
    StoreAuditStarted,
    StoreDocumentSubmitted,
    StoreNotOpen,
    StoreStatus,
    SuspensionRunning,
    TermsUnset,
)
from tests.domain.desk import MANAGER, OWNER, SECOND, Desk


def audited(desk: Desk, platform: str = "tmall") -> UUID:
    """Bring a store to just before deposit and fee."""
    store_id = desk.apply_for_store(platform=platform)
    desk.do(SubmitForAudit(store_id=store_id))
    desk.do(PassAudit(store_id=store_id), actor=SECOND)
    return store_id


def in_status(desk: Desk, status: StoreStatus) -> UUID:
    """Return a store that stands where the test wants it."""
    if status is StoreStatus.APPLIED:
        return desk.apply_for_store()
    if status is StoreStatus.UNDER_AUDIT:
        store_id = desk.apply_for_store()
        desk.do(SubmitForAudit(store_id=store_id))
        return store_id
    if status is StoreStatus.AUDITED:
        return audited(desk)
    store_id = desk.open_store(platform="tmall")
    if status is StoreStatus.SUSPENDED:
        desk.do(SuspendStore(store_id=store_id, reason="platform penalty"))
    if status is StoreStatus.CLOSED:
        desk.do(CloseStore(store_id=store_id, reason="moved"))
    return store_id


# Opening -------------------------------------------------------------------------------------------------------------


def test_a_store_opens_in_seven_ordered_steps() -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    desk.do(CertifyPaymentAccount(store_id=store_id, provider="alipay", account_reference="2088", holder="Acme Ltd"))
    desk.do(SubmitStoreInfo(store_id=store_id, company="Acme Ltd", brands=("Acme",)))
    desk.do(SubmitStoreDocument(store_id=store_id, kind=DocumentKind.BUSINESS_LICENCE, number="91310"))
    desk.do(SubmitStoreDocument(store_id=store_id, kind=DocumentKind.TAX_REGISTRATION, number="3101"))
    desk.do(SignStoreAgreement(store_id=store_id, terms_version="2024-1", auto_debit=True))
    desk.do(SubmitForAudit(store_id=store_id))
    desk.do(PassAudit(store_id=store_id), actor=SECOND)
    desk.do(FreezeDeposit(store_id=store_id, amount_minor=10_000_00, currency="CNY"))
    desk.do(PayServiceFee(store_id=store_id, amount_minor=6_000_00, currency="CNY"))
    desk.do(OpenStore(store_id=store_id))
    assert desk.recorded(store_id) == [
        "StoreApplied",
        "PaymentAccountCertified",
        "StoreInfoSubmitted",
        "StoreDocumentSubmitted",
        "StoreDocumentSubmitted",
        "StoreAgreementSigned",
        "StoreAuditStarted",
        "StoreAuditPassed",
        "DepositFrozen",
        "ServiceFeePaid",
        "StoreOpened",
    ]
    desk.get(Store, store_id).require_open()


@pytest.mark.parametrize(
    ("steps_done", "step", "refusal"),
    [
        (0, SubmitStoreInfo(store_id=UUID(int=0), company="Acme Ltd", brands=("Acme",)), PaymentAccountMissing),
        (0, SignStoreAgreement(store_id=UUID(int=0), terms_version="1", auto_debit=True), PaymentAccountMissing),
        (0, SubmitForAudit(store_id=UUID(int=0)), PaymentAccountMissing),
        (1, SignStoreAgreement(store_id=UUID(int=0), terms_version="1", auto_debit=True), InfoMissing),
        (1, SubmitForAudit(store_id=UUID(int=0)), InfoMissing),
        (2, SubmitForAudit(store_id=UUID(int=0)), AgreementUnsigned),
        (2, SignStoreAgreement(store_id=UUID(int=0), terms_version="1"), AutoDebitRequired),
        (3, SubmitForAudit(store_id=UUID(int=0)), DocumentMissing),
        (3, PassAudit(store_id=UUID(int=0)), WrongState),
        (3, OpenStore(store_id=UUID(int=0)), WrongState),
    ],
)
def test_a_step_is_refused_while_an_earlier_one_is_missing(steps_done: int, step: Any, refusal: type[Refusal]) -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    steps: list[Command] = [
        CertifyPaymentAccount(store_id=store_id, provider="alipay", account_reference="2088", holder="Acme Ltd"),
        SubmitStoreInfo(store_id=store_id, company="Acme Ltd", brands=("Acme",)),
        SignStoreAgreement(store_id=store_id, terms_version="1", auto_debit=True),
    ]
    for earlier in steps[:steps_done]:
        desk.do(earlier)
    before = len(desk.events)
    with pytest.raises(refusal):
        desk.do(type(step)(**{**{f: getattr(step, f) for f in step.__struct_fields__}, "store_id": store_id}))
    assert len(desk.events) == before


STATES = list(StoreStatus)
MOVES: list[tuple[type[Command], dict[str, Any], dict[StoreStatus, StoreStatus]]] = [
    (SubmitForAudit, {}, {StoreStatus.APPLIED: StoreStatus.UNDER_AUDIT}),
    (PassAudit, {}, {StoreStatus.UNDER_AUDIT: StoreStatus.AUDITED}),
    (RejectAudit, {"reasons": ("licence unreadable",)}, {StoreStatus.UNDER_AUDIT: StoreStatus.APPLIED}),
    (PayServiceFee, {"amount_minor": 6_000_00, "currency": "CNY"}, {StoreStatus.AUDITED: StoreStatus.AUDITED}),
    (SuspendStore, {"reason": "penalty"}, {StoreStatus.OPEN: StoreStatus.SUSPENDED}),
    (
        ReopenStore,
        {},
        {StoreStatus.SUSPENDED: StoreStatus.OPEN, StoreStatus.OPEN: StoreStatus.OPEN},
    ),
    (
        CloseStore,
        {"reason": "moved"},
        {
            StoreStatus.OPEN: StoreStatus.CLOSED,
            StoreStatus.SUSPENDED: StoreStatus.CLOSED,
            StoreStatus.CLOSED: StoreStatus.CLOSED,
        },
    ),
]


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize(("command", "fields", "leads_to"), MOVES, ids=[move[0].__name__ for move in MOVES])
def test_a_command_moves_a_store_from_its_states_and_is_refused_in_all_others(
    command: Any, fields: dict[str, Any], leads_to: dict[StoreStatus, StoreStatus], status: StoreStatus
) -> None:
    desk = Desk()
    store_id = in_status(desk, status)
    if status in leads_to:
        desk.do(command(store_id=store_id, **fields), actor=SECOND)
        assert desk.get(Store, store_id).status is leads_to[status]
    else:
        with pytest.raises(WrongState) as refused:
            desk.do(command(store_id=store_id, **fields), actor=SECOND)
        assert refused.value.ids == (store_id,)
        assert desk.get(Store, store_id).status is status


def test_an_audit_submitted_on_1_may_is_expected_from_4_may_and_due_on_8_may() -> None:
    desk = Desk()
    store_id = desk.apply_for_store()
    submitted = datetime(2024, 5, 1, 12, tzinfo=UTC)
    desk.do(SubmitForAudit(store_id=store_id), at=submitted)
    started = desk.last(StoreAuditStarted)
    assert (started.expected_from.date(), started.due_at.date()) == (date(2024, 5, 4), date(2024, 5, 8))


def test_the_applicant_may_not_pass_their_own_audit_unless_the_policy_lets_them() -> None:
    desk = Desk()
    store_id = in_status(desk, StoreStatus.UNDER_AUDIT)
    with pytest.raises(SamePerson):
        desk.do(PassAudit(store_id=store_id), actor=OWNER)
    desk.do(SetPolicy(store_id=store_id, kind="second_person", params={"audit": False}))
    desk.do(PassAudit(store_id=store_id), actor=OWNER)
    assert desk.get(Store, store_id).status is StoreStatus.AUDITED


def test_a_manager_does_not_decide_to_be_checked_by_nobody() -> None:
    desk = Desk()
    store_id = in_status(desk, StoreStatus.UNDER_AUDIT)
    switch = SetPolicy(store_id=store_id, kind="second_person", params={"audit": False})
    with pytest.raises(NotAuthorised, match="the owner decides"):
        desk.do(switch, actor=MANAGER)
    desk.do(SetPolicy(store_id=store_id, kind="ship_promise", params={}), actor=MANAGER)


def test_whoever_handed_the_application_in_may_not_pass_it_either() -> None:
    desk = Desk()
    store_id = desk.apply_for_store()
    desk.do(SubmitForAudit(store_id=store_id), actor=MANAGER)
    with pytest.raises(SamePerson):
        desk.do(PassAudit(store_id=store_id), actor=MANAGER)


def test_a_rejected_application_can_be_mended_and_handed_in_again() -> None:
    desk = Desk()
    store_id = in_status(desk, StoreStatus.UNDER_AUDIT)
    with pytest.raises(ReasonMissing):
        desk.do(RejectAudit(store_id=store_id, reasons=()), actor=SECOND)
    desk.do(RejectAudit(store_id=store_id, reasons=("wrong brand",)), actor=SECOND)
    desk.do(SubmitStoreInfo(store_id=store_id, company="Acme Ltd", brands=("Other",)))
    desk.do(SubmitForAudit(store_id=store_id))
    assert desk.get(Store, store_id).status is StoreStatus.UNDER_AUDIT


def test_the_payment_account_has_to_be_the_operators_own() -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    with pytest.raises(AccountNotOwn):
        desk.do(
            CertifyPaymentAccount(store_id=store_id, provider="alipay", account_reference="1", holder="Someone Else")
        )


def test_a_store_name_is_taken_once() -> None:
    desk = Desk()
    first = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    with pytest.raises(ReferenceTaken) as refused:
        desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="own"))
    assert refused.value.ids == (first,)
    assert refused.value.path == ("name",)


def test_an_application_names_a_platform_and_a_time_zone_that_exist() -> None:
    desk = Desk()
    with pytest.raises(PlatformUnknown):
        desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="bazaar"))
    with pytest.raises(InvalidField) as refused:
        desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="own", time_zone="Mars/Base"))
    assert refused.value.path == ("time_zone",)
    assert desk.events == []
    assert desk.claims == {}


def test_somebody_of_another_store_does_not_find_this_one() -> None:
    desk = Desk()
    store_id = desk.open_store()
    stranger = Actor(id="eve", role=Role.MANAGER, stores=frozenset({uuid4()}))
    with pytest.raises(NotFound):
        desk.do(SetPaymentMethods(store_id=store_id, methods=("cash",)), actor=stranger)


# Documents -----------------------------------------------------------------------------------------------------------


def test_a_document_that_has_ended_is_refused_and_one_that_ends_today_is_not() -> None:
    desk = Desk(now=datetime(2024, 5, 1, 15, 59, tzinfo=UTC))  # 23:59 in Shanghai
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    licence = DocumentKind.BUSINESS_LICENCE
    with pytest.raises(DocumentExpired):
        desk.do(SubmitStoreDocument(store_id=store_id, kind=licence, valid_until=date(2024, 4, 30)))
    desk.do(SubmitStoreDocument(store_id=store_id, kind=licence, valid_until=date(2024, 5, 1)))
    an_hour_later = datetime(2024, 5, 1, 17, tzinfo=UTC)
    with pytest.raises(DocumentExpired):
        desk.do(SubmitStoreDocument(store_id=store_id, kind=licence, valid_until=date(2024, 5, 1)), at=an_hour_later)


def test_a_licence_that_ran_out_before_the_audit_has_to_be_renewed() -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    desk.do(CertifyPaymentAccount(store_id=store_id, provider="alipay", account_reference="1", holder="Acme Ltd"))
    desk.do(SubmitStoreInfo(store_id=store_id, company="Acme Ltd", brands=("Acme",)))
    desk.do(SignStoreAgreement(store_id=store_id, terms_version="1", auto_debit=True))
    desk.do(SubmitStoreDocument(store_id=store_id, kind=DocumentKind.TAX_REGISTRATION))
    licence = DocumentKind.BUSINESS_LICENCE
    desk.do(SubmitStoreDocument(store_id=store_id, kind=licence, number="1", valid_until=date(2024, 5, 10)))
    later = datetime(2024, 5, 20, tzinfo=UTC)
    with pytest.raises(DocumentExpired):
        desk.do(SubmitForAudit(store_id=store_id), at=later)
    desk.do(SubmitStoreDocument(store_id=store_id, kind=licence, number="2", valid_until=date(2030, 1, 1)), at=later)
    desk.do(SubmitForAudit(store_id=store_id), at=later)


def test_every_category_has_to_lie_inside_the_business_licence() -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    desk.do(CertifyPaymentAccount(store_id=store_id, provider="alipay", account_reference="1", holder="Acme Ltd"))
    desk.do(SubmitStoreInfo(store_id=store_id, company="Acme", brands=("Acme",), categories=("gifts", "food")))
    desk.do(SignStoreAgreement(store_id=store_id, terms_version="1", auto_debit=True))
    desk.do(SubmitStoreDocument(store_id=store_id, kind=DocumentKind.TAX_REGISTRATION))
    licence = DocumentKind.BUSINESS_LICENCE
    desk.do(SubmitStoreDocument(store_id=store_id, kind=licence, number="1", categories=("gifts",)))
    with pytest.raises(CategoryOutOfScope):
        desk.do(SubmitForAudit(store_id=store_id))
    desk.do(SubmitStoreDocument(store_id=store_id, kind=licence, number="1", categories=("gifts", "food")))
    desk.do(SubmitForAudit(store_id=store_id))


def test_the_number_of_an_identity_proof_is_kept_as_ciphertext_only() -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="tmall"))
    desk.do(SubmitStoreDocument(store_id=store_id, kind=DocumentKind.IDENTITY_PROOF, number="31010119800101123X"))
    submitted = desk.last(StoreDocumentSubmitted)
    assert submitted.number is None
    assert "31010119800101123X" not in repr(submitted)
    assert desk.unseal(store_id, submitted.personal_number) == "31010119800101123X"
    assert all(b"31010119800101123X" not in state for state in desk.snapshots())


def test_listing_goods_asks_for_brand_authorisation_and_special_licences_valid_on_the_day() -> None:
    desk = Desk()
    store_id = desk.open_store(platform="tmall")
    at = desk.now

    def store() -> Store:
        return desk.get(Store, store_id)

    with pytest.raises(BrandNotAuthorised):
        store().require_may_list("gifts", "Lumen", at)
    until = date(2024, 6, 30)
    desk.do(
        SubmitStoreDocument(store_id=store_id, kind=DocumentKind.BRAND_AUTHORISATION, brand="Lumen", valid_until=until)
    )
    store().require_may_list("gifts", "Lumen", at)
    with pytest.raises(BrandNotAuthorised):
        store().require_may_list("gifts", "Lumen", datetime(2024, 7, 1, 12, tzinfo=UTC))
    with pytest.raises(LicenceMissing):
        store().require_may_list("food", "Lumen", at)
    desk.do(SubmitStoreDocument(store_id=store_id, kind=DocumentKind.CATEGORY_LICENCE, categories=("food",)))
    store().require_may_list("food", "Lumen", at)


def test_a_shop_of_ones_own_needs_no_papers_to_list_goods() -> None:
    desk = Desk()
    store_id = desk.open_store(platform="own", currency="GBP")
    desk.get(Store, store_id).require_may_list("food", "Any", desk.now)


# Deposit and fee -----------------------------------------------------------------------------------------------------


def test_deposit_and_fee_have_to_be_what_the_terms_ask_for() -> None:
    desk = Desk()
    store_id = audited(desk)
    with pytest.raises(AmountDiffersFromTerms) as refused:
        desk.do(FreezeDeposit(store_id=store_id, amount_minor=9_999_99, currency="CNY"))
    assert "1000000" in refused.value.message
    with pytest.raises(CurrencyMismatch):
        desk.do(FreezeDeposit(store_id=store_id, amount_minor=10_000_00, currency="USD"))
    with pytest.raises(DepositNotFrozen):
        desk.do(OpenStore(store_id=store_id))
    desk.do(FreezeDeposit(store_id=store_id, amount_minor=10_000_00, currency="CNY"))
    with pytest.raises(AmountDiffersFromTerms):
        desk.do(FreezeDeposit(store_id=store_id, amount_minor=10_000_00, currency="CNY"))
    with pytest.raises(FeeUnpaid):
        desk.do(OpenStore(store_id=store_id))
    desk.do(PayServiceFee(store_id=store_id, amount_minor=6_000_00, currency="CNY"))
    desk.do(OpenStore(store_id=store_id))
    desk.do(OpenStore(store_id=store_id))
    assert desk.recorded(store_id).count("StoreOpened") == 1


def test_where_nobody_knows_the_terms_they_have_to_be_set_first() -> None:
    desk = Desk()
    store_id = desk.do(ApplyForStore(name="Gifts", operator="Acme Ltd", platform="jd"))
    with pytest.raises(TermsUnset):
        desk.get(Store, store_id).deposit_missing_minor(desk.now)
    desk.do(SetPolicy(store_id=store_id, kind="platform_terms", params={"deposit_minor": 30_000_00}))
    assert desk.get(Store, store_id).deposit_missing_minor(desk.now) == 30_000_00
    with pytest.raises(TermsUnset):
        desk.get(Store, store_id).fee_missing_minor(desk.now)


def test_a_store_reopens_only_once_the_suspension_is_over_and_the_deposit_whole() -> None:
    desk = Desk()
    store_id = desk.open_store(platform="tmall")
    until = desk.now + timedelta(days=7)
    desk.do(SuspendStore(store_id=store_id, reason="platform penalty", until=until))
    with pytest.raises(StoreNotOpen):
        desk.get(Store, store_id).require_open()
    with pytest.raises(SuspensionRunning):
        desk.do(ReopenStore(store_id=store_id), at=until - timedelta(seconds=1))
    desk.do(SetPolicy(store_id=store_id, kind="platform_terms", params={"deposit_minor": 12_000_00}))
    with pytest.raises(DepositBelowTerms):
        desk.do(ReopenStore(store_id=store_id), at=until)
    desk.do(FreezeDeposit(store_id=store_id, amount_minor=2_000_00, currency="CNY"), at=until)
    desk.do(ReopenStore(store_id=store_id), at=until)
    desk.get(Store, store_id).require_open()


def test_the_deposit_comes_back_when_buyers_can_claim_no_more() -> None:
    desk = Desk()
    store_id = desk.open_store(platform="tmall")
    desk.do(CloseStore(store_id=store_id, reason="moved"))
    release = ReleaseDeposit(store_id=store_id, amount_minor=6_000_00, currency="CNY")
    closed_at = desk.now
    with pytest.raises(ClaimsOpen):
        desk.do(release, at=closed_at + timedelta(days=14))
    desk.do(release, at=closed_at + timedelta(days=15))
    with pytest.raises(ExceedsDeposit) as refused:
        desk.do(release, at=closed_at + timedelta(days=16))
    assert "400000" in refused.value.message
    assert desk.get(Store, store_id).deposit_minor == 4_000_00


# How a store works ---------------------------------------------------------------------------------------------------


def test_orders_are_paid_only_by_methods_on_offer() -> None:
    desk = Desk()
    store_id = desk.open_store()
    with pytest.raises(NoPaymentMethod):
        desk.do(SetPaymentMethods(store_id=store_id, methods=()))
    desk.do(SetPaymentMethods(store_id=store_id, methods=("remittance", "alipay", "alipay")))
    recorded = len(desk.events)
    desk.do(SetPaymentMethods(store_id=store_id, methods=("alipay", "remittance")))
    assert len(desk.events) == recorded
    store = desk.get(Store, store_id)
    store.require_payment_method("alipay")
    with pytest.raises(PaymentMethodNotEnabled):
        store.require_payment_method("credit_card", ("method",))


def test_parcels_to_remote_regions_go_by_the_remote_courier_and_others_by_a_contracted_one() -> None:
    desk = Desk()
    store_id = desk.open_store()
    with pytest.raises(NoCourier):
        desk.do(SetCouriers(store_id=store_id, couriers=()))
    with pytest.raises(InvalidField):
        desk.do(SetCouriers(store_id=store_id, couriers=("yto",), remote_courier="sf"))
    desk.do(SetCouriers(store_id=store_id, couriers=("yto", "zto"), remote_courier="sf", remote_regions=("Tibet",)))
    store = desk.get(Store, store_id)
    store.require_courier("zto", "Shanghai")
    store.require_courier("yto")
    store.require_courier("sf", "Tibet")
    for courier, region in (("yto", "Tibet"), ("sf", "Shanghai"), ("dhl", None)):
        with pytest.raises(CourierNotAllowed):
            store.require_courier(courier, region)


def test_a_closed_location_takes_nothing_in_but_can_be_cleared() -> None:
    desk = Desk()
    store_id = desk.open_store()
    first = desk.location(store_id)
    with pytest.raises(AlreadyExists):
        desk.do(AddLocation(store_id=store_id, name="Main"))
    desk.do(AddLocation(store_id=store_id, name="Shop 2", radius_km=Decimal(3)))
    desk.do(CloseLocation(store_id=store_id, location_id=first))
    desk.do(CloseLocation(store_id=store_id, location_id=first))
    assert desk.recorded(store_id).count("LocationClosed") == 1
    store = desk.get(Store, store_id)
    with pytest.raises(LocationClosedAlready):
        store.require_location(first)
    assert store.require_location(first, closed_too=True).name == "Main"
    with pytest.raises(NotFound):
        store.require_location(uuid4())
    assert first not in store.open_location_ids
    again = desk.do(AddLocation(store_id=store_id, name="Main"))
    assert len(desk.get(Store, again).open_location_ids) == 2


def test_a_closed_store_is_not_set_up_any_more() -> None:
    desk = Desk()
    store_id = in_status(desk, StoreStatus.CLOSED)
    for command in (
        SetPaymentMethods(store_id=store_id, methods=("cash",)),
        SetCouriers(store_id=store_id, couriers=("dhl",)),
        SetCalendar(store_id=store_id, kind=CalendarKind.BUSINESS),
        AddLocation(store_id=store_id, name="New"),
        SetPolicy(store_id=store_id, kind="ship_promise", params={}),
        SubmitStoreDocument(store_id=store_id, kind=DocumentKind.TAX_REGISTRATION),
    ):
        with pytest.raises(WrongState):
            desk.do(command)


def test_an_expense_is_booked_and_a_correction_says_why() -> None:
    desk = Desk()
    store_id = desk.open_store()

    def expense(amount_minor: int, currency: str = "CNY", reason: str | None = None) -> RecordExpense:
        return RecordExpense(
            store_id=store_id, category="rent", amount_minor=amount_minor, currency=currency, reason=reason
        )

    desk.do(expense(3_000_00))
    with pytest.raises(ReasonMissing):
        desk.do(expense(-1_000_00))
    desk.do(expense(-1_000_00, reason="booked twice"))
    with pytest.raises(CurrencyMismatch):
        desk.do(expense(100, "GBP"))
    with pytest.raises(InvalidField):
        desk.do(expense(0))
    booked = [event.amount_minor for _, event in desk.events if type(event).__name__ == "ExpenseRecorded"]
    assert booked == [3_000_00, -1_000_00]


# Working days --------------------------------------------------------------------------------------------------------


def end_of(day: date, zone: str = "Asia/Shanghai") -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("since", "days", "ends"),
    [
        (datetime(2024, 1, 4, 2, tzinfo=UTC), 5, date(2024, 1, 11)),  # first ad plan: Thursday to Thursday
        (datetime(2024, 1, 10, 2, tzinfo=UTC), 2, date(2024, 1, 12)),  # adjustment: Wednesday, due on Friday
        (datetime(2024, 1, 15, 0, tzinfo=UTC), -5, date(2024, 1, 8)),  # ad review wanted five days before Monday
        (datetime(2024, 1, 15, 0, tzinfo=UTC), -3, date(2024, 1, 10)),  # and refused after three days before
        (datetime(2024, 1, 4, 17, tzinfo=UTC), 1, date(2024, 1, 8)),  # already Friday in Shanghai
        (datetime(2024, 1, 4, 2, tzinfo=UTC), 0, date(2024, 1, 4)),
    ],
)
def test_working_days_are_counted_from_the_day_after_in_the_stores_zone(since: datetime, days: int, ends: date) -> None:
    desk = Desk()
    store = desk.get(Store, desk.open_store())
    assert store.add_working_days(since, days) == end_of(ends)


def test_holidays_do_not_count_and_days_made_up_for_them_do() -> None:
    desk = Desk()
    store_id = desk.open_store()
    desk.do(
        SetCalendar(
            store_id=store_id,
            kind=CalendarKind.BUSINESS,
            holidays=(date(2024, 2, 12), date(2024, 2, 13)),
            extra_days=(date(2024, 2, 18),),
        )
    )
    store = desk.get(Store, store_id)
    friday = datetime(2024, 2, 9, 4, tzinfo=UTC)
    assert store.add_working_days(friday, 1) == end_of(date(2024, 2, 14))
    assert store.add_working_days(friday, 4) == end_of(date(2024, 2, 18))
    assert store.calendar(CalendarKind.SERVICE).counts(date(2024, 2, 12))


@pytest.mark.parametrize(
    "fields",
    [
        {"weekdays": ()},
        {"opens": "18:00", "closes": "09:00"},
        {"opens": "25:00", "closes": "26:00"},
        {"holidays": (date(2024, 5, 1),), "extra_days": (date(2024, 5, 1),)},
    ],
)
def test_hours_that_cannot_be_kept_are_refused(fields: dict[str, Any]) -> None:
    desk = Desk()
    store_id = desk.open_store()
    with pytest.raises(HoursInvalid):
        desk.do(SetCalendar(store_id=store_id, kind=CalendarKind.BUSINESS, **fields))


@given(
    at=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    days=st.integers(1, 60),
    weekdays=st.sets(st.integers(1, 7), min_size=1),
    holidays=st.sets(st.dates(date(2020, 1, 1), date(2030, 1, 1)), max_size=10),
)
def test_between_a_day_and_n_working_days_later_lie_n_working_days(
    at: datetime, days: int, weekdays: set[int], holidays: set[date]
) -> None:
    calendar = Calendar(weekdays=tuple(weekdays), holidays=tuple(day.isoformat() for day in holidays))
    end = add_working_days(calendar, "Europe/London", at, days)
    last = (end.astimezone(ZoneInfo("Europe/London")) - timedelta(seconds=1)).date()
    first = at.astimezone(ZoneInfo("Europe/London")).date()
    between = [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
    assert sum(calendar.counts(day) for day in between) == days
    assert calendar.counts(last)


# Every store ---------------------------------------------------------------------------------------------------------


def test_the_state_of_a_store_can_be_kept_as_a_snapshot() -> None:
    desk = Desk()
    store_id = desk.open_store(platform="tmall")
    desk.do(SetPolicy(store_id=store_id, kind="ship_promise", params={"soft_hours": 12}))
    (state,) = desk.snapshots()
    kept = json.loads(state)
    assert kept["status"] == "open"
    assert kept["policies"]["ship_promise"][0]["params"] == {"soft_hours": 12, "hard_hours": 48}
