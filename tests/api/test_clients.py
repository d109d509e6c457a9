"""Clients and judges that others wrote, on Node: of GraphQL over HTTP and sockets, caches, schemas, and a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse

from opscore import resources
from opscore.api import explorer
from opscore.api.errors import DocumentUnknown
from opscore.api.promises import promised_path
from opscore.api.trusted import MANIFEST, PREFIX, TrustedDocuments, operations_folder
from opscore.domain.command import Role
from opscore.domain.sku_commands import RegisterSku
from tests.api.conftest import Api, gid
from tests.api.test_promises import BREAKS, NOW, PASSES, SHOP, WITHOUT_PLACED_AT
from tests.shop import Shop

CLIENTS = Path(__file__).parent / "clients"
AUDITS = 61
LOADED = {name for name in explorer.served_names() if name != "LICENSES.txt"}
"""The files that the explorer page asks for."""
LONG = 260
"""How many articles a list of three pages has."""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of `clients/` with their packages, installed afresh in a folder of their own, and the SDL."""
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(CLIENTS, folder, dirs_exist_ok=True)
    shutil.copy(resources.path("schema") / "opscore.graphql", folder)
    call = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    subprocess.run(call, cwd=folder, check=True, capture_output=True, timeout=400)
    return folder


def start(clients: Path, *call: str, given: str = "", more: Mapping[str, str] | None = None) -> str:
    """Run a program that has to end well and return what it printed. given: its input. more: of its environment."""
    done = subprocess.run(
        call,
        cwd=clients,
        env={**os.environ, **(more or {})},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def run(clients: Path, program: str, *arguments: str, given: str = "", more: Mapping[str, str] | None = None) -> Any:
    """Run a program of ours on Node and return what it printed, as JSON."""
    return json.loads(start(clients, "node", program, *arguments, given=given, more=more))


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


# urql and Apollo -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_list(api: Api, shop: Shop) -> dict[str, str]:
    """A list of three pages, by code: the ids."""
    codes = [f"LONG-{number:03}" for number in range(LONG)]
    made = [shop.do(RegisterSku(store_id=shop.store_id, code=code, name=code, category="gifts")) for code in codes]
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { skus(first: 1, atLeast: $p) { totalCount } }", {"p": position})
    return {code: gid("Sku", key) for code, key in zip(codes, made, strict=True)}


def test_urql_asks_by_get_and_by_post_and_its_cache_walks_a_long_list_both_ways(
    api: Api, long_list: dict[str, str], clients: Path
) -> None:
    codes, sku = list(long_list), long_list["LONG-000"]
    seen = run(clients, "urql.mjs", f"{api.url}/graphql", api.token(), sku)

    assert seen["got"] == seen["posted"] == {"viewer": {"name": "owner", "role": "OWNER"}}
    retired = {"id": sku, "status": "RETIRED"}
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


def test_the_cache_of_apollo_walks_the_list_and_knows_a_row_again_that_a_command_changes(
    api: Api, long_list: dict[str, str], clients: Path
) -> None:
    sku = long_list["LONG-150"]
    seen = run(clients, "apollo.mjs", f"{api.url}/graphql", api.token(), sku)

    assert (seen["codes"], seen["lengths"], seen["walked"]) == (list(long_list), [100, 200, LONG], 3)
    assert seen["pageInfo"] == {"next": False, "previous": False}
    assert (seen["before"], seen["userErrors"], seen["after"]) == ("DRAFT", [], "RETIRED")
    assert (seen["keptAs"], seen["kept"]) == (f"Sku:{sku}", "RETIRED")
    assert seen["sent"] == ["List", "List", "List", "Retire"], "the row was not asked for again"
    assert seen["anonymous"] == ["UNAUTHENTICATED"]


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


def test_the_runtime_of_relay_keeps_what_it_fetches_by_its_id(
    api: Api, shop: Shop, manifests: Path, clients: Path
) -> None:
    sku = shop.sku("RUNTIME", stock=10, price="10.00")
    placed = [gid("Order", shop.do(shop.order((sku, 1), channel="runtime"))) for _ in range(5)]
    position = api.server.services.log.head().position
    api.ask("query ($p: Position) { orderCount(atLeast: $p) { orders } }", {"p": position})
    seen = run(clients, "runtime.mjs", f"{api.url}/graphql", api.token(), "runtime")

    assert seen["viewer"] == {"name": "owner"}
    assert seen["lengths"] == [2, 4, 5]
    assert seen["rows"] == [{"id": each, "status": "PLACED", "total": "10.00"} for each in placed[::-1]]
    assert (seen["payload"], seen["paid"]) == ([], "PAID")
    assert seen["again"] == {"id": placed[-1], "status": "PAID", "total": "10.00"}
    assert seen["sent"] == [
        "ordersDeskQuery", "ordersPageQuery", "ordersPageQuery", "ordersPayMutation", "ordersRowQuery",
    ]  # fmt: skip


# Judges of the schema ------------------------------------------------------------------------------------------------

EXCUSED = {
    '@graphql-eslint/require-description: Description is required for directive "oneOf"':
        "it is the specification's own, and described there",
    '@graphql-eslint/no-typename-prefix: Field "locationId" starts with the name of the parent type "Location"':
        "the plain id of a part, by the name under which inputs ask for it",
    '@graphql-eslint/no-typename-prefix: Field "promotionId" starts with the name of the parent type "Promotion"':
        "likewise",
    '@graphql-eslint/no-typename-prefix: Field "purchaseId" starts with the name of the parent type "Purchase"':
        "likewise",
    '@graphql-eslint/no-typename-prefix: Field "streamId" starts with the name of the parent type "Stream"':
        "likewise",
}  # fmt: skip
"""What graphql-eslint complains of and is meant to be so, with why. Rules that do not fit at all: clients/lint.mjs."""

NOT_BREAKING_TO_INSPECTOR = ("may no longer be asked", "is no longer")
"""What of our own rules breaks a client is said by directives, which it does not read."""


def test_graphql_eslint_finds_nothing_in_the_schema_that_is_not_excused(clients: Path) -> None:
    found = run(clients, "lint.mjs", "opscore.graphql")

    assert sorted(found) == sorted(EXCUSED)


def test_graphql_inspector_finds_the_breaks_that_we_find_and_no_others(clients: Path) -> None:
    breaks = [(SHOP, SHOP.replace(was, becomes)) for was, becomes, _ in BREAKS]
    passes = [(SHOP, SHOP.replace(was, becomes)) for was, becomes in PASSES]
    ours = [(promised_path().read_text(encoding="utf-8"), NOW), (NOW, WITHOUT_PLACED_AT)]
    found = run(clients, "inspector.mjs", given=json.dumps([*breaks, *passes, *ours]))

    for (was, becomes, named), said in zip(BREAKS, found, strict=False):
        ours_alone = any(words in named for words in NOT_BREAKING_TO_INSPECTOR)
        assert bool(said) is not ours_alone, (was, becomes, said)
    assert found[len(breaks) : -2] == [[]] * len(passes)
    assert found[-2] == [], "what is served breaks the last release"
    assert found[-1] == ["Field 'placedAt' was removed from object type 'Order'"]


# A browser -----------------------------------------------------------------------------------------------------------

BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip
PACKED_BROWSER = "@sparticuz/chromium@143.0.4"
"""Chromium for Linux on x86-64 with all it needs beside libc, for machines that have none; the last one for Node 20."""


@pytest.fixture(scope="module")
def browser(clients: Path) -> dict[str, str]:
    """A Chromium: the environment that it needs, and in CHROMIUM where it is."""
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    if installed is not None:
        return {"CHROMIUM": installed}
    folder = clients / "browser"
    folder.mkdir()
    call = ["npm", "install", "--prefix", ".", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run([*call, PACKED_BROWSER], cwd=folder, check=True, capture_output=True, timeout=400)
    unpacked = "import('@sparticuz/chromium').then(({ default: it }) => it.executablePath()).then(console.log)"
    # It unpacks its libraries where it believes to be at home, and everything into the folder of temporary files.
    home = {"TMPDIR": str(folder), "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x"}
    path = start(folder, "node", "--eval", unpacked, more=home).strip()
    fonts = folder / "fonts" / "fonts.conf"
    fonts.write_text(fonts.read_text(encoding="utf-8").replace("/tmp/", f"{folder}/"), encoding="utf-8")
    libraries = {"LD_LIBRARY_PATH": str(folder / "al2023" / "lib"), "FONTCONFIG_PATH": str(fonts.parent)}
    return {"CHROMIUM": path, **libraries}


def test_the_explorer_works_in_a_browser_that_reaches_nothing_but_the_server(
    api: Api, clients: Path, browser: dict[str, str]
) -> None:
    picture = clients / "explorer.png"
    given = {"url": api.url, "token": api.token(), "picture": str(picture), "chromium": browser["CHROMIUM"]}
    seen = run(clients, "explorer.mjs", json.dumps(given), more=browser)

    assert {"viewer", "order", "orders", "kpiTotals"} <= set(seen["questions"]), "the docs are those of the schema"
    answer = json.loads(seen["answer"])
    assert answer["data"]["viewer"]["role"] == "OWNER" and "errors" not in answer
    assert [error["message"] for error in json.loads(seen["refused"])["errors"]] == [
        'Forbidden: send {"authorization": "Bearer <token>"} with connection_init.'
    ]
    assert isinstance(json.loads(seen["told"])["data"]["figures"], list), "a subscription is followed over a socket"
    assert json.loads(seen["again"])["data"]["viewer"]["role"] == "OWNER"
    assert seen["elsewhere"] == [] and seen["complaints"] == []
    assert set(seen["asked"]) == {"/", "/graphql", *(f"/explorer/{name}" for name in LOADED)}
    assert seen["colours"] > 500, "text of many colours with smoothed edges; a blank page has one"
    assert picture.stat().st_size > 20_000
