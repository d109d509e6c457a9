"""Pages of other addresses: those of the setting may ask from a browser, over HTTP and sockets; others may not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from opscore.settings import Settings, SetupError, load_settings
from tests.api.conftest import Api
from tests.api.socket_client import socket

SHOP = "https://shop.example"


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"cors_origins": (SHOP, "http://127.0.0.1:5173")}


def preflight(
    api: Api, origin: str, method: str = "POST", headers: str = "authorization,content-type"
) -> httpx.Response:
    return api.client.options(
        "/graphql",
        headers={"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers},
    )


def test_a_page_of_the_setting_may_ask_and_read_the_answer(api: Api) -> None:
    asked = preflight(api, SHOP)
    answer = api.post({"query": "{ viewer { name } }"}, headers={"origin": SHOP})

    assert asked.status_code == 200 and asked.headers["access-control-allow-origin"] == SHOP
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "authorization" in asked.headers["access-control-allow-headers"].lower()
    assert answer.json()["data"] and answer.headers["access-control-allow-origin"] == SHOP
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://shop.example.evil.example", "null", "http://shop.example"]
)
def test_another_page_may_not(api: Api, origin: str) -> None:
    asked = preflight(api, origin)
    answer = api.post({"query": "{ viewer { name } }"}, headers={"origin": origin})

    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers
    assert "access-control-allow-origin" not in answer.headers, "so that the browser keeps it from the page"


def test_no_page_sends_cookies_or_other_methods(api: Api) -> None:
    assert "access-control-allow-credentials" not in preflight(api, SHOP).headers
    assert preflight(api, SHOP, "DELETE").status_code == 400
    assert preflight(api, SHOP, headers="x-anything").status_code == 400


def test_a_socket_is_opened_from_the_same_pages_alone(api: Api) -> None:
    with socket(api.url, api.token(), origin=SHOP) as client:
        client.subscribe("{ viewer { name } }")
        assert client.next() == {"viewer": {"name": "owner"}}
    with pytest.raises(InvalidStatus, match="403"), socket(api.url, api.token(), origin="https://evil.example"):
        pass


@pytest.mark.parametrize(
    "origins", ['["shop.example"]', '["https://shop.example/"]', '["ftp://shop.example"]', "https://a.example"]
)
def test_an_origin_that_no_browser_names_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, origins: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPSCORE_CORS_ORIGINS", '["*"]')
    assert load_settings().cors_origins == ("*",)
    assert Settings().cors_origins == ("*",)
    monkeypatch.setenv("OPSCORE_CORS_ORIGINS", origins)
    with pytest.raises(SetupError, match=r"CORS_ORIGINS|cors_origins"):
        load_settings()
