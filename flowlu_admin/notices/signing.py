"""How a webhook is signed. Pure; docs/webhook.md shows how a receiver verifies it."""

import hmac
from collections.abc import Mapping
from hashlib import sha256


def signed_headers(secret: str, body: bytes, *, message_id: str, timestamp: int) -> Mapping[str, str]:
    """Return the headers that prove who sent the body and when: HMAC-SHA256 over `<timestamp>.<body>`."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()
    return {
        "X-Notice-Id": message_id,
        "X-Signature-Timestamp": str(timestamp),
        "X-Signature-256": f"sha256={mac}",
    }
