"""Health, the explorer page, and the way a server comes up and goes down."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import logging
import re
import sys
from collections.abc import Callable

import psycopg
import pytest

from opscore import logs
from opscore.api import explorer
from opscore.app import Check, Server, require_usable
from opscore.settings import Settings, SetupError
from tests.api.conftest import Api
from tests.shop import Shop

PUBLISHED = {
    "react.production.min.js": "tMH8h3BGESGckSAVGZ82T9n90ztNXxvdwvdM6UoR56cYcf+0iGXBliJ29D+wZ/x8",
    "react-dom.production.min.js": "bm7MnzvK++ykSwVJ2tynSE5TRdN+xL418osEVF2DE/L/gfWHj91J2Sphe582B1Bh",
    "graphiql.min.css": "Mq3vbRBY71jfjQAt/DcjxUIYY33ksal4cgdRt9U/hNPvHBCaT2JfJ/PTRiPKf0aM",
    "graphiql.min.js": "HbRVEFG0JGJZeAHCJ9Xm2+tpknBQ7QZmNlO/DgZtkZ0aJSypT96YYGRNod99l9Ie",
    "plugin-explorer.css": "5DFJlDPW2tSATRbM8kzoP1j194jexLswuNmClWoRr2Q0x7R68JIQzPHZ02Faktwi",
    "plugin-explorer.umd.js": "2oonKe47vfHIZnmB6ZZ10vl7T0Y+qrHQF2cmNTaFDuPshpKqpUMGMc9jgj9MLDZ9",
}
"""SHA-384 that the publishers' pages name for these files (subresource integrity)."""


def checks(api: Api) -> dict[str, Check]:
    api.server._checked = None
    return {each.name: each for each in api.server.checks()}


def test_a_server_that_is_well_says_so(api: Api) -> None:
    assert api.client.get("/healthz").json() == {"status": "ok"}
    ready = api.client.get("/readyz")

    assert ready.status_code == 200
    assert {check["name"] for check in ready.json()["checks"]} == {
        "writer", "database", "migrations", "events", "projections", "follow-ups", "webhooks",
    }  # fmt: skip
    assert all(check["ok"] and check["reason"] is None for check in ready.json()["checks"])


def test_a_read_model_that_a_failure_stopped_turns_the_server_red(api: Api, shop: Shop) -> None:
    with api.server.database.connect() as connection:
        connection.execute(
            "UPDATE projection_catalogue SET failed_position = 1, failed_statement = 'order_paid',"
            " error = 'secret 4711' WHERE name = 'kpi_daily'"
        )
        try:
            api.server._checked = None
            answer = api.client.get("/readyz")
        finally:
            connection.execute(
                "UPDATE projection_catalogue SET failed_position = NULL, failed_statement = NULL, error = NULL"
            )
    assert answer.status_code == 503
    assert "kpi_daily version 3 stopped at position 1 in order_paid" in answer.text
    assert "4711" not in answer.text
    assert checks(api)["projections"].ok


