"""Read models over GraphQL: any of them asked, versions built, compared and promoted, by whom, and followed."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest

from opscore import resources
from opscore.api import projection_mutations
from opscore.comparisons import Comparisons
from opscore.domain.command import Role
from opscore.domain.order_commands import PayOrder
from opscore.projector import ProjectionRefused, Projector, filling, own
from opscore.works import Works
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.api.test_figures import statements
from tests.end_to_end.servers import wait_until
from tests.reached import wait_for
from tests.shop import Shop

ROWS = """
query ($query: String!, $first: Int, $after: String, $parameters: JSON, $filters: [ProjectionFilter!], $stores: [ID!]) {
  projectionRows(projection: "income_split", query: $query, first: $first, after: $after, parameters: $parameters,
                 filters: $filters, storeIds: $stores) {
    columns { name type description }
    rows
    pageInfo { hasNextPage hasPreviousPage endCursor }
    version position
  }
}
"""
PAYLOAD = "projection { name version state rules promotedBy } replayed userErrors { code message path }"
COMPARE = """
compareId replayed userErrors { code message path }
compare {
  id oldVersion newVersion differingRows comparedBy position
  tables { name differingRows onlyOld onlyNew sums { column old new difference } }
  rows(first: 1) {
    totalCount nodes { number table key old new events { position old new } } pageInfo { hasNextPage endCursor }
  }
}
"""


@pytest.fixture(scope="module")
def folder(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's own folder, as the running server has it from now on."""
    made = tmp_path_factory.mktemp("own") / "folder"
    own.begin(made, resources.path("data") / "own_projections")
    for projector in (api.server.projector, api.server.services.read_models):
        projector._own = made
    api.server.projector.rebuild("income_split")
    return made


@pytest.fixture(scope="module")
def trade(api: Api, shop: Shop, folder: Path) -> dict[str, Any]:
    """Seven paid orders in one store and one in another."""
    other = Shop.open(api.server.writer, "Other shop")
    for each, count in ((shop, 7), (other, 1)):
        sku = each.sku(stock=100)
        for number in range(count):
            order = each.do(each.order((sku, number + 1), freight_minor=495))
            each.do(PayOrder(order_id=order, amount_minor=1000 * (number + 1) + 495, method="card", currency="GBP"))
    head = api.server.services.log.head().position
    wait_for(api.server.projector, "income_split", head)
    wait_for(api.server.projector, "kpi_daily", head)
    return {"other": other}


def give(api: Api, command: str, kind: str, selection: str, /, *, token: str = "", **fields: Any) -> dict[str, Any]:
    """Send a mutation with a key of its own; return its payload."""
    document = f"mutation ($input: {kind}!) {{ {command}(input: $input) {{ {selection} }} }}"
    found: dict[str, Any] = api.ask(document, {"input": {"idempotencyKey": str(uuid4()), **fields}}, token=token)[
        command
    ]
    return found


def edit(folder: Path, name: str, *changes: tuple[str, str]) -> None:
    path = folder / name / "projection.toml"
    text = path.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, "utf-8")


# Rows of any read model ----------------------------------------------------------------------------------------------


def test_a_projection_of_the_operator_s_own_is_in_the_api_described_and_paged(api: Api, trade: dict[str, Any]) -> None:
    [funds, entries] = api.ask(
        '{ projectionQueries(projection: "income_split") '
        "{ name description parameters { name type } columns { name type description } key operatorWide } }"
    )["projectionQueries"]
    assert (funds["name"], entries["key"], entries["operatorWide"]) == ("funds", ["position"], False)
    assert {"name": "from_day", "type": "date"} in entries["parameters"]
    assert all(column["description"] for column in entries["columns"])

    seen: list[dict[str, Any]] = []
    after = None
    pages = 0
    while True:
        page = api.ask(ROWS, {"query": "entries", "first": 3, "after": after})["projectionRows"]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += page["rows"]
        pages += 1
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    assert (len(seen), pages) == (8, 3)
    assert seen[0]["other_share"] == "0.10" and seen[0]["amount_minor"] == 1495
    assert [row["position"] for row in seen] == sorted({row["position"] for row in seen})
    assert UUID(seen[0]["store_id"]) and list(seen[0]) == [column["name"] for column in page["columns"]]


