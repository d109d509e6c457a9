"""Calls to suppliers, and what owners say to joining, as those who look after campaigns see it: there and in lists."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from opscore.domain.command import Role
from tests.api.conftest import Api, gid
from tests.buying import Buyer
from tests.shop import Shop

SHOWN = """campaign {
  supplierCall { until wanted closedAt }
  offers { offerId supplierId skuId quantity unitCost { amount } status accepted rejectedBecause }
} userErrors { code path }"""


def found_in(api: Api, shop: Shop, **filter_: Any) -> list[str]:
    """Return the campaigns of a shop that a filter finds, once the list knows everything."""
    document = """query ($filter: CampaignFilter, $at: Position) {
      campaigns(filter: $filter, first: 9, atLeast: $at) { nodes { id } }
    }"""
    given = {"storeId": {"eq": gid("Store", shop.store_id)}, **filter_}
    asked = {"filter": given, "at": api.server.services.log.head().position}
    return [node["id"] for node in api.ask(document, asked)["campaigns"]["nodes"]]


def test_a_mall_calls_on_suppliers_and_finds_what_waits_for_an_answer(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    buyer = Buyer(shop, api.server.services.log)
    supplier, sku, campaign = buyer.supplier(), shop.sku(), shop.campaign("Sale")
    of = {"campaignId": gid("Campaign", campaign)}

    def give(command: str, **fields: Any) -> dict[str, Any]:
        answer = api.give(command, SHOWN, {**of, **fields})
        assert answer["userErrors"] == [], answer
        shown: dict[str, Any] = answer["campaign"]
        return shown

    def found(**filter_: Any) -> list[str]:
        return found_in(api, shop, **filter_)

    offer = {
        "supplierId": str(supplier),
        "skuId": gid("Sku", sku),
        "quantity": "30",
        "unitCost": "3.5",
        "currency": "GBP",
    }
    [refused] = api.give("offerSupply", SHOWN, {**of, **offer})["userErrors"]
    assert refused["code"] == "SUPPLIER_CALL_OVER"
    call = give("openSupplierCall", until="2031-06-01T00:00:00+08:00", wanted="toys")["supplierCall"]
    assert call == {"until": "2031-05-31T16:00:00Z", "wanted": "toys", "closedAt": None}
    [offered] = give("offerSupply", **offer)["offers"]
    assert offered.pop("offerId") and offered == {
        "supplierId": str(supplier), "skuId": gid("Sku", sku), "quantity": "30", "unitCost": {"amount": "3.5"},
        "status": "OFFERED", "accepted": "0", "rejectedBecause": None,
    }  # fmt: skip
    assert found(offerStatus={"eq": "OFFERED"}) == [of["campaignId"]] == found(callUntil={"isSet": True})

    offer_id = api.ask("query ($id: ID!) { campaign(id: $id) { offers { offerId } } }", {"id": of["campaignId"]})
    [known] = offer_id["campaign"]["offers"]
    [answered] = give("acceptOffer", offerId=known["offerId"], quantity="10")["offers"]
    assert (answered["status"], answered["accepted"]) == ("ACCEPTED", "10")
    assert give("closeSupplierCall")["supplierCall"]["closedAt"]
    assert found(offerStatus={"eq": "OFFERED"}) == [] == found(callUntil={"isSet": True})
    assert found(offerStatus={"in": ["ACCEPTED"]}) == [of["campaignId"]]

    hidden = api.ask(
        "query ($id: ID!) { campaign(id: $id) { supplierCall { until } offers { offerId } } }",
        {"id": of["campaignId"]},
        token=api.token(Role.EDITOR),
    )["campaign"]
    assert hidden == {"supplierCall": None, "offers": []}


def test_an_owner_finds_what_waits_for_their_word(api: Api) -> None:
    shop = Shop.open(api.server.writer, f"Shop {uuid4()}")
    plan = {"storeId": gid("Store", shop.store_id), "name": "11.11", "goal": "RAISE_SALES", "kind": "OFFICIAL"}
    of = {"campaignId": api.give("planCampaign", "campaign { id } userErrors { code }", plan)["campaign"]["id"]}
    shown = "campaign { proposal { status proposedAt note answeredAt reason } } userErrors { code }"
    asked = api.give("proposeCampaign", shown, {**of, "note": "a million visitors"})["campaign"]["proposal"]
    assert (asked["status"], asked["note"], asked["answeredAt"]) == ("PROPOSED", "a million visitors", None)
    assert found_in(api, shop, proposalStatus={"eq": "PROPOSED"}) == [of["campaignId"]]
    times = {"startsAt": "2031-06-01T00:00:00Z", "endsAt": "2031-07-01T00:00:00Z"}
    [refused] = api.give("scheduleCampaign", "userErrors { code }", {**of, **times})["userErrors"]
    assert refused["code"] == "OWNER_NOT_CONFIRMED"

    declined = api.give("declineCampaign", shown, {**of, "reason": "too dear"})["campaign"]["proposal"]
    assert (declined["status"], declined["reason"]) == ("DECLINED", "too dear")
    api.give("proposeCampaign", shown, of)
    assert api.give("confirmCampaign", shown, of)["campaign"]["proposal"]["status"] == "CONFIRMED"
    assert found_in(api, shop, proposalStatus={"eq": "PROPOSED"}) == []
    assert found_in(api, shop, proposalStatus={"eq": "CONFIRMED"}) == [of["campaignId"]]
    [refused] = api.give("scheduleCampaign", "userErrors { code }", {**of, **times})["userErrors"]
    assert refused["code"] == "CAMPAIGN_INCOMPLETE", "the owner's word is there, the goods are not"
