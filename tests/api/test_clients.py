"""Clients that others wrote, on Node: the audit of GraphQL over HTTP, graphql-ws, graphql-codegen, urql and Relay."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse

from opscore import resources
from opscore.api.errors import DocumentUnknown
from opscore.api.trusted import MANIFEST, PREFIX, TrustedDocuments, operations_folder
from opscore.domain.command import Role
from opscore.domain.sku_commands import RegisterSku
from tests.api.conftest import Api, gid
from tests.shop import Shop

CLIENTS = Path(__file__).parent / "clients"
AUDITS = 61
LONG = 260
"""How many articles a list of three pages has."""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of `clients/` with their packages, installed afresh in a folder of their own, and the SDL."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(CLIENTS, folder, dirs_exist_ok=True)
    shutil.copy(resources.path("schema") / "opscore.graphql", folder)
    call = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    subprocess.run(call, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


def start(clients: Path, *call: str) -> str:
    """Run a program that has to end well and return what it printed."""
    done = subprocess.run(call, cwd=clients, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def run(clients: Path, program: str, *arguments: str) -> Any:
    """Run a program of ours on Node and return what it printed, as JSON."""
    return json.loads(start(clients, "node", program, *arguments))


@pytest.fixture(scope="module")
def manifests(clients: Path) -> Path:
    """A folder with what the tools of two makers of pages write for the server: hash -> document."""
    folder = clients / "documents"
    folder.mkdir()
    start(clients, "node", "codegen.mjs", "opscore.graphql", str(operations_folder()), "generated")
    shutil.copy(clients / "generated" / "persisted-documents.json", folder / "codegen.json")
    (folder / "relay.json").write_text("{}", encoding="utf-8")  # relay-compiler adds to a file that has to be there.
    start(clients, "node_modules/.bin/relay-compiler", "relay.config.json")
    return folder


@pytest.fixture(scope="module")
def more_settings(manifests: Path) -> dict[str, Any]:
    return {"documents_dir": manifests}


def written(manifests: Path, tool: str) -> dict[str, str]:
    """Return the identifiers that a tool gave to documents, by the name of the operation."""
    listed = json.loads((manifests / f"{tool}.json").read_text(encoding="utf-8"))
    found = {}
    for key, text in listed.items():
        for each in parse(text).definitions:
            if isinstance(each, OperationDefinitionNode) and each.name is not None:
                found[each.name.value] = key
    return found


# GraphQL over HTTP and over websockets -------------------------------------------------------------------------------


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


# Types made by graphql-codegen, documents sent by their hash ---------------------------------------------------------


def test_a_typed_client_takes_an_order_from_its_article_to_its_parcel_and_sees_the_events_come(
    api: Api, shop: Shop, clients: Path
) -> None:
    shop.sku("TYPED", stock=10, price="4.50")
    own = {"stores": (shop.store_id,)}
    tokens = {
        "storefront": api.token(Role.STOREFRONT, name="typed storefront", **own),
        "desk": api.token(Role.MANAGER, name="typed desk", **own),
        "warehouse": api.token(Role.WAREHOUSE, name="typed warehouse", **own),
        "auditor": api.token(Role.AUDITOR),
    }
    start(clients, "node_modules/.bin/tsc", "--project", ".")
    given = {"url": f"{api.url}/graphql", "storeId": gid("Store", shop.store_id), "tokens": tokens}
    seen = run(clients, "built/shop.js", json.dumps(given))

    assert seen["price"] == "4.5"
    assert seen["refusal"] == [{"isShort": True, "path": ["lines", "0", "quantity"]}]
    total = {"amount": "9.00", "amountMinor": 900, "currencyCode": "GBP"}
    assert seen["placed"] == {"status": "PLACED", "total": total}
    assert seen["again"] == {"same": True, "replayed": True}
    assert seen["paid"] == {"status": "PAID", "due": "0.00"}
    assert "packParcel" in seen["allowed"] and "shipOrder" not in seen["allowed"]
    assert seen["seen"] == {
        "status": "SHIPPED",
        "parcels": [{"waybill": "W-1", "lines": [{"line": 1, "quantity": "2"}]}],
    }
    assert seen["listed"] == [{"mine": True, "status": "SHIPPED"}]
    assert seen["events"] == [
        "OrderPlaced", "PaymentReceived", "OrderPaid", "OrderConfirmed", "ParcelPacked", "OrderShipped",
    ]  # fmt: skip
    assert seen["inOrder"] is True
    assert seen["today"] == [{"orders": 1, "buyers": 1, "net": "9.00"}]


def test_what_graphql_codegen_lists_is_known_by_the_name_that_it_gave(manifests: Path) -> None:
    listed = json.loads((manifests / "codegen.json").read_text(encoding="utf-8"))
    known = TrustedDocuments(manifests, only=True)
    ours = TrustedDocuments(operations_folder(), only=True)

    assert len(listed) == len(json.loads((operations_folder() / MANIFEST).read_text(encoding="utf-8")))
    for identifier, text in listed.items():
        assert known.find(identifier) == text
        known.require(text)
        with pytest.raises(DocumentUnknown):
            ours.find(identifier)  # It lays documents out anew: what it lists has to be deployed, ours will not do.


# urql ----------------------------------------------------------------------------------------------------------------


def test_urql_asks_by_get_and_by_post_and_its_cache_walks_a_long_list_both_ways(
    api: Api, shop: Shop, clients: Path
) -> None:
    codes = [f"LONG-{number:03}" for number in range(LONG)]
    made = [shop.do(RegisterSku(store_id=shop.store_id, code=code, name=code, category="gifts")) for code in codes]
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { skus(first: 1, atLeast: $p) { totalCount } }", {"p": position})
    seen = run(clients, "urql.mjs", f"{api.url}/graphql", api.token(), gid("Sku", made[0]))

    assert seen["got"] == seen["posted"] == {"viewer": {"name": "owner", "role": "OWNER"}}
    retired = {"id": gid("Sku", made[0]), "status": "RETIRED"}
    assert seen["given"] == {"retireSku": {"sku": retired, "replayed": False, "userErrors": []}}
    assert seen["invalid"] == ["GRAPHQL_VALIDATION_FAILED"]
    sort = "application/graphql-response+json; charset=utf-8"
    assert seen["gets"] == [["GET", 200, sort], ["POST", 200, sort], ["GET", 400, sort]]
    assert seen["posts"] == [["POST", 200, sort]]
    for way, size in (("forwards", 100), ("backwards", 99)):
        walk = seen[way]
        assert walk["codes"] == codes, way
        assert walk["lengths"] == [size, 2 * size, LONG], way
        assert walk["asked"] == 3 and not walk["pageInfo"]["hasPreviousPage"] and not walk["pageInfo"]["hasNextPage"]


# Relay ---------------------------------------------------------------------------------------------------------------


def test_what_relay_compiles_pages_a_list_and_fetches_a_row_again(
    api: Api, shop: Shop, manifests: Path, clients: Path
) -> None:
    sku = shop.sku("RELAY", stock=10)
    placed = [gid("Order", shop.do(shop.order((sku, 1), channel="relay"))) for _ in range(5)]
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { orderCount(atLeast: $p) { orders } }", {"p": position})
    names = written(manifests, "relay")

    def ask(name: str, **variables: Any) -> dict[str, Any]:
        answer = api.post({"documentId": PREFIX + names[name], "variables": variables}).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    chosen = {"channel": "relay"}
    page = ask("ordersDeskQuery", **chosen)["orders"]
    walked = list(page["edges"])
    while page["pageInfo"]["hasNextPage"]:
        page = ask("ordersPageQuery", **chosen, count=2, cursor=page["pageInfo"]["endCursor"])["orders"]
        walked += page["edges"]
    [row] = [edge["node"] for edge in walked if edge["node"]["id"] == placed[2]]
    again = ask("ordersRowQuery", id=row["id"], withLines=True)["node"]

    assert [edge["node"]["id"] for edge in walked] == placed[::-1]
    assert row["__typename"] == again["__typename"] == "Order"
    assert "lines" not in row and again["lines"] == [{"skuCode": "RELAY", "quantity": "1"}]
    assert {key: again[key] for key in ("id", "status", "version", "total")} == {
        key: row[key] for key in ("id", "status", "version", "total")
    }
    compiled = (clients / "relay" / "__generated__" / "ordersPageQuery.graphql.js").read_text(encoding="utf-8")
    assert '"handle": "connection"' in compiled and '"key": "orders_list_orders"' in compiled
