"""A server of its own for each module of API tests: a real port, a real database, an open and stocked store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from opscore.api.ids import global_id
from opscore.api.sockets import SocketEndpoint
from opscore.app import HttpServer, Server, create_app, http_config
from opscore.domain.command import Role
from opscore.settings import Settings
from opscore.tokens import create_token
from tests.conftest import MASTER_KEY
from tests.shop import Shop

DATABASE_PASSWORD = "database-password-4711"


@dataclass
class Api:
    """A running server and how tests speak to it."""

    url: str
    server: Server
    client: httpx.Client
    sockets: SocketEndpoint
    running: HttpServer
    tokens: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def token(
        self,
        role: Role = Role.OWNER,
        *,
        name: str | None = None,
        stores: tuple[UUID, ...] | None = None,
        customer: UUID | None = None,
    ) -> str:
        """Return a token; asked for the same one, it is the same."""
        key = (role, name, stores, customer)
        if key not in self.tokens:
            self.tokens[key] = create_token(
                self.server.database, name or role.value, role, store_ids=stores, customer_id=customer
            )[1]
        return self.tokens[key]

    def post(
        self, body: Any, *, token: str | None = "", accept: str = "application/json", **more: Any
    ) -> httpx.Response:
        """Send a body to /graphql; the owner's token unless told otherwise, none for None."""
        headers = {"accept": accept, "content-type": "application/json", **more.pop("headers", {})}
        if token is not None:
            headers["authorization"] = f"Bearer {token or self.token()}"
        if not isinstance(body, bytes):
            return self.client.post("/graphql", json=body, headers=headers, **more)
        return self.client.post("/graphql", content=body, headers=headers, **more)

    def ask(self, query: str, variables: dict[str, Any] | None = None, *, token: str = "") -> dict[str, Any]:
        """Return the data of a query that has to succeed."""
        answer = self.post({"query": query, "variables": variables or {}}, token=token).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def errors(
        self, query: str, variables: dict[str, Any] | None = None, *, token: str | None = ""
    ) -> list[dict[str, Any]]:
        """Return the errors of a query that has to fail."""
        answer = self.post({"query": query, "variables": variables or {}}, token=token).json()
        assert answer.get("errors"), answer
        found: list[dict[str, Any]] = answer["errors"]
        return found

    def give(self, command: str, selection: str, fields: dict[str, Any], *, token: str = "") -> dict[str, Any]:
        """Give a command with an idempotency key of its own (unless `fields` has one) and return its payload."""
        type_name = f"{command[0].upper()}{command[1:]}Input!"
        document = f"mutation ($input: {type_name}) {{ {command}(input: $input) {{ {selection} }} }}"
        variables = {"input": {"idempotencyKey": str(uuid4()), **fields}}
        payload: dict[str, Any] = self.ask(document, variables, token=token)[command]
        return payload


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """Settings of this module's server beside the usual ones; a module that needs any has a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def api(
    deployed: str,
    copied: Callable[[str], AbstractContextManager[str]],
    more_settings: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:
    """A server on a database of this module's own; webhooks may go to this machine."""
    with copied(deployed) as url:
        settings = Settings(
            _env_file=None,
            # The password is not asked for; a test looks for it where it must not be.
            database_url=make_conninfo(url, password=DATABASE_PASSWORD),
            master_key=MASTER_KEY,
            port=0,
            webhook_loopback=True,
            exports_dir=tmp_path_factory.mktemp("exports"),
            **more_settings,
        )
        app = create_app(settings)
        running = HttpServer(http_config(app, "127.0.0.1", 0))
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        until = time.monotonic() + 30
        # /readyz is asked once the read models are there: its answer is good for a second, one that says no as well.
        while not (running.started and app.state.server.follower.is_alive):
            assert thread.is_alive() and time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=30, verify=False) as client:
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < until, client.get("/readyz").text
                time.sleep(0.05)
            yield Api(url, app.state.server, client, app.state.sockets, running)
        running.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


@pytest.fixture(scope="module")
def shop(api: Api) -> Shop:
    """An open store in it."""
    return Shop.open(api.server.writer)


def gid(type_name: str, key: UUID) -> str:
    """Return a global id."""
    return global_id(type_name, key)
