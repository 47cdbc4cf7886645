"""A security key without the device: it makes a key pair and signs what a server asks for, as an authenticator does."""

import html
import json
import re
import secrets
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client
from django.urls import reverse
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

FLAG = AuthenticatorData.FLAG


def asked_of_key(response: Any) -> dict[str, Any]:
    """Return what a page hands to the browser for the key."""
    found = re.search(r'<script id="js_data" type="application/json">(.*?)</script>', response.content.decode())
    assert found is not None
    options = next(iter(json.loads(html.unescape(found[1])).values()))
    asked: dict[str, Any] = options["publicKey"]
    return asked


class SecurityKey:
    def __init__(self, *, origin: str = "https://testserver", flags: Any = FLAG.UP) -> None:
        self.origin = origin
        self.flags = flags
        self.id = secrets.token_bytes(16)
        self.private = ec.generate_private_key(ec.SECP256R1())

    def make(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return what the browser sends when the key was made."""
        public = ES256.from_cryptography_key(self.private.public_key())
        data = self._data(
            asked["rp"]["id"], self.flags | FLAG.AT, AttestedCredentialData.create(bytes(16), self.id, public)
        )
        attested = AttestationObject.create("none", data, {})
        client = self._client(CollectedClientData.TYPE.CREATE, asked)
        return self._answer({"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(attested)})

    def sign(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return what the browser sends when the key was used."""
        data = self._data(asked["rpId"], self.flags)
        client = self._client(CollectedClientData.TYPE.GET, asked)
        signature = self.private.sign(data + sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        given = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._answer({name: websafe_encode(value) for name, value in given.items()})

    def _data(self, host: str, flags: Any, credential: bytes = b"") -> AuthenticatorData:
        return AuthenticatorData.create(sha256(host.encode()).digest(), flags, 0, credential)

    def _client(self, kind: Any, asked: dict[str, Any]) -> CollectedClientData:
        return CollectedClientData.create(kind, websafe_decode(asked["challenge"]), self.origin)

    def _answer(self, response: dict[str, str]) -> dict[str, Any]:
        name = websafe_encode(self.id)
        return {
            "id": name, "rawId": name, "type": "public-key", "response": response,
            "clientExtensionResults": {"credProps": {"rk": False}},
        }  # fmt: skip


def add(client: Client, key: SecurityKey, name: str = "Blue key") -> Any:
    """Make the key one of the operator's own, as the page does. Whoever asks has confirmed that it is them."""
    page = client.get(reverse("mfa_add_webauthn"))
    given = {"name": name, "credential": json.dumps(key.make(asked_of_key(page)))}
    return client.post(reverse("mfa_add_webauthn"), given)


def give(client: Client, key: SecurityKey, where: str) -> Any:
    """Look at a page that asks for the key and answer it."""
    return client.post(where, {"credential": json.dumps(key.sign(asked_of_key(client.get(where))))})
