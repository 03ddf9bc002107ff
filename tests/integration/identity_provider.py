"""An identity provider of 127.0.0.1: gives access tokens to clients that know their secret.

OpenID Connect's client credentials as librdkafka asks for them, over TLS, and the public key by
which the broker knows the tokens (JWS, RS256), as a file.
"""

import json
import ssl
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.fakes.http_server import served
from tests.integration.certificates import Authority

ISSUER, AUDIENCE, KEY_ID = "https://login.example", "kafka", "key-1"


class IdentityProvider:
    """Serves ``url``; its tokens live ``token_seconds``. Every client has the one ``secret``."""

    def __init__(self, *, authority: Authority, folder: Path) -> None:
        self.secret = "secret-of-nobody-yet"
        self.token_seconds = 3600
        self.given: list[str] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.keys_path = folder / "jwks.json"
        self.keys_path.write_text(json.dumps({"keys": [self._public()]}), encoding="utf-8")
        provider = self

        class Exchange(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                login = self.headers.get("Authorization", "").removeprefix("Basic ")
                client, _, secret = b64decode(login).decode().partition(":")
                if secret != provider.secret:
                    # Others quote what they were sent.
                    said = {"error": "invalid_client", "error_description": f"{client} {secret}"}
                    self._answer(401, said)
                    return
                self._answer(200, provider.grant(client))

            def _answer(self, status: int, said: dict[str, Any]) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.server("127.0.0.1"))
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/token"

    @contextmanager
    def serving(self) -> Iterator["IdentityProvider"]:
        """Serve as long as the context lasts."""
        with served(self._server):
            yield self

    def grant(self, client: str) -> dict[str, Any]:
        """An answer with a new token."""
        now = int(time.time())
        claims = {
            "sub": client,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + self.token_seconds,
        }
        text = f"{_part({'alg': 'RS256', 'kid': KEY_ID, 'typ': 'JWT'})}.{_part(claims)}"
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        self.given.append(f"{text}.{_text(signature)}")
        token = {"access_token": self.given[-1], "expires_in": self.token_seconds}
        return token | {"token_type": "Bearer"}

    def _public(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        modulus, exponent = numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")
        kind = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID}
        return kind | {"n": _text(modulus), "e": _text(exponent)}


def _part(fields: dict[str, Any]) -> str:
    return _text(json.dumps(fields).encode())


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
