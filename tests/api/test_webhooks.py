"""Webhooks over GraphQL: who may have one, what of whose stores it sees, and that a repeated request is one request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from opscore.domain.command import Role
from opscore.tokens import create_token
from tests.api.conftest import Api, gid
from tests.shop import Shop
from tests.webhooks.receiver import Receiver, verified

WEBHOOK = "id url state reason storeIds types position behind failures deadLetters secrets lastError"
REGISTER = f"""
mutation ($input: RegisterWebhookInput!) {{
  registerWebhook(input: $input) {{ secret replayed webhook {{ {WEBHOOK} }} userErrors {{ code message path ids }} }}
}}
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


def register(api: Api, url: str, token: str = "", **more: Any) -> dict[str, Any]:
    given = {"url": url, "idempotencyKey": str(uuid4()), **more}
    answer: dict[str, Any] = api.ask(REGISTER, {"input": given}, token=token)["registerWebhook"]
    return answer


def change(api: Api, name: str, webhook_id: str, token: str = "", shown: str = "", **more: Any) -> dict[str, Any]:
    kind = "WebhookInput" if name.endswith("Webhook") else f"{name[0].upper()}{name[1:]}Input"
    document = (
        f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ {shown} webhook {{ {WEBHOOK} }}"
        " userErrors { code message path ids } } }"
    )
    found: dict[str, Any] = api.ask(document, {"input": {"webhookId": webhook_id, **more}}, token=token)[name]
    return found


def test_a_webhook_from_registration_to_its_end(api: Api, shop: Shop, receiver: Receiver) -> None:
    answer = register(api, receiver.url, types=["SkuListed"], description="the till")
    assert answer["userErrors"] == [] and answer["webhook"]["state"] == "ACTIVE"
    webhook_id, secret = answer["webhook"]["id"], answer["secret"]
    shop.sku()
    receiver.wait_for(lambda: len(receiver.messages) == 1, "the event")
    [message] = receiver.messages
    assert verified(secret, message.headers, message.body)

    shown = api.ask(
        """
        { events(filter: {types: ["SkuListed"]}, last: 1) { nodes {
            id position type schemaVersion streamId streamType aggregateId version storeId occurredAt recordedAt
            timeZone actor role origin idempotencyKey correlationId causationPosition data hash } } }
        """
    )
    assert message.content["data"] == shown["events"]["nodes"][0], "what is sent is what the API shows"

    assert change(api, "pingWebhook", webhook_id, shown="taken status error")["taken"] is True
    assert receiver.messages[-1].content["type"] == "webhook.ping"
    assert change(api, "pauseWebhook", webhook_id)["webhook"]["state"] == "PAUSED"
    assert change(api, "resumeWebhook", webhook_id)["webhook"]["state"] == "ACTIVE"
    rotated = change(
        api, "rotateWebhookSecret", webhook_id, shown="secret replayed", idempotencyKey="r", overlapHours=1
    )
    assert rotated["secret"] != secret and rotated["webhook"]["secrets"] == 2
    assert change(api, "redeliverWebhookEvents", webhook_id, shown="events")["events"] == 0
    [listed] = api.ask(f"{{ webhooks {{ {WEBHOOK} }} }}")["webhooks"]
    assert listed["id"] == webhook_id and "whsec" not in str(listed)
    api.server._checked = None
    ready = api.client.get("/readyz").json()
    [told] = [each for each in ready["checks"] if each["name"] == "webhooks"]
    assert told["ok"] and told["reason"].startswith("1 active, 0 paused")

    assert change(api, "deleteWebhook", webhook_id)["webhook"]["id"] == webhook_id
    assert api.ask("{ webhooks { id } }")["webhooks"] == []
    assert change(api, "resumeWebhook", webhook_id)["userErrors"][0]["code"] == "NOT_FOUND"


def test_readiness_never_fails_over_webhooks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(api.server.webhooks, "error", "OperationalError")
        api.server._checked = None
        assert api.client.get("/readyz").status_code == 200
    api.server._checked = None


def test_the_same_request_again_is_the_same_webhook_and_shows_no_secret(api: Api, receiver: Receiver) -> None:
    first = register(api, receiver.url, idempotencyKey="same")
    again = register(api, receiver.url, idempotencyKey="same")
    other = register(api, receiver.url + "2", idempotencyKey="same")

    assert again["webhook"]["id"] == first["webhook"]["id"]
    assert (again["secret"], again["replayed"], first["replayed"]) == (None, True, False)
    assert other["webhook"] is None and other["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"url": "https://169.254.169.254/"}, "URL_REFUSED", ["url"]),
        ({"types": ["OrderPlaced", "OrderTeleported"]}, "EVENT_TYPE_UNKNOWN", ["types", "1"]),
        ({"types": []}, "INVALID_FIELD", ["types"]),
        ({"storeIds": []}, "INVALID_FIELD", ["storeIds"]),
        ({"description": "x" * 201}, "INVALID_FIELD", ["description"]),
        ({"after": 9_000_000}, "INVALID_FIELD", ["after"]),
        ({"idempotencyKey": ""}, "INVALID_FIELD", ["idempotencyKey"]),
    ],
)
def test_what_cannot_be_registered_is_refused_where_the_fault_is(
    api: Api, receiver: Receiver, given: dict[str, Any], code: str, path: list[str]
) -> None:  # fmt: skip
    answer = register(api, given.pop("url", receiver.url), **given)
    assert answer["webhook"] is None and answer["secret"] is None
    [error] = answer["userErrors"]
    assert (error["code"], error["path"]) == (code, path)


