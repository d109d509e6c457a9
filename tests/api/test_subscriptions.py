"""Subscriptions: history and then live without a seam, within the token's stores; and when a socket is closed."""

from __future__ import annotations

import json
import socket as sockets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg_pool import ConnectionPool, PoolTimeout
from websockets.exceptions import InvalidStatus

from opscore.api import subscriptions
from opscore.api.live import Groups, matches
from opscore.api.sockets import SocketEndpoint
from opscore.domain.command import Role
from opscore.domain.order_commands import PayOrder
from opscore.log.event_log import EventFilter, LoggedEvent
from opscore.permissions import FOLLOWS, may_follow
from opscore.tokens import create_token, revoke_token
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.shop import Shop

EVENTS = "subscription ($after: Position, $filter: EventFilterInput) { events(after: $after, filter: $filter) { %s } }"
POSITIONS = EVENTS % "position type storeId"
WHOLE = EVENTS % "position type data hash actor idempotencyKey"


@pytest.fixture(scope="module")
def skus(shop: Shop) -> list[UUID]:
    return [shop.sku(stock=100_000) for _ in range(5)]


@pytest.fixture(scope="module")
def other(api: Api) -> Shop:
    """A second store on the same server."""
    return Shop.open(api.server.writer, "Other shop")


def logged(api: Api, **wanted: Any) -> list[LoggedEvent]:
    """Return all events that match, in order."""
    found: list[LoggedEvent] = []
    while page := api.server.services.log.select(
        EventFilter(**wanted), after=found[-1].position if found else 0, limit=1000
    ):
        found += page
    return found


def head(api: Api) -> int:
    return api.server.services.log.head().position


@contextmanager
def limits(api: Api, **changed: Any) -> Iterator[None]:
    """Serve the sockets of a test within other limits."""
    endpoint: SocketEndpoint = api.sockets
    before = endpoint.limits
    endpoint.limits = replace(before, **changed)
    try:
        yield
    finally:
        endpoint.limits = before


# History and live ----------------------------------------------------------------------------------------------------


def test_nothing_is_missed_and_nothing_comes_twice_while_a_writer_appends(
    api: Api, shop: Shop, skus: list[UUID]
) -> None:
    def place(_: int) -> None:
        shop.do(shop.order(*((sku, 1) for sku in skus)))

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(place, range(180)))
        until: list[int] = []

        def go_on() -> None:
            list(crowd.map(place, range(200)))
            until.append(head(api))

        writer = threading.Thread(target=go_on)
        with socket(api.url, api.token()) as client:
            client.subscribe(POSITIONS, {"after": 0})
            seen = [client.next()["events"]["position"] for _ in range(50)]
            began = head(api)
            writer.start()
            while not until or seen[-1] < until[0]:
                seen.append(client.next()["events"]["position"])
            writer.join()

    assert until[0] - began >= 1_000 and until[0] >= 2_000
    assert seen == list(range(1, until[0] + 1))


def test_a_break_is_gone_over_by_position(api: Api, shop: Shop, skus: list[UUID]) -> None:
    begin = head(api)
    shop.do(shop.order((skus[0], 1)))
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS, {"after": begin})
        last = client.next()["events"]["position"]
    shop.do(shop.order((skus[0], 1)))
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS, {"after": last})
        seen = [client.next()["events"]["position"] for _ in range(head(api) - last)]

    assert [last, *seen] == list(range(begin + 1, head(api) + 1))


def test_without_a_position_only_what_is_new_comes(api: Api, shop: Shop, skus: list[UUID]) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS, {"filter": {"types": ["OrderPlaced"]}})
        assert client.silent(1.0)
        before = head(api)
        shop.do(shop.order((skus[0], 1)))
        event = client.next()["events"]

    assert event["position"] > before and event["type"] == "OrderPlaced"


def test_what_was_recorded_while_nobody_listened_is_not_news(api: Api, shop: Shop, skus: list[UUID]) -> None:
    """What a server knows of the head is a moment old when the last one to listen has just left."""
    with socket(api.url, api.token()) as client:
        # With a position, or the order could be recorded before the server has come to ask what "now" is.
        client.subscribe(POSITIONS, {"after": head(api)})
        shop.do(shop.order((skus[0], 1)))
        client.next()
        client.send({"id": "1", "type": "complete"})
        client.send({"type": "ping"})
        while client.receive()["type"] != "pong":
            pass
        shop.do(shop.order((skus[0], 1)))
        client.subscribe(POSITIONS, key="2")
        assert client.silent(0.5)


