"""Trusted documents: named by hash over HTTP and sockets, and on a server that takes no others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from graphql import parse

from opscore.api.errors import DocumentUnknown
from opscore.api.trusted import MANIFEST, TrustedDocuments, document_id, manifest, operations_folder
from opscore.domain.command import Role
from opscore.settings import SetupError
from tests.api.conftest import Api, gid
from tests.api.socket_client import socket
from tests.shop import Shop

OWN = "query Mine { viewer { name } }"
BUILT = "query Built {\n  viewer {\n    role\n  }\n}"
KNOWN: dict[str, str] = json.loads(manifest())


@pytest.fixture(scope="module")
def more_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "mine.graphql").write_text(OWN, encoding="utf-8")
    # What a client's tool says of a hash is not believed: it is reckoned anew.
    (folder / "persisted.json").write_text(json.dumps({"0" * 64: BUILT}), encoding="utf-8")
    return {"trusted_documents_only": True, "documents_dir": folder}


def named(name: str) -> str:
    """Return the identifier of one of our own clients' operations."""
    [found] = [key for key, text in KNOWN.items() if f" {name}" in text.splitlines()[0]]
    return found


def code(answer: Any) -> str:
    [error] = answer.json()["errors"]
    found: str = error["extensions"]["code"]
    return found


def test_the_manifest_that_is_written_down_lists_the_documents_by_their_hash() -> None:
    written = (operations_folder() / MANIFEST).read_text(encoding="utf-8")

    assert written == manifest(), "run: opscore schema export"
    assert all(key == "sha256:" + hashlib.sha256(text.encode()).hexdigest() for key, text in KNOWN.items())
    assert all(len(parse(text).definitions) >= 1 for text in KNOWN.values())


def test_a_document_is_run_by_its_name(api: Api) -> None:
    head = named("AuditorHead")
    token = api.token(Role.AUDITOR)
    posted = api.post({"documentId": head}, token=token)
    by_get = api.client.get("/graphql", params={"documentId": head}, headers={"authorization": f"Bearer {token}"})

    assert posted.status_code == by_get.status_code == 200
    data = posted.json()["data"]
    assert data["head"] and data == by_get.json()["data"]
    assert api.post({"query": KNOWN[head]}, token=token).json()["data"] == data, "its text is as good as its name"


def test_it_takes_variables_and_a_mutation_needs_a_post(api: Api, shop: Shop) -> None:
    order = gid("Order", shop.do(shop.order((shop.sku(), 1))))
    variables = {"input": {"orderId": order, "idempotencyKey": "by name"}}
    given = api.post({"documentId": named("StorefrontCancel"), "variables": variables})
    got = api.client.get(
        "/graphql",
        params={"documentId": named("StorefrontCancel"), "variables": json.dumps(variables)},
        headers={"authorization": f"Bearer {api.token()}"},
    )

    assert given.json()["data"]["cancelOrder"]["order"]["status"] == "CANCELLED"
    assert got.status_code == 405 and got.headers["allow"] == "POST"


def test_a_socket_takes_names_too(api: Api) -> None:
    with socket(api.url, api.token(Role.AUDITOR)) as client:
        payload = {"documentId": named("AuditorFollow"), "variables": {"after": 0}}
        client.send({"id": "1", "type": "subscribe", "payload": payload})
        assert client.next()["events"]
        client.send({"id": "1", "type": "complete"})
        client.send({"id": "2", "type": "subscribe", "payload": {"query": "{ viewer { name } }"}})
        message = client.receive()
        while message["id"] != "2":
            message = client.receive()
        assert message["payload"][0]["extensions"]["code"] == "DOCUMENT_NOT_TRUSTED"


def test_an_empty_document_beside_a_name_is_none(api: Api) -> None:
    payload = {"documentId": named("AuditorHead"), "query": ""}
    with socket(api.url, api.token(Role.AUDITOR)) as client:
        client.send({"id": "1", "type": "subscribe", "payload": payload})
        assert client.next()["head"], "graphql-ws always sends a query"

    assert api.post(payload, token=api.token(Role.AUDITOR)).json()["data"]["head"]


def test_an_operators_own_documents_are_taken(api: Api) -> None:
    assert api.post({"documentId": document_id(OWN)}).json()["data"] == {"viewer": {"name": "owner"}}
    assert api.post({"query": BUILT}).json()["data"] == {"viewer": {"role": "OWNER"}}
    assert code(api.post({"documentId": "sha256:" + "0" * 64})) == "PERSISTED_DOCUMENT_NOT_FOUND"


@pytest.mark.parametrize(
    "query",
    ["{ viewer { name } }", OWN + " ", "query Mine{viewer{name}}", "{ __schema { queryType { name } } }",
     "{ __typename }", "not even graphql"],
)  # fmt: skip
def test_no_other_document_is_looked_at(api: Api, query: str) -> None:
    answer = api.post({"query": query}, accept="application/graphql-response+json")

    assert answer.status_code == 400 and code(answer) == "DOCUMENT_NOT_TRUSTED"
    assert "data" not in answer.json()


@pytest.mark.parametrize(
    "given", ["", "sha256:", "md5:" + "0" * 32, "a" * 5000, "sha256:" + "F" * 64, "../../etc/passwd"]
)
def test_a_name_of_nothing_is_a_single_error(api: Api, given: str) -> None:
    answer = api.post({"documentId": given}, accept="application/graphql-response+json")

    assert answer.status_code == 400
    assert code(answer) == ("PERSISTED_DOCUMENT_NOT_FOUND" if given else "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    "given",
    [
        {"documentId": 7},
        {"documentId": None},
        {"documentId": "x", "query": OWN},
        {"documentId": "", "query": ""},
        {"documentId": "x", "query": 0},
        {},
    ],
)
def test_a_request_that_is_neither_is_malformed(api: Api, given: dict[str, Any]) -> None:
    answer = api.post(given)

    assert answer.status_code == 400 and code(answer) == "MALFORMED_REQUEST"


def test_a_server_that_takes_everything_knows_the_names_as_well(tmp_path: Path) -> None:
    known = TrustedDocuments(operations_folder(), only=False)
    known.require("{ viewer { name } }")

    assert known.find(named("AuditorHead")) == KNOWN[named("AuditorHead")]
    with pytest.raises(DocumentUnknown):
        known.find(document_id(OWN))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad.graphql", "query {", "cannot be read as a GraphQL document"),
        ("bad.json", "[1]", "no manifest"),
        ("bad.json", '{"a": 1}', "no manifest"),
        ("bad.json", "{", "no manifest"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match=said):
        TrustedDocuments(tmp_path, only=True)
    with pytest.raises(SetupError, match="no folder"):
        TrustedDocuments(tmp_path / "elsewhere", only=True)
