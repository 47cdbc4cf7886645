"""Keys for tests of rotation, and rings made of them."""

import base64
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP

from installations.keys import parse_key_ring

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def key(key_id: str, first: int) -> str:
    return f"{key_id}:{base64.b64encode(bytes((first + 3 * place) % 256 for place in range(32))).decode()}"


K1 = "k1:" + base64.b64encode(bytes(range(32))).decode()  # as in settings_test
K2, K3 = key("k2", 101), key("k3", 163)
WRONG_K1 = key("k1", 55)
F1 = "1:" + base64.b64encode(bytes(range(32, 64))).decode()  # as in settings_test, where it has no id
F2 = key("f2", 77)
A1 = "1:" + base64.b64encode(bytes(range(64, 96))).decode()  # as in settings_test, where it has no id
A2 = key("a2", 88)


def fingerprint_of_key(text: str) -> str:
    """Return the eight digits that people see of a key."""
    return parse_key_ring(text).newest.fingerprint[:8]


def with_second_factors(operator: Any) -> None:
    TOTP.activate(operator, SEED)
    RecoveryCodes.activate(operator)


def codes_of(operator: Any) -> list[str]:
    return RecoveryCodes(Authenticator.objects.get(user=operator, type="recovery_codes")).generate_codes()