def test_an_event_that_nobody_knows_turns_the_server_red(api: Api, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(api.server.services.log, "unknown_types", lambda: ["OrderTeleported v1"])
        found = checks(api)["events"]
    assert not found.ok
    assert "OrderTeleported v1" in str(found.reason)


def test_a_writer_that_stopped_deciding_and_a_schema_that_is_old_turn_the_server_red(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(api.server.writer, "halted", "it met an event of tomorrow")
        patch.setattr("opscore.database.newest_version", lambda: "9999")
        patch.setattr(api.server.follow_ups, "error", "RuntimeError")
        found = checks(api)
    assert found["writer"] == Check("writer", False, "it met an event of tomorrow")
    assert str(found["migrations"].reason).endswith("not at 9999; run: opscore migrate")
    assert not found["follow-ups"].ok


def test_a_server_goes_on_when_a_newer_program_has_migrated_and_another_of_its_kind_does_not_start(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("opscore.database.newest_version", lambda: "0001")
        assert checks(api)["migrations"].ok
        with pytest.raises(SetupError, match="where a newer opscore brought it; this one knows 0001: upgrade opscore"):
            require_usable(api.server.database)


def test_a_database_that_does_not_answer_is_a_reason_and_no_crash(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise psycopg.OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(api.server.database, "require_durable", away)
        found = checks(api)["database"]
    assert found == Check("database", False, "the database does not answer (OperationalError)")
    # Where it was looked for is nothing to those who may ask, which is everybody.
    with monkeypatch.context() as patch:
        patch.setattr(api.server.database, "_url", "postgresql://operator@127.0.0.1:9/shop")
        found = checks(api)["database"]
    assert found == Check("database", False, "the database does not answer (Unreachable)")


def test_a_server_does_not_start_on_a_database_that_is_not_set_up(new_settings: Callable[[], Settings]) -> None:
    settings = new_settings()
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute("UPDATE opscore.alembic_version SET version_num = '0000'")

    with pytest.raises(SetupError, match="opscore migrate"):
        Server(settings)


# The explorer page ---------------------------------------------------------------------------------------------------


def test_a_browser_gets_the_explorer_and_everything_it_loads_from_this_server(api: Api) -> None:
    page = api.client.get("/graphql", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert api.client.get("/", headers={"accept": "text/html"}, follow_redirects=True).text == page.text

    asked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(asked) >= 8
    for address in asked:
        if address != "data:,":
            assert address.startswith("/explorer/"), "the page loads with no internet"
            assert api.client.get(address).status_code == 200, address
    own = "".join((explorer.FOLDER / name).read_text() for name in ("page.js", "page.css", "page.html"))
    assert not re.search(r"\w+://", own)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_files_of_others_are_the_ones_they_published(api: Api, name: str) -> None:
    packed = api.client.get(f"/explorer/{name}")
    plain = api.client.get(f"/explorer/{name}", headers={"accept-encoding": "identity"})

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content == gzip.decompress((explorer.FOLDER / f"{name}.gz").read_bytes())
    assert base64.b64encode(hashlib.sha384(plain.content).digest()).decode() == PUBLISHED[name]


def test_nothing_but_the_page_s_files_is_served(api: Api) -> None:
    for name in ("page.html", "nothing.js", "react.production.min.js.gz", "%2e%2e%2fguard.py"):
        assert api.client.get(f"/explorer/{name}").status_code == 404, name
    assert "MIT License" in api.client.get("/explorer/LICENSES.txt").text


# Logs ----------------------------------------------------------------------------------------------------------------


def test_a_log_line_is_json_and_an_exception_in_it_says_where_and_not_what() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.LineFormatter())
    logger = logging.getLogger("opscore.test_of_logs")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        raise ValueError("Anna Meier")
    except ValueError as error:
        logger.exception("it failed for %s", error, extra={"commands": 3})
    line = json.loads(out.getvalue())

    assert line["event"] == "it failed for ValueError"
    assert (line["level"], line["error"], line["commands"]) == ("error", "ValueError", 3)
    assert any("test_health.py" in frame for frame in line["frames"])
    assert "Anna" not in out.getvalue()


def test_a_log_line_at_a_terminal_is_read_by_people_and_says_nothing_to_the_terminal() -> None:
    record = logging.LogRecord("opscore.test", logging.WARNING, "", 0, "database_away\x1b[2J", None, None)
    record.__dict__.update(table="\x9bevents", rows=3, sqlstate=None)
    line = logs.LineFormatter(logs.as_text).format(record)
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning database_away\\x1b\[2J table=\\x9bevents rows=3", line)

    try:
        raise ValueError("Anna Meier")
    except ValueError:
        failed = logging.LogRecord("opscore.test", logging.ERROR, "", 0, "it failed", None, sys.exc_info())
    first, *stack = logs.LineFormatter(logs.as_text).format(failed).splitlines()
    assert first.endswith("error   it failed error=ValueError")
    assert "test_health.py" in stack[-1] and "Anna" not in "".join(stack)
