"""What is good to know on the first page, and asks for nothing."""

from collections.abc import Iterator

from django.http import HttpRequest
from django.utils.translation import gettext, ngettext

from flowlu_admin.home.items import Item, item, recently
from installations import selectors
from installations.models import Application, Installation, Portal, PortalUser
from tokens import backend_use
from tokens.models import OAuthToken, Purpose, RefreshAttempt, ServiceClient


def notes(request: HttpRequest) -> Iterator[Item]:
    """Give what an operator may want to know, as far as they may see it."""
    may = request.user.has_perm
    if may("tokens.view_oauthtoken"):
        yield from item(
            selectors.waiting(OAuthToken.objects.filter(state=OAuthToken.State.STALE), "stale_at"),
            lambda count: ngettext("%(count)s token is stale", "%(count)s tokens are stale", count),
            gettext(
                "Flowlu no longer takes such a token, or a newer one took its place. A fresh one comes when its user "
                "opens the application."
            ),
            OAuthToken,
            "state__exact=stale",
            "plain",
        )
    if may("tokens.view_refreshattempt"):
        lost = RefreshAttempt.objects.filter(outcome=RefreshAttempt.Outcome.UNKNOWN, started_at__gte=recently())
        yield from item(
            selectors.waiting(lost, "started_at"),
            lambda count: ngettext(
                "%(count)s refresh of unknown outcome in the last 7 days",
                "%(count)s refreshes of unknown outcome in the last 7 days",
                count,
            ),
            gettext("Their refresh tokens are not used again. Many of them mean that the token endpoint answers late."),
            RefreshAttempt,
            "outcome__exact=unknown",
            "plain",
            gettext("The first one %(age)s ago."),
        )
    if may("tokens.view_purpose"):
        yield from item(
            selectors.waiting(backend_use.unused_purposes(), "created_at"),
            lambda count: ngettext(
                "%(count)s purpose is on and unused for long", "%(count)s purposes are on and unused for long", count
            ),
            gettext("What nobody needs is better off."),
            Purpose,
            "use=unused",
            "plain",
            gettext("The oldest was declared %(age)s ago."),
        )
    if may("tokens.view_serviceclient"):
        yield from item(
            selectors.waiting(backend_use.unused_clients(), "created_at"),
            lambda count: ngettext(
                "%(count)s service client is on and unused for long",
                "%(count)s service clients are on and unused for long",
                count,
            ),
            gettext("A key that nobody needs is better off."),
            ServiceClient,
            "use=unused",
            "plain",
            gettext("The oldest was created %(age)s ago."),
        )
    if may("installations.view_installation"):
        locks = selectors.locks_in_force()
        for locked, words, model in (
            (
                locks.portals,
                lambda count: ngettext("%(count)s portal is locked", "%(count)s portals are locked", count),
                Portal,
            ),
            (
                locks.applications,
                lambda count: ngettext("%(count)s application is locked", "%(count)s applications are locked", count),
                Application,
            ),
            (
                locks.installations,
                lambda count: ngettext("%(count)s installation is locked", "%(count)s installations are locked", count),
                Installation,
            ),
            (
                locks.portal_users,
                lambda count: ngettext("%(count)s portal user is locked", "%(count)s portal users are locked", count),
                PortalUser,
            ),
        ):
            if may(f"installations.view_{model._meta.model_name}"):
                yield from item(
                    locked, words, "", model, "locked=yes", "bad", gettext("The oldest lock is %(age)s old.")
                )
