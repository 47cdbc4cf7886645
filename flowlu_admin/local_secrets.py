"""Secrets of a development machine: made once into `var/`, read ever after. Never used without DEBUG."""

import base64
import json
import os
import secrets
from pathlib import Path


def read_or_make(path: Path) -> dict[str, str]:
    """Return the development secrets in `path`, making the file (mode 0600) when it is missing.

    Two processes that start at once agree on one set: the file is written aside and linked into place,
    which fails for the second, who then reads the first one's.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(_make(), stream, indent=1)
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    with path.open(encoding="utf-8") as stream:
        values: dict[str, str] = json.load(stream)
    return values


def _make() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(64),
        "TOKEN_KEYS": f"k1:{_key()}",
        "FINGERPRINT_KEY": _key(),
        "AUDIT_KEY": _key(),
    }


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode("ascii")