def test_a_position_that_the_log_has_not_reached_is_refused(api: Api) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS, {"after": head(api) + 1_000_000})
        message = client.receive()

    assert message["type"] == "error" and message["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


def test_filters_hold_for_history_and_for_live(api: Api, shop: Shop, other: Shop, skus: list[UUID]) -> None:
    wanted = {"types": ["OrderPlaced", "OrderPaid"], "storeIds": [gid("Store", shop.store_id)]}
    foreign = other.sku()
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS, {"after": 0, "filter": wanted})
        history = logged(api, types=("OrderPlaced", "OrderPaid"), store_ids=[shop.store_id])
        assert [client.next()["events"]["position"] for _ in history] == [each.position for each in history]
        other.do(other.order((foreign, 1)))
        order = shop.do(shop.order((skus[0], 1)))
        shop.do(PayOrder(order_id=order, amount_minor=1000, method="card", currency="GBP"))
        live = [client.next()["events"] for _ in range(2)]
        assert client.silent(0.7)

    assert [each["type"] for each in live] == ["OrderPlaced", "OrderPaid"]
    assert {each["storeId"] for each in live} == {gid("Store", shop.store_id)}


def test_the_filter_of_the_live_end_is_the_one_of_the_log(api: Api, shop: Shop, skus: list[UUID]) -> None:
    shop.do(shop.order((skus[0], 1)))
    events = logged(api)
    some = events[len(events) // 2]
    filters: list[dict[str, Any]] = [
        {},
        {"store_ids": (some.store_id,)},
        {"store_ids": ()},
        {"stream_id": some.stream_id},
        {"stream_type": "Order"},
        {"types": ("SkuListed", "OrderPlaced")},
        {"types": ("OrderPlaced",), "actor": "second"},
        {"actor": "second"},
        {"occurred_from": some.occurred_at},
        {"occurred_until": some.occurred_at},
        {"correlation_id": some.correlation_id or "none"},
    ]
    envelopes = api.server.services.log.envelopes(0, 10**6)
    assert len(envelopes) == len(events)
    groups = Groups()
    joined = [groups.join(EventFilter(**wanted), 0) for wanted in filters]
    for wanted, group in zip(filters, joined, strict=True):
        expected = [each.position for each in logged(api, **wanted)]
        assert [each.position for each in envelopes if matches(group.wanted, each)] == expected, wanted
        assert [each.position for each in envelopes if group in groups.of(each)] == expected, wanted

    again = groups.join(EventFilter(), 0)
    assert again is joined[0]
    for group in (*joined, again):
        groups.leave(group)
    assert not len(groups) and not any(groups.of(each) for each in envelopes)


def test_an_event_of_another_store_never_comes(api: Api, shop: Shop, other: Shop, skus: list[UUID]) -> None:
    token = api.token(Role.AUDITOR, name="auditor of one", stores=(shop.store_id,))
    foreign = other.sku()
    everything = {"storeIds": [gid("Store", shop.store_id), gid("Store", other.store_id)]}
    for wanted in (None, everything):
        with socket(api.url, token) as client:
            client.subscribe(POSITIONS, {"after": head(api) - 1, "filter": wanted})
            other.do(other.order((foreign, 1)))
            shop.do(shop.order((skus[0], 1)))
            # OrderPlaced and StockReserved of our own, whatever came before them.
            stores = {client.next()["events"]["storeId"] for _ in range(2)}
        assert stores == {gid("Store", shop.store_id)}
    with socket(api.url, token) as client:
        client.subscribe(POSITIONS, {"after": 0, "filter": {"storeIds": [gid("Store", other.store_id)]}})
        assert client.silent(1.0)


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.CUSTOMER, Role.SYSTEM)])
def test_a_role_follows_what_it_may_ask(api: Api, shop: Shop, skus: list[UUID], role: Role) -> None:
    known = gid("Order", shop.do(shop.order((skus[0], 1))))
    token = api.token(role, name=f"follower {role.value}", stores=(shop.store_id,))
    documents = {
        "events": "subscription { events(after: 0) { position } }",
        "orderChanges": f'subscription {{ orderChanges(id: "{known}") {{ id }} }}',
        "figures": "subscription { figures { orders } }",
        "projectionProgress": "subscription { projectionProgress { name } }",
    }
    assert set(documents) == set(FOLLOWS)
    for name, document in documents.items():
        with socket(api.url, token) as client:
            client.subscribe(document)
            message = client.receive()
        if may_follow(role, name):
            assert message["type"] == "next", (name, message)
        else:
            assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN", (name, message)


