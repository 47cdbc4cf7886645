"""Write the head of the chain down where whoever holds the database cannot reach it.

The chain alone cannot show that its newest events were cut off, or that it was made anew with its key. An anchor that
is kept elsewhere can: a file that is only appended to, or a receiver behind an https address.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from installations import audit
from installations.actors import Actor, system_actor
from installations.audit_chain import START, Anchor, Link, Signature, row_hash
from installations.audit_files import AnchorFileError, anchor_line, read_anchors
from installations.errors import StateConflict
from installations.trail import reading
from installations.trail.receiver import send_anchor

ANCHORED = "audit.anchored"
# What the service notes about the trail itself: nothing that would need an anchor of its own.
_ABOUT_THE_TRAIL = (ANCHORED, "audit.verified")


@dataclass(frozen=True, slots=True)
class Anchoring:
    head: Link
    changed: bool  # False: this head was the last line of the file already


def anchor_to_file(*, path: Path, actor: Actor) -> Anchoring:
    """Append the signed head to a file of anchors, after a look at what it says already.

    Raises StateConflict when the file cannot be relied on, or when the chain is shorter than its last anchor or
    another one: then somebody cut it off or rewrote it, and an anchor would bury that.
    """
    try:
        with _locked_for_appending(path) as stream:
            known = read_anchors(stream, audit.audit_keys())
            head = _head()
            if known:
                _check_goes_on(known[-1], head)
                if known[-1].link == head:
                    return Anchoring(head, False)
            stream.write(anchor_line(head, _now(), audit.audit_keys().newest).encode("ascii"))
            stream.flush()
            os.fsync(stream.fileno())
    except AnchorFileError as error:
        raise StateConflict(f"The file of anchors cannot be relied on: {error}.") from None
    except OSError as error:
        raise StateConflict(f"The file of anchors cannot be written: {error.strerror}.") from None
    _record(head, "file", path.name, actor)
    return Anchoring(head, True)


def anchor_to_url(*, url: str, actor: Actor) -> Anchoring:
    """POST the signed head to a receiver, which has to keep what it gets.

    Raises StateConflict when the address is not one or the receiver does not take it.
    """
    head = _head()
    send_anchor(url, anchor_line(head, _now(), audit.audit_keys().newest), allow_http=settings.DEBUG)
    _record(head, "url", _host(url), actor)
    return Anchoring(head, True)


def anchor_if_due(*, every: timedelta) -> bool:
    """Anchor to where the settings say, when the last one there is older than `every` and something happened since.

    For whatever runs periodically. Each place is due by itself: one that fails neither holds up the other nor counts as
    done. Returns whether it anchored anywhere; raises StateConflict as the two above, after every place was tried.
    """
    path, url = settings.AUDIT_ANCHOR_FILE, settings.AUDIT_ANCHOR_URL
    file_due = path and _is_due("file", Path(path).name, every)
    url_due = url and _is_due("url", _host(url), every)
    return bool(anchor(path=path if file_due else "", url=url if url_due else "", actor=system_actor()))


def anchor(*, path: str, url: str, actor: Actor) -> list[str]:
    """Anchor to every place that is named, and say what was done; raises StateConflict after all were tried."""
    said: list[str] = []
    failed: list[str] = []
    if path:
        try:
            done = anchor_to_file(path=Path(path), actor=actor)
            word = "anchored in the file" if done.changed else "was anchored in the file already"
            said.append(f"event {done.head.sequence} {word}")
        except StateConflict as error:
            failed.append(error.public_message)
    if url:
        try:
            done = anchor_to_url(url=url, actor=actor)
            said.append(f"event {done.head.sequence} anchored at the receiver")
        except StateConflict as error:
            failed.append(error.public_message)
    if failed:
        raise StateConflict("; ".join([*said, *failed]))
    return said


def compare_with_file(path: Path) -> Anchor | None:
    """Return the last anchor of a file that the chain goes on from, None where there is none yet. Writes nothing.

    Raises StateConflict as `anchor_to_file` does, and when the end of the chain does not verify.
    """
    head = _head()
    try:
        with path.open("rb") as stream:
            known = read_anchors(stream, audit.audit_keys())
    except FileNotFoundError:
        return None
    except AnchorFileError as error:
        raise StateConflict(f"The file of anchors cannot be relied on: {error}.") from None
    except OSError as error:
        raise StateConflict(f"The file of anchors cannot be read: {error.strerror}.") from None
    if known:
        _check_goes_on(known[-1], head)
    return known[-1] if known else None


def check_head() -> None:
    """Raise StateConflict when the end of the chain does not verify. Two or three statements."""
    _head()


def _is_due(kind: str, where: str, every: timedelta) -> bool:
    last = reading.newest_genuine((ANCHORED,), audit.audit_keys(), details__to=kind, details__where=where[:200])
    if last is None:
        return reading.head() != START
    if timezone.now() - last.occurred_at < every:
        return False
    return reading.anything_but(_ABOUT_THE_TRAIL, after=int(last.target_id))


def _head() -> Link:
    """Return the head, which has to be a true one: what is signed here is believed elsewhere."""
    newest = reading.newest_number()  # before the head, which is never behind it
    head = reading.head() or START
    if not (_is_genuine_start(head) if newest is None else newest <= head.sequence and _is_genuine_event(head)):
        raise StateConflict("The end of the chain does not verify. Nothing was anchored; run verify_audit.")
    return head


def _is_genuine_start(head: Link) -> bool:
    return head == reading.start() and reading.checkpoint_signature(audit.audit_keys()) is Signature.GOOD


def _is_genuine_event(head: Link) -> bool:
    row = next(reading.rows(after=head.sequence - 1, to=head.sequence), None)
    key = audit.audit_keys().get(row["key_id"]) if row else None
    return row is not None and key is not None and row["hash"] == head.hash == row_hash(row, key)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _check_goes_on(last: Anchor, head: Link) -> None:
    if head.sequence < last.link.sequence:
        raise StateConflict(
            f"The chain ends at {head.sequence}, and at {last.at} it had {last.link.sequence} events: its end was cut "
            "off. Nothing was anchored; run verify_audit with this file."
        )
    if last.link.sequence <= reading.start().sequence and reading.hash_at(last.link.sequence) is None:
        return  # removed with a beginning that a later checkpoint stands for
    if last.link.sequence and reading.hash_at(last.link.sequence) != last.link.hash:
        raise StateConflict(
            f"Event {last.link.sequence} is another one than at {last.at}: the chain was rewritten. Nothing was "
            "anchored; run verify_audit with this file."
        )


def _now() -> str:
    return audit.time_text(timezone.now())


def _record(head: Link, kind: str, where: str, actor: Actor) -> None:
    # Only the file's name or the receiver's host: a path or query may hold what is nobody's business.
    with transaction.atomic(durable=True):
        event = audit.Event(ANCHORED, "audit trail", str(head.sequence), details={"to": kind, "where": where[:200]})
        audit.append(actor, event)


@contextmanager
def _locked_for_appending(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "rb+", buffering=0) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # two at once would each append behind the same line
        yield stream
