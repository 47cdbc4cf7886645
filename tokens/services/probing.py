"""Verbs of the sweep about whether installations are still there: judge them anew, and probe the quiet ones.

A probe asks Flowlu whose a stored token is, as that user and for the purpose `liveness`: the way of any other backend
call, so that every check, lock and revocation counts and a row of the call is written. It changes no status; what it
showed becomes evidence (docs/adr/0023).
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from installations import liveness
from installations.errors import (
    DomainError,
    FlowluDenied,
    FlowluError,
    FlowluInvalid,
    FlowluTimeout,
    FlowluUnavailable,
    NotFound,
    PortalUnreached,
)
from installations.evidence import judge_due, judge_locked, observe_locked, unjudged, wait_for_next_probe
from installations.liveness import SIGNS, Kind, refused_early
from installations.models import Application, Evidence, Installation, Liveness, Portal
from installations.strict_json import JSONValue
from tokens.errors import UserTokenStale
from tokens.models import OAuthToken, Purpose
from tokens.services.acting import Record, act_as_user
from tokens.services.denied import on_deny_list

_BATCH = 500
_LOOKED_AT = 10  # so many times as many installations are looked at as are probed at most
_GIVE_UP_AFTER = 3  # portals in a row that are not reached: it is rather this service that reaches nothing
_RECENT = timedelta(hours=1)
_NO_CREDENTIAL = "no_credential"
# The purpose itself is in the way, so every further probe would be refused as well.
_OF_THE_PURPOSE = frozenset(
    {"purpose_unknown", "purpose_disabled", "purpose_expired", "acts_as_not_allowed", "scope_not_in_purpose"}
)
_UNREACHED_WORDS = {
    "NameNotResolved": "its name was not found",
    "AddressRefused": "its name leads to an address that is not public",
    "ConnectTimeoutError": "no connection in time",
    "SSLError": "no safe connection",
}
_NOT_SENT = frozenset({"scheme", "refresh_failed", "refresh_under_way", "refreshed_not_proven"})
_UNCLEAR_WORDS = {
    "too_large": "an answer that is too large",
    "compressed": "a compressed answer",
    "no_envelope": "no answer of Flowlu's form",
    "no_user": "no user",
}
_random = secrets.SystemRandom()

Stopped = Callable[[], bool]


def judge_liveness(stopped: Stopped, *, seconds: float = 50.0) -> int:
    """Write down anew every verdict that time may have changed; returns how many. What is left over is next."""
    until = time.monotonic() + seconds
    done = 0
    while not stopped() and time.monotonic() < until:
        with transaction.atomic(durable=True):
            judged = judge_due(count=_BATCH) or judge_locked(unjudged(count=_BATCH))
        if not judged:
            break
        done += judged
    return done


def probe_quiet(stopped: Stopped, *, seconds: float = 50.0) -> int:
    """Probe quiet installations whose time has come, a portal at a time; returns how many calls were made.

    Stops where the purpose is switched off meanwhile, and where no portal at all is reached: then nothing is learnt.
    """
    most = settings.LIVENESS_PROBES_PER_SWEEP
    if not most or not _purpose_is_on():
        return 0
    until = time.monotonic() + seconds
    run = _Run()
    for row in _due()[: most * _LOOKED_AT]:
        if stopped() or time.monotonic() > until or len(run.probes) >= most or run.reaches_nothing:
            break
        token = _token_of(row.installation)
        if token is None:
            _leave_alone(row)
            continue
        if not _claim(row):
            continue
        probe = _ask(row, token)
        run.probes.append(probe)
        if probe.outcome in _OF_THE_PURPOSE:
            _give_back(row, probe, wait=timedelta(0))
            break
        _settle(row, probe)
    run.settle_unreached()
    return len(run.probes)


@dataclass(frozen=True, slots=True)
class _Probe:
    """What one call brought: how it ended, and what it shows, if anything."""

    row: Liveness
    outcome: str
    kind: Kind | None
    detail: str = ""
    answered: bool = False  # the portal was reached


class _Run:
    """The probes of one sweep. That a portal was not reached counts only where another one was."""

    def __init__(self) -> None:
        self.probes: list[_Probe] = []

    @property
    def reaches_nothing(self) -> bool:
        last = self.probes[-_GIVE_UP_AFTER:]
        return len(last) == _GIVE_UP_AFTER and all(probe.kind is Kind.PROBE_UNREACHED for probe in last)

    def settle_unreached(self) -> None:
        unreached = [probe for probe in self.probes if probe.kind is Kind.PROBE_UNREACHED]
        if not unreached:
            return
        reached = any(probe.answered for probe in self.probes)
        for probe in unreached:
            if reached or _others_live(probe.row.installation.portal_id):
                _record(probe)
            else:
                _give_back(probe.row, probe, wait=timedelta(seconds=settings.LIVENESS_PORTAL_SECONDS))


def _purpose_is_on() -> bool:
    now = timezone.now()
    on = Purpose.objects.filter(code=liveness.PURPOSE, enabled=True, acts_as=Purpose.ActsAs.USER)
    return on.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now)).exists()


def _due() -> QuerySet[Liveness]:
    """Return verdicts whose installation is to be probed, the longest waiting first. One statement when it is cut."""
    rows = Liveness.objects.filter(probe_after__lte=timezone.now())
    return rows.select_related("installation__portal", "installation__application").order_by("probe_after", "pk")


def _token_of(installation: Installation) -> OAuthToken | None:
    """Return the newest token that Flowlu should take, with its user. One statement.

    One that has expired is of no use: that it is refused shows nothing.
    """
    now = timezone.now()
    good = Q(state=OAuthToken.State.ACTIVE, sealed_access_token__isnull=False) & (
        Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    )
    refreshable = Q(
        sealed_refresh_token__isnull=False, installation__application__refreshed_by=Application.RefreshedBy.SERVER
    )
    return (
        OAuthToken.objects.live()
        .filter(good | refreshable, installation=installation, portal_user__locked_at__isnull=True)
        .exclude(on_deny_list())
        .select_related("portal_user")
        .order_by("-stored_at", "-pk")
        .first()
    )


def _leave_alone(row: Liveness) -> None:
    """Wait for a token: a visit brings one."""
    wait = wait_for_next_probe(in_vain=row.probes_in_vain)
    same = Liveness.objects.filter(pk=row.pk, probe_after=row.probe_after)
    same.update(probe_after=timezone.now() + wait, probes_in_vain=row.probes_in_vain + 1, probe_outcome=_NO_CREDENTIAL)


def _claim(row: Liveness) -> bool:
    """Take the installation's probe; False where another sweep did, it is in use again, or its portal has to wait."""
    now = timezone.now()
    portal_id = row.installation.portal_id
    with transaction.atomic(durable=True):
        # Two sweeps would else both see that the portal was left alone for long enough.
        Portal.objects.select_for_update(no_key=True).get(pk=portal_id)
        held = Liveness.objects.select_for_update(no_key=True).get(pk=row.pk)
        if held.probe_after != row.probe_after:
            return False
        here = Liveness.objects.filter(installation__portal=portal_id)
        last: datetime | None = here.aggregate(last=Max("probed_at"))["last"]
        pause = timedelta(seconds=settings.LIVENESS_PORTAL_SECONDS)
        if last is not None and now < last + pause:
            held.probe_after = last + pause * (1 + _random.random() / 2)
            held.save(update_fields=["probe_after"])
            return False
        held.probed_at = now
        held.probe_after = now + wait_for_next_probe(in_vain=held.probes_in_vain)
        held.probes_in_vain += 1
        held.save(update_fields=["probed_at", "probe_after", "probes_in_vain"])
    return True


