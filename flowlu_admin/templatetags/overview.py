"""The first page of the console: what needs an operator now, as far as each may see it.

A template tag, since the admin site itself is made before the pages that this links to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django import template
from django.db.models import Count, Min
from django.http import HttpRequest
from django.template import RequestContext
from django.urls import reverse
from django.utils import timezone

from installations import editions, reviews, selectors
from installations.admin.display import age, list_url, plural
from installations.four_columns import utc_today
from installations.models import (
    Application,
    ApprovalRequest,
    AuditEvent,
    BreakGlass,
    CatalogueEdition,
    Installation,
    Liveness,
    Portal,
    PortalUser,
    Review,
)
from installations.trail.state import last_findings
from tokens.models import ApiKey, OAuthToken, RefreshAttempt, Revocation, UpstreamRevocation

_RECENT = timedelta(days=7)
_STUCK = timedelta(minutes=5)  # a batch of a revocation takes seconds

register = template.Library()


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at, with the list that shows it."""

    words: str
    about: str
    url: str
    tone: str


@register.simple_tag(takes_context=True)
def overview(context: RequestContext) -> dict[str, Any]:
    """Return what the first page shows. At most twenty-nine statements."""
    request: HttpRequest = context["request"]
    may = request.user.has_perm
    return {
        "needs": list(_needs(request)),
        "notes": list(_notes(request)),
        "may_tell": may("installations.view_installation"),
        "is_empty": may("installations.view_application") and not Application.objects.exists(),
        "import_url": reverse("admin:installations_application_import") if may("installations.import_manifest") else "",
        "events": selectors.latest_events(count=10) if may("installations.view_auditevent") else None,
        "audit_url": list_url(AuditEvent),
    }


def _needs(request: HttpRequest) -> Iterator[Item]:
    may = request.user.has_perm
    if may("installations.view_installation"):
        waiting = selectors.pending_installations()
        if waiting.count and waiting.oldest:
            waits = "waits" if waiting.count == 1 else "wait"
            yield Item(
                f"{plural(waiting.count, 'installation')} {waits} for approval",
                f"The oldest since {age(timezone.now() - waiting.oldest)}. Until then every call of theirs is refused.",
                list_url(Installation, "status__exact=pending_approval"),
                "wait",
            )
        anew = selectors.installations_asking_for_more().count()
        if anew:
            need = "needs" if anew == 1 else "need"
            yield Item(
                f"{plural(anew, 'installation')} {need} a decision about more scopes",
                "A new manifest asks for more, or a policy left the rest to you. What is approved goes on meanwhile.",
                list_url(Installation, "decision=anew"),
                "wait",
            )
        gone = selectors.suspected_removals()
        if gone:
            are = "is" if gone == 1 else "are"
            yield Item(
                f"{plural(gone, 'installation')} {are} suspected to be removed",
                "Flowlu refused their tokens, or their portal was not reached. Only you can say whether they are gone.",
                list_url(Installation, f"liveness={Liveness.State.SUSPECTED}"),
                "wait",
            )
    if may("installations.view_approvalrequest"):
        asked = selectors.waiting_for_second_operator()
        if asked.count and asked.oldest:
            waits = "waits" if asked.count == 1 else "wait"
            yield Item(
                f"{plural(asked.count, 'approval')} {waits} for a second operator",
                f"The oldest since {_since(asked.oldest)}. Whoever asked cannot confirm it.",
                list_url(ApprovalRequest, "state=waiting"),
                "wait",
            )
    if may("installations.view_breakglass"):
        alone = selectors.unseen_break_glass()
        if alone.count and alone.oldest:
            was = "was" if alone.count == 1 else "were"
            yield Item(
                f"{plural(alone.count, 'approval')} of high risk {was} made by one operator alone",
                f"Nobody else looked at it yet. The oldest since {_since(alone.oldest)}.",
                list_url(BreakGlass, "looked_at=no"),
                "bad",
            )
    if may("installations.view_catalogueedition"):
        known = editions.as_stored()
        if known.damage:
            yield Item(
                f"Edition {known.edition} of the scope catalogue is damaged",
                "Nobody can say what a scope allows, so calls are refused. Import an export or an older edition, and "
                "find out who can write to the database.",
                list_url(CatalogueEdition),
                "bad",
            )
    if may("installations.view_installation") and may("installations.view_approvedpermission"):
        yield from _reviews()
    if may("installations.view_auditevent"):
        since = timezone.now() - _RECENT
        found = last_findings()
        if found:
            yield Item(
                f"The audit trail is broken: {plural(found, 'finding')}",
                "The last verification says so. Run manage.py verify_audit to see each, and find out who can write to "
                "the database.",
                list_url(AuditEvent),
                "bad",
            )
        damaged = AuditEvent.objects.filter(verb="token.undecryptable", occurred_at__gte=since).count()
        if damaged:
            yield Item(
                f"{plural(damaged, 'token')} did not unseal in the last 7 days",
                "A key is missing or a row was damaged. Check TOKEN_KEYS before anything else.",
                list_url(AuditEvent, "verb=token.undecryptable"),
                "bad",
            )

    if may("tokens.view_revocation"):
        yield from _open_revocations()
    if may("tokens.view_upstreamrevocation"):
        open_cases = UpstreamRevocation.objects.filter(state=UpstreamRevocation.State.IRREVOCABLE).count()
        if open_cases:
            are = "is" if open_cases == 1 else "are"
            yield Item(
                f"{plural(open_cases, 'revocation')} {are} not confirmed by Flowlu",
                "Here the tokens are cut; at Flowlu they may live on. Try again, or have the cases closed.",
                list_url(UpstreamRevocation, "state__exact=irrevocable"),
                "bad",
            )
    if may("tokens.view_apikey"):
        alive = ApiKey.objects.filter(state=ApiKey.State.REVOKED, deletion_confirmed_at__isnull=True)
        told = alive.aggregate(count=Count("pk"), oldest=Min("revoked_at"))
        if told["count"]:
            are = "is" if told["count"] == 1 else "are"
            yield Item(
                f"{plural(told['count'], 'revoked API key')} {are} not confirmed to be deleted at Flowlu",
                f"Only an administrator of the portal can delete one. The oldest since {_since(told['oldest'])}.",
                list_url(ApiKey, "state__exact=revoked&deletion_confirmed_at__isnull=True"),
                "wait",
            )


