"""Revoke tokens of a user, an installation, a portal or an application, stored before a time, or by fingerprints."""

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from installations.actors import Actor
from installations.errors import StateConflict
from installations.management.operator_command import (
    OperatorCommand,
    find_application,
    find_installation,
    find_portal,
    find_portal_user,
    plural,
)
from tokens.errors import NoPin
from tokens.forms import read_time
from tokens.revocation_selectors import RevocationPreview, names_of, preview_revocation, resolve_fingerprints
from tokens.services.revocation import BATCH, Progress, drill_revocation, resume_revocation, revoke_tokens
from tokens.targets import Pin, RevocationTarget


class Command(OperatorCommand):
    help = (
        "Revoke stored tokens: no call through here starts after it. They stay valid at Flowlu until they expire, "
        "and a page reload brings a new one: lock first to stop that too. Many are cut in batches; what is cut stays "
        "cut when it is interrupted, and the same command finishes that and then cuts what came since."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--portal", metavar="P", help="alone: the whole portal")
        parser.add_argument("--app", metavar="A", help="alone: the whole application; with --portal: an installation")
        parser.add_argument("--user", metavar="ID", help="with --portal: only this user's, by Flowlu's user id")
        parser.add_argument("--token", metavar="NUMBER", type=int, help="one token, by its number in the console")
        parser.add_argument("--stored-before", metavar="TIME", help="stored before this time in UTC, 2026-11-25 10:15")
        parser.add_argument(
            "--fingerprints", metavar="FILE", help="a file with a fingerprint on each line; - reads standard input"
        )
        parser.add_argument("--resume", metavar="NUMBER", type=int, help="go on with this revocation of the ledger")
        parser.add_argument("--dry-run", action="store_true", help="show what would be cut, and its pin; cut nothing")
        parser.add_argument("--drill", action="store_true", help="do every step, measure it and take it back")
        parser.add_argument("--expect", metavar="PIN", help="cut exactly what a --dry-run showed, or nothing")
        parser.add_argument("--batch", type=_batch, default=BATCH, metavar="N", help=f"tokens at a time, {BATCH:,}")
        super().add_arguments(parser)

    def act(self, actor: Actor, options: dict[str, Any]) -> str:
        asked_at = timezone.now()
        if options["resume"] is not None:
            return self._resume(actor, options)
        target = self._target(options)
        pin = _pin(options["expect"])
        name = names_of(target).label
        if options["dry_run"]:
            actor.require("tokens.revoke_oauthtoken")
            preview = preview_revocation(target)
            self._show(preview)
            return f"{name}: {plural(preview.tokens, 'token', 'tokens')} would be revoked; --expect {preview.pin}"
        if options["drill"]:
            drill = drill_revocation(
                target=target, actor=actor, reason=options["reason"], pinned=pin, batch=options["batch"]
            )
            self._show(drill.preview)
            lock = "" if drill.lock_ms is None else f"the lock {drill.lock_ms} ms, "
            return (
                f"{name}: drill, nothing was cut. Looking took {drill.read_ms} ms, {lock}"
                f"the cut of {plural(drill.rehearsed, 'token', 'tokens')} {drill.cut_ms} ms"
            )
        with _Bar() as progress:
            result = revoke_tokens(
                target=target,
                actor=actor,
                reason=options["reason"],
                pinned=pin,
                asked_at=asked_at,
                on_progress=progress,
                batch=options["batch"],
            )
        return f"{name}: {plural(result.tokens_cut, 'token', 'tokens')} revoked"

    def _resume(self, actor: Actor, options: dict[str, Any]) -> str:
        if any(options[name] is not None for name in _NAMES):
            raise CommandError("--resume goes alone: the ledger knows what was aimed at.")
        with _Bar() as progress:
            result = resume_revocation(
                revocation_id=options["resume"],
                actor=actor,
                reason=options["reason"],
                on_progress=progress,
                batch=options["batch"],
            )
        assert result.revocation is not None  # noqa: S101 - it is the one that was named
        return (
            f"{result.revocation}: {plural(result.tokens_cut, 'token', 'tokens')} revoked, "
            f"{result.revocation.tokens_cut:,} in all"
        )

    def _target(self, options: dict[str, Any]) -> RevocationTarget:
        """Return what the options name; raises CommandError when they name nothing, or two things."""
        portal, app, user = options["portal"], options["app"], options["user"]
        # Asked for None: an empty option, as from an unset shell variable, must not widen what is cut.
        places = [name for name in ("portal", "app", "user") if options[name] is not None]
        others = [name for name in ("token", "stored_before", "fingerprints") if options[name] is not None]
        if len(others) > 1 or (places and others in (["token"], ["fingerprints"])):
            raise CommandError("Name one thing: a place, --token, --stored-before or --fingerprints.")
        if user is not None and (portal is None or others):
            raise CommandError("--user goes with --portal, which says whose user it is, and not with --stored-before.")
        if options["token"] is not None:
            return RevocationTarget.of_token(options["token"])
        if options["fingerprints"] is not None:
            return self._fingerprints(options["fingerprints"])
        if options["stored_before"] is not None:
            try:
                before = read_time(options["stored_before"])
            except ValueError as error:
                raise CommandError(f"--stored-before: {error}.") from None
            return RevocationTarget.stored_before(
                before,
                portal_id=find_portal(portal).pk if portal is not None else None,
                application_id=find_application(app).pk if app is not None else None,
            )
        if user is not None:
            here = find_installation(portal, app).pk if app is not None else None
            return RevocationTarget.of_portal_user(find_portal_user(portal, user).pk, installation_id=here)
        if portal is not None and app is not None:
            return RevocationTarget.of_installation(find_installation(portal, app).pk)
        if portal is not None:
            return RevocationTarget.of_portal(find_portal(portal).pk)
        if app is not None:
            return RevocationTarget.of_application(find_application(app).pk)
        raise CommandError(
            "Name whose tokens: --portal P, --app A, both, --portal P --user ID, --token, --stored-before or "
            "--fingerprints."
        )

    def _fingerprints(self, path: str) -> RevocationTarget:
        try:
            text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="ascii")
        except (OSError, UnicodeError):
            raise CommandError(f"The file {path!r} cannot be read as a list of fingerprints.") from None
        target, unknown = resolve_fingerprints(RevocationTarget.of_fingerprints(text.splitlines()))
        if unknown:
            self.note(f"of no token that could be revoked: {plural(len(unknown), 'fingerprint', 'fingerprints')}")
        if not target.fingerprints:
            raise StateConflict("No token that could be revoked has or had one of these fingerprints.")
        return target

    def _show(self, preview: RevocationPreview) -> None:
        self.say(
            f"{plural(preview.tokens, 'token', 'tokens')} ({preview.active_tokens} active), "
            f"{plural(preview.sessions, 'open session', 'open sessions')}, "
            f"{plural(preview.users_count, 'person', 'people')}"
        )
        for user in preview.users:
            self.say(f"  {user}" + (f", {user.name}" if user.name else ""))
        if preview.more_users:
            self.say(f"  and {preview.more_users} more")
        for kind, uses in (("purpose", preview.purposes), ("service client", preview.service_clients)):
            for use in uses:
                calls = plural(use.calls, "call", "calls")
                self.say(f"  {kind} {use.name}: {calls} in the last {preview.used_days} days")


_NAMES = ("portal", "app", "user", "token", "stored_before", "fingerprints", "expect")


def _batch(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a number of tokens, 1 or more")
    return number


class _Bar:
    """A progress bar on standard error, on a terminal only."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] = tqdm(unit=" tokens", disable=None, leave=False)

    def __enter__(self) -> Progress:
        return self._advance

    def __exit__(self, *_exception: object) -> None:
        self._bar.close()

    def _advance(self, done: int, of: int) -> None:
        self._bar.total = max(of, done)
        self._bar.update(done - self._bar.n)


def _pin(text: str | None) -> Pin | None:
    try:
        return Pin.parse(text) if text is not None else None
    except NoPin:
        raise CommandError("--expect takes what --dry-run printed behind it. Run that first.") from None