def _ask(row: Liveness, token: OAuthToken) -> _Probe:
    """Make the call, as the user of the token, and say what came of it."""
    installation, record = row.installation, Record(None)
    acting = act_as_user(
        purpose=liveness.PURPOSE,
        app_id=installation.application.app_id,
        portal=installation.portal.domain,
        user_id=token.portal_user.flowlu_user_id,
    )
    try:
        answer = acting.call("core", "user", "get", record=record)
    except DomainError as error:
        kind, detail = _shown_by(error, record.row.oauth_token_id)
        return _Probe(row, error.code, kind, detail, answered=kind not in (None, Kind.PROBE_UNREACHED))
    if _is_user(answer, token.portal_user.flowlu_user_id):
        return _Probe(row, record.row.outcome, Kind.PROBE_ACCEPTED, answered=True)
    return _Probe(row, record.row.outcome, Kind.PROBE_UNCLEAR, "another user than the token's", answered=True)


def _is_user(answer: JSONValue, user_id: str) -> bool:
    return isinstance(answer, dict) and str(answer.get("id")) == user_id


def _shown_by(error: DomainError, token_id: int | None) -> tuple[Kind | None, str]:
    """Return what a failed probe shows, and what Flowlu answered; nothing where nothing was sent, or it had to wait."""
    answer = _answer_words(error)
    if isinstance(error, UserTokenStale):
        if not answer:
            return None, ""
        assert token_id is not None  # noqa: S101 - it was sent, so with a token
        expires_at = OAuthToken.objects.values_list("expires_at", flat=True).get(pk=token_id)
        if refused_early(expires_at, now=timezone.now()):
            return Kind.PROBE_REFUSED, answer
        return Kind.PROBE_UNCLEAR, f"{answer}, for a token that may have expired"
    if isinstance(error, PortalUnreached):
        return None, ""
    if isinstance(error, FlowluUnavailable):
        reason = str(error.context.get("reason"))
        known = _UNREACHED_WORDS.get(reason, "no connection")
        return (None, "") if reason in _NOT_SENT else (Kind.PROBE_UNREACHED, known)
    if isinstance(error, FlowluTimeout):
        return Kind.PROBE_UNCLEAR, "no answer in time"
    if isinstance(error, (FlowluDenied, FlowluError, FlowluInvalid, NotFound)):
        return Kind.PROBE_UNCLEAR, answer or "an answer that could not be read"
    return None, ""


