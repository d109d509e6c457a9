"""Holders of several roles: a request is made in one of them, and the event says in which; and one person stays one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from opscore.cli import app
from opscore.domain.command import Role
from opscore.log.event_log import EventFilter
from opscore.tokens import ROLE_HEADER, add_role, create_token, end_role, list_roles
from tests.api.conftest import Api, gid
from tests.api.issuer import AUDIENCE, Issuer, issuer
from tests.api.socket_client import socket
from tests.conftest import MASTER_KEY
from tests.shop import Shop

VIEWER = "{ viewer { name role roles storeIds commands } }"
TOTALS = '{ kpiTotals(fromDay: "2026-01-01", toDay: "2026-01-02") { orders } }'


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def more_settings(provider: Issuer) -> dict[str, Any]:
    return {
        "oidc_issuer": provider.url, "oidc_audience": AUDIENCE, "oidc_jwks_url": f"{provider.url}/keys",
        "oidc_role_claim": "groups", "oidc_roles": {"managers": "manager", "packers": "warehouse", "editors": "editor"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def other(api: Api) -> Shop:
    return Shop.open(api.server.writer, name="Other shop")


@pytest.fixture
def anna(api: Api, shop: Shop, other: Shop) -> tuple[UUID, str]:
    """Somebody who serves in one store and does the finances of another."""
    token_id, token = create_token(api.server.database, "anna", Role.SERVICE, store_ids=[shop.store_id])
    add_role(api.server.database, token_id, Role.FINANCE, store_ids=[other.store_id])
    return token_id, token


def asked(api: Api, token: str, query: str, role: str | None = None) -> dict[str, Any]:
    headers = {} if role is None else {ROLE_HEADER: role}
    answer = api.post({"query": query}, token=token, headers=headers)
    return {"status": answer.status_code, **answer.json()}


def test_a_request_acts_in_the_tokens_own_role_or_in_the_one_it_names(
    api: Api, shop: Shop, other: Shop, anna: tuple[UUID, str]
) -> None:
    own = asked(api, anna[1], VIEWER)["data"]["viewer"]
    named = asked(api, anna[1], VIEWER, "FINANCE")["data"]["viewer"]

    assert (own["role"], named["role"]) == ("SERVICE", "FINANCE")
    assert own["roles"] == named["roles"] == ["SERVICE", "FINANCE"]
    assert own["storeIds"] == [gid("Store", shop.store_id)] and named["storeIds"] == [gid("Store", other.store_id)]
    assert "placeOrder" in own["commands"] and "placeOrder" not in named["commands"]


def test_roles_do_not_add_up(api: Api, shop: Shop, anna: tuple[UUID, str]) -> None:
    """A request has the rights of one role, in that role's stores: the other's are a header away, never by mistake."""
    assert asked(api, anna[1], TOTALS)["status"] == 403
    assert "errors" not in asked(api, anna[1], TOTALS, "finance")
    store = f'{{ store(id: "{gid("Store", shop.store_id)}") {{ id }} }}'
    assert asked(api, anna[1], store)["data"]["store"] is not None
    assert asked(api, anna[1], store, "finance")["data"]["store"] is None


@pytest.mark.parametrize("role", ["owner", "manager", "nonsense", "", "system"])
def test_a_role_that_is_not_held_is_refused(api: Api, anna: tuple[UUID, str], role: str) -> None:
    answer = asked(api, anna[1], VIEWER, role)

    assert answer["status"] == 403
    [error] = answer["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert "it gives service, finance now" in error["message"]


def test_a_role_holds_from_and_until_its_dates(
    api: Api, anna: tuple[UUID, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opscore.tokens.TRUSTED_SECONDS", 0.0)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    for role, since, until, held in (
        (Role.EDITOR, now - hour, now + hour, True),
        (Role.EDITOR, None, now - hour, False),
        (Role.EDITOR, now + hour, None, False),
        (Role.EDITOR, now - hour, None, True),
    ):
        add_role(api.server.database, anna[0], role, valid_from=since, valid_until=until)
        assert (asked(api, anna[1], VIEWER, "editor")["status"] == 200) is held
        assert ("EDITOR" in asked(api, anna[1], VIEWER)["data"]["viewer"]["roles"]) is held
    assert end_role(api.server.database, anna[0], Role.EDITOR)
    assert not end_role(api.server.database, anna[0], Role.EDITOR)
    assert asked(api, anna[1], VIEWER, "editor")["status"] == 403


def test_the_event_says_in_which_role(api: Api, shop: Shop) -> None:
    order = gid("Order", shop.do(shop.order((shop.sku(), 1))))
    token_id, token = create_token(api.server.database, "both", Role.SERVICE)
    add_role(api.server.database, token_id, Role.FINANCE)
    give = "mutation ($input: PayOrderInput!) { payOrder(input: $input) { userErrors { code } } }"
    for role in (None, "finance"):
        fields = {"orderId": order, "amountMinor": 100, "method": "card", "idempotencyKey": f"as {role}"}
        headers = {} if role is None else {ROLE_HEADER: role}
        answer = api.post({"query": give, "variables": {"input": fields}}, token=token, headers=headers).json()
        assert answer["data"]["payOrder"]["userErrors"] == []

    events = api.server.services.log.select(EventFilter(actor="both"))
    assert [event.role for event in events] == ["service", "finance"]
    history = "query ($id: ID!) { order(id: $id) { history(last: 2) { nodes { actor { holder role } } } } }"
    shown = api.ask(history, {"id": order})["order"]["history"]["nodes"]
    assert [row["actor"] for row in shown] == [{"holder": "both", "role": role} for role in ("SERVICE", "FINANCE")]
    logged = "{ events(last: 1) { nodes { actor role } } }"
    assert api.ask(logged)["events"]["nodes"] == [{"actor": "both", "role": "FINANCE"}]


def test_a_socket_acts_in_the_role_that_it_begins_with(api: Api, anna: tuple[UUID, str]) -> None:
    figures = "subscription { figures { orders } }"
    for role, code in ((None, "FORBIDDEN"), ("finance", None)):
        with socket(api.url) as client:
            payload = {"authorization": f"Bearer {anna[1]}", **({} if role is None else {"role": role})}
            client.send({"type": "connection_init", "payload": payload})
            assert client.receive()["type"] == "connection_ack"
            client.subscribe(figures)
            if code is None:
                client.send({"type": "ping"})
                assert client.receive()["type"] in ("pong", "next")
            else:
                assert client.receive()["payload"][0]["extensions"]["code"] == code
    with socket(api.url) as client:
        client.send({"type": "connection_init", "payload": {"authorization": f"Bearer {anna[1]}", "role": "owner"}})
        assert client.closed() == 4403


def test_of_several_roles_that_the_provider_names_a_request_says_which(api: Api, provider: Issuer) -> None:
    token = provider.token(groups=["managers", "packers"])
    answer = asked(api, token, VIEWER)

    assert answer["status"] == 401 and f"say in {ROLE_HEADER}" in answer["errors"][0]["message"]
    for role in ("manager", "warehouse"):
        viewer = asked(api, token, VIEWER, role)["data"]["viewer"]
        assert (viewer["role"], viewer["roles"]) == (role.upper(), ["MANAGER", "WAREHOUSE"])
    assert asked(api, token, VIEWER, "editor")["status"] == 403
    assert asked(api, provider.token(groups=["packers"]), VIEWER)["data"]["viewer"]["role"] == "WAREHOUSE"


def test_the_command_line_gives_and_takes_further_roles(api: Api, shop: Shop) -> None:
    url = api.server.settings.database_url
    assert url is not None
    environment = {"OPSCORE_DATABASE_URL": url.get_secret_value(), "OPSCORE_MASTER_KEY": MASTER_KEY}

    def opscore(*words: str) -> str:
        return CliRunner().invoke(app, ["token", *words], env=environment).output

    token_id = opscore("create", "carl", "--role", "service").split()[1]
    store = gid("Store", shop.store_id)
    given = opscore(
        "add-role", token_id, "after_sales", "--store", store, "--from", "2026-01-01", "--until", "2999-01-01"
    )
    assert f"{ROLE_HEADER}: after_sales" in given
    [row] = [row for row in list_roles(api.server.database) if str(row.token_id) == token_id]
    assert (row.role, row.store_ids, row.valid_from) == (
        "after_sales",
        [shop.store_id],
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert "no good token" in opscore("add-role", token_id, "service").replace("\n", " ")
    assert "further role" in opscore("add-role", token_id, "customer").replace("\n", " ")
    assert "Ended." in opscore("end-role", token_id, "after_sales")
    assert "no such further role" in opscore("end-role", token_id, "after_sales").replace("\n", " ")


# After-sales as a permission of its own ------------------------------------------------------------------------------


def test_after_sales_decides_what_goes_back_and_the_service_desk_does_not(api: Api, shop: Shop) -> None:
    """The service desk takes a return in; what comes of it is for experienced people, who do nothing else with it."""
    own = {
        "requestReturn", "cancelReturn", "declineReturn", "approveReturn", "refundOrder", "protectPrice",
        "shipReturn", "verifyReturn", "payReturnFreight", "exchangeReturn",
    }  # fmt: skip
    jotted = {"noteOrder", "withdrawOrderNote", "tagOrder", "untagOrder"}
    complaints = {
        "openDispute", "acceptDispute", "verifyDispute", "negotiateDispute", "declineDisputeOffer", "agreeDispute",
        "settleDispute", "payCompensation", "followUpDispute", "closeDispute", "withdrawDispute", "reportParcelLost",
        "traceParcel", "replaceLostParcel", "fileCourierClaim", "settleCourierClaim",
    }  # fmt: skip
    reviews = {"postReview", "supplementReview", "setReviewConsent", "replyReview", "flagReview"}
    desk = set(api.ask(VIEWER, token=api.token(Role.SERVICE))["viewer"]["commands"])
    after = set(api.ask(VIEWER, token=api.token(Role.AFTER_SALES))["viewer"]["commands"])

    assert after == own | jotted | complaints | reviews | {"discloseOrderContact", "discloseCustomerContact"}
    assert own - desk == {"approveReturn", "refundOrder", "protectPrice", "verifyReturn", "payReturnFreight"}
    assert complaints - desk == {
        "verifyDispute", "negotiateDispute", "settleDispute", "payCompensation", "settleCourierClaim",
    }  # fmt: skip
    order = gid("Order", shop.do(shop.order((shop.sku(), 1))))
    for command in ("approveReturn", "refundOrder"):
        given = {"orderId": order} | ({"returnId": str(UUID(int=1))} if command == "approveReturn" else {})
        refused = {}
        for role in (Role.SERVICE, Role.AFTER_SALES):
            [error] = api.give(command, "userErrors { code }", given, token=api.token(role))["userErrors"]
            refused[role] = error["code"]
        assert refused[Role.SERVICE] == "NOT_AUTHORISED" != refused[Role.AFTER_SALES]


# One person stays one ------------------------------------------------------------------------------------------------


def reviewed(api: Api, shop: Shop, editor: str, reviewer: str, headers: dict[str, str] | None = None) -> list[str]:
    """Return the codes that the review of an article meets, which one token submits and the other passes."""
    sku = shop.sku_to_review()
    code = api.give("submitSku", "userErrors { code }", {"skuId": gid("Sku", sku)}, token=editor)
    assert code["userErrors"] == []
    document = "mutation ($input: PassSkuReviewInput!) { passSkuReview(input: $input) { userErrors { code } } }"
    given = {"input": {"skuId": gid("Sku", sku), "idempotencyKey": f"review {sku}"}}
    answer = api.post({"query": document, "variables": given}, token=reviewer, headers=headers or {})
    return [error["code"] for error in answer.json()["data"]["passSkuReview"]["userErrors"]]


def test_two_tokens_of_one_holder_are_the_same_person(api: Api, shop: Shop) -> None:
    first = create_token(api.server.database, "dora", Role.EDITOR)[1]
    again = create_token(api.server.database, "dora", Role.MANAGER)[1]

    assert reviewed(api, shop, first, again) == ["SAME_PERSON"]
    assert reviewed(api, shop, first, api.token(Role.MANAGER, name="emil")) == []


def test_one_holder_in_two_roles_is_the_same_person(api: Api, shop: Shop) -> None:
    token_id, token = create_token(api.server.database, "fred", Role.EDITOR)
    add_role(api.server.database, token_id, Role.MANAGER)

    assert reviewed(api, shop, token, token, {ROLE_HEADER: "manager"}) == ["SAME_PERSON"]


def test_who_signs_in_and_holds_a_token_is_the_same_person(api: Api, shop: Shop, provider: Issuer) -> None:
    signed_in = provider.token(groups=["managers"], sub="greta")
    hers = create_token(api.server.database, "greta", Role.EDITOR, signs_in=True)[1]
    namesake = create_token(api.server.database, "greta", Role.EDITOR)[1]

    assert reviewed(api, shop, hers, signed_in) == ["SAME_PERSON"]
    assert reviewed(api, shop, namesake, signed_in) == [], "a name here is not a name at the provider unless it is said"