# Orders --------------------------------------------------------------------------------------------------------------

CHANGES = "subscription ($id: ID, $s: [ID!]) { orderChanges(id: $id, storeIds: $s) { id status version } }"


def test_an_order_comes_once_for_each_command_about_it(api: Api, shop: Shop, other: Shop, skus: list[UUID]) -> None:
    foreign = other.sku()
    with socket(api.url, api.token(Role.SERVICE, stores=(shop.store_id,))) as client:
        client.subscribe(CHANGES)
        assert client.silent(0.7)
        other.do(other.order((foreign, 1)))
        order = shop.do(shop.order((skus[0], 1)))
        placed = client.next()["orderChanges"]
        shop.do(PayOrder(order_id=order, amount_minor=1000, method="card", currency="GBP"))
        paid = client.next()["orderChanges"]
        assert client.silent(0.7), "one command records several events"
    assert [placed, paid] == [
        {"id": gid("Order", order), "status": "PLACED", "version": 1},
        {"id": gid("Order", order), "status": "PAID", "version": 3},
    ]


def test_a_customer_follows_an_order_of_its_own_and_no_other(api: Api, shop: Shop, skus: list[UUID]) -> None:
    mine, theirs = shop.customer(), shop.customer()
    order, foreign = (shop.do(shop.order((skus[0], 1), customer_id=each)) for each in (mine, theirs))
    token = api.token(Role.CUSTOMER, customer=mine)
    with socket(api.url, token) as client:
        client.subscribe(CHANGES, {"id": gid("Order", order)})
        assert client.next()["orderChanges"]["status"] == "PLACED", "told at once"
        shop.do(shop.order((skus[0], 1), customer_id=mine))
        shop.do(PayOrder(order_id=order, amount_minor=1000, method="card", currency="GBP"))
        assert client.next()["orderChanges"] == {"id": gid("Order", order), "status": "PAID", "version": 3}
    for given, said in (
        ({"id": gid("Order", foreign)}, "There is no such order that you may see."),
        ({}, "Say which order: a customer follows one."),
    ):
        with socket(api.url, token) as client:
            client.subscribe(CHANGES, given)
            assert client.receive()["payload"][0]["message"] == said


def test_an_order_is_told_again_when_what_was_told_is_forgotten(
    api: Api, shop: Shop, skus: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "TOLD_MAX", 1)
    with socket(api.url, api.token(Role.SERVICE, stores=(shop.store_id,))) as client:
        client.subscribe(CHANGES)
        assert client.silent(0.7)
        orders = [gid("Order", shop.do(shop.order((skus[0], 1)))) for _ in range(3)]
        assert [client.next()["orderChanges"]["id"] for _ in orders] == orders


# Figures and progress ------------------------------------------------------------------------------------------------


def test_the_days_figures_come_again_when_they_change(api: Api, skus: list[UUID], shop: Shop) -> None:
    query = "subscription ($stores: [ID!]) { figures(storeIds: $stores) { storeId day orders gmv { amountMinor } } }"
    with socket(api.url, api.token(Role.MANAGER, stores=(shop.store_id,))) as client:
        client.subscribe(query, {"stores": [gid("Store", shop.store_id)]})
        before = client.next()["figures"]
        assert client.silent(1.2)
        order = shop.do(shop.order((skus[0], 3)))
        shop.do(PayOrder(order_id=order, amount_minor=3000, method="card", currency="GBP"))
        [after] = client.next()["figures"]

    assert after["storeId"] == gid("Store", shop.store_id)
    assert after["orders"] == sum(each["orders"] for each in before) + 1
    assert after["gmv"]["amountMinor"] == sum(each["gmv"]["amountMinor"] for each in before) + 3000


def test_the_figures_of_another_store_do_not_come(api: Api, shop: Shop, other: Shop) -> None:
    with socket(api.url, api.token(Role.MANAGER, stores=(shop.store_id,))) as client:
        client.subscribe("subscription ($s: [ID!]) { figures(storeIds: $s) { storeId } }",
                         {"s": [gid("Store", other.store_id)]})  # fmt: skip
        assert client.next() == {"figures": []}


def test_progress_comes_until_the_read_models_have_caught_up(api: Api, shop: Shop, skus: list[UUID]) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe("subscription { projectionProgress { name position lag state } }")
        client.next()
        shop.do(shop.order((skus[0], 1)))
        end = head(api)
        state = client.next()["projectionProgress"]
        while any(each["position"] < end for each in state):
            state = client.next()["projectionProgress"]

    assert {"kpi_daily", "stock_ledger"} <= {each["name"] for each in state}


