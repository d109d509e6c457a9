"""Where webhooks may go, and that nothing gets around it: no odd spelling, no second answer of a name, no redirect."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Any

import pytest

from opscore.webhooks import addresses
from opscore.webhooks.addresses import AddressRefused, Bounds, UrlRefused
from opscore.webhooks.sending import Sender
from tests.webhooks.receiver import Receiver

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
PRIVATE = ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"]
NEVER = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fe80::1",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "2001:db8::1",
    "::127.0.0.1",
]


@pytest.mark.parametrize(
    ("bounds", "open_to"),
    [
        (Bounds(), {"public"}),
        (Bounds(loopback=True), {"public", "loopback"}),
        (Bounds(private=True), {"public", "private"}),
        (Bounds(loopback=True, private=True), {"public", "loopback", "private"}),
    ],
)
def test_an_address_is_open_only_as_far_as_the_operator_says(bounds: Bounds, open_to: set[str]) -> None:
    for kind, given in (("public", PUBLIC), ("loopback", LOOPBACK), ("private", PRIVATE), ("never", NEVER)):
        for text in given:
            fault = bounds.fault(ipaddress.ip_address(text), encrypted=True)
            assert (fault is None) is (kind in open_to), f"{text} is {kind}: {fault}"


def test_plain_http_stays_on_this_machine() -> None:
    wide = Bounds(loopback=True, private=True)
    for text in (*PUBLIC, *PRIVATE):
        assert "https" in str(wide.fault(ipaddress.ip_address(text), encrypted=False)), text
    for text in LOOPBACK:
        assert wide.fault(ipaddress.ip_address(text), encrypted=False) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/hook", "https://"),
        ("ftp://example.org/hook", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://", "https://"),
        ("hook", "https://"),
        ("https://user:secret@example.org/", "password"),
        ("https://example.org/#here", "#"),
        ("https://example.org:99999/", "no URL"),
        ("https://[::1", "no URL"),
        ("https://example.org/" + "a" * 2_000, "2000"),
        ("https://example.org/a b", "ASCII"),
        ("https://example.org/\r\nx-evil: 1", "ASCII"),
        ("https://münchen.example/", "ASCII"),
        ("https://127.0.0.1/", "this machine"),
        ("https://[::1]/", "this machine"),
        ("https://localhost/", "this machine"),
        ("https://2130706433/", "this machine"),
        ("https://0x7f.1/", "this machine"),
        ("https://169.254.169.254/latest/meta-data", "public internet"),
        ("https://10.0.0.5/", "private network"),
        ("https://[fd00::5]/", "private network"),
    ],
)
def test_a_url_that_would_never_be_delivered_to_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(UrlRefused, match=why) as refused:
        Bounds().require(url)
    assert refused.value.path == ("url",)


def test_a_name_that_is_not_known_yet_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", unknown)
    Bounds().require("https://soon.example/")
    sent = Sender(Bounds()).post("https://soon.example/", {}, b"{}")
    assert sent.status is None and "gaierror" in str(sent.error)


def answers(*rounds: list[str]) -> Any:
    """Return a resolver that gives these answers one after the other, the last one for ever."""
    left = list(rounds)

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    return look_up


def test_a_name_with_one_forbidden_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses.socket, "getaddrinfo", answers(["93.184.216.34", "10.0.0.1"]))
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        Bounds().addresses("mixed.example", 443, encrypted=True)


def test_a_name_that_answers_differently_the_second_time_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses.socket, "getaddrinfo", answers(["93.184.216.34"], ["127.0.0.1"]))
    Bounds().require("https://rebinding.example/")
    connected = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address))
    monkeypatch.setattr(socket, "create_connection", lambda address, *_, **__: connected.append(address))

    sent = Sender(Bounds()).post("https://rebinding.example/", {}, b"{}")

    assert sent.status is None and "rebinding.example leads to 127.0.0.1" in str(sent.error)
    assert connected == []


def test_the_address_that_was_judged_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    real = socket.getaddrinfo
    asked = []

    def look_up(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host == "hook.example" else host, port, *more, **named)

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look_up)
    sent = Sender(Bounds(loopback=True)).post(receiver.url.replace("127.0.0.1", "hook.example"), {}, b"{}")

    assert sent.status == 204
    assert [host for host in asked if host == "hook.example"] == ["hook.example"], "the name is looked up once"
    assert receiver.messages[0].headers["host"].startswith("hook.example:")


def test_without_the_operators_word_this_machine_is_not_called(receiver: Receiver) -> None:
    sent = Sender(Bounds(private=True)).post(receiver.url, {}, b"{}")
    assert sent.status is None and "OPSCORE_WEBHOOK_LOOPBACK" in str(sent.error)
    assert receiver.messages == []


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with Receiver() as inner:
        receiver.reply = lambda message: (307, {"Location": inner.url})
        sent = Sender(Bounds(loopback=True)).post(receiver.url, {}, b"{}")
        assert sent.status == 307 and "not followed" in str(sent.error)
        assert inner.messages == []


def test_an_answer_that_drips_gets_no_more_time_than_none_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        ended, dripped = threading.Event(), threading.Event()

        def drip() -> None:
            taken, _ = listening.accept()
            with taken:
                try:
                    for byte in b"HTTP/1.1 200 OK\r\n" + b"x-slow: 1\r\n" * 1_000:
                        taken.sendall(bytes([byte]))
                        if ended.wait(0.02):
                            return
                    dripped.set()
                except OSError:
                    return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        sent = Sender(Bounds(loopback=True), seconds_max=0.3).post(url, {}, b"{}")
        ended.set()
        thread.join(10)
    assert sent.error == "no answer within 0.3 seconds"
    assert not dripped.is_set(), "it waited for all of it"


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 999999 no\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_an_answer_that_is_no_http_is_a_failure(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            taken, _ = listening.accept()
            with taken:
                taken.recv(65_536)
                taken.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        sent = Sender(Bounds(loopback=True), seconds_max=5).post(
            f"http://127.0.0.1:{listening.getsockname()[1]}/", {}, b"{}"
        )
        thread.join(10)
    assert sent.status is None and sent.error is not None
