"""The page of an installation in tabs: one look each, under one head that says what state it is in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import editions, selectors
from installations.admin.activity import KINDS, activity_of
from installations.admin.display import Table, change_url, installation_name, link, mono, when
from installations.admin.manifests import pretty_document, requested_table
from installations.admin.text import Text, visible_text
from installations.models import Installation
from tokens.admin.api_keys import keys_table
from tokens.admin.ledger import revocations_table
from tokens.admin.people import people_table, sessions_table
from tokens.admin.tables import tokens_table
from tokens.models import EmbedSession

_OF_IT: Final = "installation__id__exact={}"


@dataclass(frozen=True, slots=True)
class Tab:
    """One look at an installation. `needs` names permissions of which one is enough."""

    slug: str  # empty: the page itself
    label: Text
    needs: Sequence[str]

    def url(self, object_id: int) -> str:
        if not self.slug:
            return reverse("admin:installations_installation_change", args=[object_id])
        return reverse(f"admin:installations_installation_{self.slug}", args=[object_id])

    def permitted(self, request: HttpRequest) -> bool:
        return any(request.user.has_perm(needed) for needed in self.needs)


TABS: Final = (
    Tab("", _("Overview"), ("installations.view_installation",)),
    Tab("permissions", _("Permissions"), ("installations.view_installation",)),
    Tab("credentials", _("Credentials"), ("tokens.view_oauthtoken", "tokens.view_apikey", "tokens.view_revocation")),
    Tab("people", _("People"), ("installations.view_portaluser", "tokens.view_embedsession")),
    Tab("activity", _("Activity"), tuple(kind.needs for kind in KINDS)),
    Tab("manifest", _("Manifest"), ("installations.view_manifest",)),
)


@dataclass(frozen=True, slots=True)
class TabLink:
    label: Text
    url: str
    is_current: bool


def tab_links(request: HttpRequest, object_id: int, current: str) -> list[TabLink]:
    """Return the tabs that the operator may open."""
    return [TabLink(tab.label, tab.url(object_id), tab.slug == current) for tab in TABS if tab.permitted(request)]


def tab_urls(model_admin: Any) -> list[URLPattern]:
    """Return the addresses of the tabs that have no page of their own elsewhere."""
    views = {"credentials": _credentials, "people": _people, "activity": _activity, "manifest": _manifest}
    return [
        path(
            f"<int:object_id>/{tab.slug}/",
            model_admin.admin_site.admin_view(partial(_view, model_admin, tab, views[tab.slug])),
            name=f"installations_installation_{tab.slug}",
        )
        for tab in TABS
        if tab.slug in views
    ]


_Content = Callable[[HttpRequest, Installation], dict[str, Any]]


def _view(model_admin: Any, tab: Tab, content: _Content, request: HttpRequest, object_id: int) -> HttpResponse:
    """Show one tab. Whoever may see neither installations nor anything that is in it gets a 403."""
    if not (model_admin.has_view_permission(request) and tab.permitted(request)):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    row = model_admin.get_queryset(request).filter(pk=object_id).first()
    if row is None:
        raise Http404
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "may_list": True,
        "title": visible_text(installation_name(row)),
        "tab": tab.label,
        "tabs": tab_links(request, row.pk, tab.slug),
        "badges": model_admin.header(row),
        "back_url": change_url(row),
        **content(request, row),
    }
    return TemplateResponse(request, "admin/installations/installation/tab.html", context)


def _credentials(request: HttpRequest, row: Installation) -> dict[str, Any]:
    of_it = _OF_IT.format(row.pk)
    found: list[Table] = []
    if request.user.has_perm("tokens.view_oauthtoken"):
        found.append(
            tokens_table(request, row.tokens.all(), of_it, title=gettext("Tokens"), without=gettext("Installation"))
        )
    found += keys_table(request, row.api_keys.all(), of_it)
    if request.user.has_perm("tokens.view_revocation"):
        found.append(revocations_table(row.revocations.all(), of_it))
    return {"tables": found}


def _people(request: HttpRequest, row: Installation) -> dict[str, Any]:
    found: list[Table] = []
    if request.user.has_perm("installations.view_portaluser"):
        found.append(people_table(row))
    if request.user.has_perm("tokens.view_embedsession"):
        sessions = EmbedSession.objects.filter(oauth_token__installation=row)
        query = f"oauth_token__installation__id__exact={row.pk}"
        found.append(sessions_table(sessions, query, without=gettext("Installation")))
    return {"tables": found}


def _activity(request: HttpRequest, row: Installation) -> dict[str, Any]:
    return {"activity": activity_of(request, row)}


def _manifest(request: HttpRequest, row: Installation) -> dict[str, Any]:
    review = selectors.review_scopes(row.manifest.requested_scopes, [], editions.read_with(row))
    versions = [(gettext("asked for now"), row.manifest)]
    if row.decided_manifest and row.decided_manifest_id != row.manifest_id:
        versions.append((gettext("decided about last"), row.decided_manifest))
    table = Table(
        gettext("Manifests of this installation"),
        (gettext("Version"), gettext("SHA-256"), gettext("Imported"), gettext("Which")),
        [
            (link(manifest, manifest.version), mono(manifest.sha256[:8]), when(manifest.imported_at), which)
            for which, manifest in versions
        ],
        gettext("None."),
        note="" if row.decided_manifest else gettext("No operator decided about any manifest here yet."),
    )
    return {"tables": [table, requested_table(review)], "document": pretty_document(row.manifest)}