# Queries over a socket, errors ---------------------------------------------------------------------------------------


def test_a_query_is_answered_and_completed(api: Api) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe("{ viewer { role } }")
        assert client.next() == {"viewer": {"role": "OWNER"}}
        assert client.receive() == {"id": "1", "type": "complete"}
        client.subscribe("{ viewer { role } }")
        assert client.next() == {"viewer": {"role": "OWNER"}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription { events(", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { events { position } figures { orders } }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($a: Position!) { events(after: $a) { position } }", "BAD_USER_INPUT"),
        ('subscription { events(filter: {storeIds: ["x"]}) { position } }', "INVALID_ID"),
        (
            "subscription { events { " + " ".join(f"a{n}: position" for n in range(20)) + " } }",
            "QUERY_TOO_COMPLEX",
        ),
    ],
)
def test_what_cannot_be_run_ends_in_an_error_and_the_socket_lives_on(api: Api, query: str, code: str) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe(query)
        message = client.receive()
        assert (message["type"], message["id"]) == ("error", "1")
        assert message["payload"][0]["extensions"]["code"] == code
        client.subscribe("{ __typename }")
        assert client.next() == {"__typename": "Query"}


def test_a_subscription_over_http_is_told_where_to_go(api: Api) -> None:
    [error] = api.errors("subscription { events { position } }")

    assert error["extensions"]["code"] == "SUBSCRIPTION_NEEDS_SOCKET"


def test_a_fault_of_ours_is_masked(api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.customer()  # Of an empty log there would be nothing to read.

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(api.server.services.live, "_page", broken)
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS, {"after": 0})
        message = client.receive()

    assert message["type"] == "error" and "secret" not in str(message)
    assert message["payload"][0]["extensions"]["code"] == "INTERNAL"


def test_a_completed_subscription_is_silent_and_its_id_is_free(api: Api, shop: Shop, skus: list[UUID]) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS, {"after": head(api) - 1})
        client.next()
        client.send({"id": "1", "type": "complete"})
        client.send({"type": "ping", "payload": {"n": 1}})
        assert client.receive() == {"type": "pong", "payload": {"n": 1}}
        shop.do(shop.order((skus[0], 1)))
        assert client.silent(0.8)
        client.subscribe("{ __typename }")
        assert client.next() == {"__typename": "Query"}


def test_the_hundred_and_first_operation_is_refused_and_the_others_go_on(
    api: Api, shop: Shop, skus: list[UUID]
) -> None:
    with socket(api.url, api.token()) as client:
        for number in range(101):
            client.subscribe(POSITIONS, {"filter": {"types": ["OrderPlaced"]}}, key=str(number))
        refused = client.receive()
        assert client.silent(0.7)
        shop.do(shop.order((skus[0], 1)))
        told = {client.receive()["id"] for _ in range(100)}

    assert (refused["id"], refused["type"]) == ("100", "error")
    assert refused["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
    assert told == {str(number) for number in range(100)}


# Handshake and close codes -------------------------------------------------------------------------------------------


def test_another_subprotocol_or_origin_is_refused(api: Api) -> None:
    for path, more, status, code in (
        ("", {"subprotocols": ["graphql-ws"]}, 400, "MALFORMED_REQUEST"),
        ("", {"subprotocols": None}, 400, "MALFORMED_REQUEST"),
        ("", {"origin": "https://evil.example"}, 403, "FORBIDDEN"),
        ("", {"origin": "null"}, 403, "FORBIDDEN"),
        ("/nothing", {}, 404, "NOT_FOUND"),
    ):
        with pytest.raises(InvalidStatus) as refused, socket(f"{api.url}{path}", **more):
            pass
        response = refused.value.response
        assert response.status_code == status, more
        assert response.headers["content-type"] == "application/json"
        assert json.loads(response.body)["errors"][0]["extensions"] == {"code": code}
    with socket(api.url, api.token(), origin=api.url) as client:
        client.subscribe("{ __typename }")
        assert client.next() == {"__typename": "Query"}


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        '{"type": "dance"}',
        '{"type": "subscribe", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "ping", "payload": 1}',
        '{"type": "complete"}',
    ],
)
def test_a_message_that_is_none_closes_with_4400(api: Api, message: str) -> None:
    with socket(api.url, api.token()) as client:
        client.send(message)
        assert client.closed() == 4400


