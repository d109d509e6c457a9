"""Notes and tags as the API shows them, and orders that are found by them or by a payment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from opscore.domain.command import Actor, Role
from opscore.domain.customer_commands import EraseCustomer
from opscore.domain.order_commands import CancelOrder, EraseGuest, PayOrder
from opscore.domain.order_notes import NoteOrder, TagOrder, UntagOrder
from opscore.domain.order_recording import RecordedLine, RecordOrder
from opscore.domain.order_refunds import RefundOrder
from tests.api.conftest import Api, gid
from tests.api.test_figures import statements
from tests.shop import Shop

SUE = Actor(id="sue", role=Role.SERVICE)
NOTES = "notes { noteId author writtenAt text }"


def placed(shop: Shop, **fields: Any) -> UUID:
    return shop.do(shop.order((shop.sku(), 1), **fields))


def shown(api: Api, order: UUID, selection: str = NOTES, token: str = "") -> dict[str, Any]:
    found: dict[str, Any] = api.ask(
        f"query ($id: ID!) {{ order(id: $id) {{ {selection} }} }}", {"id": gid("Order", order)}, token=token
    )["order"]
    return found


def found(api: Api, token: str = "", **filter_: Any) -> list[str]:
    """Return the ids of the orders that a filter finds, once the list has all that was recorded."""
    nodes = api.ask(
        "query ($f: OrderFilter, $at: Position) { orders(filter: $f, first: 50, atLeast: $at) { nodes { id } } }",
        {"f": filter_, "at": api.server.services.log.head().position},
        token=token,
    )["orders"]["nodes"]
    return [each["id"] for each in nodes]


def test_a_note_is_written_read_and_withdrawn(api: Api, shop: Shop) -> None:
    order = placed(shop)
    token = api.token(Role.SERVICE, name="sue")
    fields = {"orderId": gid("Order", order), "text": "rang Ann, she waits"}
    written = api.give("noteOrder", f"order {{ {NOTES} }} userErrors {{ code }}", fields, token=token)
    assert written["userErrors"] == []
    [note] = written["order"]["notes"]
    assert (note["author"], note["text"]) == ("sue", "rang Ann, she waits") and note["writtenAt"]
    assert shown(api, order) == {"notes": [note]}
    [listed] = api.ask(
        f"query ($id: ID!, $at: Position) {{ orders(first: 2, filter: {{id: {{eq: $id}}}}, atLeast: $at)"
        f" {{ nodes {{ {NOTES} }} }} }}",
        {"id": gid("Order", order), "at": api.server.services.log.head().position},
    )["orders"]["nodes"]
    assert listed == {"notes": [note]}

    withdrawn = api.give(
        "withdrawOrderNote", f"order {{ {NOTES} }} userErrors {{ code }}",
        {"orderId": gid("Order", order), "noteId": note["noteId"]}, token=token,
    )  # fmt: skip
    assert withdrawn == {"order": {"notes": []}, "userErrors": []}
    then = api.ask(
        f"query ($id: ID!) {{ order(id: $id, asOf: {{version: 2}}) {{ {NOTES} }} }}", {"id": gid("Order", order)}
    )
    assert then["order"]["notes"] == [note], "what was known then is shown of then"


@pytest.mark.parametrize("guest", [True, False])
def test_a_note_is_erased_with_whoever_ordered(api: Api, shop: Shop, guest: bool) -> None:
    customer = None if guest else shop.customer()
    order = placed(shop, customer_id=customer)
    shop.do(NoteOrder(order_id=order, text="Ann is in hospital"), actor=SUE)
    [note] = shown(api, order)["notes"]
    assert note["text"] == "Ann is in hospital"
    shop.do(CancelOrder(order_id=order))
    shop.do(EraseGuest(order_id=order) if customer is None else EraseCustomer(customer_id=customer))

    assert shown(api, order)["notes"] == [{**note, "text": None}]


def test_the_notes_of_a_page_are_opened_in_one_statement(api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = shop.customer()
    document = f"""query ($id: ID!, $at: Position) {{
      orders(first: 20, filter: {{customerId: {{eq: $id}}}}, atLeast: $at) {{ nodes {{ id {NOTES} }} }}
    }}"""
    counted = []
    for more in (1, 4):
        for _ in range(more):
            order = placed(shop, customer_id=customer)
            for text in ("one", "two"):
                shop.do(NoteOrder(order_id=order, text=text))
        asked = {"id": gid("Customer", customer), "at": api.server.services.log.head().position}
        api.ask(document, asked)
        with statements(monkeypatch) as ran:
            nodes = api.ask(document, asked)["orders"]["nodes"]
        assert [[note["text"] for note in each["notes"]] for each in nodes] == [["one", "two"]] * len(nodes)
        counted.append(len(ran))
    assert len(nodes) == 5 and counted[0] == counted[1]


@pytest.mark.parametrize(
    ("role", "sees"), [(Role.SERVICE, True), (Role.WAREHOUSE, True), (Role.FINANCE, False), (Role.AUDITOR, False)]
)
def test_the_history_of_an_order_has_its_notes_without_what_they_say(
    api: Api, shop: Shop, role: Role, sees: bool
) -> None:
    order = placed(shop)
    shop.do(NoteOrder(order_id=order, text="rang Ann"), actor=SUE)
    shop.do(TagOrder(order_id=order, tag="call back"), actor=SUE)
    history = shown(api, order, "history(last: 2) { nodes { type actor { holder } data } }", api.token(role))["history"]

    noted, tagged = history["nodes"]
    assert (noted["type"], noted["actor"]) == ("OrderNoted", {"holder": "sue"})
    assert (noted["data"]["author"] == "sue") is sees and noted["data"]["text"] is None
    assert (tagged["type"], tagged["data"]) == ("OrderTagged", {"tag": "call back"})


def test_a_customer_is_told_of_neither_notes_nor_tags(api: Api, shop: Shop) -> None:
    customer = shop.customer()
    order = placed(shop, customer_id=customer)
    shop.do(NoteOrder(order_id=order, text="a difficult one"))
    shop.do(TagOrder(order_id=order, tag="difficult"))
    assert found(api, tag={"eq": "difficult"}) == [gid("Order", order)]
    token = api.token(Role.CUSTOMER, name="the customer", customer=customer)
    own = shown(api, order, f"tags {NOTES} history(first: 9) {{ nodes {{ type data }} }}", token)
    [listed] = api.ask("{ orders(first: 9) { nodes { id tags } } }", token=token)["orders"]["nodes"]
    events = own.pop("history")["nodes"]

    assert own == {"tags": [], "notes": []} and listed["tags"] == []
    assert [each["type"] for each in events] == ["OrderPlaced"]


def test_orders_are_found_by_their_tags_and_when_something_was_written_down(api: Api, shop: Shop) -> None:
    one, other, plain = (placed(shop) for _ in range(3))
    ids = [gid("Order", each) for each in (one, other, plain)]
    for order, tag in ((one, "vip"), (one, "call back"), (other, "vip"), (other, "gone")):
        shop.do(TagOrder(order_id=order, tag=tag))
    shop.do(UntagOrder(order_id=other, tag="gone"))
    shop.do(NoteOrder(order_id=other, text="rang"))
    these = {"id": {"in": ids}}

    assert set(found(api, tag={"eq": "vip"}, **these)) == set(ids[:2])
    assert found(api, tag={"startsWith": "call"}, **these) == [ids[0]]
    assert found(api, tag={"eq": "gone"}, **these) == []
    assert found(api, tag={"isSet": False}, **these) == [ids[2]]
    assert found(api, notedAt={"isSet": True}, **these) == [ids[1]]
    assert found(api, notedAt={"from": "2100-01-01T00:00:00Z"}, **these) == []
    nodes = api.ask("query ($f: OrderFilter) { orders(filter: $f, first: 9) { nodes { id tags } } }", {"f": these})
    tags = {each["id"]: each["tags"] for each in nodes["orders"]["nodes"]}
    assert tags == {ids[0]: ["call back", "vip"], ids[1]: ["vip"], ids[2]: []}
    for order, id_ in zip((one, other, plain), ids, strict=True):
        assert shown(api, order, "tags") == {"tags": tags[id_]}


def test_an_order_is_found_by_what_the_payment_provider_calls_its_payments_and_refunds(api: Api, shop: Shop) -> None:
    sku = shop.sku()
    parts, whole, cash = (shop.do(shop.order((sku, 1))) for _ in range(3))
    for order, amount, reference in (
        (parts, 400, "psp-1"), (parts, 600, "psp-2"), (parts, 600, "psp-2"), (whole, 1000, "psp-3"), (cash, 1000, None),
    ):  # fmt: skip
        shop.do(PayOrder(order_id=order, amount_minor=amount, method="card", provider_reference=reference))
    shop.do(CancelOrder(order_id=whole))
    shop.do(RefundOrder(order_id=whole, provider_reference="psp-4"))
    line = RecordedLine(sku_id=sku, quantity=Decimal(1), unit_price=Decimal(2))
    shop.do(RecordOrder(store_id=shop.store_id, lines=(line,), shipped=True))

    for reference, order in (("psp-1", parts), ("psp-2", parts), ("psp-3", whole), ("psp-4", whole)):
        assert found(api, paymentReference={"eq": reference}) == [gid("Order", order)], reference
    assert found(api, paymentReference={"eq": "psp-5"}) == []
    both = found(api, paymentReference={"startsWith": "psp-"})
    assert sorted(both) == sorted(gid("Order", each) for each in (parts, whole))
    elsewhere = Shop.open(shop.writer, name="Elsewhere")
    token = api.token(Role.FINANCE, stores=(elsewhere.store_id,))
    assert found(api, token, paymentReference={"eq": "psp-1"}) == []
    assert found(api, token, tag={"isSet": True}) == []
