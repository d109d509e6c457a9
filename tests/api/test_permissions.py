"""The table of permissions: complete, shown in the schema, and tried entry by entry with every role."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from graphql import FieldDefinitionNode, ObjectTypeDefinitionNode, parse
from graphql.language import EnumValueNode, ListValueNode

from opscore.api.ids import key_of
from opscore.api.schema import export_schema, mutations
from opscore.domain.agreements import SignAgreement
from opscore.domain.campaign_ad_commands import AgreeAdBudget, LaunchAdPlan
from opscore.domain.campaign_commands import (
    AddCampaignLine,
    AddPromotion,
    CheckCampaignPrices,
    CheckedPriceTerms,
    CouponTermsOffered,
    PlanCampaign,
    RecordAdSpend,
    ScheduleCampaign,
    SetCampaignBudget,
    SetForecast,
    StartCampaign,
)
from opscore.domain.campaign_events import CampaignGoal, CampaignKind, LineRole
from opscore.domain.campaign_offers import CloseSupplierCall, OfferSupply, OpenSupplierCall
from opscore.domain.campaign_proposals import ConfirmCampaign, ProposeCampaign
from opscore.domain.campaign_resources import PlanResource
from opscore.domain.command import COMMANDS, Role
from opscore.domain.commissions import (
    ApproveCommissionScheme,
    CommissionFigures,
    CommissionTierTerms,
    ProposeCommissionScheme,
    SettleCommission,
)
from opscore.domain.departures import FileResignation
from opscore.domain.order import Order
from opscore.domain.order_assists import NameOrderAgent
from opscore.domain.order_commands import (
    CancelOrderLines,
    ConfirmOrder,
    DeliverOrder,
    LineQuantity,
    PackParcel,
    PayOrder,
    ScannedLine,
    ShipOrder,
)
from opscore.domain.order_dispute_commands import AcceptDispute, NegotiateDispute, OpenDispute, VerifyDispute
from opscore.domain.order_disputes import DisputeRemedy, FaultParty
from opscore.domain.order_events import ReturnReason
from opscore.domain.order_losses import FileCourierClaim, ReportParcelLost
from opscore.domain.order_notes import NoteOrder, TagOrder
from opscore.domain.order_refunds import RefundOrder
from opscore.domain.order_return_ways import PayReturnFreight, ShipReturn, VerifyReturn
from opscore.domain.order_returns import (
    ApproveReturn,
    RequestReturn,
)
from opscore.domain.policies import ProblemKind
from opscore.domain.purchase_commands import PayPurchase
from opscore.domain.sku_commands import PriceSku, SetStockPolicy, SetTierPrices, TierPriceEntry
from opscore.domain.staff import AssignStaffRole
from opscore.domain.stock_commands import AllocateCampaignStock
from opscore.domain.store_commands import SubmitStoreDocument
from opscore.domain.store_events import DocumentKind, StaffRole
from opscore.domain.store_heroes import SetHeroSkus
from opscore.domain.store_plans import SetBudget, SetSalesTarget
from opscore.domain.store_profile import PositionStore, RecordPlatformPenalty
from opscore.domain.store_profile_events import PriceLevel
from opscore.permissions import ALWAYS, BULK, FIELDS, OPERATES, READS, commands_of, table
from tests.api.anything import SCHEMA, differences, everything_of, question, value_of
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.buying import Buyer
from tests.shop import SECOND, Shop

HOLDERS = [role for role in Role if role is not Role.SYSTEM]
"""The roles that a token can have."""


@pytest.fixture(scope="module")
def goods(api: Api, shop: Shop) -> dict[str, str]:
    """Global ids of one of everything, with something in every field that not all may see."""
    sku = shop.sku(stock=10)
    customer = shop.customer()
    order = shop.do(shop.order((sku, 3), customer_id=customer))
    store = shop.store_id
    shop.do(SubmitStoreDocument(store_id=store, kind=DocumentKind.TAX_REGISTRATION, number="T-1"))
    shop.do(AssignStaffRole(store_id=store, person="ann", role=StaffRole.MANAGER))
    shop.do(FileResignation(store_id=store, person="ann", last_day=date(2099, 1, 1)))
    shop.do(PositionStore(store_id=store, price_level=PriceLevel.MID))
    shop.do(RecordPlatformPenalty(store_id=store, kind="late_shipment", points=2, reason="late"))
    month = {"store_id": store, "month": date(2099, 1, 1), "amount_minor": 100, "currency": "GBP"}
    shop.do(SetSalesTarget(**month))
    shop.do(SetBudget(**month, category="rent", responsible="ann"))
    heroes = (sku, shop.sku(stock=1), shop.sku(stock=1))
    shop.do(SetHeroSkus(store_id=store, month=date(2099, 1, 1), sku_ids=heroes))
    tenth = (CommissionTierTerms(from_minor=0, rate=Decimal("0.1")),)
    shop.do(ProposeCommissionScheme(store_id=store, effective_month=date(2024, 1, 1), tiers=tenth))
    shop.do(ApproveCommissionScheme(store_id=store, scheme_version=1), actor=SECOND)
    version = api.server.services.log.version_at(store)
    sold = CommissionFigures(1, version, {(date(2024, 1, 1), "ann"): 1000})
    shop.do(SettleCommission(store_id=store, month=date(2024, 1, 1)), figures=sold)
    signed = dict.fromkeys(("owner_signed_on", "agency_signed_on", "term_from"), date(2024, 1, 1))
    parties = {"owner": "Jade Ltd", "agency": "Gifts Ltd", "owner_people": ("li",)}
    fee = {"term_to": date(2099, 1, 1), "monthly_fee_minor": 100, "currency": "GBP"}
    shop.do(SignAgreement(store_id=store, **parties, **signed, **fee))
    goal = CampaignGoal.RAISE_SALES
    joined = {"goal": goal, "target": "to be rid of it", "kind": CampaignKind.OFFICIAL}
    campaign = shop.do(PlanCampaign(store_id=store, name="Sale", **joined))
    shop.do(ProposeCampaign(campaign_id=campaign))
    shop.do(ConfirmCampaign(campaign_id=campaign, document="letter"))
    shop.do(AddCampaignLine(campaign_id=campaign, sku_id=sku, role=LineRole.BASE, price=Decimal(9), quota=Decimal(5)))
    offer = CouponTermsOffered(code="TEN", off_minor=10)
    shop.do(AddPromotion(campaign_id=campaign, label="ten off", offer=offer))
    shop.do(SetCampaignBudget(campaign_id=campaign, budget_minor=9000, currency="GBP"))
    shop.do(SetForecast(campaign_id=campaign, visitors=9, conversion=Decimal("0.1"), units=Decimal(3), gmv_minor=2700))
    day = api.server.services.log.head().recorded_at.date()
    shop.do(RecordAdSpend(campaign_id=campaign, day=day, channel="search", cost_minor=100, currency="GBP"))
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)
    buyer = Buyer(shop, api.server.services.log)
    supplier = buyer.supplier()
    shop.do(OpenSupplierCall(campaign_id=campaign, until=datetime(2099, 1, 1, tzinfo=UTC)))
    supply = {"supplier_id": supplier, "sku_id": sku, "unit_cost": Decimal(4), "currency": "GBP"}
    shop.do(OfferSupply(campaign_id=campaign, quantity=Decimal(5), **supply))
    shop.do(CloseSupplierCall(campaign_id=campaign))
    shop.do(ScheduleCampaign(campaign_id=campaign, starts_at=now - minute, ends_at=now + 60 * minute))
    banner = {"channel": "search", "form": "display", "placement": "home page", "budget_minor": 100, "currency": "GBP"}
    shop.do(PlanResource(campaign_id=campaign, **banner))
    for month in {day.replace(day=1), (day + timedelta(days=1)).replace(day=1)}:
        shop.do(AgreeAdBudget(campaign_id=campaign, month=month, budget_minor=9000, currency="GBP"))
    shop.do(LaunchAdPlan(campaign_id=campaign, channel="search", daily_cap_minor=10, currency="GBP"))
    nine = CheckedPriceTerms(sku_id=sku, label=Decimal(9), detail=Decimal(9), plan=Decimal(9))
    shop.do(CheckCampaignPrices(campaign_id=campaign, lines=(nine,)), actor=SECOND)
    shop.do(AllocateCampaignStock(sku_id=sku, campaign_id=campaign, location_id=shop.location_id, quantity=Decimal(5)))
    shop.do(StartCampaign(campaign_id=campaign))
    shop.do(shop.order((sku, 1), customer_id=customer, campaign_ids=(campaign,), coupon_code="TEN"))
    given = {"list_price": Decimal(10), "cost": Decimal(4), "reason": "compared"}
    shop.do(PriceSku(sku_id=sku, market_price=Decimal(12), **given))
    shop.do(SetTierPrices(sku_id=sku, tiers=(TierPriceEntry(tier="member", factor=Decimal("0.9")),)))
    shop.do(SetStockPolicy(sku_id=sku, low_line=Decimal(2), high_line=Decimal(50), cover_days=9, stock_class="A"))
    shop.do(PayOrder(order_id=order, amount_minor=3000, method="card"))
    shop.do(NameOrderAgent(order_id=order, agent="ann"))
    shop.do(ConfirmOrder(order_id=order))
    parcel: dict[str, Any] = {"order_id": order, "parcel_id": uuid4()}
    one = ScannedLine(line=1, sku_id=sku, quantity=Decimal(1))
    shop.do(PackParcel(**parcel, location_id=shop.location_id, lines=(one,)))
    shop.do(ShipOrder(**parcel, courier="DPD", waybill="gone"))
    shop.do(ReportParcelLost(**parcel))
    shop.do(FileCourierClaim(**parcel, amount_minor=900))
    shop.do(CancelOrderLines(order_id=order, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    there: dict[str, Any] = {"order_id": order, "parcel_id": uuid4()}
    two = ScannedLine(line=1, sku_id=sku, quantity=Decimal(2))
    shop.do(PackParcel(**there, location_id=shop.location_id, lines=(two,)))
    shop.do(ShipOrder(**there, courier="DPD", waybill="there"))
    shop.do(DeliverOrder(**there))
    shop.do(RequestReturn(order_id=order, lines=(LineQuantity(line=1, quantity=Decimal(1)),)))
    sent_back = api.server.services.log.aggregate(Order, order)
    assert sent_back is not None
    back: dict[str, Any] = {"order_id": order, "return_id": next(iter(sent_back.returns))}
    shop.do(ApproveReturn(**back))
    shop.do(ShipReturn(**back))
    shop.do(VerifyReturn(**back, reason=ReturnReason.QUALITY, fault_party=FaultParty.OWNER))
    shop.do(PayReturnFreight(**back, amount_minor=100))
    shop.do(RefundOrder(order_id=order))
    shop.do(OpenDispute(order_id=order, kind=ProblemKind.REFUND))
    disputed = api.server.services.log.aggregate(Order, order)
    assert disputed is not None
    dispute: dict[str, Any] = {"order_id": order, "dispute_id": next(iter(disputed.disputes))}
    shop.do(AcceptDispute(**dispute))
    shop.do(VerifyDispute(**dispute, real=True, fault_party=FaultParty.OWNER, solution=DisputeRemedy.COMPENSATION))
    shop.do(NegotiateDispute(**dispute, remedy=DisputeRemedy.COMPENSATION, amount_minor=100, above_policy=True))
    buyer.quote(sku, supplier, "4.00")
    purchase = buyer.order(sku, supplier, 5)
    shop.do(PayPurchase(sku_id=sku, purchase_id=purchase, amount_minor=500, currency="GBP"))
    shop.do(NoteOrder(order_id=order, text="rang, to be called back"))
    shop.do(TagOrder(order_id=order, tag="call back"))
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { stockTotals(atLeast: $p) { skus } }", {"p": position})
    found = {"Store": shop.store_id, "Sku": sku, "Customer": customer, "Order": order, "Campaign": campaign}
    return {kind: gid(kind, key) for kind, key in found.items()}


HIDDEN: dict[str, str] = {
    "Store.deposit": "storefront customer",
    "Store.serviceFee": "storefront customer",
    "Store.documents": "storefront customer",
    "Store.staff": "storefront customer",
    "Store.departures": "storefront customer",
    "Store.responsibilities": "storefront customer",
    "Store.suppliers": "storefront customer",
    "Store.positioning": "storefront customer",
    "Store.penalties": "storefront customer",
    "Store.salesTargets": "service after_sales editor warehouse storefront customer",
    "Store.budgets": "service after_sales editor warehouse storefront customer",
    "Store.capital": "service after_sales editor warehouse storefront customer",
    "Store.heroSkus": "storefront customer",
    "Store.commissionSchemes": "storefront customer",
    "Store.agreements": "service after_sales editor promoter warehouse storefront customer",
    "Store.commissionSettlements": "service after_sales editor promoter warehouse storefront customer",
    "Sku.onHand": "customer",
    "Sku.levels": "customer",
    "Sku.allocations": "customer",
    "Sku.onOrder": "storefront customer",
    "Sku.purchases": "storefront customer",
    "Sku.quotes": "warehouse storefront customer",
    "SkuPurchase.unitCost": "warehouse storefront customer",
    "SkuPurchase.owed": "warehouse storefront customer",
    "SkuPurchase.paid": "warehouse storefront customer",
    "Purchase.unitCost": "warehouse storefront customer",
    "Purchase.bestQuote": "warehouse storefront customer",
    "Purchase.owed": "warehouse storefront customer",
    "Purchase.paid": "warehouse storefront customer",
    "Purchase.unpaid": "warehouse storefront customer",
    "Sku.prices": "warehouse",
    "Sku.tierPrices": "warehouse",
    "CatalogueItem.listPrice": "warehouse",
    "CatalogueFacets.leastPrice": "warehouse",
    "CatalogueFacets.greatestPrice": "warehouse",
    "SkuPrice.cost": "warehouse storefront customer",
    "SkuPrice.marketPrice": "warehouse storefront customer",
    "StockPolicy.lowLine": "storefront customer",
    "StockPolicy.highLine": "storefront customer",
    "StockPolicy.coverDays": "storefront customer",
    "StockPolicy.stockClass": "storefront customer",
    "StockBalance.unitCost": "warehouse storefront customer",
    "StockRow.unitCost": "warehouse storefront customer",
    "StockMovement.unitCost": "warehouse storefront customer",
    "StockMovement.value": "warehouse storefront customer",
    "StockMovement.adjustment": "warehouse storefront customer",
    "StockMovement.runningValue": "warehouse storefront customer",
    "Campaign.target": "storefront customer",
    "Campaign.budget": "warehouse storefront customer",
    "Campaign.budgetClaimed": "warehouse storefront customer",
    "Campaign.couponUses": "storefront customer",
    "Campaign.promotions": "warehouse",
    "Store.history": "service after_sales editor promoter warehouse storefront customer",
    "Sku.history": "storefront customer",
    "Order.history": "",
    "Order.notes": "editor promoter finance auditor storefront customer",
    "Order.tags": "storefront customer",
    "Campaign.history": "storefront customer",
    "Customer.history": "editor warehouse storefront customer",
    "Campaign.forecast": "service after_sales editor warehouse storefront customer",
    "Campaign.adSpend": "service after_sales editor warehouse storefront customer",
    "Campaign.resources": "service after_sales editor warehouse storefront customer",
    "Campaign.proposal": "storefront customer",
    "Campaign.supplierCall": "service after_sales editor warehouse storefront customer",
    "Campaign.offers": "service after_sales editor warehouse storefront customer",
    "Campaign.adBudgets": "service after_sales editor warehouse storefront customer",
    "Campaign.adPlans": "service after_sales editor warehouse storefront customer",
    "CampaignLine.role": "storefront customer",
    "CampaignLine.price": "warehouse",
    "CampaignLine.quota": "storefront customer",
    "CampaignLine.belowCost": "warehouse storefront customer",
    "Promotion.coupon": "storefront customer",
    "Order.agent": "storefront customer",
    "Order.customer": "editor warehouse",
    "Order.store": "customer",
    "OrderLine.sku": "",
    "Order.goods": "warehouse",
    "Order.discount": "warehouse",
    "Order.freight": "warehouse",
    "Order.freightWaived": "warehouse",
    "Order.total": "warehouse",
    "Order.netTotal": "warehouse",
    "Order.paid": "warehouse",
    "Order.due": "warehouse",
    "Order.refunded": "warehouse",
    "Order.refundable": "warehouse",
    "Order.pointsValue": "warehouse",
    "Order.payments": "warehouse",
    "Order.refunds": "warehouse",
    "OrderLine.listPrice": "warehouse",
    "OrderLine.unitPrice": "warehouse",
    "OrderLine.gross": "warehouse",
    "OrderLine.discount": "warehouse",
    "OrderLine.amount": "warehouse",
    "OrderParcel.claim": "storefront customer",
    "OrderDispute.faultParty": "storefront customer",
    "OrderReturn.faultParty": "storefront customer",
    "OrderDispute.solution": "storefront customer",
    "OrderReview.orderId": "customer",
    "OrderReview.externalReference": "storefront customer",
    "OrderReview.flag": "storefront customer",
    "OrderReview.replyBy": "storefront customer",
    "OrderReview.waitsSince": "storefront customer",
    "OrderReviewReply.author": "storefront customer",
    "SkuRating.hidden": "storefront customer",
    "OrderDispute.amount": "warehouse",
    "OrderDispute.compensated": "warehouse",
    "OrderCount.goods": "warehouse",
    "OrderCount.discount": "warehouse",
    "OrderCount.freight": "warehouse",
    "OrderCount.total": "warehouse",
    "OrderCount.paid": "warehouse",
    "OrderCount.refunded": "warehouse",
    "FailedCheck.rows": "manager service after_sales editor promoter warehouse finance storefront customer",
    "Projection.failure": "manager service after_sales editor promoter warehouse finance storefront customer",
}
"""Field -> the roles that do not see it. Written down once more, so that a slip in the table is found."""

INSIDE = {
    "Sku": {
        "prices.cost": "SkuPrice.cost",
        "prices.marketPrice": "SkuPrice.marketPrice",
        **{f"purchases.{name}": f"SkuPurchase.{name}" for name in ("unitCost", "owed", "paid")},
        **{f"stockPolicy.{name}": f"StockPolicy.{name}" for name in ("lowLine", "highLine", "coverDays", "stockClass")},
    },
    "Campaign": {
        "promotions.coupon": "Promotion.coupon",
        **{f"lines.{name}": f"CampaignLine.{name}" for name in ("role", "price", "quota", "belowCost")},
    },
    "Order": {
        **{f"lines.{name}": f"OrderLine.{name}" for name in ("listPrice", "unitPrice", "gross", "discount", "amount")},
        "parcels.claim": "OrderParcel.claim",
        **{f"disputes.{name}": f"OrderDispute.{name}" for name in ("faultParty", "solution", "amount", "compensated")},
        "returns.faultParty": "OrderReturn.faultParty",
        "returns.verifiedReason": "OrderReturn.faultParty",
        "returns.freight": "Order.total",
    },
}
"""Where the fields of objects inside an aggregate are found."""


def hidden_paths(kind: str, role: Role) -> set[str]:
    """Return the paths of an aggregate that a role does not see; of what is hidden as a whole, nothing below it."""
    places = {place.partition(".")[2]: place for place in HIDDEN if place.startswith(f"{kind}.")} | INSIDE.get(kind, {})
    found = {path for path, place in places.items() if role.value in HIDDEN[place].split()}
    return {path for path in found if path.rpartition(".")[0] not in found}


def without_events(places: set[str]) -> set[str]:
    """Leave out what is shown of single events of a history, which has tests of its own."""
    return {place for place in places if not place.startswith("history.")}


def _token(api: Api, role: Role, goods: dict[str, str]) -> str:
    return api.token(role, customer=key_of(goods["Customer"], "Customer") if role is Role.CUSTOMER else None)


# The table itself ----------------------------------------------------------------------------------------------------


def test_every_root_field_has_an_entry_and_every_entry_a_field() -> None:
    roots = {
        f"{root.name}.{name}"
        for root in (SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type)
        if root is not None
        for name in root.fields
    }

    assert set(table()) == roots | set(FIELDS)
    for place in FIELDS:
        type_name, name = place.split(".")
        assert name in SCHEMA.type_map[type_name].fields


def test_what_is_hidden_from_whom_is_what_is_written_here() -> None:
    everybody = {role.value for role in HOLDERS}

    assert {place: everybody - roles for place, roles in table().items() if place in FIELDS} == {
        place: set(roles.split()) for place, roles in HIDDEN.items()
    }


def test_the_schema_shows_the_table() -> None:
    shown: dict[str, set[str]] = {}
    for definition in parse(export_schema()).definitions:
        if isinstance(definition, ObjectTypeDefinitionNode):
            for field in definition.fields or ():
                roles = _shown_roles(field)
                if roles is not None:
                    shown[f"{definition.name.value}.{field.name.value}"] = roles

    assert shown == {place: {role.name for role in roles - {Role.SYSTEM}} for place, roles in table().items()}


def _shown_roles(field: FieldDefinitionNode) -> set[str] | None:
    for directive in field.directives or ():
        if directive.name.value == "access":
            [argument] = directive.arguments or ()
            assert isinstance(argument.value, ListValueNode)
            return {value.value for value in argument.value.values if isinstance(value, EnumValueNode)}
    return None


def test_owner_and_platform_may_everything_and_an_auditor_changes_nothing() -> None:
    assert all(roles >= ALWAYS for roles in table().values())
    assert commands_of(Role.AUDITOR) == {name for name, command in COMMANDS.items() if command.DISCLOSES}, (
        "an auditor reads; personal data for a reason that is on record"
    )


# What section 1.10 of the requirements asks of the roles
@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (Role.MANAGER, "planCampaign setPolicy addPromotion approveReturn refundOrder suspendStore arbitrateDispute "
         "setSalesTarget setBudget",
         "applyForStore"),
        (Role.SERVICE, "placeOrder amendOrderPrice requestReturn declineReturn listSku delistSku openDispute "
         "acceptDispute followUpDispute replyReview flagReview recordInquiry",
         "priceSku receiveStock planCampaign setPolicy approveReturn refundOrder negotiateDispute payCompensation "
         "decideReview"),
        (Role.AFTER_SALES, "approveReturn declineReturn refundOrder protectPrice verifyDispute settleDispute",
         "placeOrder amendOrderPrice payOrder listSku arbitrateDispute"),
        (Role.EDITOR, "listSku delistSku setSkuContent registerSku", "refundOrder receiveStock startCampaign payOrder"),
        (Role.PROMOTER, "planCampaign startCampaign addPromotion recordAdSpend reportTraffic planResource launchAdPlan "
         "setHeroSkus",
         "priceSku refundOrder agreeAdBudget"),
        (Role.WAREHOUSE, "receiveStock packParcel unpackParcel shipOrder countStock writeOffStock transferStock "
         "recallBatch",
         "liftBatchRecall priceSku setTierPrices amendOrderPrice refundOrder payOrder placeOrder"),
        (Role.FINANCE, "payOrder refundOrder recordExpense closePeriod investCapital moveFunds",
         "priceSku shipOrder listSku"),
        (Role.CUSTOMER, "placeOrder cancelOrder requestReturn setConsent openDispute agreeDispute "
         "postReview setReviewConsent", "payOrder refundOrder registerCustomer acceptDispute payCompensation "
         "replyReview flagReview"),
    ],
)  # fmt: skip
def test_a_role_does_the_work_that_is_its_own(role: Role, may: str, may_not: str) -> None:
    own = commands_of(role)

    assert set(may.split()) <= own
    assert not set(may_not.split()) & own


# Every entry, every role ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", HOLDERS)
def test_every_question_is_answered_or_refused_as_the_table_says(api: Api, goods: dict[str, str], role: Role) -> None:
    token = _token(api, role, goods)
    for name in READS:
        document, variables = question("query", name)
        answer = api.post({"query": document, "variables": variables}, token=token)
        codes = {error["extensions"]["code"] for error in answer.json().get("errors", ())}
        allowed = role in table()[f"Query.{name}"]
        assert ("FORBIDDEN" in codes) is not allowed, (name, codes)
        assert (answer.status_code == 403) is not allowed, (name, answer.text)
        assert "INTERNAL" not in codes, (name, answer.text)


@pytest.mark.parametrize("role", HOLDERS)
def test_no_fragment_hides_a_question_that_is_refused(api: Api, goods: dict[str, str], role: Role) -> None:
    token = _token(api, role, goods)
    for name in READS:
        if role not in table()[f"Query.{name}"]:
            document, variables = question("query", name)
            head, _, body = document.partition("{")
            hidden = f"{head} {{ viewer {{ name }} ...A }} fragment A on Query {{{body}"
            answer = api.post({"query": hidden, "variables": variables}, token=token)
            assert answer.status_code == 403, (name, answer.text)


@pytest.mark.parametrize("role", HOLDERS)
def test_every_command_is_decided_or_refused_as_the_table_says(api: Api, goods: dict[str, str], role: Role) -> None:
    """Each names things that are not there, so that whoever may give it is refused for another reason."""
    token = _token(api, role, goods)
    assert SCHEMA.mutation_type is not None
    for name in mutations():
        given = value_of("input", SCHEMA.mutation_type.fields[name].args["input"].type)
        payload = api.give(
            name, "userErrors { code message path }", {**given, "idempotencyKey": role.value + name}, token=token
        )
        codes = {error["code"] for error in payload["userErrors"]}
        assert "INVALID_FIELD" not in codes, (name, payload)
        assert ("NOT_AUTHORISED" in codes) is (role not in table()[f"Mutation.{name}"]), (name, payload)


@pytest.mark.parametrize("role", HOLDERS)
def test_every_row_of_a_list_of_commands_is_decided_or_refused_as_the_table_says(
    api: Api, goods: dict[str, str], role: Role
) -> None:
    token = _token(api, role, goods)
    assert SCHEMA.mutation_type is not None and len(BULK) == 12
    for command in BULK:
        name = f"{command}InBulk"
        kind = SCHEMA.mutation_type.fields[name].args["input"].type
        for policy in ("IGNORE_FAILED_ROWS", "REJECT_EVERYTHING"):
            given = {**value_of("input", kind), "policy": policy}
            given["rows"] = [{**row, "idempotencyKey": f"{role}{name}{policy}"} for row in given["rows"]]
            rows = "rows { userErrors { code } } accepted refused"
            payload = api.ask(f"mutation ($i: {kind}) {{ {name}(input: $i) {{ {rows} }} }}", {"i": given}, token=token)[
                name
            ]
            [[code]] = [[error["code"] for error in row["userErrors"]] for row in payload["rows"]]
            assert (payload["accepted"], payload["refused"]) == (0, 1)
            assert (code == "NOT_AUTHORISED") is (role not in table()[f"Mutation.{name}"]), (name, policy, code)


@pytest.mark.parametrize("role", HOLDERS)
def test_what_else_a_mutation_does_is_done_or_refused_as_the_table_says(
    api: Api, goods: dict[str, str], role: Role
) -> None:
    token = _token(api, role, goods)
    assert SCHEMA.mutation_type is not None
    for name in OPERATES:
        kind = SCHEMA.mutation_type.fields[name].args["input"].type
        document = f"mutation ($input: {kind}) {{ {name}(input: $input) {{ __typename }} }}"
        answer = api.post({"query": document, "variables": {"input": value_of("input", kind)}}, token=token)
        codes = {error["extensions"]["code"] for error in answer.json().get("errors", ())}
        allowed = role in table()[f"Mutation.{name}"]
        assert ("FORBIDDEN" in codes) is (answer.status_code == 403) is not allowed, (name, answer.text)
        assert "INTERNAL" not in codes, (name, answer.text)


@pytest.mark.parametrize("role", HOLDERS)
def test_everything_is_followed_or_refused_as_the_table_says(api: Api, goods: dict[str, str], role: Role) -> None:
    assert SCHEMA.subscription_type is not None
    with socket(api.url, _token(api, role, goods)) as client:
        for name in SCHEMA.subscription_type.fields:
            document, variables = question("subscription", name)
            if name == "orderChanges":  # A customer has to say which.
                document = f'subscription {{ orderChanges(id: "{goods["Order"]}") {{ id }} }}'
            client.subscribe(document, variables, key=name)
            if role in table()[f"Subscription.{name}"]:
                client.send({"type": "ping"})
                message = client.receive()
                while message["type"] == "next":
                    message = client.receive()
                assert message["type"] == "pong", message
                client.send({"id": name, "type": "complete"})
            else:
                message = client.receive()
                while message["type"] == "next":  # What was under way when the one before was ended.
                    message = client.receive()
                assert (message["id"], message["type"]) == (name, "error"), message
                assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("role", HOLDERS)
@pytest.mark.parametrize("kind", ["Store", "Sku", "Order", "Campaign", "Customer"])
def test_of_one_and_the_same_object_roles_see_all_but_what_the_table_says(
    api: Api, goods: dict[str, str], kind: str, role: Role
) -> None:
    """Whoever is to see less has to be in the table: any other difference between two roles' answers is found."""
    document = f"query ($id: ID!) {{ node(id: $id) {{ ... on {kind} {{ {everything_of(kind)} }} }} }}"
    whole = api.ask(document, {"id": goods[kind]})["node"]
    seen = api.ask(document, {"id": goods[kind]}, token=_token(api, role, goods))["node"]
    if role not in table()[f"Query.{kind.lower()}"]:
        assert seen is None, "who may not ask for a kind does not get it as a node either"
        return

    assert without_events(differences(whole, seen)) == hidden_paths(kind, role)


