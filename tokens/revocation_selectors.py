"""Reads around a revocation: which tokens a target names, what stops with them, what changed since somebody looked.

Which tokens are cut is one queryset everywhere: the preview counts it, the pin is over it, the cut updates it. It is
built from semi-joins by UNION rather than from conditions with OR, which PostgreSQL would test row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan
from django.utils import timezone

from installations.models import Application, Installation, Portal, PortalUser
from installations.said import said
from tokens.errors import NoTarget, SetChange
from tokens.models import (
    EmbedSession,
    OAuthToken,
    RefreshAttempt,
    ReplacedFingerprint,
    Revocation,
    ServiceCall,
    UpstreamRevocation,
)
from tokens.targets import Kind, Pin, RevocationTarget

USED_DAYS: Final = 30
_NAMES: Final = 20
_CHUNK: Final = 5000
_PREFIXES: Final = 100  # in one statement
_ELSEWHERE: Final = 5000  # beyond it they are found anew in each statement instead of kept here


@dataclass(frozen=True, slots=True)
class TargetNames:
    """How a target is called by value: in the ledger and in the audit trail."""

    label: str
    audit_kind: str
    audit_id: str
    installation: Installation | None = None  # where one alone is aimed at


def names_of(target: RevocationTarget) -> TargetNames:
    """Return how the target is called; raises NoTarget when it is not there. At most two statements."""
    match target.kind:
        case Kind.TOKEN:
            token = _one(
                OAuthToken.objects.defer("sealed_access_token", "sealed_refresh_token").select_related(
                    "portal_user__portal", "installation__portal", "installation__application"
                ),
                target.id,
                "token",
            )
            return TargetNames(f"{token} of {token.portal_user}", "token", str(token.pk), token.installation)
        case Kind.PORTAL_USER:
            user = _one(PortalUser.objects.select_related("portal"), target.id, "portal user")
            name = f"{user.portal.domain}/{user.flowlu_user_id}"
            if target.installation_id is None:
                return TargetNames(str(user), "portaluser", name)
            here = _one(Installation.objects.all(), target.installation_id, "installation")
            return TargetNames(f"{user} in {here}", "portaluser", name, here)
        case Kind.INSTALLATION:
            here = _one(Installation.objects.select_related("portal", "application"), target.id, "installation")
            return TargetNames(str(here), "installation", str(here.pk), here)
        case Kind.PORTAL:
            portal = _one(Portal.objects.all(), target.id, "portal")
            return TargetNames(portal.domain, "portal", portal.domain)
        case Kind.APPLICATION:
            application = _one(Application.objects.all(), target.id, "application")
            return TargetNames(str(application), "application", application.app_id)
        case Kind.STORED_BEFORE:
            words = f"stored before {target.before:%Y-%m-%d %H:%M:%S} UTC"
            if target.application_id is not None:
                words += f", {_one(Application.objects.all(), target.application_id, 'application')}"
            if target.portal_id is not None:
                words += f" on {_one(Portal.objects.all(), target.portal_id, 'portal')}"
            return TargetNames(words, "tokens", f"stored before {target.before:%Y-%m-%dT%H:%M:%SZ}")
        case _:
            shown = ", ".join(digits[:8] for digits in target.fingerprints[:10])
            more = f" and {len(target.fingerprints) - 10:,} more" if len(target.fingerprints) > 10 else ""
            return TargetNames(f"fingerprints {shown}{more}", "tokens", f"{len(target.fingerprints)} fingerprints")


def _one(rows: QuerySet[Any], pk: int, what: str) -> Any:
    found = rows.filter(pk=pk).first()
    if found is None:
        raise NoTarget(said("There is no such %(what)s.", what=what))
    return found


def tokens_of(target: RevocationTarget) -> QuerySet[OAuthToken]:
    """Return the live tokens that the target names itself."""
    return _named(target, OAuthToken.objects.live())


def _named(target: RevocationTarget, rows: QuerySet[OAuthToken]) -> QuerySet[OAuthToken]:
    match target.kind:
        case Kind.TOKEN:
            return rows.filter(pk=target.id)
        case Kind.PORTAL_USER:
            rows = rows.filter(portal_user=target.id)
            return rows if target.installation_id is None else rows.filter(installation=target.installation_id)
        case Kind.INSTALLATION:
            return rows.filter(installation=target.id)
        case Kind.PORTAL:
            return rows.filter(installation__in=Installation.objects.filter(portal=target.id).values("pk"))
        case Kind.APPLICATION:
            return rows.filter(installation__in=Installation.objects.filter(application=target.id).values("pk"))
        case Kind.STORED_BEFORE:
            rows = rows.filter(stored_at__lt=target.before)
            if target.portal_id is None and target.application_id is None:
                return rows
            here = Installation.objects.all()
            if target.portal_id is not None:
                here = here.filter(portal=target.portal_id)
            if target.application_id is not None:
                here = here.filter(application=target.application_id)
            return rows.filter(installation__in=here.values("pk"))
        case _:
            return rows.filter(pk__in=_with_fingerprint(target.fingerprints))


def _with_fingerprint(fingerprints: Sequence[str]) -> QuerySet[Any]:
    """Return the numbers of the tokens whose present or earlier fingerprint is one of these, which are whole."""
    rows = OAuthToken.objects.all()
    return (
        rows.filter(access_fingerprint__in=fingerprints)
        .values("pk")
        .union(
            rows.exclude(refresh_fingerprint="").filter(refresh_fingerprint__in=fingerprints).values("pk"),
            ReplacedFingerprint.objects.filter(fingerprint__in=fingerprints).values("oauth_token"),
        )
    )


def resolve_fingerprints(target: RevocationTarget) -> tuple[RevocationTarget, Sequence[str]]:
    """Return the target with whole fingerprints, and those of its list that no live token has or had.

    The first digits of several different tokens name none of them: raises NoTarget, which says what to do instead.
    Three statements for each hundred of them.
    """
    whole: set[str] = set()
    unknown: list[str] = []
    for start in range(0, len(target.fingerprints), _PREFIXES):
        asked = target.fingerprints[start : start + _PREFIXES]
        known = _known(asked)
        for text in asked:
            matching = {digest for digest in known if digest.startswith(text)}
            owners = {owner for digest in matching for owner in known[digest]}
            if len(matching) > 1 and len(owners) > 1:
                raise NoTarget(
                    said(
                        "%(text)s begins the fingerprints of %(count)s tokens. Give more digits, or revoke the one on "
                        "its own page.",
                        text=text,
                        count=len(owners),
                    )
                )
            whole |= matching
            if not matching:
                unknown.append(text)
    return RevocationTarget(Kind.FINGERPRINTS, fingerprints=tuple(sorted(whole))), unknown


def _known(prefixes: Sequence[str]) -> dict[str, set[int]]:
    """Return each fingerprint that begins with one of the prefixes, with the live tokens that have or had it."""
    found: dict[str, set[int]] = {}
    live = OAuthToken.objects.live()
    reads: list[tuple[str, QuerySet[Any], str]] = [
        ("access_fingerprint", live, "pk"),
        ("refresh_fingerprint", live, "pk"),
        ("fingerprint", ReplacedFingerprint.objects.filter(oauth_token__in=live.values("pk")), "oauth_token"),
    ]
    for column, rows, owner in reads:
        begins = Q()
        for prefix in prefixes:
            # A range, which an index serves in any collation; LIKE needs an index of its own.
            begins |= Q(**{f"{column}__gte": prefix, f"{column}__lt": prefix + "g"})
        for digest, pk in rows.filter(begins).values_list(column, owner):
            found.setdefault(digest, set()).add(pk)
    return found


def cut_with(tokens: QuerySet[OAuthToken]) -> QuerySet[OAuthToken]:
    """Return these live tokens with those that hold the very same secret elsewhere. One statement, which finds those.

    The same token may have been handed in for another application of ours as well, also before its pair was refreshed
    here: it is cut there too, or it would go on working under another name.
    """
    elsewhere = _same_elsewhere(tokens)
    found = list(elsewhere.values_list("pk", flat=True)[: _ELSEWHERE + 1])
    if not found:
        return tokens
    live = OAuthToken.objects.live()
    also = live.filter(pk__in=found) if len(found) <= _ELSEWHERE else elsewhere
    return live.filter(pk__in=tokens.values("pk").union(also.values("pk")))


def _same_elsewhere(tokens: QuerySet[OAuthToken]) -> QuerySet[OAuthToken]:
    others = OAuthToken.objects.live().filter(~Exists(tokens.filter(pk=OuterRef("pk")).values("pk")))
    refreshable = others.exclude(refresh_fingerprint="")
    earlier = ReplacedFingerprint.objects.filter(oauth_token__in=tokens.values("pk")).values("fingerprint")
    refresh = tokens.exclude(refresh_fingerprint="").values("refresh_fingerprint")
    parts = (
        others.filter(access_fingerprint__in=tokens.values("access_fingerprint")).values("pk"),
        others.filter(access_fingerprint__in=earlier).values("pk"),
        refreshable.filter(refresh_fingerprint__in=refresh).values("pk"),
        refreshable.filter(refresh_fingerprint__in=earlier).values("pk"),
    )
    return OAuthToken.objects.filter(pk__in=parts[0].union(*parts[1:]))


def pin_of(target: RevocationTarget) -> Pin:
    """Return the pin over all that a revocation of the target would cut. Two statements, one read as a stream."""
    return _pin_over(target, cut_with(tokens_of(target)))


def _pin_over(target: RevocationTarget, tokens: QuerySet[OAuthToken]) -> Pin:
    moment = timezone.now()
    numbers = tokens.order_by("pk").values_list("pk", flat=True)
    return Pin.over(target, numbers.iterator(chunk_size=_CHUNK), moment)


def change_since(target: RevocationTarget, pin: Pin, now: Pin) -> SetChange:
    """Return in which way what would be cut differs from what was pinned. Five statements."""
    tokens = cut_with(tokens_of(target))
    added = tokens.filter(Q(pk__gt=pin.newest) | Q(created_at__gt=pin.at))
    added_count = added.count()
    gone = _named(target, OAuthToken.objects.filter(state=OAuthToken.State.REVOKED, revoked_at__gt=pin.at))
    return SetChange(
        before=pin.tokens,
        now=now.tokens,
        added=_named_people(added),
        added_count=added_count,
        gone=_named_people(gone),
        gone_count=max(0, pin.tokens + added_count - now.tokens),
    )


def _named_people(tokens: QuerySet[OAuthToken]) -> list[str]:
    rows = tokens.select_related("portal_user__portal").defer("sealed_access_token", "sealed_refresh_token")
    return [f"{row} of {row.portal_user}" for row in rows.order_by("-pk")[:5]]


@dataclass(frozen=True, slots=True)
class Use:
    """Backend use of what would be cut."""

    name: str
    calls: int


@dataclass(frozen=True, slots=True)
class RevocationPreview:
    """What a revocation would stop, and the pin of it."""

    pin: Pin
    active_tokens: int
    sessions: int
    users: Sequence[PortalUser]
    more_users: int
    purposes: Sequence[Use]
    service_clients: Sequence[Use]
    used_days: int = USED_DAYS

    @property
    def tokens(self) -> int:
        return self.pin.tokens

    @property
    def users_count(self) -> int:
        return len(self.users) + self.more_users


def preview_revocation(target: RevocationTarget, *, names: int = _NAMES) -> RevocationPreview:
    """Return who and what stops when the target is revoked. Seven statements, whatever the number of tokens."""
    tokens = cut_with(tokens_of(target))
    pin = _pin_over(target, tokens)
    counts = tokens.aggregate(
        active=Count("pk", filter=Q(state=OAuthToken.State.ACTIVE)), users=Count("portal_user", distinct=True)
    )
    sessions = EmbedSession.objects.open().filter(oauth_token__in=tokens.values("pk")).count()
    users = PortalUser.objects.filter(pk__in=tokens.values("portal_user")).select_related("portal")
    shown = list(users.order_by("pk")[:names])
    since = timezone.now() - timedelta(days=USED_DAYS)
    calls = ServiceCall.objects.filter(oauth_token__in=tokens.values("pk"), at__gte=since)
    return RevocationPreview(
        pin,
        counts["active"],
        sessions,
        shown,
        max(0, counts["users"] - len(shown)),
        _uses(calls.filter(purpose__isnull=False), "purpose__code", names),
        _uses(calls, "service_client__name", names),
    )


def _uses(calls: QuerySet[ServiceCall], column: str, names: int) -> list[Use]:
    rows = calls.values(name=F(column)).annotate(calls=Count("pk")).order_by("-calls", "name")[:names]
    return [Use(row["name"] or said("this project's own code"), row["calls"]) for row in rows]


def with_upstream_facts(rows: QuerySet[Revocation]) -> QuerySet[Revocation]:
    """Add to each ledger row what is known of Flowlu's side, counted anew: `told`, `told_tokens`, `confirmed`.

    And what may live there without Flowlu having been told: `came_back`, a pair that a refresh brought after the cut;
    `had_others`, a pair that one of the cut lineages held before; `kept_apart`, a refresh token that was not stored, or
    may have been exchanged for one that never came here.
    """
    cases = UpstreamRevocation.objects.filter(revocation=OuterRef("pk")).order_by()
    cut = OAuthToken.objects.filter(revocation=OuterRef("pk"))
    attempts = RefreshAttempt.objects.filter(oauth_token=OuterRef("pk"))
    replaced = ReplacedFingerprint.objects.filter(oauth_token=OuterRef("pk"))
    lost = attempts.filter(outcome=RefreshAttempt.Outcome.DISCARDED, error="revoked")
    settled = (RefreshAttempt.Outcome.FRESH, RefreshAttempt.Outcome.TRANSIENT)
    never_kept = Q(installation__application__stores_refresh_tokens=False) | Q(refresh_fingerprint="")

    def number(of: QuerySet[UpstreamRevocation], counted: str) -> Coalesce:
        counts = of.values("revocation").annotate(number=Count(counted, distinct=True)).values("number")
        return Coalesce(Subquery(counts), 0)

    def is_any(of: QuerySet[OAuthToken]) -> Any:
        # Its first row, not EXISTS: PostgreSQL would look that up in a hash of all tokens, for fifty rows of a list.
        return GreaterThan(Coalesce(Subquery(of.order_by().values("pk")[:1]), 0), 0)

    return rows.annotate(
        told=number(cases, "pk"),
        told_tokens=number(cases, "oauth_token"),
        confirmed=number(cases.filter(state=UpstreamRevocation.State.CONFIRMED), "pk"),
        came_back=is_any(cut.filter(Exists(lost))),
        had_others=is_any(cut.filter(Exists(replaced))),
        kept_apart=is_any(cut.filter(Q(never_kept) | Q(Exists(attempts.exclude(outcome__in=settled))))),
    )
