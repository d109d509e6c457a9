"""An identity provider of our own on this machine: it signs what a test says and publishes its keys, or does not."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "opscore"


class Issuer:
    """Its address is its name; `answer` is what it publishes, whole or piece by piece, or an HTTP status that it
    fails with; `redirect` is where it sends whoever asks.
    """

    def __init__(self) -> None:
        self.private: dict[str, Any] = {}
        self.asked = 0
        self.answer: dict[str, Any] | bytes | list[bytes] | int = {"keys": []}
        self.redirect: str | None = None
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                answer = issuer.answer
                if issuer.redirect is not None:
                    self.send_response(302)
                    self.send_header("location", issuer.redirect)
                    self.end_headers()
                    return
                self.send_response(answer if isinstance(answer, int) else 200)
                self.end_headers()
                with contextlib.suppress(OSError):  # Whoever asked may have heard enough.
                    if isinstance(answer, list):
                        for piece in answer:
                            self.wfile.write(piece)
                            time.sleep(0.1)
                    elif not isinstance(answer, int):
                        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def rotate(self, *key_ids: str) -> None:
        """Publish these keys and no others; new ones are made."""
        for key_id in key_ids:
            if key_id not in self.private:
                self.private[key_id] = (
                    ec.generate_private_key(ec.SECP256R1())
                    if key_id.startswith("ec")
                    else rsa.generate_private_key(public_exponent=65537, key_size=2048)
                )
        self.answer = {"keys": [self.published(key_id) for key_id in key_ids]}

    def published(self, key_id: str) -> dict[str, Any]:
        """Return a key as it is published."""
        name = "ES256" if key_id.startswith("ec") else "RS256"
        found = jwt.get_algorithm_by_name(name).to_jwk(self.private[key_id].public_key(), as_dict=True)
        return {**found, "kid": key_id, "use": "sig", "alg": name}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return the claims of a good token; a change to None leaves one out."""
        now = int(time.time())
        given = {
            "iss": self.url, "aud": AUDIENCE, "sub": "anna", "iat": now, "exp": now + 300,
            "groups": ["everybody", "shop-managers"], "opscore_stores": "*",
        } | changed  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}

    def token(self, key_id: str = "one", headers: dict[str, Any] | None = None, **changed: Any) -> str:
        """Return a token signed with a key."""
        algorithm = "ES256" if key_id.startswith("ec") else "RS256"
        return jwt.encode(
            self.claims(**changed), self.private[key_id], algorithm, headers={"kid": key_id, **(headers or {})}
        )


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run a provider that publishes the keys `one` and `ec-one`."""
    running = Issuer()
    running.rotate("one", "ec-one")
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()
        running.thread.join()
