"""Tokens as rows on the pages of other objects."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.admin.display import Table, badge, link, list_url, mono, when
from installations.admin.text import Text, visible_text
from tokens import selectors
from tokens.models import OAuthToken

_SHOWN = 50
_TONE = {OAuthToken.State.ACTIVE: "good", OAuthToken.State.STALE: "wait", OAuthToken.State.REVOKED: "gone"}


def state_badge(token: OAuthToken) -> Any:
    state = OAuthToken.State(token.state)
    return badge(str(state.label), _TONE[state])


def fingerprint(token: OAuthToken) -> Any:
    """Return the first 8 hex digits of the keyed hash: all that people see of a token."""
    return mono(token.access_fingerprint[:8])


def expiry(token: OAuthToken) -> Any:
    return when(token.expires_at, gettext("unknown"))


def user_label(token: OAuthToken) -> str:
    user = token.portal_user
    return (
        f"{visible_text(user.name)} ({user.flowlu_user_id})"
        if user.name
        else gettext("user %(flowlu_user_id)s") % {"flowlu_user_id": user.flowlu_user_id}
    )


_TOKENS = _("Tokens")


def tokens_table(
    request: HttpRequest, tokens: QuerySet[OAuthToken], query: str, *, title: Text = _TOKENS, without: str = ""
) -> Table:
    """Return tokens and their people, live ones first, with a way to revoke each. One statement.

    `without` names the column that would say the same on each row.
    """
    may_revoke = request.user.has_perm("tokens.revoke_oauthtoken")
    rows: list[Any] = list(selectors.tokens_with_sessions(tokens)[:_SHOWN])
    columns = [
        gettext("User"),
        gettext("Installation"),
        gettext("Token"),
        gettext("State"),
        gettext("Expires at Flowlu"),
        gettext("Stored"),
        gettext("Open sessions"),
    ]
    if may_revoke:
        columns.append(gettext("Revoke"))
    columns = [name for name in columns if name != without]
    cells = []
    for row in rows:
        values = {
            gettext("User"): link(row.portal_user, user_label(row)),
            gettext("Installation"): link(row.installation),
            gettext("Token"): format_html("{} {}", link(row), fingerprint(row)),
            gettext("State"): state_badge(row),
            gettext("Expires at Flowlu"): expiry(row),
            gettext("Stored"): when(row.stored_at),
            gettext("Open sessions"): row.open_sessions,
            gettext("Revoke"): _revoke_links(row) if row.state != OAuthToken.State.REVOKED else "–",
        }
        cells.append([values[name] for name in columns])
    return Table(
        title,
        columns,
        cells,
        gettext("No token is stored. One comes with a person who opens the application."),
        more_url=list_url(OAuthToken, query),
        more=gettext("Show in the list"),
    )


def _revoke_links(token: OAuthToken) -> Any:
    one = reverse("admin:tokens_oauthtoken_revoke", kwargs={"object_id": token.pk})
    values = {"object_id": token.installation_id, "user_id": token.portal_user_id}
    user = reverse("admin:installations_installation_revoke_user", kwargs=values)
    return format_html(
        '<a href="{}">{}<span class="visually-hidden"> #{}</span></a> · '
        '<a href="{}">{}<span class="visually-hidden">: {}</span></a>',
        one,
        gettext("this token"),
        token.pk,
        user,
        gettext("all of the user here"),
        user_label(token),
    )
