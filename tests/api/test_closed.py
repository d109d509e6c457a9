"""A server in production: no explorer, and its schema is shown to those who read the log, to nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from opscore.domain.command import Role
from tests.api.conftest import Api

SCHEMA = "{ __schema { queryType { name } } }"
MISSPELT = "{ vieweer { name } }"


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"introspection": False, "explorer": False}


@pytest.mark.parametrize(
    "query", [SCHEMA, '{ __type(name: "Order") { name } }', "{ ...A } fragment A on Query " + SCHEMA]
)
def test_the_schema_is_not_shown(api: Api, query: str) -> None:
    for token in (None, api.token(Role.MANAGER), api.token(Role.STOREFRONT)):
        answer = api.post({"query": query}, token=token)
        assert answer.status_code == 403 and answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN", token
        assert "queryType" not in answer.text


@pytest.mark.parametrize("role", [Role.OWNER, Role.AUDITOR])
def test_those_who_read_the_log_read_the_schema_too(api: Api, role: Role) -> None:
    assert api.ask(SCHEMA, token=api.token(role)) == {"__schema": {"queryType": {"name": "Query"}}}


def test_an_error_does_not_say_what_was_meant(api: Api) -> None:
    answer = api.post({"query": MISSPELT})

    assert "vieweer" in answer.text and "viewer'" not in answer.text and "Did you mean" not in answer.text


def test_there_is_no_page(api: Api) -> None:
    page = api.client.get("/graphql", headers={"accept": "text/html"})

    assert page.status_code == 406 and "html" not in page.headers["content-type"]
    assert api.client.get("/").status_code == api.client.get("/explorer/page.js").status_code == 404
