"""What the commands about the trail share: files that people name, anchors, a bar for long work."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError
from tqdm import tqdm

from installations import audit
from installations.audit_chain import Anchor
from installations.audit_files import AnchorFileError, read_anchors
from installations.keys import KeyRing, KeyRingError


def audit_keys() -> KeyRing:
    try:
        return audit.audit_keys()
    except KeyRingError as error:
        raise CommandError(f"AUDIT_KEY is not usable. {error}") from None


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a file that somebody named, for reading."""
    try:
        with Path(path).open("rb") as stream:
            yield stream
    except OSError as error:
        raise CommandError(f"{path!r} cannot be read: {error.strerror}.") from None


def anchors_in(path: str, ring: KeyRing) -> list[Anchor]:
    with opened(path) as stream:
        try:
            found = read_anchors(stream, ring)
        except AnchorFileError as error:
            raise CommandError(f"The anchors in {path!r} cannot be relied on: {error}.") from None
    if not found:
        raise CommandError(f"There is no anchor in {path!r}.")
    return found


def bar(total: int | None, unit: str) -> "tqdm[Any]":
    """Return a progress bar on standard error, for a terminal only."""
    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)
