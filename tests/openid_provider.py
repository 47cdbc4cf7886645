"""A small OpenID provider over real HTTP on loopback: codes, proof keys, signed ID tokens, and as hostile as told."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
import urllib3
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "console"
CLIENT_SECRET = "c4Nary-openid-client-secret-0123456789"  # noqa: S105 - of tests only
# As random as real ones look: redaction has nothing else to know them by.
TOKENS = ("aQz7Rk2Wm9Xp4Lt6Bv8Nc1Hd3Jf5Gs0aYt7UvBn2kPqE", "rQz7Rk2Wm9Xp4Lt6Bv8Nc1Hd3Jf5Gs0rYt7UvBn2kPqE")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)

Claims = dict[str, Any]


def jwk(key: rsa.RSAPrivateKey, key_id: str = "k1") -> dict[str, Any]:
    published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {**published, "kid": key_id, "use": "sig", "alg": "RS256"}


def signed(claims: Claims) -> str:
    return jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "k1"})


class OpenIDProvider:
    def __init__(self) -> None:
        self.claims: Claims = {}  # what the token says beside what it has to; None takes a claim away
        self.sign: Callable[[Claims], str] = signed
        self.keys: Any = {"keys": [jwk(KEY)]}
        self.discovery: dict[str, Any] = {}  # over what it says of itself
        self.answers: dict[str, tuple[int, bytes]] = {}  # by the last part of a path: status and body
        self.silent: dict[str, float] = {}  # by the same: seconds before it answers
        self.held: dict[str, threading.Event] = {}  # by the same: what it waits for
        self.back: dict[str, str] = {}  # over the parameters with which a browser is sent back
        self.asked: list[str] = []  # the last parts of paths, in order
        self.authorized: list[dict[str, str]] = []
        self.redeemed: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, b"")

            def do_POST(self) -> None:
                provider._answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}/realm"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def visit(self, address: str) -> str:
        """Go to the provider as a browser does, and return the path and query that it sends back to."""
        answer = urllib3.request("GET", address, redirect=False, retries=False)
        assert answer.status == 302, answer.data
        parts = urlsplit(answer.headers["Location"])
        return f"{parts.path}?{parts.query}"

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        parts = urlsplit(handler.path)
        name = parts.path.rpartition("/")[2]
        self.asked.append(name)
        time.sleep(self.silent.get(name, 0))
        if name in self.held:
            self.held[name].wait(60)
        headers = {}
        if name in self.answers:
            status, text = self.answers[name]
        elif name == "openid-configuration":
            status, text = 200, json.dumps(self._says_of_itself()).encode()
        elif name == "keys":
            status, text = 200, json.dumps(self.keys).encode()
        elif name == "authorize":
            status, text, headers["Location"] = 302, b"", self._authorize(dict(parse_qsl(parts.query)))
        elif name == "token":
            status, text = self._redeem(handler, {key: values[0] for key, values in parse_qs(body.decode()).items()})
        else:
            status, text = 404, b"{}"
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        for header, value in headers.items():
            handler.send_header(header, value)
        handler.end_headers()
        try:
            handler.wfile.write(text)
        except OSError:  # who asked had enough
            handler.close_connection = True

    def _says_of_itself(self) -> dict[str, Any]:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        said = {name: f"{self.issuer}/{place}" for name, place in places.items()}
        return {"issuer": self.issuer, "userinfo_endpoint": f"{self.issuer}/userinfo", **said, **self.discovery}

    def _authorize(self, asked: dict[str, str]) -> str:
        self.authorized.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], **self.back}
        return f"{asked['redirect_uri']}?{urlencode({key: value for key, value in back.items() if value})}"

    def _redeem(self, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> tuple[int, bytes]:
        self.redeemed.append(form)
        basic = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        by_form = (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        if handler.headers["Authorization"] != basic and not by_form:
            return 401, b'{"error": "invalid_client"}'
        asked = self._codes.pop(form.get("code", ""), None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or asked["redirect_uri"] != form.get("redirect_uri")
            or asked["code_challenge_method"] != "S256"
            or asked["code_challenge"] != proof.decode().rstrip("=")
        ):
            return 400, b'{"error": "invalid_grant"}'
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.claims,
        }
        token = self.sign({name: value for name, value in claims.items() if value is not None})
        answer = {"access_token": TOKENS[0], "refresh_token": TOKENS[1], "token_type": "Bearer", "id_token": token}
        return 200, json.dumps(answer).encode()
