"""The first page of the console: what needs an operator now, as far as each may see it.

A template tag, since the admin site itself is made before the pages that this links to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import template
from django.http import HttpRequest
from django.template import RequestContext
from django.urls import reverse
from django.utils import timezone

from installations import selectors
from installations.admin.display import age, list_url, plural
from installations.models import Application, AuditEvent, Installation, Portal, PortalUser
from tokens.models import OAuthToken, RefreshAttempt, UpstreamRevocation

_RECENT = timedelta(days=7)

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
    """Return what the first page shows. At most eleven statements."""
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
    if may("installations.view_auditevent"):
        since = timezone.now() - _RECENT
        damaged = AuditEvent.objects.filter(verb="token.undecryptable", occurred_at__gte=since).count()
        if damaged:
            yield Item(
                f"{plural(damaged, 'token')} did not unseal in the last 7 days",
                "A key is missing or a row was damaged. Check TOKEN_KEYS before anything else.",
                list_url(AuditEvent, "verb=token.undecryptable"),
                "bad",
            )

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