def test_bytes_close_with_4400(api: Api) -> None:
    with socket(api.url, api.token()) as client:
        client.connection.send(b"{}")
        assert client.closed() == 4400


def test_a_message_that_is_too_long_closes_with_1009(api: Api) -> None:
    with socket(api.url, api.token()) as client:
        client.send("x" * 200_000)
        assert client.closed() == 1009


def test_asking_before_the_introduction_closes_with_4401(api: Api) -> None:
    with socket(api.url) as client:
        client.subscribe("{ __typename }")
        assert client.closed() == 4401


@pytest.mark.parametrize("payload", [None, {}, {"authorization": "Bearer nonsense"}, {"authorization": 1}])
def test_an_introduction_without_a_good_token_closes_with_4403(api: Api, payload: Any) -> None:
    with socket(api.url) as client:
        client.send({"type": "connection_init", "payload": payload})
        assert client.closed() == 4403


def test_an_introduction_while_the_database_does_not_answer_closes_with_a_code_after_which_clients_come_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise PoolTimeout("nothing came")

    with monkeypatch.context() as patch, socket(api.url) as client:
        patch.setattr(ConnectionPool, "connection", away)
        client.send({"type": "connection_init", "payload": {"authorization": "Bearer opscore_" + "E" * 43}})
        assert client.closed() == 1013


def test_the_token_may_come_in_the_handshake(api: Api) -> None:
    with socket(api.url, additional_headers={"authorization": f"Bearer {api.token()}"}) as client:
        client.send({"type": "connection_init"})
        assert client.receive() == {"type": "connection_ack"}
        client.subscribe("{ viewer { role } }")
        assert client.next() == {"viewer": {"role": "OWNER"}}


def test_no_introduction_closes_with_4408(api: Api) -> None:
    with limits(api, init_seconds=0.3), socket(api.url) as client:
        client.send({"type": "ping"})
        assert client.closed() == 4408


def test_an_id_in_use_closes_with_4409(api: Api) -> None:
    with socket(api.url, api.token()) as client:
        client.subscribe(POSITIONS)
        client.subscribe(POSITIONS)
        assert client.closed() == 4409


def test_a_second_introduction_closes_with_4429(api: Api) -> None:
    with socket(api.url, api.token()) as client:
        client.send({"type": "connection_init"})
        assert client.closed() == 4429


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_token_that_ends_takes_its_streams_along(api: Api, end: str) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1.5) if end == "expired" else None
    token_id, token = create_token(api.server.database, str(uuid4()), Role.AUDITOR, expires_at=expires_at)
    with limits(api, token_seconds=0.5), socket(api.url, token) as client:
        client.subscribe(POSITIONS)
        if end == "revoked":
            assert revoke_token(api.server.database, token_id)
        assert client.closed() == 4403


def test_a_client_that_does_not_read_is_cut_and_nothing_is_kept_for_it(api: Api, shop: Shop, skus: list[UUID]) -> None:
    while head(api) < 1_500:
        # More than the kernel takes for a socket: some megabytes, whatever tests ran before this one.
        shop.do(shop.order(*[(sku, 1) for sku in skus]))
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    host, port = api.url.removeprefix("http://").split(":")
    raw.connect((host, int(port)))
    with limits(api, stalled_seconds=0.5), socket(api.url, api.token(), sock=raw, max_queue=1) as client:
        for number in range(20):
            client.subscribe(WHOLE, {"after": 0}, key=str(number))
        pages: SocketEndpoint = api.sockets
        [session] = pages.sessions
        waited = threading.Event()
        for _ in range(1_000):
            if session._closing is not None:
                break
            assert not waited.wait(0.1) and client.connection.protocol.close_rcvd is None
        assert session._closing is not None and session._closing.code == 4413
        messages = 0
        code = None
        while code is None:
            try:
                client.connection.recv(15)
                messages += 1
            except Exception as closed:
                code = closed.rcvd.code

    assert code == 4413
    assert b'opscore_sockets_closed_total{code="4413"} 1.0' in api.server.metrics.text()[0]
    assert messages < 20 * head(api) / 2, "it was given all of it, so something kept it"


# The end -------------------------------------------------------------------------------------------------------------


def test_a_server_that_stops_says_so(api: Api) -> None:
    with socket(api.url, api.token()) as client, socket(api.url) as silent:
        client.subscribe(POSITIONS)
        client.send({"type": "ping"})
        assert client.receive() == {"type": "pong"}
        api.running.should_exit = True

        assert client.closed() == 1001
        assert silent.closed() == 1001
