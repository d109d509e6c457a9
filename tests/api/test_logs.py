"""What is written to the log of a server, even at its most talkative: nothing that is secret, or of a person."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
import psycopg
import pytest
import structlog

from opscore import logs
from opscore.domain.command import Role
from tests.api.conftest import DATABASE_PASSWORD, Api, gid
from tests.api.issuer import AUDIENCE, Issuer, issuer
from tests.api.socket_client import socket
from tests.conftest import MASTER_KEY
from tests.shop import Shop

PERSON = {"name": "Annabel Leeward", "phone": "0123 98765", "email": "annabel@example.org", "address": "17 Elm Street"}
UNKNOWN = "opscore_" + "Q" * 43
CLIENTS = ("httpx", "httpcore", "websockets.client")
"""Loggers of the clients that the test itself is."""


@pytest.fixture(scope="module")
def lines() -> Iterator[io.StringIO]:
    """What the server writes from its very beginning, as `opscore serve` would, with everything switched on."""
    written, root = io.StringIO(), logging.getLogger()
    handlers, level, configure = root.handlers[:], root.level, structlog.configure
    levels = {name: logging.getLogger(name).level for name in logs.TALKATIVE}
    with pytest.MonkeyPatch.context() as patch:
        # A logger that was kept would go on writing here in the tests that follow.
        patch.setattr(structlog, "configure", lambda **more: configure(**more | {"cache_logger_on_first_use": False}))
        logs.configure("DEBUG", write=logs.as_json)
    [handler] = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    handler.addFilter(lambda record: not record.name.startswith(CLIENTS))
    yield written
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def more_settings(lines: io.StringIO, provider: Issuer) -> dict[str, Any]:
    """Tokens of an identity provider are taken as well; `lines` comes first."""
    return {
        "oidc_issuer": provider.url, "oidc_audience": AUDIENCE, "oidc_jwks_url": f"{provider.url}/keys",
        "oidc_role_claim": "groups", "oidc_roles": {"shop-managers": "manager"}, "webhook_tries": 2,
    }  # fmt: skip


def test_no_secret_and_nothing_of_a_person_is_written_to_the_log(
    api: Api, shop: Shop, lines: io.StringIO, provider: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    jwts = [provider.token(), provider.token(iss="https://evil.example"), provider.token("ec-one", exp=1)]
    tokens = [api.token(), api.token(Role.SERVICE), UNKNOWN, *jwts, "not-a-token-4711"]
    secrets = [*tokens, *(each.split(".")[-1] for each in jwts), MASTER_KEY, DATABASE_PASSWORD, *PERSON.values()]

    # Good and bad tokens, over both ways, in headers, addresses and messages.
    for token in tokens:
        api.post({"query": "{ viewer { name } }"}, token=token)
        api.client.get(f"/graphql?query={quote('{ viewer { name } }')}&access_token={token}")
        api.client.get("/exports/x", headers={"authorization": f"Bearer {token}"})
        with socket(api.url, additional_headers={"authorization": f"Bearer {token}"}) as client:
            client.send({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}})
    with socket(api.url, api.token()) as client:
        client.subscribe("query ($r: String!) { customerByReference(reference: $r) { id } }", {"r": PERSON["email"]})
        client.receive()

    # A person: recorded, looked for, asked about, in what is wrong and in what goes wrong.
    customer = gid("Customer", shop.customer())
    card = {"customerId": customer, "consent": True, **PERSON}
    assert api.give("setContactCard", "userErrors { code }", card) == {"userErrors": []}
    api.give("discloseCustomerContact", "contact { name } userErrors { code }", {
        "customerId": customer, "reason": f"{PERSON['name']} asked",
    })  # fmt: skip
    api.give("setContactCard", "userErrors { code }", {**card, "phone": PERSON["phone"] * 50})
    api.post({"query": f'{{ nothing(like: "{PERSON["name"]}") }}'})
    api.post({"query": "query ($n: Int!) { stores(first: $n) { nodes { id } } }", "variables": {"n": PERSON["email"]}})
    api.client.get("/graphql", params={"query": f'{{ a(b: "{PERSON["name"]}") }}'})
    api.client.get(f"/{quote(PERSON['name'])}")
    with monkeypatch.context() as patch:

        def broken(*_: Any) -> Any:
            raise RuntimeError(f"{PERSON['name']}, {PERSON['email']}, {api.token()}")

        patch.setattr(api.server.services.log, "head", broken)
        assert api.errors("{ head { position } }")[0]["extensions"]["code"] == "INTERNAL"

    # A webhook whose receiver is not there, and whose secret is shown this once.
    made = api.ask(
        'mutation { registerWebhook(input: {url: "http://127.0.0.1:9/hook", idempotencyKey: "one"})'
        " { secret userErrors { code } } }"
    )["registerWebhook"]
    secrets.append(made["secret"])

    # A database that goes away under the writer, the followers and the questions.
    with psycopg.connect(api.server.database.conninfo("admin"), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    until = time.monotonic() + 60
    while api.client.get("/readyz").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    api.give("setContactCard", "userErrors { code }", {**card, "remark": "again"})
    while "webhook" not in lines.getvalue():
        assert time.monotonic() < until, "nothing is said about the receiver"
        time.sleep(0.05)

    text = lines.getvalue()
    written = [orjson.loads(line) for line in text.splitlines()]
    assert logging.getLogger("opscore.api").isEnabledFor(logging.DEBUG)
    assert {"info", "warning", "error"} <= {line["level"] for line in written}
    assert any(line["event"] == "unexpected_error" for line in written)
    found = {secret for secret in secrets if secret in text or quote(secret) in text}
    assert not found, [line for line in text.splitlines() if any(secret in line for secret in found)][:5]
