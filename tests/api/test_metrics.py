"""What a monitoring system reads, through the parser of the format's own library."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from psycopg_pool import ConnectionPool, PoolTimeout

from opscore.api.errors import Throttled
from opscore.api.throttle import Throttle
from opscore.domain.command import Role
from opscore.domain.order_commands import PayOrder
from opscore.log import schemas
from opscore.log.canonical import canonical
from opscore.log.event_types import event_types
from opscore.log.recorder import append_rows, lock_log
from opscore.tokens import create_token
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.shop import Shop

SERIES_MAX = 2_000
"""Far more than a server has that has done everything once; a label for each order would pass it in a minute."""

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(api: Api, token: str = "") -> Series:
    """Return every series by name and labels."""
    answer = get(api, token or api.token(Role.AUDITOR))
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def get(api: Api, token: str | None, **headers: str) -> Any:
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return api.client.get("/metrics", headers=headers)


def value(series: Series, name: str, **labels: str) -> float:
    return series.get((name, tuple(sorted(labels.items()))), 0.0)


def grown(api: Api, work: Callable[[], object], name: str, **labels: str) -> float:
    """Return by how much a series grows while something is done."""
    before = value(read(api), name, **labels)
    work()
    return value(read(api), name, **labels) - before


def eventually(api: Api, holds: Callable[[Series], bool]) -> Series:
    until = time.monotonic() + 30
    while not holds(series := read(api)):
        assert time.monotonic() < until, series
        time.sleep(0.05)
    return series


# Who reads, and what ------------------------------------------------------------------------------------------------


def test_the_official_parser_reads_it_and_finds_what_an_operator_watches(api: Api, shop: Shop) -> None:
    shop.do(shop.order((shop.sku(stock=5), 1)))
    answer = get(api, api.token(Role.AUDITOR))
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    kinds = {name: family.type for name, family in families.items() if name.startswith("opscore_")}
    assert kinds == {
        "opscore_batch_commands": "histogram", "opscore_batch_seconds": "histogram",
        "opscore_commands": "counter", "opscore_commands_turned_away": "counter",
        "opscore_commit_seconds": "histogram", "opscore_database_up": "gauge", "opscore_events_recorded": "counter",
        "opscore_exports": "gauge", "opscore_follower_events": "counter", "opscore_follower_failed_rounds": "counter",
        "opscore_follower_window_seconds": "summary", "opscore_graphql_deprecated": "counter",
        "opscore_graphql_requests": "counter", "opscore_graphql_seconds": "histogram", "opscore_log_position": "gauge",
        "opscore_pool_connections": "gauge", "opscore_pool_connections_limit": "gauge",
        "opscore_pool_connections_used": "gauge", "opscore_pool_errors": "counter",
        "opscore_pool_wait_seconds": "summary", "opscore_pool_waiting": "gauge",
        "opscore_projection_failed": "gauge", "opscore_projection_lag_events": "gauge",
        "opscore_projection_lag_seconds": "gauge", "opscore_projection_position": "gauge",
        "opscore_projection_status": "gauge", "opscore_sockets_closed": "counter", "opscore_sockets_open": "gauge",
        "opscore_subscriptions_open": "gauge", "opscore_webhook_dead_letters": "gauge",
        "opscore_webhook_lag_events": "gauge", "opscore_webhooks": "gauge", "opscore_webhooks_due": "gauge",
        "opscore_writer_halted": "gauge", "opscore_writer_queue": "gauge", "opscore_writer_queue_limit": "gauge",
        "opscore_writer_reconnects": "counter",
    }  # fmt: skip
    assert all(family.documentation for family in families.values())
    assert "process_resident_memory_bytes" in families


def test_a_reader_that_asks_for_openmetrics_gets_that(api: Api) -> None:
    answer = get(api, api.token(), accept="application/openmetrics-text; version=1.0.0")

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "opscore_log_position" in {family.name for family in open_metrics(answer.text)}


def test_it_is_for_tokens_of_all_stores_that_may_see_figures(api: Api, shop: Shop) -> None:
    sees = {
        role
        for role in Role
        if role not in (Role.CUSTOMER, Role.SYSTEM) and get(api, api.token(role)).status_code == 200
    }
    anonymous, forged = get(api, None), get(api, "nonsense")
    one_store = get(api, api.token(Role.AUDITOR, name="auditor of one", stores=(shop.store_id,)))

    assert sees == {Role.OWNER, Role.MANAGER, Role.PROMOTER, Role.FINANCE, Role.AUDITOR, Role.PLATFORM}
    assert anonymous.status_code == forged.status_code == 401
    assert anonymous.headers["www-authenticate"] == 'Bearer realm="opscore"'
    assert one_store.status_code == 403 and "all stores" in one_store.json()["errors"][0]["message"]
    assert "opscore_" not in anonymous.text + forged.text + one_store.text


def test_a_token_can_be_good_for_nothing_else(api: Api) -> None:
    database = api.server.database
    _, scraper = create_token(database, "prometheus", Role.AUDITOR, scopes=["metrics"])
    _, other = create_token(database, "figures only", Role.AUDITOR, scopes=["kpiTotals"])

    assert get(api, scraper).status_code == 200
    assert api.errors("{ head { position } }", token=scraper)[0]["extensions"]["code"] == "FORBIDDEN"
    assert get(api, other).status_code == 403


def test_no_label_tells_a_store_a_customer_or_a_token_and_series_do_not_become_more(api: Api, shop: Shop) -> None:
    sku = shop.sku(stock=100)

    def trade() -> None:
        customer = shop.customer()
        order = shop.do(shop.order((sku, 1), customer_id=customer))
        api.ask("query ($id: ID!) { order(id: $id) { status } }", {"id": gid("Order", order)})

    trade()
    before = read(api).keys()
    trade()
    after = read(api).keys()

    assert after == before and len(after) < SERIES_MAX
    told = {label for _, labels in after for label, _ in labels}
    assert told <= {
        "command", "outcome", "operation", "projection", "version", "status", "state", "code", "part", "le",
        "implementation", "major", "minor", "patchlevel",
    }  # fmt: skip


# Commands and the log ------------------------------------------------------------------------------------------------


def test_commands_are_counted_by_name_and_outcome(api: Api, shop: Shop) -> None:
    sku = gid("Sku", shop.sku(stock=5))
    line = {"skuId": sku, "quantity": "1"}
    order = {"storeId": gid("Store", shop.store_id), "lines": [line], "idempotencyKey": str(uuid4())}
    before = read(api)
    for given in (order, order, {**order, "idempotencyKey": str(uuid4()), "lines": [{**line, "quantity": "9"}]}):
        api.give("placeOrder", "replayed userErrors { code }", given)
    after = read(api)

    def more(outcome: str) -> float:
        labels = {"command": "placeOrder", "outcome": outcome}
        return value(after, "opscore_commands_total", **labels) - value(before, "opscore_commands_total", **labels)

    assert {each: more(each) for each in ("accepted", "replayed", "refused", "failed")} == {
        "accepted": 1, "replayed": 1, "refused": 1, "failed": 0,
    }  # fmt: skip
    assert value(after, "opscore_log_position") == api.server.services.log.head().position
    for name in ("opscore_batch_commands", "opscore_batch_seconds", "opscore_commit_seconds"):
        assert value(after, f"{name}_count") - value(before, f"{name}_count") == 3
    assert value(after, "opscore_batch_commands_sum") - value(before, "opscore_batch_commands_sum") == 3
    written = value(after, "opscore_commit_seconds_sum") - value(before, "opscore_commit_seconds_sum")
    assert 0 < written < value(after, "opscore_batch_seconds_sum") - value(before, "opscore_batch_seconds_sum")


def test_a_command_that_fails_for_our_own_fault_is_counted_as_failed(
    api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.do(shop.order((shop.sku(stock=5), 1)))

    def broken(*_: object) -> None:
        raise RuntimeError("our fault")

    monkeypatch.setattr(PayOrder, "decide", broken)
    given = {"orderId": gid("Order", order), "amountMinor": 1, "method": "card", "idempotencyKey": "fails"}
    pay = "mutation ($input: PayOrderInput!) { payOrder(input: $input) { replayed } }"
    before = read(api)
    api.errors(pay, {"input": given})
    after = read(api)

    for name, labels in (
        ("opscore_commands_total", {"command": "payOrder", "outcome": "failed"}),
        ("opscore_graphql_requests_total", {"operation": "mutation", "outcome": "failed"}),
    ):
        assert value(after, name, **labels) - value(before, name, **labels) == 1, name


def test_read_models_say_how_far_they_are(api: Api, shop: Shop) -> None:
    shop.do(shop.order((shop.sku(stock=5), 1)))
    head = api.server.services.log.head().position
    which = {"projection": "order_book", "version": str(_version(api, "order_book"))}
    series = eventually(api, lambda found: value(found, "opscore_projection_position", **which) == head)

    assert value(series, "opscore_projection_status", **which, status="serving") == 1
    assert value(series, "opscore_projection_lag_events", **which) == 0
    assert value(series, "opscore_projection_lag_seconds", **which) == 0
    assert value(series, "opscore_projection_failed", **which) == 0
    assert value(series, "opscore_follower_window_seconds_count") > 0
    assert value(series, "opscore_follower_window_seconds_sum") > 0
    assert value(series, "opscore_follower_events_total") >= head


def _version(api: Api, name: str) -> int:
    return next(each.entry.version for each in api.server.projector.status() if each.entry.name == name)


# Questions and sockets -----------------------------------------------------------------------------------------------


def test_requests_are_counted_by_operation_and_outcome(api: Api) -> None:
    def asked(query: str, **more: Any) -> Callable[[], object]:
        return lambda: api.post({"query": query}, **more)

    def counted(work: Callable[[], object], operation: str, outcome: str) -> float:
        return grown(api, work, "opscore_graphql_requests_total", operation=operation, outcome=outcome)

    assert counted(asked("{ viewer { name } }"), "query", "answered") == 1
    assert counted(asked('{ order(id: "x") { id } }'), "query", "errors") == 1
    assert counted(asked("{ nothing }"), "unknown", "refused") == 1
    assert counted(asked("{ viewer { name } }", token="forged"), "unknown", "refused") == 1
    assert counted(asked("subscription { events { position } }"), "subscription", "refused") == 1
    assert grown(api, asked("{ viewer { name } }"), "opscore_graphql_seconds_count", operation="query") == 1


def test_a_token_that_is_told_to_wait_is_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise Throttled("Come again.", retryAfter=1)

    monkeypatch.setattr(Throttle, "take", full)
    # Nobody looks into what comes too often.
    labels = {"operation": "unknown", "outcome": "throttled"}
    work = lambda: api.post({"query": "{ viewer { name } }"})  # noqa: E731

    assert grown(api, work, "opscore_graphql_requests_total", **labels) == 1


def test_sockets_and_subscriptions_are_counted_while_they_are_open(api: Api, shop: Shop) -> None:
    eventually(api, lambda found: value(found, "opscore_sockets_open") == 0)
    with socket(api.url, api.token()) as client, socket(api.url, api.token()):
        client.subscribe("subscription { events(after: 0) { position } }")
        client.next()
        series = eventually(api, lambda found: value(found, "opscore_subscriptions_open") == 1)
        assert value(series, "opscore_sockets_open") == 2
        again = {"operation": "subscription", "outcome": "answered"}
        assert value(series, "opscore_graphql_requests_total", **again) == 1
        client.send("{")
        assert client.closed() == 4400
    series = eventually(api, lambda found: value(found, "opscore_sockets_open") == 0)
    assert value(series, "opscore_subscriptions_open") == 0
    assert value(series, "opscore_sockets_closed_total", code="4400") == 1


def test_webhooks_and_exports_are_told_by_state(api: Api) -> None:
    hook = {"url": "http://127.0.0.1:9/hook", "types": ["CampaignEnded"]}
    key = api.give("registerWebhook", "webhook { id }", hook)["webhook"]["id"]
    assert value(read(api), "opscore_webhooks", state="active") == 1
    with api.server.database.connect("admin") as connection:
        connection.execute(
            "INSERT INTO webhook_dead_letters (webhook_id, position, attempts, error, dead_at, again_at)"
            " VALUES (%s, 1, 12, 'said no', now(), 'infinity')",
            (key,),
        )
    assert value(read(api), "opscore_webhook_dead_letters") == 1
    api.ask("mutation ($i: WebhookInput!) { pauseWebhook(input: $i) { webhook { id } } }", {"i": {"webhookId": key}})
    series = read(api)
    assert value(series, "opscore_webhooks", state="active") == 0
    assert value(series, "opscore_webhooks", state="paused") == 1
    api.give("startExport", "exportJob { id }", {"dataset": "ORDERS", "format": "CSV"})
    eventually(api, lambda found: value(found, "opscore_exports", state="done") == 1)


def test_while_the_database_does_not_answer_the_rest_is_still_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise PoolTimeout("nothing came")

    assert value(read(api), "opscore_database_up") == 1
    monkeypatch.setattr(ConnectionPool, "connection", gone)
    series = read(api)

    assert value(series, "opscore_database_up") == 0
    assert ("opscore_log_position", ()) not in series
    assert value(series, "opscore_commands_total", command="openStore", outcome="accepted") == 1
    unknown = get(api, "opscore_" + "C" * 43)
    assert unknown.status_code == 503 and unknown.json()["errors"][0]["extensions"]["code"] == "NOT_READY"


def test_whoever_scrapes_is_not_kept_waiting_by_a_database_that_does_not_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def silent(*_: object, **__: object) -> None:
        assert answered.wait(30)
        raise PoolTimeout("nothing came")

    monkeypatch.setattr("opscore.metrics.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(ConnectionPool, "connection", silent)
    try:
        assert get(api, "opscore_" + "D" * 43).status_code == 503
    finally:
        answered.set()


# The alarm; the last, because what it leaves in the log cannot be taken out again ------------------------------------


def test_a_projection_that_a_poison_event_stops_raises_its_alarm(api: Api, shop: Shop) -> None:
    sample = dict(schemas.published(event_types()["OrderPaid"])["sample"])
    now = datetime.now(UTC)
    row = (
        uuid4(), 1, "Order", "OrderPaid", 1, shop.store_id, now, now, "UTC", "poison", "live", "poison", None, None,
        canonical({**sample, "units": "one"}), None,
    )  # fmt: skip
    with api.server.database.connect() as connection, connection.transaction():
        append_rows(connection, lock_log(connection), [row])
    which = {"projection": "kpi_daily", "version": str(_version(api, "kpi_daily"))}
    series = eventually(api, lambda found: value(found, "opscore_projection_failed", **which) == 1)
    head = value(series, "opscore_log_position")

    assert value(series, "opscore_projection_lag_events", **which) >= 1
    assert value(series, "opscore_projection_lag_seconds", **which) > 0
    assert value(series, "opscore_projection_position", **which) == head - 1
    api.server._checked = None
    assert api.client.get("/readyz").status_code == 503
    others = {"projection": "stock_ledger", "version": str(_version(api, "stock_ledger"))}
    series = eventually(api, lambda found: value(found, "opscore_projection_position", **others) == head)
    assert value(series, "opscore_projection_failed", **others) == 0