def test_rows_are_filtered_and_parameters_are_typed(api: Api, shop: Shop, trade: dict[str, Any]) -> None:
    wanted = {
        "query": "entries",
        "first": 100,
        "parameters": {"from_day": "2020-01-01", "to_day": None},
        "filters": [
            {"column": "amount_minor", "operator": "GE", "value": "2495"},
            {"column": "amount_minor", "operator": "NE", "value": "3495"},
            {"column": "kind", "operator": "EQ", "value": "income"},
        ],
        "stores": [gid("Store", shop.store_id)],
    }
    rows = api.ask(ROWS, wanted)["projectionRows"]["rows"]
    assert [row["amount_minor"] for row in rows] == [2495, 4495, 5495, 6495, 7495]
    for fault, says in (
        ({"parameters": {"from_day": "soon"}}, "invalid input syntax for type date"),
        ({"parameters": {"day": "2020-01-01"}}, "takes from_day, to_day, not day"),
        ({"parameters": {"from_day": 1.5}}, "has to be a string"),
        ({"parameters": ["x"]}, "an object of values by name"),
        ({"query": "nothing"}, "there are funds, entries"),
        ({"filters": [{"column": "x; DROP", "operator": "EQ", "value": "1"}]}, "has the columns"),
        ({"after": "AAAA"}, "cursor belongs to another list"),
    ):
        [error] = api.errors(ROWS, {**wanted, **fault})
        assert says in error["message"], error
    [error] = api.errors(ROWS, {"query": "entries", "first": 1000})
    assert error["extensions"]["code"] in ("INVALID_PAGE_SIZE", "QUERY_TOO_COMPLEX")


def test_a_token_of_one_store_sees_the_rows_of_one_store(api: Api, shop: Shop, trade: dict[str, Any]) -> None:
    other = trade["other"]
    token = api.token(Role.FINANCE, name="finance of one", stores=(shop.store_id,))
    asked = {"query": "entries", "first": 100}
    rows = api.ask(ROWS, asked, token=token)["projectionRows"]["rows"]
    assert len(rows) == 7 and {row["store_id"] for row in rows} == {str(shop.store_id)}
    foreign = {**asked, "stores": [gid("Store", other.store_id)]}
    assert api.ask(ROWS, foreign, token=token)["projectionRows"]["rows"] == []
    [error] = api.errors(ROWS, asked, token=api.token(Role.WAREHOUSE))
    assert error["extensions"]["code"] == "FORBIDDEN"


def test_a_copy_of_a_replay_is_asked_like_any_other(api: Api, trade: dict[str, Any]) -> None:
    api.server.projector.replay(api.server.services.log.head().position, "then")
    document = ROWS.replace('"income_split"', '"then/kpi_daily"').replace(", first: $first", ", first: 10")
    found = api.ask(document.replace("$first: Int, ", ""), {"query": "days"})["projectionRows"]
    assert sum(row["orders"] for row in found["rows"]) == 8


# Versions ------------------------------------------------------------------------------------------------------------