def _answer_words(error: DomainError) -> str:
    """Return status and code as Flowlu gave them; never its own text."""
    status, code = error.context.get("upstream_status"), error.context.get("upstream_code")
    words = [f"HTTP {status}"] if status else []
    words += [f"error code {code}"] if code is not None else []
    return ", ".join(words) or _UNCLEAR_WORDS.get(str(error.context.get("reason")), "")


def _settle(row: Liveness, probe: _Probe) -> None:
    """Write down what the probe showed, unless that is not known before the end of the sweep."""
    if probe.kind is not Kind.PROBE_UNREACHED:
        _record(probe)


def _record(probe: _Probe) -> None:
    changes: dict[str, object] = {"probe_outcome": probe.outcome[:40]}
    if probe.kind is Kind.PROBE_ACCEPTED:
        pause = timedelta(days=settings.LIVENESS_QUIET_DAYS) * (1 + _random.random() / 2)
        changes |= {"probe_after": timezone.now() + pause, "probes_in_vain": 0}
    with transaction.atomic(durable=True):
        # One that is in use again meanwhile has no next probe.
        Liveness.objects.filter(pk=probe.row.pk, probe_after__isnull=False).update(**changes)
        if probe.kind is not None:
            observe_locked(probe.row.installation, probe.kind, detail=probe.detail)


def _give_back(row: Liveness, probe: _Probe, *, wait: timedelta) -> None:
    """Let the installation be probed again soon: what stood in the way was not its own."""
    Liveness.objects.filter(pk=row.pk, probe_after__isnull=False).update(
        probe_after=timezone.now() + wait, probes_in_vain=row.probes_in_vain, probe_outcome=probe.outcome[:40]
    )


def _others_live(portal_id: int) -> bool:
    """Return whether another portal was reached within the last hour."""
    seen = Evidence.objects.filter(kind__in=SIGNS - {Kind.STATED_PRESENT}, observed_at__gte=timezone.now() - _RECENT)
    return seen.exclude(installation__portal=portal_id).exists()
