"""GraphQL over HTTP: which requests are taken, how they are answered, and what no request can bring about."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import httpx
import pytest

from opscore.api import documents
from opscore.api.errors import log as error_log
from opscore.api.http import negotiate
from tests.api.conftest import Api

TYPENAME = b'{"query":"{ __typename }"}'
BOTH = ("application/json", "application/graphql-response+json")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/graphql-response+json", "application/graphql-response+json"),
        (
            "application/graphql-response+json; charset=utf-8, application/json;q=0.5",
            "application/graphql-response+json",
        ),
        ("application/json;q=0.4, application/graphql-response+json;q=0.5", "application/graphql-response+json"),
        ("text/html", None),
        ("image/png", None),
        ("application/json;q=0", None),
        ("application/json;charset=latin-1", None),
    ],
)
def test_the_media_type_is_the_one_the_client_likes_best(accept: str | None, media: str | None) -> None:
    assert negotiate(accept, explorer=False) == media


def test_a_browser_gets_the_page_only_where_it_asks_for_html_by_name() -> None:
    assert negotiate("text/html,application/xhtml+xml,*/*;q=0.8", explorer=True) == "text/html"
    assert negotiate("*/*", explorer=True) == "application/json"


@pytest.mark.parametrize("accept", BOTH)
def test_a_query_is_answered_in_the_media_type_asked_for(api: Api, accept: str) -> None:
    for answer in (
        api.post(TYPENAME, accept=accept, token=None),
        api.client.get("/graphql", params={"query": "{ __typename }"}, headers={"accept": accept}),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
        assert answer.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothingLikeThis }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { __typename } query B { __typename }", "OPERATION_RESOLUTION_FAILURE"),
        ("query ($n: Int!) { __typename @include(if: $n) }", "GRAPHQL_VALIDATION_FAILED"),
        ("query ($if: Boolean!) { __typename @include(if: $if) }", "BAD_USER_INPUT"),
        ("fragment F on Query { __typename }", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
def test_a_document_that_cannot_run_is_400_or_200_by_media_type_and_has_no_data(
    api: Api, query: str, code: str
) -> None:
    for accept, status in zip(BOTH, (200, 400), strict=True):
        answer = api.post({"query": query}, accept=accept)
        assert answer.status_code == status, answer.text
        assert "data" not in answer.json()
        assert {error["extensions"]["code"] for error in answer.json()["errors"]} == {code}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b'"x"',
        b"true",
        b"[]",
        b'[{"query":"{ __typename }"}]',
        b"{}",
        b'{"query":7}',
        b'{"query":""}',
        b'{"query":"{ __typename }","variables":[]}',
        b'{"query":"{ __typename }","variables":"x"}',
        b'{"query":"{ __typename }","operationName":7}',
        b'{"query":"{ __typename }","extensions":7}',
        b'{"query":"{ __typename }"',
        b'{"query":"\xff\xfe"}',
        b'\xef\xbb\xbf{"query":"{ __typename }"}',
        b'{"query":"{ __typename }","variables":{"x":NaN}}',
        b'{"query":"{ __typename }","variables":{"x":"\\ud800"}}',
        b'{"query":"{ __typename }","variables":{"x":"\\u0000"}}',
        b'{"query":"{ __typename }","variables":{"\\u0000":1}}',
        b'{"query":"{ __typename }","variables":{"x":' + b"[" * 40_000 + b"]" * 40_000 + b"}}",
        b'{"query":"{ __typename }","variables":{"x":' + b"9" * 5_000 + b"}}",
        b'{"query":"{ __typename }","variables":{"x":-' + b"9" * 5_000 + b"}}",
        b'{"query":"{ __typename }","variables":{"x":1e5000}}',
        b'{"query":"{ __typename }","variables":{"x":Infinity}}',
        b'{"query":"{ __typename }","variables":{"x":01}}',
        b"{'query':'{ __typename }'}",
        b'{"query":"{ __typename }",}',
        b'{"query":"{ __typename }"} {"query":"{ __typename }"}',
        b'{"query":"{ __typename }\x00"}',
        b"\x00" * 100,
        '{"query":"{ __typename }"}'.encode("utf-16"),
        b"query=%7B__typename%7D",
        b"{ __typename }",
        b'{"query":null}',
        b'{"query":["{ __typename }"]}',
        b'{"query":{"query":"{ __typename }"}}',
        b'{"mutation":"{ __typename }"}',
        b'{"query":"{ __typename }","documentId":"sha256:00"}',
        b'{"documentId":7}',
    ],
)
def test_a_body_that_is_no_request_is_400_whatever_it_is(api: Api, body: bytes) -> None:
    for accept in BOTH:
        answer = api.post(body, accept=accept)
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["extensions"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"query":"{ a: __typename }","query":"{ b: __typename }"}', "query"),
        (b'{"query":"{ a: __typename }","\\u0071uery":"{ b: __typename }"}', "query"),
        (b'{"\\u0071ue\\u0072y":"{ a: __typename }","query":"{ b: __typename }"}', "query"),
        (b'{"query":"{ __typename }","variables":{"a":1},"variables":{"a":2}}', "variables"),
        (b'{"query":"query A { __typename }","operationName":"A","operationName":"A"}', "operationName"),
        (b'{"query":"{ __typename }","extensions":{},"extensions":{}}', "extensions"),
        (b'{"documentId":"sha256:0","documentId":"sha256:1"}', "documentId"),
        (b'{"variables":null,"query":"{ __typename }","variables":' + b"[" * 1_000 + b"]" * 1_000 + b"}", ""),
    ],
)
def test_of_two_members_of_one_name_neither_is_taken(api: Api, body: bytes, name: str) -> None:
    answer = api.post(body)

    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "MALFORMED_REQUEST"
    assert f"`{name}` more than once" in error["message"] if name else True


def test_names_of_a_request_may_occur_within_it(api: Api) -> None:
    for body in (
        b'{"query":"{ __typename }","variables":{"query":1,"variables":2,"operationName":"query"}}',
        b'{"query":"query query { __typename }","operationName":"query"}',
        '{"query":"{ __typename } #\\u00e9\u4e2d","variables":{"\\u0071uery":"\\u0041"}}'.encode(),
        b'{"query":"{ __typename }","nothing":1,"nothing":2}',
    ):
        assert api.post(body).json()["data"] == {"__typename": "Query"}, body


def test_of_two_parameters_of_one_name_in_an_address_neither_is_taken(api: Api) -> None:
    answer = api.client.get("/graphql?query={a:__typename}&query={b:__typename}", headers={"accept": "*/*"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize("query", ["{ viewer { name } }", "{ head { hash } }", '{ __typename node(id: "x") { id } }'])
def test_nothing_of_anybody_is_read_by_a_get_that_a_browser_sends_without_asking_first(api: Api, query: str) -> None:
    # Only the header `authorization` carries rights, and a page cannot set it without a preflight.
    answer = api.client.get(
        "/graphql",
        params={"query": query},
        headers={"accept": "*/*", "origin": "https://evil.example", "cookie": f"authorization=Bearer {api.token()}"},
    )

    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    preflight = api.client.options(
        "/graphql", headers={"origin": "https://evil.example", "access-control-request-headers": "authorization"}
    )
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json-evil",
        "application/json; charset=latin-1",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
def test_what_a_foreign_page_can_make_a_browser_send_is_not_taken(api: Api, content_type: str) -> None:
    answer = api.post(TYPENAME, headers={"content-type": content_type, "origin": "https://evil.example"})

    assert answer.status_code == 415
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_a_mutation_is_not_taken_by_get(api: Api) -> None:
    answer = api.client.get(
        "/graphql",
        params={"query": 'mutation { openStore(input: {storeId: "x", idempotencyKey: "k"}) { replayed } }'},
        headers={"authorization": f"Bearer {api.token()}", "accept": "application/json"},
    )

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_405_and_says_which_are_taken(api: Api, method: str) -> None:
    answer = api.client.request(method, "/graphql", content=TYPENAME)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


def test_a_client_that_takes_nothing_of_ours_is_told_so_in_json(api: Api) -> None:
    answer = api.post(TYPENAME, accept="image/png")

    assert answer.status_code == 406
    assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_ACCEPTABLE"


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10000000\r\n\r\n{"
        )
        with connection.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 413")


def test_a_body_that_lies_about_its_length_is_cut_off_at_the_limit(api: Api) -> None:
    def body() -> Any:
        yield b'{"query":"'
        for _ in range(200):
            yield b" " * 1_000
        yield b'{ __typename }"}'

    answer = api.client.post("/graphql", content=body(), headers={"content-type": "application/json"})

    assert answer.status_code == 413


def test_every_answer_carries_the_id_of_its_request(api: Api) -> None:
    given = api.post(TYPENAME, headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"

    made = api.post(TYPENAME, headers={"x-request-id": "not an id"})
    assert made.headers["x-request-id"] not in ("", "not an id")


@pytest.mark.parametrize(
    "authorization",
    ["Bearer x", "Bearer", "Basic b3duZXI6eA==", "Bearer opscore_" + "A" * 43, "opscore_" + "A" * 43, ""],
)
def test_a_token_that_is_none_is_401_even_for_what_anybody_may_ask(api: Api, authorization: str) -> None:
    answer = api.post(TYPENAME, token=None, headers={"authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_nobody_sees_anything_without_a_token(api: Api) -> None:
    assert api.post({"query": "{ viewer { name } }"}, token=None).status_code == 401
    assert api.post({"query": "{ __typename viewer { name } }"}, token=None).status_code == 401
    mutation = 'mutation { openStore(input: {storeId: "x", idempotencyKey: "k"}) { replayed } }'
    assert api.post({"query": mutation}, token=None).status_code == 401


def test_what_goes_wrong_on_our_side_is_masked_and_its_id_is_in_the_log(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(
        error_log, "error", lambda event, **facts: logged.append({"event": event, **facts}), raising=False
    )

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret 4711")

    monkeypatch.setattr(api.server.services.log, "head", broken)

    answer = api.post({"query": "{ head { position } }"})

    assert "4711" not in answer.text
    [error] = answer.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["path"] == ["head"]
    assert error["extensions"]["id"] == answer.headers["x-request-id"]
    assert error["extensions"]["id"] in error["message"]
    [entry] = logged
    assert entry["error_id"] == error["extensions"]["id"]
    assert entry["error"] == "RuntimeError"
    assert "4711" not in json.dumps(entry, default=str)


def test_nothing_of_a_request_is_written_to_the_log_of_an_ordinary_day(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        api.post({"query": '{ nothing(like: "Anna Meier") }'})
        api.client.get("/graphql", params={"query": '{ a(b: "Anna Meier") }'})

    assert "Anna Meier" not in caplog.text


def test_a_hundred_equal_requests_are_validated_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = documents.validate
    monkeypatch.setattr(documents, "validate", lambda *a, **k: calls.append(1) or real(*a, **k))
    query = "query Counted($n: Int) { stores(first: $n) { nodes { id name } } }"

    for number in range(100):
        answer = api.post({"query": query, "variables": {"n": 1 + number % 3}})
        assert answer.json()["data"] is not None

    assert len(calls) == 1


def test_the_paths_beside_the_endpoint_are_not_there(api: Api) -> None:
    assert httpx.get(f"{api.url}/graphql/").status_code in (307, 404)
    for path in ("/nothing", "/exports", "/explorer/../app.py", "/explorer/%2e%2e%2fhttp.py", "/explorer/nothing.js"):
        answer = httpx.get(f"{api.url}{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["errors"][0]["extensions"] == {"code": "NOT_FOUND"}


def test_a_method_that_a_path_does_not_take_is_answered_like_any_other_fault(api: Api) -> None:
    answer = httpx.post(f"{api.url}/healthz")

    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.json()["errors"][0]["extensions"] == {"code": "METHOD_NOT_ALLOWED"}
