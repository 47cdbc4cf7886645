"""Reading a manifest that a command was given by name."""

import sys
from pathlib import Path

from django.core.management.base import CommandError

from installations.manifests import MAX_BYTES


def read_manifest(name: str) -> bytes:
    """Return the content of a file, or of standard input for `-`, one byte more than a manifest may have at most.

    Raises CommandError for what cannot be read.
    """
    limit = MAX_BYTES + 1
    try:
        if name == "-":
            return sys.stdin.buffer.read(limit)
        with Path(name).open("rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from None
