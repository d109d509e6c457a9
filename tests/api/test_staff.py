"""Who answers for what in a store, over the API: assigned, asked for on any day, and as it was known at any moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opscore.domain.command import Role
from opscore.domain.store_events import StaffRole
from tests.api.conftest import Api, gid
from tests.shop import Shop

SELECTION = "store { staff { person role fromDay untilDay } } position userErrors { code path message }"
STAFF = """
query ($id: ID!, $day: Date, $asOf: AsOf) {
  store(id: $id, asOf: $asOf) {
    staff { person role fromDay untilDay }
    responsibilities(onDay: $day) { role people fallsToManager }
  }
}
"""


def assign(api: Api, store: str, person: str, role: str, *, token: str = "", **more: Any) -> dict[str, Any]:
    given = {"storeId": store, "person": person, "role": role, **more}
    return api.give("assignStaffRole", SELECTION, given, token=token)


@pytest.fixture
def store(api: Api, shop: Shop) -> str:
    """Another store, without staff."""
    return gid("Store", Shop.open(shop.writer, f"Shop of {datetime.now(UTC).isoformat()}").store_id)


def duties(api: Api, store: str, token: str = "", **asked: Any) -> dict[str, tuple[list[str], bool]]:
    """Return who answers for each role, and whether it falls to the managers."""
    found = api.ask(STAFF, {"id": store, **asked}, token=token)["store"]["responsibilities"]
    return {each["role"]: (each["people"], each["fallsToManager"]) for each in found}


def test_what_nobody_has_falls_to_the_manager_until_somebody_takes_it_over(api: Api, store: str) -> None:
    assert duties(api, store, day="2024-06-01")["MANAGER"] == ([], False)
    assign(api, store, "ann", "MANAGER", fromDay="2024-01-01")
    known = assign(api, store, "ben", "SERVICE", fromDay="2024-03-01", untilDay="2024-08-31")["position"]
    split = assign(api, store, "cleo", "SERVICE", fromDay="2024-06-01", reason="more than one can do")
    assert split["store"]["staff"] == [
        {"person": "ann", "role": "MANAGER", "fromDay": "2024-01-01", "untilDay": None},
        {"person": "ben", "role": "SERVICE", "fromDay": "2024-03-01", "untilDay": "2024-08-31"},
        {"person": "cleo", "role": "SERVICE", "fromDay": "2024-06-01", "untilDay": None},
    ]

    assert set(duties(api, store)) == {role.name for role in StaffRole}
    service = [
        duties(api, store, day=day)["SERVICE"] for day in ("2024-02-29", "2024-05-31", "2024-08-31", "2024-09-01")
    ]
    assert service == [(["ann"], True), (["ben"], False), (["ben", "cleo"], False), (["cleo"], False)]
    assert duties(api, store)["SERVICE"] == (["cleo"], False), "today, where no day is named"
    # What was known before the work was split stays to be asked for.
    assert duties(api, store, day="2024-08-31", asOf={"position": known})["SERVICE"] == (["ben"], False)


def test_a_refusal_says_what_to_do_and_allowed_commands_foretell(api: Api, store: str) -> None:
    assign(api, store, "ann", "MANAGER", fromDay="2024-01-01")
    given = {"storeId": store, "person": "ann", "role": "MANAGER"}
    [error] = api.give("endStaffRole", SELECTION, given)["userErrors"]
    assert (error["code"], error["path"]) == ("ROLE_WITHOUT_OWNER", ["untilDay"])
    [error] = assign(api, store, "ann", "MANAGER")["userErrors"]
    assert (error["code"], error["path"]) == ("STAFF_ROLE_TAKEN", ["person"]) and "2024-01-01" in error["message"]
    [error] = api.give("endStaffRole", SELECTION, {**given, "role": "EDITOR"})["userErrors"]
    assert error["code"] == "STAFF_ROLE_NOT_HELD"
    manager = api.token(Role.MANAGER)
    [error] = assign(api, store, "ben", "MANAGER", token=manager)["userErrors"]
    assert (error["code"], error["path"]) == ("NOT_AUTHORISED", ["role"])

    asked = "query ($id: ID!) { store(id: $id) { allowedCommands { name allowed code } } }"
    for role, allowed in ((Role.MANAGER, True), (Role.SERVICE, False)):
        found = api.ask(asked, {"id": store}, token=api.token(role))["store"]["allowedCommands"]
        said = {each["name"]: each["allowed"] for each in found}
        assert said["assignStaffRole"] is said["endStaffRole"] is allowed, role


def test_a_role_here_opens_nothing_and_a_token_needs_none(api: Api, store: str) -> None:
    tomorrow = str((datetime.now(UTC) + timedelta(days=1)).date())
    assign(api, store, "editor", "MANAGER")
    token = api.token(Role.EDITOR, name="editor")

    [error] = assign(api, store, "ben", "SERVICE", token=token)["userErrors"]
    assert error["code"] == "NOT_AUTHORISED"
    assert api.ask("{ viewer { role } }", token=token)["viewer"] == {"role": "EDITOR"}
    assert assign(api, store, "ben", "SERVICE", token=api.token(Role.MANAGER), fromDay=tomorrow)["userErrors"] == []


def test_who_did_it_and_why_is_in_the_history(api: Api, store: str) -> None:
    assign(api, store, "ann", "MANAGER", reason="founder")
    history = "query ($id: ID!) { store(id: $id) { history(last: 1) { nodes { type actor { holder } data } } } }"
    [event] = api.ask(history, {"id": store})["store"]["history"]["nodes"]

    assert (event["type"], event["actor"]["holder"], event["data"]["reason"]) == (
        "StaffRoleAssigned",
        "owner",
        "founder",
    )


LEAVING = """
store {
  departures { person status noticedOn lastDay waiverReason handovers { role to } openRoles }
  staff { person untilDay }
}
userErrors { code path message }
"""


def test_somebody_gives_notice_hands_over_and_leaves(api: Api, store: str) -> None:
    assign(api, store, "ann", "MANAGER", fromDay="2024-01-01")
    assign(api, store, "ben", "SERVICE", fromDay="2024-01-01")
    given = {"storeId": store, "person": "ben"}
    notice = {**given, "noticedOn": "2024-05-31", "lastDay": "2024-06-29"}
    [error] = api.give("fileResignation", LEAVING, notice)["userErrors"]
    assert (error["code"], error["path"]) == ("NOTICE_TOO_SHORT", ["lastDay"]) and "2024-06-30" in error["message"]
    filed = api.give("fileResignation", LEAVING, {**notice, "waiverReason": "moves away"})
    told = {
        "person": "ben", "status": "NOTICED", "noticedOn": "2024-05-31", "lastDay": "2024-06-29",
        "waiverReason": "moves away", "handovers": [], "openRoles": ["SERVICE"],
    }  # fmt: skip
    assert filed["store"]["departures"] == [told]

    [error] = api.give("recordDeparture", LEAVING, given)["userErrors"]
    assert error["code"] == "HANDOVER_OPEN"
    over = {**given, "role": "SERVICE", "to": "ann"}
    handed = {**told, "handovers": [{"role": "SERVICE", "to": "ann"}], "openRoles": []}
    assert api.give("confirmHandover", LEAVING, over)["store"]["departures"] == [handed]
    left = api.give("recordDeparture", LEAVING, given)["store"]
    assert left["departures"] == [{**handed, "status": "LEFT"}]
    assert left["staff"][1] == {"person": "ben", "untilDay": "2024-06-29"}


def test_who_stays_withdraws_and_an_editor_decides_nothing_of_it(api: Api, store: str) -> None:
    assign(api, store, "ann", "MANAGER", fromDay="2024-01-01")
    given = {"storeId": store, "person": "ann"}
    notice = {**given, "noticedOn": "2024-05-31", "lastDay": "2024-07-31"}
    [error] = api.give("fileResignation", LEAVING, notice, token=api.token(Role.EDITOR))["userErrors"]
    assert error["code"] == "NOT_AUTHORISED"
    assert api.give("fileResignation", LEAVING, notice)["userErrors"] == []
    gone = {**given, "absentAfter": "2024-07-31"}
    [error] = api.give("recordDeparture", LEAVING, gone, token=api.token(Role.MANAGER))["userErrors"]
    assert (error["code"], error["path"]) == ("NOT_AUTHORISED", ["role"])
    assert api.give("withdrawResignation", LEAVING, given)["store"]["departures"] == []
