"""Say what is wrong with the deployment, or what of Flowlu is assumed wrongly."""

import json
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from flowlu_admin.doctor.assumptions import Points
from flowlu_admin.doctor.bounded import look_at_all
from flowlu_admin.doctor.deployment import CHECKS
from flowlu_admin.doctor.findings import Finding, Level, Shown, Verdict, summary_of, summary_of_trial
from flowlu_admin.doctor.portal import Trial, Wanted
from flowlu_admin.redaction import REDACTED, redact
from installations.errors import DomainError
from installations.flowlu.calls import build_call
from installations.flowlu.configured import flowlu_client, wire
from installations.management import typed
from installations.management.operator_command import in_words
from installations.management.output import VisibleCommand
from installations.portals import normalise_portal
from tokens.vault import is_token_text, parse_expiry

_MOST_PAUSE, _MOST_BURST = 60.0, 200


class Command(VisibleCommand):
    help = (
        "Look at the deployment and say what is wrong and what mends it. With --portal, try what is assumed of Flowlu "
        "on that portal: the access token is the first line of standard input, and nothing is written there without "
        "--may-write. Exit code 1 for errors and warnings, or for an assumption that differs; notes do not count."
    )
    # It runs the checks itself, and goes on after what would stop any other command.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--portal", metavar="P", help="the portal's domain, like acme.flowlu.com")
        parser.add_argument("--may-write", action="store_true", help="make records on the portal and delete them again")
        parser.add_argument(
            "--list", type=_model, default=("crm", "account"), metavar="MODULE/MODEL", help="what pages are tried with"
        )
        parser.add_argument(
            "--write",
            type=_model,
            default=("crm", "account"),
            metavar="MODULE/MODEL",
            help="whose records --may-write makes: of a name alone",
        )
        parser.add_argument(
            "--with-key", action="store_true", help="the second line is an API key of the portal, to be tried too"
        )
        parser.add_argument("--expires-at", metavar="TEXT", help="what the SDK said with the token")
        parser.add_argument(
            "--burst", type=_whole, default=0, metavar="N", help="up to so many reads at once, until the portal refuses"
        )
        parser.add_argument(
            "--pause", type=_seconds, default=0.5, metavar="SECONDS", help="between two requests, default 0.5"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["portal"] is None:
            self._deployment(as_json=options["json"])
        else:
            self._portal(options)

    def _deployment(self, *, as_json: bool) -> None:
        found: list[Finding] = []
        for seen in look_at_all(CHECKS):
            # Names that strangers chose are among the words.
            finding = replace(seen, words=redact(seen.words), fix=redact(seen.fix))
            found.append(finding)
            if not as_json:
                self.say(f"{finding.level:<8} {finding.check:<12} {finding.words}")
                if finding.fix:
                    self.say(f"{'':21} -> {finding.fix}")
        summary = summary_of(found)
        if as_json:
            self._write({"summary": summary, "findings": [asdict(finding) for finding in found]})
        if any(finding.level in (Level.ERROR, Level.WARNING) for finding in found):
            raise CommandError(summary)
        if not as_json:
            self.say(summary)

    def _portal(self, options: dict[str, Any]) -> None:
        try:
            portal = normalise_portal(options["portal"], settings.FLOWLU_PORTAL_SUFFIXES)
        except DomainError as error:
            raise CommandError(in_words(error)) from None
        try:
            assumed, client = wire(), flowlu_client()
        except ValueError:
            raise CommandError("The settings of Flowlu's wire are not usable: run doctor without --portal.") from None
        token = _token_text("access token")
        api_key = _token_text("API key") if options["with_key"] else None
        trial = Trial(
            client=client,
            portal=portal,
            wire=assumed,
            points=Points(assumed, redact(settings.FLOWLU_PORTAL_URL), settings.FLOWLU_EXPIRY_ZONE),
            token=token,
            api_key=api_key,
            wanted=Wanted(
                may_write=options["may_write"],
                listed=options["list"],
                written=options["write"],
                expires_at=options["expires_at"],
                burst=options["burst"],
                pause=options["pause"],
            ),
            parse_expiry=parse_expiry,
        )
        shown = [_without((token, api_key), each) for each in trial.run()]
        summary = summary_of_trial(shown)
        if options["json"]:
            self._write({"portal": portal, "summary": summary, "points": [_row(each) for each in shown]})
        else:
            self._table(shown)
        if any(each.verdict is Verdict.DIFFERS for each in shown):
            raise CommandError(summary)
        if not options["json"]:
            self.say(summary)

    def _table(self, shown: Sequence[Shown]) -> None:
        for each in shown:
            self.say(f"{each.verdict.upper():<10} {each.point.name}")
            lines = {
                "documented": each.point.documented,
                "assumed": each.point.assumed,
                "observed": each.observed,
                "change": each.change,
            }
            for name, text in lines.items():
                if text:
                    self.say(f"           {name:<11} {text}")

    def _write(self, report: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(report, indent=1))


def _row(shown: Shown) -> dict[str, str]:
    return {**asdict(shown.point), "verdict": shown.verdict, "observed": shown.observed, "change": shown.change}


def _without(secrets: Sequence[str | None], shown: Shown) -> Shown:
    """Return the row without secrets, should the portal have put one into the name of a header."""
    for secret in filter(None, secrets):
        observed, change = (text.replace(secret, REDACTED) for text in (shown.observed, shown.change))
        shown = replace(shown, observed=observed, change=change)
    return shown


def _token_text(name: str) -> str:
    value = typed.secret(f"The {name}")
    if not is_token_text(value):
        raise CommandError(
            f"There is no {name}. Give the token as the first line of standard input, a key as the second."
        )
    return value


def _model(text: str) -> tuple[str, str]:
    module, _, model = text.partition("/")
    try:
        build_call(module, model, "list")
    except DomainError:
        raise ArgumentTypeError("must be MODULE/MODEL, like crm/account") from None
    return module, model


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= _MOST_BURST):
        raise ArgumentTypeError(f"must be a number up to {_MOST_BURST}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_PAUSE:
        raise ArgumentTypeError(f"must be seconds up to {_MOST_PAUSE:g}")
    return seconds
