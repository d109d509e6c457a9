"""The schema as others rely on it: written down, described to the last field, and no other than the domain says."""

from __future__ import annotations

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)

from opscore import resources
from opscore.api.mutations import RETRYABLE
from opscore.api.schema import export_schema
from opscore.domain.command import COMMANDS, COMMON_REFUSALS
from opscore.domain.refusals import IdempotencyKeyReused, RejectedWithOthers
from opscore.permissions import BULK, FOLLOWS, OPERATES, READS

SCHEMA = build_schema(export_schema())
TYPES = [type_ for type_ in SCHEMA.type_map.values() if not is_introspection_type(type_)]

TRADE = """
    applyForStore certifyPaymentAccount submitStoreDocument submitStoreInfo signStoreAgreement submitForAudit
    passAudit rejectAudit freezeDeposit payServiceFee openStore suspendStore reopenStore closeStore releaseDeposit
    setPaymentMethods setCouriers setCalendar addLocation closeLocation setPolicy registerSku setSkuContent priceSku
    setTierPrices submitSku passSkuReview failSkuReview listSku delistSku retireSku receiveStock reserveStock
    releaseReservation shipStock takeBackStock writeOffStock issueSample countStock transferStock receiveTransfer
    allocateCampaignStock releaseCampaignStock setStockPolicy placeOrder amendOrderPrice payOrder confirmOrder
    reportShortage resolveShortage packParcel unpackParcel shipOrder deliverOrder completeOrder cancelOrder
    cancelOrderLines requestReturn approveReturn declineReturn cancelReturn receiveReturn disposeReturn refundOrder
    expireOrder planCampaign renameCampaign addCampaignLine removeCampaignLine addPromotion removePromotion
    scheduleCampaign setForecast checkCampaignPrices startCampaign pauseCampaign resumeCampaign endCampaign
    cancelCampaign setCampaignBudget recordAdSpend evaluateCampaign registerCustomer setContactCard setConsent
    planResource submitResource reviewResource dropResource agreeAdBudget launchAdPlan monitorAd adjustAd pauseAdPlan
    resumeAdPlan endAdPlan
    joinMembership changeTier earnPoints spendPoints reversePoints expirePoints grantCoupon useCoupon returnCoupon
    redeemCampaign referCustomer rewardReferral mergeCustomers blockCustomer eraseCustomer noteOrder withdrawOrderNote
    tagOrder untagOrder setSalesTarget setBudget investCapital moveFunds positionStore changeStoreProfile
    recordPlatformPenalty deductDeposit setHeroSkus
"""
"""The commands that a seller needs from application to erasure, by the names of the field."""


def test_the_schema_that_is_written_down_is_the_one_that_is_served() -> None:
    written = (resources.path("schema") / "opscore.graphql").read_text(encoding="utf-8")

    assert written == export_schema(), "schema/opscore.graphql is not what the code says; run: opscore schema export"


def test_every_command_of_the_domain_is_a_mutation_and_what_else_is_one_says_who_may_send_it() -> None:
    assert SCHEMA.mutation_type is not None
    assert set(COMMANDS) >= BULK
    assert set(SCHEMA.mutation_type.fields) == set(COMMANDS) | set(OPERATES) | {f"{name}InBulk" for name in BULK}
    assert not set(COMMANDS) & set(OPERATES)


@pytest.mark.parametrize("name", TRADE.split())
def test_a_seller_can_give_every_command_of_the_trade(name: str) -> None:
    assert SCHEMA.mutation_type is not None
    assert name in SCHEMA.mutation_type.fields


COMMON = ("userErrors", "position", "eventId", "eventHash", "replayed")


def test_every_command_takes_one_input_with_its_key_and_answers_with_one_payload() -> None:
    assert SCHEMA.mutation_type is not None
    for name in COMMANDS:
        field = SCHEMA.mutation_type.fields[name]
        type_name = name[0].upper() + name[1:]
        assert list(field.args) == ["input"], name
        given = field.args["input"].type
        assert isinstance(given, GraphQLNonNull) and given.of_type.name == f"{type_name}Input"
        assert {"idempotencyKey", "expectedVersion", "occurredAt"} <= set(given.of_type.fields), name
        assert str(given.of_type.fields["idempotencyKey"].type) == "String!"
        assert isinstance(field.type, GraphQLNonNull)
        payload = field.type.of_type
        aggregate = COMMANDS[name].AGGREGATE.STREAM_TYPE.lower()
        shown = {"contact"} if COMMANDS[name].DISCLOSES else set()
        assert set(payload.fields) == {aggregate, *COMMON} | shown, name


def test_every_refusal_of_a_command_is_a_code_of_its_own_enum() -> None:
    for command in COMMANDS.values():
        enum = SCHEMA.type_map[f"{command.__name__}ErrorCode"]
        assert isinstance(enum, GraphQLEnumType)
        refusals = {refusal.CODE for refusal in (*command.REFUSES, *COMMON_REFUSALS, IdempotencyKeyReused)}
        in_lists = {RejectedWithOthers.CODE} if command.command_name() in BULK else set()
        assert set(enum.values) == refusals | set(RETRYABLE) | in_lists, command.__name__


def test_every_type_field_argument_and_value_says_what_it_is() -> None:
    silent = []
    for type_ in TYPES:
        if not type_.description and not is_specified_scalar_type(type_):
            silent.append(type_.name)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, field in type_.fields.items():
                if not field.description:
                    silent.append(f"{type_.name}.{name}")
                for argument_name, argument in getattr(field, "args", {}).items():
                    if not argument.description and type_.name != "Mutation":
                        silent.append(f"{type_.name}.{name}({argument_name})")
        if isinstance(type_, GraphQLEnumType):
            silent += [f"{type_.name}.{name}" for name, value in type_.values.items() if not value.description]

    assert not silent, f"describe these: {silent}"


def test_every_question_says_who_may_ask_it() -> None:
    assert SCHEMA.query_type is not None
    assert set(SCHEMA.query_type.fields) == set(READS), "permissions.READS and the questions differ"
    assert SCHEMA.subscription_type is not None
    assert set(SCHEMA.subscription_type.fields) == set(FOLLOWS), "permissions.FOLLOWS and the subscriptions differ"
    assert set(FOLLOWS.values()) <= set(READS)


def test_no_number_on_the_wire_is_a_float() -> None:
    fields = [
        f"{type_.name}.{name}"
        for type_ in TYPES
        if isinstance(type_, GraphQLObjectType | GraphQLInputObjectType)
        for name, field in type_.fields.items()
        if "Float" in str(field.type)
    ]

    assert not fields