def test_who_acts_for_one_store_has_webhooks_of_that_store_and_no_other(
    api: Api, shop: Shop, receiver: Receiver
) -> None:  # fmt: skip
    other = Shop.open(shop.writer, name="Elsewhere")
    mine = api.token(Role.OWNER, name="mine", stores=(shop.store_id,))
    theirs = api.token(Role.OWNER, name="theirs", stores=(other.store_id,))
    whole = register(api, receiver.url, types=["CampaignEnded"])["webhook"]
    answer = register(api, f"{receiver.url}/mine", mine, types=["SkuListed"])
    own = answer["webhook"]
    assert own["storeIds"] == [gid("Store", shop.store_id)]

    refused = register(api, receiver.url, mine, storeIds=[gid("Store", other.store_id)])
    assert refused["userErrors"][0]["code"] == "NOT_FOUND"
    assert refused["userErrors"][0]["ids"] == [gid("Store", other.store_id)]
    other.sku()
    shop.sku()
    head = api.server.services.log.head().position

    def looked_at_all() -> bool:
        [found] = [each for each in api.ask("{ webhooks { id position } }")["webhooks"] if each["id"] == own["id"]]
        return bool(found["position"] == head)

    receiver.wait_for(looked_at_all, "the webhook at the head")
    came = [message for message in receiver.messages if message.path == "/hook/mine"]
    assert [message.content["data"]["storeId"] for message in came] == [gid("Store", shop.store_id)]

    def seen(token: str) -> set[str]:
        return {each["id"] for each in api.ask("{ webhooks { id } }", token=token)["webhooks"]}

    assert own["id"] in seen(mine) and whole["id"] not in seen(mine)
    assert not {own["id"], whole["id"]} & seen(theirs)
    for name in ("pauseWebhook", "resumeWebhook", "deleteWebhook", "pingWebhook", "redeliverWebhookEvents"):
        assert change(api, name, own["id"], theirs)["userErrors"][0]["code"] == "NOT_FOUND", name
    turned = change(api, "rotateWebhookSecret", own["id"], theirs, shown="secret", idempotencyKey="x")
    assert turned["secret"] is None and turned["userErrors"][0]["code"] == "NOT_FOUND"
    letters = "query ($id: UUID!) { webhookDeadLetters(webhookId: $id, first: 10) { position } }"
    assert api.ask(letters, {"id": own["id"]}, token=theirs)["webhookDeadLetters"] == []


def test_a_token_that_was_not_given_for_events_sends_none_elsewhere(api: Api, receiver: Receiver) -> None:
    scoped = create_token(api.server.database, "writer", Role.OWNER, scopes=["write", "webhooks"])[1]
    answer = register(api, receiver.url, scoped)
    assert answer["webhook"] is None and answer["userErrors"][0]["code"] == "NOT_AUTHORISED"
    both = create_token(api.server.database, "both", Role.OWNER, scopes=["write", "read"])[1]
    assert register(api, receiver.url, both)["userErrors"] == []


def test_dead_letters_are_read_a_page_at_a_time(api: Api, shop: Shop) -> None:
    database = api.server.database
    with Receiver(lambda message: (500, {})) as failing:
        webhook_id = register(api, failing.url, after=0)["webhook"]["id"]
        change(api, "pauseWebhook", webhook_id)
        with database.pool.connection() as connection:
            connection.execute(
                "INSERT INTO webhook_dead_letters (webhook_id, position, attempts, error, dead_at)"
                " SELECT %s, n, 12, 'answered with status 500', now() FROM generate_series(1, 5) AS n",
                (webhook_id,),
            )
    query = """
    query ($id: UUID!, $after: Position!) {
      webhookDeadLetters(webhookId: $id, first: 3, after: $after) { position type attempts error waits }
    }
    """
    page = api.ask(query, {"id": webhook_id, "after": 0})["webhookDeadLetters"]
    rest = api.ask(query, {"id": webhook_id, "after": page[-1]["position"]})["webhookDeadLetters"]
    assert [each["position"] for each in page + rest] == [1, 2, 3, 4, 5]
    assert page[0]["type"] == "StoreApplied" and page[0]["waits"] is False
    [error] = api.errors(query.replace("first: 3", "first: 101"), {"id": webhook_id, "after": 0})
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_an_auditor_reads_webhooks_and_what_they_could_not_deliver_and_no_secret(api: Api, receiver: Receiver) -> None:
    answer = register(api, receiver.url, types=["SkuRetired"])
    webhook_id, secret = answer["webhook"]["id"], answer["secret"]
    auditor = api.token(Role.AUDITOR)
    query = (
        f"query ($id: UUID!) {{ webhooks {{ {WEBHOOK} }} webhookDeadLetters(webhookId: $id, first: 9) {{ position }} }}"
    )
    told = api.post({"query": query, "variables": {"id": webhook_id}}, token=auditor)

    assert webhook_id in told.text and told.json()["data"]["webhookDeadLetters"] == []
    assert secret not in told.text and "whsec" not in told.text
    refused = api.post(
        {"query": "mutation ($input: WebhookInput!) { pauseWebhook(input: $input) { webhook { id } } }",
         "variables": {"input": {"webhookId": webhook_id}}}, token=auditor,
    )  # fmt: skip
    assert refused.status_code == 403
    change(api, "deleteWebhook", webhook_id)