def test_an_admin_page_plans_builds_compares_promotes_goes_back_and_drops(
    api: Api, folder: Path, trade: dict[str, Any]
) -> None:
    packaged = Projector(api.server.database).definitions()["kpi_daily"]
    own.copy(packaged, folder)
    edit(folder, "kpi_daily", ("gmv_counts_freight = false", "gmv_counts_freight = true"))
    plan = {
        line["name"]: line
        for line in api.ask("{ projectionPlan { name version serving action why } }")["projectionPlan"]
    }
    assert (plan["kpi_daily"]["action"], plan["kpi_daily"]["version"], plan["kpi_daily"]["serving"]) == ("build", 4, 3)

    with socket(api.url, api.token()) as client:
        client.subscribe("subscription { projectionProgress { name version state position lag eventsPerSecond } }")
        begun = give(api, "rebuildProjection", "RebuildProjectionInput", PAYLOAD, name="kpi_daily")
        assert begun["userErrors"] == []
        until = time.monotonic() + 30
        while True:
            states = {(each["name"], each["version"]): each for each in client.next()["projectionProgress"]}
            if states.get(("kpi_daily", 4), {}).get("state") == "ready":
                break
            assert time.monotonic() < until
    version = {"name": "kpi_daily", "version": 4}
    early = give(api, "promoteProjection", "ProjectionVersionInput", PAYLOAD, **version)
    assert (
        early["userErrors"][0]["code"] == "PROJECTION_STAYS"
        and "compare 3 and 4 first" in early["userErrors"][0]["message"]
    )

    key = str(uuid4())
    both = {"name": "kpi_daily", "oldVersion": 3, "newVersion": 4, "idempotencyKey": key}
    compared = give(api, "compareProjections", "CompareProjectionsInput", COMPARE, **both)
    again = give(api, "compareProjections", "CompareProjectionsInput", COMPARE, **both)
    assert (compared["replayed"], again["replayed"]) == (False, True)
    assert {**again, "replayed": False} == compared
    reused = give(api, "compareProjections", "CompareProjectionsInput", COMPARE, **{**both, "newVersion": 1})
    assert reused["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    report = compared["compare"]
    assert (report["differingRows"], report["comparedBy"]) == (2, "owner")
    [table] = [each for each in report["tables"] if each["name"] == "kpi_daily"]
    assert table["sums"] == [{"column": "gmv_minor", "old": "29000", "new": "32960", "difference": "3960"}]
    [row] = report["rows"]["nodes"]
    assert report["rows"]["totalCount"] == 2
    assert {event["new"]["gmv_minor"] - event["old"]["gmv_minor"] for event in row["events"]} == {495}
    assert report["rows"]["pageInfo"]["hasNextPage"]
    rest = api.ask(
        "query ($id: UUID!, $after: String) { projectionCompare(id: $id) "
        "{ rows(first: 10, after: $after) { nodes { number } pageInfo { hasNextPage } } } }",
        {"id": report["id"], "after": report["rows"]["pageInfo"]["endCursor"]},
    )["projectionCompare"]["rows"]
    assert rest == {"nodes": [{"number": 2}], "pageInfo": {"hasNextPage": False}}
    listed = api.ask('{ projectionCompares(projection: "kpi_daily", first: 5) { totalCount nodes { id } } }')
    assert listed["projectionCompares"] == {"totalCount": 1, "nodes": [{"id": report["id"]}]}

    promote = {**version, "idempotencyKey": "let it serve"}
    promoted = give(api, "promoteProjection", "ProjectionVersionInput", PAYLOAD, **promote)["projection"]
    assert (promoted["state"], promoted["promotedBy"], promoted["rules"]["gmv_counts_freight"]) == (
        "serving", "owner", True,
    )  # fmt: skip
    back = give(api, "promoteProjection", "ProjectionVersionInput", PAYLOAD, name="kpi_daily", version=3)["projection"]
    assert back["state"] == "serving"
    late = give(api, "promoteProjection", "ProjectionVersionInput", PAYLOAD, **promote)
    assert (late["replayed"], late["projection"]["state"]) == (True, "ready"), "a retry changes nothing"
    asked = (
        'query ($after: String) { projectionPromotions(projection: "kpi_daily", first: 2, after: $after) { totalCount '
        "nodes { number version fromVersion promotedBy compareId despite } pageInfo { hasNextPage endCursor } } }"
    )
    page = api.ask(asked)["projectionPromotions"]
    said = {"promotedBy": "owner", "compareId": report["id"], "despite": None}
    assert page["nodes"] == [
        {"number": 3, "version": 3, "fromVersion": 4, **said}, {"number": 2, "version": 4, "fromVersion": 3, **said},
    ]  # fmt: skip
    assert page["totalCount"] == 3 and page["pageInfo"]["hasNextPage"]
    rest = api.ask(asked, {"after": page["pageInfo"]["endCursor"]})["projectionPromotions"]
    assert [(each["number"], each["compareId"]) for each in rest["nodes"]] == [(1, None)]
    gone = give(api, "dropProjection", "ProjectionVersionInput", PAYLOAD, **version)
    assert (gone["projection"], gone["userErrors"]) == (None, [])
    serving = give(api, "dropProjection", "ProjectionVersionInput", PAYLOAD, name="kpi_daily", version=3)
    assert "serves" in serving["userErrors"][0]["message"]
    shutil.rmtree(folder / "kpi_daily")


def test_whoever_follows_a_rebuild_sees_its_steps_how_fast_it_goes_and_how_long_it_will_take(
    api: Api, folder: Path, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(folder, "income_split", ("version = 1", "version = 2"))
    steps = threading.Semaphore(0)
    real = filling.advance

    def one_window_for_each_step(*given: Any, **more: Any) -> Any:
        assert steps.acquire(timeout=30), "nobody let it go on"
        return real(*given, **more)

    monkeypatch.setattr(filling, "advance", one_window_for_each_step)
    monkeypatch.setitem(Projector.rebuild.__kwdefaults__, "window", 20)
    head = api.server.services.log.head().position
    seen: list[dict[str, Any]] = []
    try:
        with socket(api.url, api.token()) as client:
            client.subscribe(
                "subscription { projectionProgress { name version state position lag eventsPerSecond secondsLeft } }"
            )

            def step() -> dict[str, Any]:
                """Return the next that is said of the version."""
                while True:
                    for each in client.next()["projectionProgress"]:
                        if (each["name"], each["version"]) == ("income_split", 2) and each not in seen[-1:]:
                            seen.append(each)
                            return each

            assert (
                give(api, "rebuildProjection", "RebuildProjectionInput", PAYLOAD, name="income_split")["userErrors"]
                == []
            )
            first = step()
            assert (first["state"], first["position"], first["eventsPerSecond"]) == ("building", 0, None)
            for number in (1, 2, 3):
                steps.release()
                now = step()
                assert (now["state"], now["position"], now["lag"]) == ("building", 20 * number, head - 20 * number)
                assert now["eventsPerSecond"] >= 0 and now["secondsLeft"] >= 0
            steps.release(1000)
            while (last := step())["state"] != "ready":
                assert last["state"] == "building"
            assert (last["position"], last["lag"], last["eventsPerSecond"], last["secondsLeft"]) == (
                head,
                0,
                None,
                None,
            )
        positions = [each["position"] for each in seen]
        assert positions == sorted(positions)
    finally:
        steps.release(1000)
        edit(folder, "income_split", ("version = 2", "version = 1"))
        api.server.projector.drop("income_split", 2)


def test_a_rebuild_whose_server_is_gone_goes_on_when_it_is_sent_again(
    api: Api, folder: Path, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(folder, "income_split", ("version = 1", "version = 2"))
    wanted = {"name": "income_split", "idempotencyKey": "cut off while it was built"}
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Works, "begin", lambda *_: Future())
            give(api, "rebuildProjection", "RebuildProjectionInput", PAYLOAD, **wanted)
        with pytest.raises(ProjectionRefused, match="was stopped"):
            api.server.projector.rebuild("income_split", stop=lambda: True)
        again = give(api, "rebuildProjection", "RebuildProjectionInput", PAYLOAD, **wanted)
        assert (again["replayed"], again["userErrors"]) == (True, [])
        wait_until(lambda: states(api).get(("income_split", 2)) == "ready", "it is built")
        api.server.projector.drop("income_split", 2)
        with monkeypatch.context() as patch:
            patch.setattr(Works, "begin", lambda *_: pytest.fail("what was dropped since is not built again"))
            again = give(api, "rebuildProjection", "RebuildProjectionInput", PAYLOAD, **wanted)
        assert (again["projection"], again["replayed"], again["userErrors"]) == (None, True, [])
    finally:
        edit(folder, "income_split", ("version = 2", "version = 1"))


def states(api: Api) -> dict[tuple[str, int], str]:
    """Return what each version is."""
    return {(each.entry.name, each.entry.version): each.entry.state for each in api.server.projector.status()}


def test_what_if_is_answered_and_changes_nothing(api: Api, trade: dict[str, Any]) -> None:
    wanted = {"name": "income_split", "rules": [{"rule": "other_share", "value": "0.5"}]}
    found = give(api, "whatIfProjection", "WhatIfProjectionInput", COMPARE, **wanted)
    assert found["compare"]["differingRows"] == 8
    [event] = found["compare"]["rows"]["nodes"][0]["events"]
    assert event["position"] > 0 and event["old"] != event["new"], "kept, though what was built aside is gone"
    never = give(api, "whatIfProjection", "WhatIfProjectionInput", COMPARE, **wanted, fromDay="2999-01-01")
    assert never["compare"]["differingRows"] == 0
    unknown = {**wanted, "rules": [{"rule": "other", "value": "1"}]}
    [error] = give(api, "whatIfProjection", "WhatIfProjectionInput", COMPARE, **unknown)["userErrors"]
    assert error["code"] == "PROJECTION_STAYS" and "other_share=0.10" in error["message"]
    names = {each["name"] for each in api.ask("{ projections { name } }")["projections"]}
    assert not any(name.startswith("whatif") for name in names)


def test_events_behind_a_row_are_paged_and_looked_up_for_all_rows_at_once_where_somebody_looks(
    api: Api, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"rule": "gmv_counts_freight", "value": "true"}]
    made = give(api, "whatIfProjection", "WhatIfProjectionInput", "compareId", name="kpi_daily", rules=rules)
    document = (
        "query ($id: UUID!, $first: Int!) { projectionCompare(id: $id)"
        " { remarks rows(first: $first) { nodes { number key %s } } } }"
    )

    def rows(first: int, fields: str) -> tuple[list[dict[str, Any]], int]:
        with statements(monkeypatch) as sent:
            page = api.ask(document % fields, {"id": made["compareId"], "first": first})["projectionCompare"]["rows"]
        return page["nodes"], len(sent)

    rows(1, "events { position }")
    for kept in (2, 0):
        with api.server.database.connect() as connection:
            connection.execute(
                "UPDATE projection_compares SET rows_with_events = %s WHERE id = %s", (kept, made["compareId"])
            )
        _, plain = rows(10, "")
        both, looked_up = rows(10, "events { position } eventCount")
        assert looked_up == rows(1, "events { position }")[1] > plain, "as many statements however many rows"
    made = give(api, "whatIfProjection", "WhatIfProjectionInput", "compareId", name="kpi_daily", rules=rules)
    both, _ = rows(10, "events { position } eventCount")
    assert [each["eventCount"] for each in both] == [len(each["events"]) for each in both] and len(both) == 2

    largest = max(both, key=lambda each: each["eventCount"])
    seen: list[int] = []
    after = None
    while True:
        page = api.ask(
            "query ($id: UUID!, $row: Int!, $after: String) { projectionCompare(id: $id) { eventsBehind("
            "row: $row, first: 3, after: $after) { totalCount nodes { position old new } "
            "pageInfo { hasNextPage endCursor } } } }",
            {"id": made["compareId"], "row": largest["number"], "after": after},
        )["projectionCompare"]["eventsBehind"]
        assert page["totalCount"] == largest["eventCount"]
        seen += [each["position"] for each in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [each["position"] for each in largest["events"]] and len(seen) > 3
    [error] = api.errors(
        "query ($id: UUID!) { projectionCompare(id: $id) { eventsBehind(row: 9, first: 1) { totalCount } } }",
        {"id": made["compareId"]},
    )
    assert "kept no row 9" in error["message"]


def test_a_comparison_that_takes_long_is_asked_for_by_its_id(
    api: Api, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_mutations, "WAIT_SECONDS_MAX", 0.0)
    wanted = {"name": "income_split", "rules": [{"rule": "working_share", "value": "0.5"}], "idempotencyKey": "long"}
    begun = give(api, "whatIfProjection", "WhatIfProjectionInput", COMPARE, **wanted)
    assert (begun["compare"], begun["userErrors"]) == (None, [])
    until = time.monotonic() + 30
    document = "query ($id: UUID!) { projectionCompare(id: $id) { differingRows } }"
    while (found := api.ask(document, {"id": begun["compareId"]})["projectionCompare"]) is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert found["differingRows"] == 8


def test_a_comparison_that_nobody_makes_any_more_is_taken_up_when_it_is_sent_again_or_says_why_not(
    api: Api, trade: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"name": "income_split", "rules": [{"rule": "working_share", "value": "0.4"}], "idempotencyKey": "cut off"}
    with monkeypatch.context() as patch:
        # As after a kill: it is on record, and whoever began with it is gone.
        patch.setattr(Comparisons, "take_up", lambda *_: Future())
        patch.setattr(projection_mutations, "WAIT_SECONDS_MAX", 0.0)
        begun = give(api, "whatIfProjection", "WhatIfProjectionInput", COMPARE, **wanted)
    assert (begun["compare"], begun["userErrors"]) == (None, [])

    again = give(api, "whatIfProjection", "WhatIfProjectionInput", COMPARE, **wanted)
    assert (again["compareId"], again["replayed"]) == (begun["compareId"], True)
    assert again["compare"]["differingRows"] == 8

    none = {"name": "income_split", "oldVersion": 1, "newVersion": 9, "idempotencyKey": "no such version"}
    [refused] = give(api, "compareProjections", "CompareProjectionsInput", COMPARE, **none)["userErrors"]
    assert refused["code"] == "PROJECTION_STAYS"
    compare_id = uuid5(projection_mutations.COMPARES, "owner no such version")
    [error] = api.errors(f'{{ projectionCompare(id: "{compare_id}") {{ id }} }}')
    assert error["message"].removeprefix("This comparison was not made: ") in refused["message"]


def test_versions_are_for_those_who_see_every_store_and_changed_by_owners_alone(
    api: Api, shop: Shop, trade: dict[str, Any]
) -> None:
    bound = api.token(Role.OWNER, name="owner of one", stores=(shop.store_id,))
    change = 'mutation { resumeProjection(input: {name: "kpi_daily", version: 3, idempotencyKey: "k"}) { replayed } }'
    for document, token in (
        ("{ projectionPlan { name } }", bound),
        ("{ projectionCompares(first: 1) { nodes { id } } }", bound),
        (f'{{ projectionCompare(id: "{uuid4()}") {{ id }} }}', bound),
        (change, bound),
        (change, api.token(Role.AUDITOR)),
        (change, api.token(Role.MANAGER)),
    ):
        [error] = api.errors(document, token=token)
        assert error["extensions"]["code"] == "FORBIDDEN", document
    assert api.ask("{ projectionCompares(first: 1) { nodes { id } } }", token=api.token(Role.AUDITOR))


def test_a_rule_that_was_edited_under_its_version_is_refused_with_the_way_out(
    api: Api, folder: Path, trade: dict[str, Any]
) -> None:
    before = (folder / "income_split" / "projection.toml").read_text("utf-8")
    edit(folder, "income_split", ('other_share = { decimal = "0.10" }', 'other_share = { decimal = "0.20" }'))
    try:
        [error] = give(api, "rebuildProjection", "RebuildProjectionInput", PAYLOAD, name="income_split")["userErrors"]
        assert "raise the version" in error["message"]
        edit(folder, "income_split", ('question = "', 'quest = "'))
        [error] = give(api, "rebuildProjection", "RebuildProjectionInput", PAYLOAD, name="income_split")["userErrors"]
        assert "add 'question'" in error["message"]
        [error] = api.errors("{ projectionPlan { name } }")
        assert "add 'question'" in error["message"]
    finally:
        (folder / "income_split" / "projection.toml").write_text(before, "utf-8")


def test_a_version_whose_checks_fail_is_shown_with_them_and_refused_by_a_code_of_its_own(
    api: Api, folder: Path, trade: dict[str, Any]
) -> None:
    kept = {file: file.read_text("utf-8") for file in (folder / "income_split").iterdir()}
    projector = api.server.projector
    try:
        edit(folder, "income_split", ("version = 1", "version = 2"))
        checks = folder / "income_split" / "checks.sql"
        text = "\n-- none: there is no entry.\nSELECT line.position FROM income_entries AS line;\n"
        checks.write_text(checks.read_text("utf-8") + text, "utf-8")
        projector.rebuild("income_split")
        projector.compare("income_split", 1, 2)
        asked = "{ projections { name version state failedChecks { check description ended rows } } }"

        def failed(token: str = "") -> list[dict[str, Any]]:
            found = api.ask(asked, token=token)["projections"]
            return next(
                each["failedChecks"] for each in found if (each["name"], each["version"]) == ("income_split", 2)
            )

        [check] = failed(api.token(Role.AUDITOR))
        assert (check["check"], check["description"], check["ended"]) == ("none", "there is no entry.", True)
        assert len(check["rows"]) > 5 and check["rows"][0]["position"] > 0
        assert failed(api.token(Role.MANAGER))[0]["rows"] is None, "rows may be of any store"
        [error] = give(
            api, "promoteProjection", "ProjectionVersionInput", PAYLOAD, name="income_split", version=2
        )["userErrors"]  # fmt: skip
        assert error["code"] == "PROJECTION_CHECKS_FAIL" and "none of its checks.sql" in error["message"]
    finally:
        for file, text in kept.items():
            file.write_text(text, "utf-8")
        projector.drop("income_split", 2)


def test_a_version_whose_checks_fail_is_let_serve_by_a_second_person_with_a_reason(
    api: Api, folder: Path, trade: dict[str, Any]
) -> None:
    kept = {file: file.read_text("utf-8") for file in (folder / "income_split").iterdir()}
    projector = api.server.projector
    ann, ben = api.token(name="ann"), api.token(name="ben")
    history = """{ projectionPromotions(projection: "income_split", first: 1) {
        totalCount nodes { version promotedBy compareId despite }
    } }"""

    def despite(token: str, reason: str = "The check is too strict.", **more: Any) -> dict[str, Any]:
        given = {"name": "income_split", "version": 3, "reason": reason, **more}
        kind = "PromoteDespiteChecksInput"
        return give(api, "promoteProjectionDespiteChecks", kind, PAYLOAD, token=token, **given)

    def compare(token: str) -> Any:
        pair = {"name": "income_split", "oldVersion": 1, "newVersion": 3}
        return give(api, "compareProjections", "CompareProjectionsInput", COMPARE, token=token, **pair)["compareId"]

    try:
        share = 'other_share = {{ decimal = "{}" }}'.format
        edit(folder, "income_split", ("version = 1", "version = 3"), (share("0.10"), share("0.12")))
        checks = folder / "income_split" / "checks.sql"
        text = "\n-- strict: there is no entry.\nSELECT line.position FROM income_entries AS line;\n"
        checks.write_text(checks.read_text("utf-8") + text, "utf-8")
        projector.rebuild("income_split")

        [error] = despite(ann)["userErrors"]
        assert error["code"] == "PROJECTION_STAYS" and "compare 1 and 3 first" in error["message"]
        by_ann = compare(ann)
        [error] = despite(ann)["userErrors"]
        assert (error["code"], error["path"]) == ("SAME_PERSON", ["version"]) and "ann" in error["message"]
        for blank in ("", "  ", "x" * 501):
            [error] = despite(ben, blank)["userErrors"]
            assert (error["code"], error["path"]) == ("INVALID_FIELD", ["reason"])
        assert api.ask(history)["projectionPromotions"]["nodes"][0]["version"] == 1, "nothing was changed so far"

        promoted = despite(ben, idempotencyKey="all the same")
        assert (promoted["projection"]["state"], promoted["projection"]["promotedBy"]) == ("serving", "ben")
        assert despite(ben, idempotencyKey="all the same")["replayed"] is True
        [other] = despite(ben, "Another reason.", idempotencyKey="all the same")["userErrors"]
        assert other["code"] == "IDEMPOTENCY_KEY_REUSED"
        [shown] = api.ask(history)["projectionPromotions"]["nodes"]
        assert shown == {
            "version": 3, "promotedBy": "ben", "compareId": str(by_ann), "despite": "The check is too strict.",
        }  # fmt: skip

        # It goes back as ever; its own comparison made, the first may decide as well: the second has looked, too.
        give(api, "promoteProjection", "ProjectionVersionInput", PAYLOAD, name="income_split", version=1)
        by_ben = compare(ben)
        assert despite(ann, "It still is.")["userErrors"] == []
        [shown] = api.ask(history)["projectionPromotions"]["nodes"]
        assert (shown["promotedBy"], shown["compareId"], shown["despite"]) == ("ann", str(by_ben), "It still is.")

        # One whose checks hold needs no second person, and no reason is kept.
        assert despite(ann, "No need.", version=1)["userErrors"] == []
        [shown] = api.ask(history)["projectionPromotions"]["nodes"]
        assert (shown["version"], shown["despite"]) == (1, None)
    finally:
        for file, text in kept.items():
            file.write_text(text, "utf-8")
        projector.promote("income_split", 1, by="mended")
        projector.drop("income_split", 3)


# A failure -----------------------------------------------------------------------------------------------------------


def test_a_statement_that_fails_is_shown_with_its_message_to_auditors_and_resumed_after_the_mend(
    api: Api, shop: Shop, trade: dict[str, Any]
) -> None:
    projector = api.server.projector
    with projector.connect() as connection:
        entry = projector.catalogue.serving(connection, "income_split")
        assert entry is not None
        table = projector.loaded(connection, entry).table("income_entries")
        connection.execute(f"ALTER TABLE {table} RENAME TO away")
        sku = shop.sku(stock=10)
        order = shop.do(shop.order((sku, 1)))
        paid = shop.give(PayOrder(order_id=order, amount_minor=1000, method="card", currency="GBP"))
        until = time.monotonic() + 30
        asked = "{ projections { name state failedPosition failedStatement failure position lag } }"

        def state(token: str = "") -> dict[str, Any]:
            found = api.ask(asked, token=token)["projections"]
            return {each["name"]: each for each in found if "/" not in each["name"]}

        while state()["income_split"]["state"] != "failed":
            assert time.monotonic() < until
            time.sleep(0.05)
        failed = state(api.token(Role.AUDITOR))["income_split"]
        assert (failed["failedPosition"], failed["failedStatement"]) == (paid.position, "income")
        assert "does not exist" in failed["failure"]
        assert state(api.token(Role.MANAGER))["income_split"]["failure"] is None
        api.server._checked = None
        red = api.client.get("/readyz")
        assert (
            red.status_code == 503
            and f"income_split version 1 stopped at position {paid.position} in income" in red.text
        )
        while state()["kpi_daily"]["lag"]:
            assert time.monotonic() < until
            time.sleep(0.05)

        connection.execute(f'ALTER TABLE "{projector.schema}".away RENAME TO {table.split(".")[1]}')
    resumed = give(api, "resumeProjection", "ProjectionVersionInput", PAYLOAD, name="income_split", version=1)
    assert resumed["projection"]["state"] == "serving"
    wait_for(projector, "income_split", paid.position or 0)
    api.server._checked = None
    assert api.client.get("/readyz").status_code == 200
    assert projector.check(["income_split"]) == []
