"""Agency agreements through the API: a life from both signatures to the refund, lists, and who sees what of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from opscore.domain.agreements import SignAgreement
from opscore.domain.command import Role
from tests.api.conftest import Api, gid
from tests.shop import Shop

ERRORS = "userErrors { code path ids message } position"
AGREEMENTS = """query ($filter: AgreementFilter, $sort: AgreementSort, $at: Position, $first: Int, $after: String) {
  agreements(filter: $filter, sort: $sort, first: $first, after: $after, atLeast: $at) {
    totalCount
    pageInfo { endCursor hasNextPage }
    nodes {
      agreementId storeId owner agency status termTo firstPlanDueBy answerDueBy ownerBreaches agencyBreaches
      monthlyFee { amount } feePaid { amountMinor } refund { amountMinor } unpaid { amountMinor }
    }
  }
}"""
TODAY = datetime.now(UTC).date()


def sign(shop: Shop, owner: str = "Jade Ltd", **fields: Any) -> None:
    """Take down an agreement that was signed two months ago and runs for a year."""
    first = TODAY - timedelta(days=60)
    known: dict[str, Any] = {
        "agency": "Gifts Ltd", "owner_people": ("li",), "owner_signed_on": first, "agency_signed_on": first,
        "term_from": first, "term_to": first + timedelta(days=365), "monthly_fee_minor": 300_00, "currency": "GBP",
    }  # fmt: skip
    shop.do(SignAgreement(store_id=shop.store_id, owner=owner, **(known | fields)))


def listed(api: Api, token: str = "", **asked: Any) -> dict[str, Any]:
    """Return the page of agreements that is asked for, once the read model has all there is."""
    at = api.server.services.log.head().position
    found: dict[str, Any] = api.ask(AGREEMENTS, {"at": at, "first": 10, **asked}, token=token)["agreements"]
    return found


def test_an_agreement_lives_from_both_signatures_to_its_end(api: Api, shop: Shop) -> None:
    shop = Shop.open(shop.writer, "Hosted shop")
    store = gid("Store", shop.store_id)
    shown = "store { agreements { agreementId status termTo firstPlanDueBy refund { amountMinor } notice { cause } } }"
    first = TODAY - timedelta(days=60)
    terms = {
        "storeId": store, "owner": "Jade Ltd", "agency": "Gifts Ltd", "ownerPeople": ["li"], "termFrom": str(first),
        "termTo": str(first + timedelta(days=365)), "monthlyFeeMinor": 300_00, "currency": "GBP",
        "ownerSignedOn": str(first),
    }  # fmt: skip
    [unsigned] = api.give("signAgreement", ERRORS, terms)["userErrors"]
    assert (unsigned["code"], unsigned["path"]) == ("BOTH_SIGNATURES_REQUIRED", ["agencySignedOn"])
    signed = api.give("signAgreement", f"{shown} {ERRORS}", {**terms, "agencySignedOn": str(first)})
    [agreement] = signed["store"]["agreements"]
    of = {"storeId": store, "agreementId": agreement["agreementId"]}
    assert (agreement["status"], agreement["firstPlanDueBy"]) == ("ACTIVE", None)
    [again] = api.give("signAgreement", ERRORS, {**terms, "agencySignedOn": str(first)})["userErrors"]
    assert again["code"] == "AGREEMENT_RUNNING"

    def step(command: str, token: str = "", **fields: Any) -> dict[str, Any]:
        given = api.give(command, f"{shown} {ERRORS}", {**of, **fields}, **({"token": token} if token else {}))
        assert given["userErrors"] == [], command
        found: dict[str, Any] = given["store"]["agreements"][-1]
        return found

    def no(command: str, token: str = "", **fields: Any) -> str:
        given = api.give(command, ERRORS, {**of, **fields}, **({"token": token} if token else {}))
        [error] = given["userErrors"]
        return str(error["code"])

    paid = step("payAgreementFee", amountMinor=12 * 300_00, currency="GBP")
    assert paid["firstPlanDueBy"] is not None
    assert no("recordBreach", party="AGENCY", kind="SECRECY") == "EVIDENCE_MISSING"
    step("recordBreach", party="AGENCY", kind="SECRECY", evidence="mail of Monday", lossMinor=9_00)
    notice = {"party": "OWNER", "effectiveOn": str(TODAY), "reason": "they told others"}
    li = api.token(Role.MANAGER, name="li")
    assert no("giveNotice", **notice) == "NOT_OWNER_PARTY"
    assert no("giveNotice", li, **notice) == "AGREEMENT_NOTICE_TOO_SHORT"
    given = step("giveNotice", li, **notice, cause="SECRECY_BREACH")
    assert (given["status"], given["notice"]) == ("NOTICED", {"cause": "SECRECY_BREACH"})
    assert no("endAgreement") == "NOTICE_RUNNING"

    [row] = listed(api, filter={"storeId": {"eq": store}})["nodes"]
    assert (row["status"], row["agencyBreaches"], row["ownerBreaches"]) == ("NOTICED", 1, 0)
    assert (row["feePaid"], row["refund"]) == ({"amountMinor": 12 * 300_00}, None)
    asked = """query ($key: JSON!) {
      explain(projection: "agency", cell: "agreements", key: $key, first: 10) { nodes { event position } }
    }"""
    behind = api.ask(asked, {"key": {"agreement_id": agreement["agreementId"]}})["explain"]["nodes"]
    assert [each["event"] for each in behind] == [
        "AgreementSigned", "AgreementFeePaid", "AgreementBreachRecorded", "AgreementTerminationNoticed",
    ]  # fmt: skip


def test_what_may_be_done_with_agreements_is_foretold(api: Api, shop: Shop) -> None:
    shop = Shop.open(shop.writer, "Foretold shop")
    asked = "query ($id: ID!) { store(id: $id) { allowedCommands { name allowed code } } }"

    def told() -> dict[str, str | None]:
        rows = api.ask(asked, {"id": gid("Store", shop.store_id)})["store"]["allowedCommands"]
        names = ("signAgreement", "giveNotice", "extendAgreementByDefault")
        return {row["name"]: row["code"] for row in rows if row["name"] in names}

    assert told() == {"signAgreement": None, "giveNotice": "WRONG_STATE", "extendAgreementByDefault": "WRONG_STATE"}
    sign(shop)
    after = {"signAgreement": "AGREEMENT_RUNNING", "giveNotice": None, "extendAgreementByDefault": "RENEWAL_NOT_ASKED"}
    assert told() == after


def test_agreements_are_found_by_what_is_due_and_page_by_page(api: Api, shop: Shop) -> None:
    shops = [Shop.open(shop.writer, f"Found shop {number}") for number in range(3)]
    for number, each in enumerate(shops):
        sign(each, f"Found {number}", term_to=date(2990, 1, 3 - number))
    mine = {"owner": {"contains": "found"}}

    assert [each["owner"] for each in listed(api, filter=mine)["nodes"]] == ["Found 2", "Found 1", "Found 0"]
    late = {"by": "ENDS_AT", "direction": "DESC"}
    page = listed(api, filter=mine, sort=late, first=2)
    assert ([each["owner"] for each in page["nodes"]], page["totalCount"]) == (["Found 0", "Found 1"], 3)
    rest = listed(api, filter=mine, sort=late, first=2, after=page["pageInfo"]["endCursor"])
    assert ([each["owner"] for each in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (["Found 2"], False)
    for one, expected in (
        ({"termTo": {"to": "2990-01-01"}}, ["Found 2"]),
        ({"status": {"in": ["ENDED", "NOTICED"]}}, []),
        ({"storeId": {"eq": gid("Store", shops[1].store_id)}}, ["Found 1"]),
        ({"firstPlanDueBy": {"before": "2990-01-01T00:00:00Z"}}, []),
    ):
        assert [each["owner"] for each in listed(api, filter={**mine, **one})["nodes"]] == expected, one
    by_plan = {"by": "FIRST_PLAN_DUE_BY", "direction": "ASC"}
    assert len(listed(api, filter=mine, sort=by_plan)["nodes"]) == 3


@pytest.mark.parametrize("role", [Role.MANAGER, Role.SERVICE, Role.STOREFRONT])
def test_nobody_sees_agreements_of_stores_that_are_not_theirs(api: Api, shop: Shop, role: Role) -> None:
    theirs, others = (Shop.open(shop.writer, f"{name} of {role}") for name in ("Own", "Other"))
    for each in (theirs, others):
        sign(each, f"Seen by {role}")
    token = api.token(role, stores=(theirs.store_id,))
    at = api.server.services.log.head().position
    asked = {"filter": {"owner": {"eq": f"Seen by {role}"}}, "at": at, "first": 10}
    if role is Role.MANAGER:
        found = api.ask(AGREEMENTS, asked, token=token)["agreements"]
        assert [each["storeId"] for each in found["nodes"]] == [gid("Store", theirs.store_id)]
    else:
        assert [each["extensions"]["code"] for each in api.errors(AGREEMENTS, asked, token=token)] == ["FORBIDDEN"]
        shown = "query ($id: ID!) { store(id: $id) { agreements { owner } } }"
        assert api.ask(shown, {"id": gid("Store", theirs.store_id)}, token=token)["store"]["agreements"] == []