@pytest.mark.parametrize("role", HOLDERS)
@pytest.mark.parametrize(
    ("name", "type_name", "selection"),
    [("stockLevels", "StockBalance", "stockLevels(skuIds: [$id]) {{ {} }}"),
     ("stockBalances", "StockRow", "stockBalances(filter: {{skuId: {{eq: $id}}}}, first: 9) {{ nodes {{ {} }} }}"),
     ("stockLedger", "StockMovement", "stockLedger(skuId: $id, first: 10) {{ nodes {{ {} }} }}")],
)  # fmt: skip
def test_rows_of_the_ledger_show_cost_to_those_whom_the_table_names(
    api: Api, goods: dict[str, str], role: Role, name: str, type_name: str, selection: str
) -> None:
    if role not in table()[f"Query.{name}"]:
        return
    document = f"query ($id: ID!) {{ rows: {selection.format(everything_of(type_name))} }}"
    whole = api.ask(document, {"id": goods["Sku"]})["rows"]
    seen = api.ask(document, {"id": goods["Sku"]}, token=_token(api, role, goods))["rows"]

    assert {place.removeprefix("nodes.") for place in differences(whole, seen)} == hidden_paths(type_name, role)


LISTS = {
    "Order": ("orders(first: 20{more}) {nodes {all}}", "orders(first: 20{more}) {edges {node {all}}}"),
    "Sku": ("skus(first: 20{more}) {nodes {all}}", "skus(first: 20, sort: {by: CODE}{more}) {edges {node {all}}}"),
    "Campaign": (
        "campaigns(first: 20{more}) {nodes {all}}", "campaigns(first: 9, sort: {by: NAME}{more}) {nodes {all}}",
    ),
    "StockMovement": ("stockMovements(first: 100) {nodes {all}}",),
}  # fmt: skip
"""The other ways to rows of each kind: from the log, and from read models with and without what only the log has."""

