"""The documents that a storefront, an administration screen and an auditor send, sent in the order of a working day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    build_schema,
    parse,
    print_ast,
    validate,
)
from graphql.language import FieldNode, FragmentDefinitionNode, FragmentSpreadNode
from graphql.language.visitor import Visitor, visit

from opscore import resources
from opscore.api.command_documents import command_documents
from opscore.api.documents import Documents
from opscore.api.guard import Limits
from opscore.api.ids import key_of
from opscore.api.schema import build_schema as strawberry_schema, export_schema
from opscore.domain.campaign_events import CampaignGoal
from opscore.domain.command import Role
from opscore.domain.sku_commands import SetStockPolicy
from opscore.domain.store_commands import SetPolicy
from tests.api.anything import value_of
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.buying import Buyer
from tests.reached import wait_for
from tests.shop import Shop
from tests.webhooks.receiver import Receiver

FOLDER = resources.path("schema") / "operations"
COVERED_MIN = 0.95
"""What part of all fields the documents have to ask for: what none of ours asks for, nobody has tried."""


def _operations(pattern: str) -> dict[str, str]:
    """Return operations of files by name, each with the fragments that it spreads, as a client would send it."""
    found = {}
    for file in sorted(FOLDER.glob(pattern)):
        document = parse(file.read_text(encoding="utf-8"))
        fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
        for operation in document.definitions:
            if isinstance(operation, OperationDefinitionNode):
                assert operation.name is not None, f"{file.name}: every operation has a name"
                used: set[str] = set()

                class Spreads(Visitor):
                    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any, names: set[str] = used) -> None:
                        names.add(node.name.value)

                visit(operation, Spreads())
                text = "\n\n".join([print_ast(operation), *(print_ast(fragments[name]) for name in sorted(used))])
                assert operation.name.value not in found, f"two operations are named {operation.name.value}"
                found[operation.name.value] = text
    return found


COMMANDS = _operations("commands_*.graphql")
OPERATIONS = {name: text for name, text in _operations("*.graphql").items() if name not in COMMANDS}
"""Those that are written by hand."""
NOTHING_TO_SHOW = frozenset(
    {"ReportCampaignResults", "ReportCustomerByReference", "ReportStockBatches", "ReportStockLayers"}
)
"""Reports of what no working day has: the campaign has sold nothing, and no unit is of a batch."""
SCHEMA = build_schema(export_schema())
KEPT = Documents(strawberry_schema()._schema, Limits())


@pytest.mark.parametrize("name", [*OPERATIONS, *COMMANDS])
def test_every_document_fits_the_schema_and_the_limits(name: str) -> None:
    text = {**OPERATIONS, **COMMANDS}[name]
    assert validate(SCHEMA, parse(text)) == []
    assert len(KEPT.get(text).operations) == 1


def test_the_documents_of_commands_that_are_written_down_are_what_the_schema_says() -> None:
    made = command_documents(SCHEMA)
    written = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("commands_*.graphql")}

    assert written == made, "run: opscore schema export"
    assert SCHEMA.mutation_type is not None
    assert {f"{name[0].lower()}{name[1:]}" for name in COMMANDS} == set(SCHEMA.mutation_type.fields)


def test_nearly_every_field_of_the_schema_is_asked_for_by_some_document() -> None:
    asked: set[str] = set()
    types = TypeInfo(SCHEMA)

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            asked.add(f"{types.get_parent_type()}.{node.name.value}")

    for text in (*OPERATIONS.values(), *COMMANDS.values()):
        visit(parse(text), TypeInfoVisitor(types, Fields()))
    kinds = [kind for kind in SCHEMA.type_map.values() if not kind.name.startswith("__")]
    fields = {
        f"{kind.name}.{name}"
        for kind in kinds
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        for name in kind.fields
    }

    assert {each for each in fields - asked if each.startswith(("Query.", "Mutation.", "Subscription."))} == set()
    assert len(fields & asked) >= COVERED_MIN * len(fields), f"nobody asks for {sorted(fields - asked)}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_document_of_a_command_is_answered(api: Api, name: str) -> None:
    """About things that are not there: what is asked for of an answer is asked for of a refusal too."""
    field = f"{name[0].lower()}{name[1:]}"
    assert SCHEMA.mutation_type is not None
    given = value_of("input", SCHEMA.mutation_type.fields[field].args["input"].type)
    payload = api.ask(COMMANDS[name], {"input": given})[field]
    rows = payload.get("rows", [payload])

    assert all(set(row["userErrors"][0]) >= {"code", "message", "path", "ids"} for row in rows if row["userErrors"])


def test_a_working_day_sends_every_document(api: Api, shop: Shop) -> None:
    sent: set[str] = set()
    store = gid("Store", shop.store_id)
    sku_id = shop.sku("TEA", stock=20, price="4.50", cost="2.00")
    sku = gid("Sku", sku_id)

    def send(name: str, token: str, /, **variables: Any) -> dict[str, Any]:
        sent.add(name)
        data = api.ask(OPERATIONS[name], variables, token=token)
        for payload in data.values():
            if isinstance(payload, dict) and "userErrors" in payload:
                assert payload["userErrors"] == [], (name, payload)
        return data

    def give(name: str, token: str, /, **fields: Any) -> dict[str, Any]:
        data = send(name, token, input={"idempotencyKey": str(uuid4()), **fields})
        [payload] = data.values()
        found: dict[str, Any] = payload
        return found

    storefront = api.token(Role.STOREFRONT, name="shop front", stores=(shop.store_id,))
    manager = api.token(Role.MANAGER, name="manager", stores=(shop.store_id,))
    warehouse = api.token(Role.WAREHOUSE, name="warehouse", stores=(shop.store_id,))
    auditor = api.token(Role.AUDITOR, name="auditor")

    # The shop opens.
    wait_for(api.server.projector, "directory", api.server.services.log.head().position)
    assert send("AdminViewer", manager)["viewer"]["role"] == "MANAGER"
    article = send("StorefrontArticle", storefront, storeId=store, code="TEA")["skuByCode"]
    assert article["id"] == sku and article["prices"][0]["listPrice"]["amount"] == "4.5"
    assert send("StorefrontCatalogue", storefront, first=10)["skus"]["edges"][0]["node"]["id"] == sku
    now = {"availability": {"eq": "IN_STOCK"}, "listPrice": {"to": "5"}}
    shelf = send(
        "StorefrontShelf", storefront, storeId=store, filter=now, sort={"by": "LIST_PRICE"}, first=10, priceBounds=["4"]
    )
    assert [each["skuId"] for each in shelf["catalogue"]["nodes"]] == [sku]
    assert [each["articles"] for each in shelf["catalogueFacets"]["priceBands"]] == [0, 1]

    # Somebody takes over a part of the work.
    assigned = give("AdminAssignRole", manager, storeId=store, person="cleo", role="SHIPPER", reason="more to ship")
    assert [each["person"] for each in assigned["store"]["staff"]] == ["cleo"]
    duties = send("AdminStaff", manager, storeId=store)["store"]["responsibilities"]
    assert {each["role"]: each["people"] for each in duties}["SHIPPER"] == ["cleo"]

    # A buyer orders, pays, and another thinks better of it.
    customer = give("StorefrontRegister", storefront, storeId=store, channel="web")["customer"]["id"]
    order = {"storeId": store, "customerId": customer, "lines": [{"skuId": sku, "quantity": "2"}]}
    cart = send("StorefrontCart", storefront, input=order)["priceCart"]["cart"]
    placed = give("StorefrontPlaceOrder", storefront, **order, externalReference="T-77", assistedBy="cleo")["order"]
    assert cart["total"] == {"amount": "9.00", "currencyCode": "GBP"}
    assert placed["total"] == {"amount": "9.00", "amountMinor": 900, "currencyCode": "GBP"}
    paid = give("StorefrontPay", storefront, orderId=placed["id"], amountMinor=900, currency="GBP", method="card")[
        "order"
    ]
    assert paid["status"] == "PAID" and paid["due"]["amount"] == "0.00"
    regretted = give("StorefrontPlaceOrderBriefly", storefront, **order)["order"]["id"]
    cancelled = give("StorefrontCancel", storefront, orderId=regretted, reason="CUSTOMER")
    assert cancelled["order"]["status"] == "CANCELLED"

    # Staff work the list off.
    before = (datetime.now(UTC) + timedelta(days=100)).isoformat()
    page = send("AdminOrders", manager, first=10, filter={"status": {"in": ["PAID"]}}, atLeast=cancelled["position"])
    assert [each["id"] for each in page["orders"]["nodes"]] == [placed["id"]]
    assert page["orderCount"][0]["orders"] == 1
    work = send("AdminWorkList", manager, before=before)
    assert {each["what"] for each in work["ordersDue"]} == {"ship"}
    found = send("AdminOrderByReference", manager, storeId=store, externalReference="T-77")
    assert found["orderByExternalReference"]["id"] == placed["id"]
    found = send("AdminOrderByNumber", manager, number=placed["number"])
    assert found["orderByNumber"]["id"] == placed["id"]
    [note] = give("AdminNoteOrder", manager, orderId=placed["id"], text="rang, pack it well")["order"]["notes"]
    assert give("AdminTagOrder", manager, orderId=placed["id"], tag="fragile")["order"]["tags"] == ["fragile"]
    seen = send("AdminOrder", warehouse, id=placed["id"])["order"]
    assert (seen["tags"], seen["notes"]) == (["fragile"], [note])
    withdrawn = give("AdminWithdrawOrderNote", manager, orderId=placed["id"], noteId=note["noteId"])
    assert withdrawn["order"]["notes"] == []
    assert give("AdminUntagOrder", manager, orderId=placed["id"], tag="fragile")["order"]["tags"] == []
    steps = send("AdminNextSteps", manager, id=placed["id"])["node"]["allowedCommands"]
    assert "confirmOrder" in {each["name"] for each in steps if each["allowed"]}
    give("AdminConfirm", manager, orderId=placed["id"])
    [line] = send("AdminOrder", warehouse, id=placed["id"])["order"]["lines"]
    scanned = {"line": line["line"], "skuId": line["skuId"], "quantity": line["quantity"]}
    packed = give(
        "AdminPack", warehouse, orderId=placed["id"], locationId=str(shop.location_id), lines=[scanned]
    )["order"]  # fmt: skip
    [parcel] = packed["parcels"]
    shipped = give(
        "AdminShip", warehouse, orderId=placed["id"], parcelId=parcel["parcelId"], courier="DPD", waybill="W1"
    )  # fmt: skip
    assert shipped["order"]["status"] == "SHIPPED"

    # Somebody delivers, and more is ordered of them.
    buying = Buyer(shop, api.server.services.log)
    supplier_id = buying.supplier()
    buying.quote(sku_id, supplier_id, "2.10")
    purchase_id = buying.order(sku_id, supplier_id, 10, "2.10")
    at_least = {"atLeast": api.server.services.log.head().position}
    [coming] = send("AdminPurchases", manager, first=5, filter={"skuId": {"eq": sku}}, **at_least)["purchases"]["nodes"]
    assert (coming["purchaseId"], coming["open"], coming["owed"]["amount"]) == (str(purchase_id), "10", "21.00")
    [of] = send("AdminSuppliers", manager, first=5, filter={"openPurchases": {"from": 1}})["suppliers"]["nodes"]
    assert (of["supplierId"], of["status"], of["onTimeRate"]) == (str(supplier_id), "ACTIVE", None)
    [quote] = send("AdminSupplierQuotes", manager, first=5)["supplierQuotes"]["nodes"]
    assert (quote["company"], quote["unitCost"]["amount"]) == (of["company"], "2.1")

    # Stock comes in, a price changes, a campaign is planned.
    received = give(
        "AdminReceiveStock", warehouse, skuId=sku, locationId=str(shop.location_id), quantity="10", unitCost="2.10",
        batch="T1", expiresOn="2999-01-31", purchaseId=str(purchase_id),
    )  # fmt: skip
    assert received["sku"]["onHand"] == "28"
    level = send("AdminStock", manager, skuIds=[sku], atLeast=received["position"])["stockLevels"][0]
    assert level["onHand"] == "28" and level["unitCost"] is not None
    priced = give("AdminPrice", manager, skuId=sku, listPrice="4.75", cost="2.10", reason="dearer tea")["sku"]
    assert priced["prices"][0]["listPrice"]["amount"] == "4.75"
    row = {"skuId": sku, "listPrice": "4.80", "reason": "dearer still", "idempotencyKey": str(uuid4())}
    prices = send("AdminPriceList", manager, input={"rows": [row], "policy": "REJECT_EVERYTHING"})["priceSkuInBulk"]
    assert (prices["accepted"], prices["rows"][0]["userErrors"]) == (1, [])
    wanted = {"or": [{"code": {"startsWith": "TE"}}, {"name": {"contains": "coffee"}}], "listedIn": {"eq": store}}
    page = send("AdminArticles", manager, first=5, filter=wanted, atLeast=prices["rows"][0]["position"])["skus"]
    assert (page["totalCount"], page["nodes"][0]["code"]) == (1, "TEA")
    page = send("AdminStockPage", manager, first=1, filter={"skuCode": {"eq": level["skuCode"]}})["stockBalances"]
    assert (page["totalCount"], page["nodes"][0]["onHand"], page["nodes"][0]["isLow"]) == (1, "28", False)
    by_then = {"expiresOn": {"to": "2999-12-31"}}
    page = send("AdminBatches", warehouse, first=5, filter=by_then, atLeast=received["position"])["batchesInStock"]
    assert [(each["batch"], each["good"], each["notes"]["expiresOn"]) for each in page["nodes"]] == [
        ("T1", "10", "2999-01-31")
    ]
    # What has been sent had been there before this batch, and was of none.
    got = send("AdminBatchOrders", manager, skuId=sku, batch="T1", first=5)["batchOrders"]
    assert got["totalCount"] == 0
    assert send("AdminOrderBatches", manager, orderId=placed["id"])["orderBatches"] == []
    assert send("AdminBatchesToPick", warehouse, orderId=placed["id"])["batchesToPick"] == []
    [moved] = send("AdminMovements", manager, first=1, filter={"kind": {"eq": "received"}})["stockMovements"]["nodes"]
    assert moved["onHand"] == "10"
    planned = give("AdminPlanCampaign", manager, storeId=store, name="Spring", goal=_goal(), storeIds=[store])
    campaigns = send("AdminCampaigns", manager, first=5, atLeast=planned["position"])["campaigns"]["nodes"]
    assert [each["id"] for each in campaigns] == [planned["campaign"]["id"]]
    banner = {
        "channel": "display", "form": "banner", "placement": "home page", "budgetMinor": 100, "currency": "GBP",
        "startsAt": before, "endsAt": "2999-01-01T00:00:00Z", "needsReview": True,
    }  # fmt: skip
    needed = give("AdminPlanResource", manager, campaignId=planned["campaign"]["id"], **banner)
    desk = send("AdminCampaignDesk", manager, before=before, first=5, atLeast=needed["position"])["campaignsDue"]
    [place] = needed["campaign"]["resources"]
    assert [(each["what"], each["partId"]) for each in desk] == [("submit_resource", place["resourceId"])]
    assert (desk[0]["dueAt"], desk[0]["lastAt"]) == (place["submitBy"], place["submitUntil"])

    # The buyer looks again, and the goods come back.
    seen = send("StorefrontOrder", storefront, id=placed["id"])["order"]
    assert seen["parcels"][0]["waybill"] == "W1"
    theirs = send("StorefrontOrdersOfCustomer", storefront, customerId=customer, first=10, atLeast=shipped["position"])
    assert {each["id"] for each in theirs["orders"]["nodes"]} == {placed["id"], regretted}
    returned = give(
        "StorefrontRequestReturn",
        storefront,
        orderId=placed["id"],
        reason="QUALITY",
        lines=[{"line": 1, "quantity": "1"}],
    )["order"]
    assert [each["status"] for each in returned["returns"]] == ["REQUESTED"]
    assert send("StorefrontCustomer", storefront, id=customer)["customer"]["pointsBalance"] == 0
    assert send("AdminCustomer", manager, id=customer, ids=[customer])["customerCards"][0]["sales"][0]["orders"] == 1

    # The day's figures, and the auditor opens them.
    day = datetime.now(UTC).date()
    window = {"fromDay": str(day - timedelta(days=2)), "toDay": str(day + timedelta(days=2))}
    sold_in = {"placedFrom": f"{window['fromDay']}T00:00:00Z", "placedBefore": f"{window['toDay']}T00:00:00Z"}
    figures = send("AdminDay", manager, **window, **sold_in)
    assert [each["skuCode"] for each in figures["topSkus"]] == ["TEA"]
    assert figures["kpiDaily"][0]["netSales"]["amount"] == "9.00"
    month = {"storeId": store, "month": "2999-02-01", "currency": "GBP"}
    target = give("AdminSetSalesTarget", manager, **month, amountMinor=3600)["store"]["salesTargets"]
    assert [each["amount"]["amount"] for each in target] == ["36.00"]
    allowed = give("AdminSetBudget", manager, **month, category="rent", amountMinor=5000, responsible="ann")
    then = {"fromDay": "2999-01-01", "toDay": "2999-12-31", "atLeast": allowed["position"]}
    plans = send("AdminPlans", manager, storeId=store, storeIds=[store], **then)
    assert [(each["value"], each["denominator"]) for each in plans["byMonth"]["rows"]] == [("0", "36")]
    assert [(each["slice"], each["value"]) for each in plans["byStore"]["rows"]] == [(store, "0")]
    assert [(each["slice"], each["denominator"]) for each in plans["byCategory"]["rows"]] == [("rent", "50")]
    [budget] = plans["store"]["budgets"]
    assert (budget["spent"]["amount"], budget["responsible"]) == ("0.00", "ann")
    capital = {"storeId": store, "amountMinor": 10000, "currency": "GBP", "source": "the owners"}
    put = give("AdminInvestCapital", api.token(Role.OWNER, name="owner"), **capital)
    then = {**window, "openedOn": window["fromDay"], "atLeast": put["position"]}
    money = send("AdminFunds", manager, storeId=store, **then)
    # 9.00 were paid for the order, a tenth of which went to each of the smaller funds; its goods had cost 4.00.
    found = [money[fund]["rows"][-1]["value"] for fund in ("purchasing", "working", "other")]
    assert (found, money["payback"]["rows"][0]["value"]) == (["77.2", "20.9", "10.9"], "0.05")
    assert money["store"]["capital"]["amount"] == "100.00"
    sent.update(("AdminOrderChanges", "StorefrontFollowOrder"))
    with socket(api.url, storefront) as buyer, socket(api.url, manager) as board:
        board.subscribe(OPERATIONS["AdminOrderChanges"], {"storeIds": [store]})
        buyer.subscribe(OPERATIONS["StorefrontFollowOrder"], {"id": placed["id"]})
        assert [each["status"] for each in buyer.next()["orderChanges"]["returns"]] == ["REQUESTED"]
        assert board.silent(0.7)
        back = {"orderId": placed["id"], "returnId": returned["returns"][0]["returnId"]}
        api.give("approveReturn", "userErrors { code }", back)
        assert [each["status"] for each in buyer.next()["orderChanges"]["returns"]] == ["APPROVED"]
        assert board.next()["orderChanges"]["id"] == placed["id"]
    sent.add("AdminToday")
    with socket(api.url, manager) as client:
        client.subscribe(OPERATIONS["AdminToday"], {"storeIds": [store]})
        assert [each["orders"] for each in client.next()["figures"]] == [1]
    reported = {"storeId": store, "day": str(day - timedelta(days=1)), "pageViews": 40, "visitors": 8}
    give("AdminReportTraffic", manager, **reported)
    assert "K017" in {each["code"] for each in send("AdminKpiCatalogue", manager)["kpiDefinitions"]}
    books = send("AdminKpis", manager, **window, grain="DAY", compare="PREVIOUS_PERIOD")
    assert books["platformBook"]["rows"][0]["value"] == books["accountingBook"]["rows"][0]["value"]
    [both] = send("AdminSalesBooks", manager, **window, grain="TOTAL")["salesBooks"]["rows"]
    assert both["platform"] == both["accounting"]
    opened = send(
        "AdminOpenKpi", manager, code="K017", side="NUMERATOR", first=10, currencyCode="GBP",
        day=figures["kpiDaily"][0]["day"],
    )  # fmt: skip
    assert [each["event"] for each in opened["explainKpi"]["nodes"]] == ["OrderPaid"]
    assert send("AdminRetention", manager, **window)["retentionCohorts"][0]["customers"] == 1
    month = str(datetime.now(ZoneInfo("Europe/London")).date().replace(day=1))  # By the clock of the shop.
    terms = {"storeId": store, "effectiveMonth": month, "tiers": [{"fromMinor": 0, "rate": "0.1"}]}
    assert api.give("proposeCommissionScheme", "userErrors { code }", terms, token=manager)["userErrors"] == []
    approval = {"storeId": store, "schemeVersion": 1}
    approved = api.give("approveCommissionScheme", "position userErrors { code }", approval)
    sold = send("CommissionSales", manager, storeIds=[store], **window)["kpi"]
    assert [(row["slice"], row["value"]) for row in sold["rows"]] == [("cleo", "9")]
    due = send("CommissionMonth", manager, storeId=store, month=month, atLeast=approved["position"])["commissions"]
    assert [(line["agent"], line["amount"]["amount"]) for line in due["lines"]] == [("cleo", "0.90")]
    [scheme] = send("CommissionRecord", auditor, storeId=store)["store"]["commissionSchemes"]
    assert scheme == due["scheme"]
    [graded] = send("StoreGrades", manager, storeIds=[store], month=month)["storeGrades"]
    assert (graded["grade"], graded["policyVersion"], graded["figures"]["growth"]) == (None, 0, None)
    signed = dict.fromkeys(("ownerSignedOn", "agencySignedOn", "termFrom"), str(day))
    terms = {"owner": "Jade Ltd", "agency": "Gifts Ltd", "ownerPeople": ["li"], "termTo": "2999-12-31", **signed}
    fee = {"monthlyFeeMinor": 9900, "currency": "GBP"}
    agreed = api.give("signAgreement", "position userErrors { code }", {"storeId": store, **terms, **fee})
    found = {"first": 5, "filter": {"storeId": {"eq": store}}, "atLeast": agreed["position"]}
    [row] = send("AgreementList", manager, **found)["agreements"]["nodes"]
    [agreement] = send("AgreementRecord", auditor, storeId=store)["store"]["agreements"]
    assert (row["agreementId"], row["status"]) == (agreement["agreementId"], agreement["status"])
    rows = send("AdminRows", manager, projection="kpi_daily", query="days", parameters={}, first=5)["projectionRows"]
    assert [row["orders"] for row in rows["rows"]] == [1] and rows["columns"][0]["type"] == "uuid"

    # The owner asks what another rule would make of them.
    owner = api.token()
    models = send("AdminReadModels", owner)
    assert {line["action"] for line in models["projectionPlan"]} == {"nothing"}
    change = [{"rule": "guest_order_is_buyer", "value": "false"}]
    guest = give("StorefrontPlaceOrder", storefront, storeId=store, lines=order["lines"])["order"]
    given = {"orderId": guest["id"], "currency": "GBP", "method": "card"}
    paid = give("StorefrontPay", storefront, **given, amountMinor=guest["total"]["amountMinor"])
    wait_for(api.server.projector, "kpi_daily", paid["position"])
    answer = give("AdminWhatIf", owner, name="kpi_daily", rules=change)
    assert {each["name"] for each in answer["compare"]["tables"] if each["differingRows"]} == {
        "query days", "query periods", "query totals",
    }  # fmt: skip
    assert answer["compare"]["differingRows"] == 3
    report = send("AdminCompare", owner, id=answer["compareId"], first=10)["projectionCompare"]
    assert [row["old"]["buyers"] - row["new"]["buyers"] for row in report["rows"]["nodes"]] == [1, 1, 1]
    assert all([event["position"] for event in row["events"]] == [paid["position"]] for row in report["rows"]["nodes"])
    assert report["comparedBy"] == "owner"
    promotions = send("AdminProjectionPromotions", owner, projection="kpi_daily", first=5)["projectionPromotions"]
    assert [each["fromVersion"] for each in promotions["nodes"]] == [None], "the first version serves from the start"
    sent.add("AdminReadModelProgress")
    with socket(api.url, owner) as client:
        client.subscribe(OPERATIONS["AdminReadModelProgress"], {})
        assert {each["state"] for each in client.next()["projectionProgress"]} == {"serving"}
    head = send("AuditorHead", auditor)["head"]
    assert send("AuditorVerify", auditor, after=0, limit=20_000)["verification"]["holds"] is True
    events = send("AuditorEvents", auditor, filter={"types": ["OrderPlaced"]}, first=10)["events"]["edges"]
    position = events[0]["node"]["position"]
    assert events[0]["node"]["aggregateId"] == placed["id"]
    then = send("AuditorOrderThen", auditor, id=placed["id"], position=position)
    assert (then["then"]["status"], then["now"]["status"]) == ("PLACED", "SHIPPED")
    stock = send("AuditorStockThen", auditor, skuId=sku, position=position, occurredAt=before)
    assert stock["known"][0]["onHand"] == "20" and stock["true"][0]["onHand"] == "28"
    lines = send("AuditorLedger", auditor, skuId=sku, first=100)["stockLedger"]["nodes"]
    assert lines[-1]["runningOnHand"] == "28"
    cell = figures["kpiDaily"][0]
    opened = send("AuditorFigure", auditor, storeId=cell["storeId"], day=cell["day"], currencyCode="GBP", first=10)
    assert [each["event"] for each in opened["kpiExplain"]["nodes"]] == ["OrderPaid", "OrderPaid"]
    key = {"sku_id": sku}
    anything = send(
        "AuditorAnyFigure", auditor, projection="stock_ledger", cell="stock_values", key=key, first=100
    )  # fmt: skip
    assert anything["explain"]["nodes"]
    assert head["position"] > position
    sent.add("AuditorFollow")
    with socket(api.url, auditor) as client:
        client.subscribe(OPERATIONS["AuditorFollow"], {"after": position - 1, "filter": {"types": ["OrderPlaced"]}})
        followed = client.next()["events"]
    assert (followed["position"], followed["aggregateId"]) == (position, placed["id"])

    # Rows and events go to other programs.
    owner = api.token(Role.OWNER)
    started = give("AdminStartExport", manager, dataset="ORDER_LINES", format="CSV")["exportJob"]
    assert started["state"] == "WAITING"
    assert send("AdminExportJob", manager, id=started["id"])["exportJob"]["dataset"] == "ORDER_LINES"
    assert send("AdminExports", manager, first=5)["exportJobs"]["nodes"][0]["id"] == started["id"]
    with Receiver() as till:
        hook = give("AdminRegisterWebhook", owner, url=till.url, types=["OrderPlaced"])["webhook"]
        assert [each["id"] for each in send("AdminWebhooks", owner)["webhooks"]] == [hook["id"]]
        which = {"webhookId": hook["id"]}
        assert send("AdminPingWebhook", owner, input=which)["pingWebhook"]["taken"] is True
        assert send("AdminDeadLetters", owner, **which, first=5)["webhookDeadLetters"] == []
        assert send("AdminRedeliver", owner, input=which)["redeliverWebhookEvents"]["events"] == 0
        assert send("AdminResumeWebhook", owner, input=which)["resumeWebhook"]["webhook"]["state"] == "ACTIVE"

    # The goods arrive, the sale is final, and the buyer says what they are like.
    api.give("deliverOrder", "userErrors { code }", {"orderId": placed["id"], "parcelId": parcel["parcelId"]})
    api.give("completeOrder", "userErrors { code }", {"orderId": placed["id"]})
    posted = give("StorefrontPostReview", storefront, orderId=placed["id"], line=1, score=4, text="strong")
    waiting = {"skuId": {"eq": sku}, "waitsSince": {"isSet": True}}
    longest_first = {"by": "WAITS_SINCE"}
    desk = send("AdminReviews", manager, filter=waiting, sort=longest_first, first=5, atLeast=posted["position"])
    assert [(each["orderId"], each["text"]) for each in desk["reviews"]["nodes"]] == [(placed["id"], "strong")]
    replied = give("AdminReplyReview", manager, orderId=placed["id"], line=1, text="thank you")
    page = send("StorefrontReviews", storefront, storeId=store, skuId=sku, first=5, atLeast=replied["position"])
    assert [each["replies"][0]["text"] for each in page["reviews"]["nodes"]] == ["thank you"]
    assert (page["skuRatings"][0]["meanScore"], page["skuRatings"][0]["hidden"]) == ("4", None)

    # The store says what it is about to sell most of.
    heroes = {sku, *(gid("Sku", shop.sku(code, stock=5)) for code in ("CUP", "POT"))}
    [named] = give("AdminSetHeroSkus", manager, storeId=store, month=month, skuIds=sorted(heroes))["store"]["heroSkus"]
    assert {each["code"] for each in named["skus"]} == {"TEA", "CUP", "POT"}
    shown = send("AdminHeroes", manager, storeId=store, **window)
    assert {each["id"] for each in shown["store"]["heroSkus"][0]["skus"]} == heroes
    assert {each["value"] for each in shown["byMonth"]["rows"]} == {"0"}, "what was ordered before was of no hero"

    asked = {"storeId": store, "by": "BEST_SELLING", "first": 2, "atLeast": api.server.services.log.head().position}
    found = send("AdminCampaignCandidates", manager, **asked)["campaignCandidates"]
    assert [(each["skuCode"], each["hero"], each["listPrice"]["amount"]) for each in found] == [
        ("TEA", True, "4.8"), ("CUP", True, "10"),
    ]  # fmt: skip

    shop.do(SetStockPolicy(sku_id=key_of(sku, "Sku"), low_line=Decimal(1000)))
    wanted = {"coverDays": 30, "leadDays": 7, "atLeast": api.server.services.log.head().position}
    [missing] = send("ReorderProposals", manager, storeId=store, first=5, **wanted)["reorderProposals"]
    assert (missing["skuCode"], missing["lowLine"]) == ("TEA", "1000")

    # Who buys, and whom to write to.
    groups = {"segments": [{"segment": "buyers", "orders_min": 1}, {"segment": "strangers", "quiet_days_min": 900}]}
    shop.do(SetPolicy(store_id=shop.store_id, kind="customer_segments", params=groups))
    reached = {"storeId": store, "atLeast": api.server.services.log.head().position}
    counted = send("CustomerSegments", manager, **reached)["customerSegments"]
    assert [(each["segment"], each["customers"]) for each in counted] == [("buyers", 1), ("strangers", 0)]
    buyers = send("SegmentCustomers", manager, segment="buyers", first=5, **reached)["segmentCustomers"]
    assert [each["customerId"] for each in buyers["nodes"]] == [customer]

    # What a reporting tool reads of all that.
    given = {
        "first": 10, **window, "code": "K017", "grain": "DAY", "side": "NUMERATOR", "reference": "nobody's",
        "currencyCode": "GBP", "customerIds": [customer], "skuIds": [sku], "skuId": sku, "ids": [sku, customer],
        "timeZone": "Europe/London", "startsOn": str(day.replace(day=1)), "monthsLater": 0,
    }  # fmt: skip
    ids = {"ReportStore": store, "ReportSku": sku, "ReportCampaign": planned["campaign"]["id"], "ReportSkuHistory": sku}
    for name in (each for each in OPERATIONS if each.startswith("Report")):
        [operation] = [
            each for each in parse(OPERATIONS[name]).definitions if isinstance(each, OperationDefinitionNode)
        ]
        wanted = {each.variable.name.value for each in operation.variable_definitions or ()}
        own = {"grain": "TOTAL"} if name in ("ReportKpi", "ReportExplainKpi") else {}
        variables = {**given, "id": ids.get(name), **own}
        [found] = send(name, owner, **{key: variables[key] for key in wanted & variables.keys()}).values()
        assert found or name in NOTHING_TO_SHOW, f"{name} shows nothing"

    assert sent == set(OPERATIONS), f"never sent: {set(OPERATIONS) - sent}"


def _goal() -> str:
    return next(iter(CampaignGoal)).name
