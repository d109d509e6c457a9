"""Clients that others wrote, on Node: graphql-ws over a socket, and the audit of GraphQL over HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from opscore.domain.command import Role
from tests.api.conftest import Api
from tests.shop import Shop

CLIENTS = Path(__file__).parent / "clients"
AUDITS = 61


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of `clients/` with their packages, installed afresh in a folder of their own."""
    folder = tmp_path_factory.mktemp("clients")
    for file in (CLIENTS / "package.json", *CLIENTS.glob("*.mjs")):
        shutil.copy(file, folder)
    call = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    subprocess.run(call, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


def run(clients: Path, program: str, *arguments: str) -> Any:
    """Run a program and return what it printed."""
    done = subprocess.run(
        ["node", program, *arguments], cwd=clients, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_audit_of_graphql_over_http_is_passed(api: Api, clients: Path) -> None:
    found = run(clients, "audit.mjs", f"{api.url}/graphql")

    assert [each for each in found if each["status"] != "ok"] == []
    assert len(found) == AUDITS


def test_the_client_of_graphql_ws_gets_what_the_protocol_promises(api: Api, shop: Shop, clients: Path) -> None:
    shop.sku()
    url = api.url.replace("http://", "ws://") + "/graphql"
    seen = run(clients, "sockets.mjs", url, api.token(Role.AUDITOR), "3")

    assert seen["query"] == {"viewer": {"role": "AUDITOR"}}
    assert seen["positions"] == list(range(4, 14))
    assert seen["invalid"] == ["GRAPHQL_VALIDATION_FAILED"]
    assert seen["unparsed"] == ["GRAPHQL_PARSE_FAILED"]
    assert (seen["anonymous"], seen["forged"]) == (4403, 4403)
    assert seen["codes"] == {
        "nonsense": 4400,
        "early": 4401,
        "twice": 4429,
        "sameId": 4409,
        "otherProtocol": 400,
    }