BOOK = (
    "id number tags status total {amount} due {amount} goods {amount} netTotal {amount} paid {amount} refunded "
    "{amount} discount {amount} freight {amount} lines {line listPrice {amount} unitPrice {amount} gross {amount} "
    "discount {amount} amount {amount}}"
)
"""What the order book has of an order, so that it is answered from rows."""


@pytest.mark.parametrize("role", HOLDERS)
@pytest.mark.parametrize(("kind", "root"), [(kind, root) for kind, roots in LISTS.items() for root in roots])
@pytest.mark.parametrize("edition", ["everything", "book"])
def test_lists_hide_from_roles_what_the_object_itself_hides(
    api: Api, goods: dict[str, str], kind: str, root: str, role: Role, edition: str
) -> None:
    name = root.partition("(")[0]
    if role not in table()[f"Query.{name}"] or (edition == "book" and kind != "Order"):
        return
    selection = BOOK if edition == "book" else everything_of(kind, above=("Connection",))
    more = f', filter: {{id: {{eq: "{goods[kind]}"}}}}' if kind in goods else ""
    document = f"{{ {root.replace('{all}', f'{{ {selection} }}').replace('{more}', more)} }}"
    whole, seen = api.ask(document)[name], api.ask(document, token=_token(api, role, goods))[name]
    found = {re.sub(r"^(nodes|edges\.node)\.", "", place) for place in differences(whole, seen)}
    found, expected = without_events(found), hidden_paths(kind, role)
    if edition == "book":
        there = set(re.findall(r"\w+", BOOK))
        expected = {path for path in expected if set(path.split(".")) <= there}

    assert whole.get("nodes") or whole.get("edges")
    assert found == expected


