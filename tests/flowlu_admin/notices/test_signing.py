"""The signature is what docs/webhook.md says, and the example there takes a true one and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest

from flowlu_admin.notices.signing import signed_headers

BODY = b'{"text": "x"}'
SECRET = "a-secret-of-32-characters-or-more"


@pytest.fixture
def verify(project_root: Path) -> Any:
    """The function of the documentation, as it stands there."""
    (source,) = re.findall(r"```python\n(.*?)```", (project_root / "docs/webhook.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)
    return names["verify"]


def test_signature_of_a_known_message() -> None:
    assert signed_headers(SECRET, BODY, message_id="7", timestamp=1_790_000_000) == {
        "X-Notice-Id": "7",
        "X-Signature-Timestamp": "1790000000",
        "X-Signature-256": "sha256=82ac2bac1e295a4a85cfa009973206fe7bec09cf84db8025f33837669bf03205",
    }


def test_documented_receiver_takes_what_is_sent(verify: Any) -> None:
    headers = signed_headers(SECRET, BODY, message_id="7", timestamp=1000)
    assert verify(SECRET, headers, BODY, now=1000 + 299) is True


@pytest.mark.parametrize(
    ("changed", "body", "secret", "now"),
    [
        ({}, BODY + b" ", SECRET, 1000),
        ({}, BODY, SECRET + "x", 1000),
        ({"X-Signature-Timestamp": "1001"}, BODY, SECRET, 1000),
        ({"X-Signature-Timestamp": "soon"}, BODY, SECRET, 1000),
        ({"X-Signature-256": "sha256="}, BODY, SECRET, 1000),
        ({"X-Signature-256": "sha256=é"}, BODY, SECRET, 1000),
        ({}, BODY, SECRET, 1000 + 301),
        ({}, BODY, SECRET, 1000 - 301),
    ],
)
def test_documented_receiver_refuses_anything_else(
    verify: Any, changed: dict[str, str], body: bytes, secret: str, now: int
) -> None:
    headers = {**signed_headers(SECRET, BODY, message_id="7", timestamp=1000), **changed}
    assert verify(secret, headers, body, now=now) is False