def _reviews() -> Iterator[Item]:
    """Give what is to be looked at again. Two statements."""
    found = reviews.reviews_waiting()
    if found.due:
        are = "is" if found.due == 1 else "are"
        unused = f"{found.unused:,} more can be lowered or withdrawn: unused. " if found.unused else ""
        yield Item(
            f"{plural(found.due, 'approval')} {are} due for review",
            f"The oldest {_days(found.oldest)}. {unused}Keep, lower or withdraw each.",
            list_url(Review),
            "wait",
        )
    elif found.unused:
        yield Item(
            f"{plural(found.unused, 'approval')} can be lowered or withdrawn",
            "Nobody uses what is approved, or it is only read. A proposal is gone with the next call that uses it.",
            list_url(Review, "what=unused"),
            "wait",
        )


def _days(day: date | None) -> str:
    """Return how long ago a day of review was."""
    late = (utc_today() - day).days if day else 0
    return f"for {plural(late, 'day')}" if late else "since today"


def _open_revocations() -> Iterator[Item]:
    """Give what is left to do of the ledger. Three statements."""
    since = timezone.now() - _RECENT
    let_in = Revocation.objects.filter(probe=Revocation.Probe.LET_IN, probed_at__gte=since).count()
    if let_in:
        yield Item(
            f"{plural(let_in, 'revocation')} did not hold when tried, in the last 7 days",
            "A probe was let in. Lock what was aimed at, now, and report it.",
            list_url(Revocation, "probe__exact=let_in"),
            "bad",
        )
    running = Revocation.objects.filter(state=Revocation.State.RUNNING)
    stuck = running.filter(cut_at__lt=timezone.now() - _STUCK).aggregate(count=Count("pk"), oldest=Min("cut_at"))
    if stuck["count"]:
        are = "is" if stuck["count"] == 1 else "are"
        yield Item(
            f"{plural(stuck['count'], 'revocation')} {are} not finished",
            f"Nothing was cut for {_since(stuck['oldest'])}. The page of each says how to go on.",
            list_url(Revocation, "state__exact=running"),
            "bad",
        )
    steps = Revocation.objects.filter(portal_step=Revocation.PortalStep.OPEN)
    asked = steps.aggregate(count=Count("pk"), oldest=Min("cut_at"))
    if asked["count"]:
        wait = "waits" if asked["count"] == 1 else "wait"
        yield Item(
            f"{plural(asked['count'], 'revocation')} {wait} for a step at Flowlu",
            "The portal's administrator takes the access away there; record it when you were told so. "
            f"The oldest since {_since(asked['oldest'])}.",
            list_url(Revocation, "portal_step__exact=open"),
            "wait",
        )


def _since(moment: datetime) -> str:
    return age(timezone.now() - moment)


def _notes(request: HttpRequest) -> Iterator[Item]:
    may = request.user.has_perm
    if may("tokens.view_oauthtoken"):
        stale = OAuthToken.objects.filter(state=OAuthToken.State.STALE).count()
        if stale:
            are = "is" if stale == 1 else "are"
            yield Item(
                f"{plural(stale, 'token')} {are} stale",
                "Flowlu no longer takes such a token, or a newer one took its place. A fresh one comes when its user "
                "opens the application.",
                list_url(OAuthToken, "state__exact=stale"),
                "plain",
            )
    if may("tokens.view_refreshattempt"):
        since = timezone.now() - _RECENT
        lost = RefreshAttempt.objects.filter(outcome=RefreshAttempt.Outcome.UNKNOWN, started_at__gte=since).count()
        if lost:
            yield Item(
                f"{plural(lost, 'refresh', 'refreshes')} of unknown outcome in the last 7 days",
                "Their refresh tokens are not used again. Many of them mean that the token endpoint answers late.",
                list_url(RefreshAttempt, "outcome__exact=unknown"),
                "plain",
            )
    if may("installations.view_installation"):
        locks = selectors.locks_in_force()
        for count, one, model in (
            (locks.portals, "portal", Portal),
            (locks.applications, "application", Application),
            (locks.installations, "installation", Installation),
            (locks.portal_users, "portal user", PortalUser),
        ):
            if count and may(f"installations.view_{model._meta.model_name}"):
                are = "is" if count == 1 else "are"
                yield Item(f"{plural(count, one)} {are} locked", "", list_url(model, "locked=yes"), "bad")