def test_the_warehouse_counts_orders_and_is_told_no_sums(api: Api, goods: dict[str, str]) -> None:
    counted = "{ orderCount { orders goods {amount} discount {amount} freight {amount} total {amount} paid {amount} refunded {amount} } }"  # noqa: E501
    [told] = api.ask(counted, token=_token(api, Role.WAREHOUSE, goods))["orderCount"]

    assert told.pop("orders") > 0
    assert set(told.values()) == {None}


@pytest.mark.parametrize(
    "asked",
    [
        "orders(first: 1, filter: {total: {from: 1}})",
        "orders(first: 1, filter: {not: {or: [{refunded: {to: 1}}]}})",
        "orders(first: 1, sort: {by: TOTAL})",
        'skus(first: 1, filter: {listPrice: {from: "1"}})',
        "skus(first: 1, sort: {by: LIST_PRICE})",
        "campaigns(first: 1, filter: {budget: {from: 1}})",
        "campaigns(first: 1, filter: {resourceStatus: {eq: REJECTED}})",
        "campaigns(first: 1, filter: {adPlanStatus: {eq: RUNNING}})",
        'orders(first: 1, filter: {paymentReference: {eq: "p-1"}})',
    ],
)
def test_no_filter_and_no_order_tells_the_warehouse_a_price(api: Api, goods: dict[str, str], asked: str) -> None:
    document = f"{{ {asked} {{ nodes {{ id }} }} }}"
    [error] = api.errors(document, token=_token(api, Role.WAREHOUSE, goods))

    assert error["extensions"]["code"] == "FORBIDDEN" and "does not see" in error["message"]
    assert api.ask(document)


@pytest.mark.parametrize("role", HOLDERS)
@pytest.mark.parametrize(
    ("asked", "place"),
    [("notedAt: {isSet: true}", "Order.notes"), ('not: {tag: {eq: "call back"}}', "Order.tags")],
)  # fmt: skip
def test_no_filter_tells_of_notes_and_tags_who_does_not_see_them(
    api: Api, goods: dict[str, str], role: Role, asked: str, place: str
) -> None:
    answer = api.post(
        {"query": f"{{ orders(first: 1, filter: {{{asked}}}) {{ nodes {{ id }} }} }}"}, token=_token(api, role, goods)
    ).json()
    codes = [error["extensions"]["code"] for error in answer.get("errors", ())]

    assert codes == ([] if role in table()[place] else ["FORBIDDEN"])
