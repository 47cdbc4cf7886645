"""Applications: registered by a manifest, their settings, and where they are installed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin.acts import Act, Outcome, actor_of, note_refusal, posted, with_history
from installations.admin.base import ReadOnlyAdmin
from installations.admin.change_lists import ConsoleChangeList
from installations.admin.display import (
    Table,
    at,
    badge,
    change_url,
    column,
    link,
    list_url,
    lock_badge,
    mono,
    text_of,
    when,
)
from installations.admin.filter_counts import bounded_counts
from installations.admin.lists import LockedFilter
from installations.admin.locks import Lock, Unlock
from installations.admin.portals import installations_table
from installations.admin.text import Text, sentences, translated, visible, visible_text
from installations.cross_origin import origins_of, set_allowed_origins
from installations.errors import InvalidRequest, ManifestError, ManifestInvalid, NotPermitted
from installations.forms import ConfigureForm, ImportForm, OriginsForm, ReasonForm
from installations.models import Application, Installation, Manifest
from installations.seen import digest_of
from installations.services import ImportResult, import_manifest
from tokens.admin.revoke_acts import RevokeApplication
from tokens.services.revocation import configure_application, settings_of


class Configure(Act):
    slug = "configure"
    label = _("Change settings")
    summary = _("Whether refresh tokens are kept, who refreshes, what is approved by itself, and on which portals.")
    permission = "installations.configure_application"
    empowers = True
    form_class = ConfigureForm

    def form(self, request: HttpRequest, target: Application) -> ReasonForm:
        initial = {
            "stores_refresh_tokens": target.stores_refresh_tokens,
            "refreshed_by": target.refreshed_by,
            "approval_policy": target.approval_policy,
            "allowed_portals": "\n".join(target.allowed_portals),
        }
        form = ConfigureForm(posted(request), initial=initial)
        form.show(digest_of(settings_of(target)))
        return form

    def stops(self, target: Application) -> Sequence[Text]:
        return (
            gettext(
                "A portal that is left out opens no new session. The sessions that are open there end by themselves "
                "or by a revocation. Backend code acts there no longer, from its next call on."
            ),
            gettext(
                "Switching refresh tokens off wipes every one that is stored for this application, and so does "
                "another refresher: a pair must never be refreshed from two sides."
            ),
            gettext(
                "A policy that trusts the portal's administrator approves scopes of installations that are first seen "
                "from now on, without an operator. To change it needs the right to approve scopes."
            ),
        )

    def stays(self, target: Application) -> Sequence[Text]:
        return (gettext("Approved scopes, access tokens and open sessions stay as they are."),)

    def perform(self, target: Application, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        try:
            changed = configure_application(
                application_id=target.pk,
                stores_refresh_tokens=values["stores_refresh_tokens"],
                allowed_portals=values["allowed_portals"],
                refreshed_by=values["refreshed_by"] or None,
                approval_policy=values["approval_policy"] or None,
                seen=values["seen"],
                actor=actor,
                reason=values["reason"],
            )
        except InvalidRequest as error:
            for portal, message in error.fields.items():
                if portal in form.fields:
                    form.add_error(portal, message)
                    continue
                form.add_error("allowed_portals", f"{visible_text(portal, ascii_only=True)}: {translated(message)}")
            raise
        return Outcome.of(
            changed,
            gettext("The settings of %(app_id)s are changed.") % {"app_id": target.app_id},
            already=gettext("Nothing changed: these are the settings already."),
        )


class AllowOrigins(Act):
    slug = "origins"
    label = _("Allowed origins")
    summary = _("From which origins of their own pages may use the application through the API.")
    permission = "installations.configure_application"
    empowers = True
    form_class = OriginsForm

    def form(self, request: HttpRequest, target: Application) -> ReasonForm:
        form = OriginsForm(posted(request), initial={"origins": "\n".join(target.allowed_origins)})
        form.show(digest_of(origins_of(target)))
        return form

    def stops(self, target: Application) -> Sequence[Text]:
        return (
            gettext(
                "A page of an origin that is left out opens no new session, and the next request that it makes in an "
                "open one is refused with origin_not_allowed."
            ),
        )

    def stays(self, target: Application) -> Sequence[Text]:
        return (
            gettext(
                "A page of this service itself, and programs that are no browser, need no origin here: this list "
                "keeps pages out, and says nothing about who the user is."
            ),
            gettext(
                "A session stays open when its page's origin is left out; it ends by itself or by a revocation. What "
                "the page does at Flowlu through the SDK goes on."
            ),
            gettext("An origin that is new may be refused for some seconds, until every process knows of it."),
        )

    def perform(self, target: Application, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        try:
            changed = set_allowed_origins(
                application_id=target.pk,
                origins=values["origins"],
                seen=values["seen"],
                actor=actor,
                reason=values["reason"],
            )
        except InvalidRequest as error:
            for origin, message in error.fields.items():
                where = "" if origin == "origins" else f"{visible_text(origin, ascii_only=True)}: "
                form.add_error("origins", f"{where}{translated(message)}")
            raise
        return Outcome.of(
            changed,
            gettext("The allowed origins of %(app_id)s are changed.") % {"app_id": target.app_id},
            already=gettext("Nothing changed: these are the allowed origins already."),
        )


_VERSIONS = 20


class ApplicationChangeList(ConsoleChangeList):
    """A page of applications, with how many live installations each has."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = self.completed(request, list(self.result_list))

    def completed(self, request: HttpRequest, rows: list[Any]) -> list[Any]:
        live = Installation.objects.live()
        counts = bounded_counts([live.filter(application=row) for row in rows])
        for row, count in zip(rows, counts, strict=True):
            row.installed = count
        return rows


@admin.register(Application)
class ApplicationAdmin(ReadOnlyAdmin):
    list_display = (
        text_of("name", _("name")),
        column("app_id", _("appId"), lambda row: mono(row.app_id), order="app_id"),
        "kind",
        column(
            "current",
            _("current manifest"),
            lambda row: visible(row.current_manifest.version if row.current_manifest else "–"),
        ),
        column("installed", _("live installations"), lambda row: row.installed),
        column("lock", _("lock"), lambda row: lock_badge() if row.locked_at else "–", order="locked_at"),
        at("created_at", _("registered")),
    )
    list_filter = (LockedFilter, "kind")
    allowed_lookups = frozenset({"kind__exact"})
    search_fields = ("name", "app_id")
    ordering = ("name", "pk")
    can_be_exported = True
    facts = (
        column("app_id", _("appId"), lambda row: mono(row.app_id)),
        text_of("name", _("name")),
        "kind",
        "approval_policy",
        "refreshed_by",
        column(
            "refresh",
            _("refresh tokens"),
            lambda row: gettext("kept") if row.stores_refresh_tokens else gettext("never stored"),
        ),
        column("portals", _("allowed portals"), lambda row: ", ".join(row.allowed_portals) or gettext("any portal")),
        column(
            "origins",
            _("allowed origins"),
            lambda row: ", ".join(row.allowed_origins) or gettext("only this service's own pages"),
        ),
        column(
            "current", _("current manifest"), lambda row: link(row.current_manifest) if row.current_manifest else "–"
        ),
        at("created_at", _("registered")),
        at("locked_at", _("locked since"), empty=_("not locked")),
    )
    act_classes = (Configure, AllowOrigins, RevokeApplication, Lock, Unlock)
    words_here = ("approval-policy", "origin")
    intro = _("Custom applications of ours. An application is registered by importing its manifest.")
    empty_text = _("No application is registered. Import the manifest of the first one to begin.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Application]:
        found: QuerySet[Application] = super().get_queryset(request)
        return found.select_related("current_manifest").defer("current_manifest__document")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ApplicationChangeList]:
        return ApplicationChangeList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.import_view)
        return [path("import/", view, name="installations_application_import"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_import = request.user.has_perm("installations.import_manifest")
        links = [(reverse("admin:installations_application_import"), gettext("Import manifest"))] if may_import else []
        return super().changelist_view(request, {"list_links": links, **(extra_context or {})})

    def page_title(self, row: Application) -> str:
        return row.name

    def badges(self, row: Application) -> Sequence[Any]:
        return [lock_badge(gettext("application locked"))] if row.locked_at else []

    def audit_query(self, row: Application) -> dict[str, Any]:
        return {"target_kind": "application", "target_id": row.app_id}

    def tables(self, request: HttpRequest, row: Application) -> Sequence[Table]:
        found = []
        if request.user.has_perm("installations.view_manifest"):
            versions = list(row.manifests.defer("document").order_by("-imported_at", "-pk")[:20])
            found.append(
                Table(
                    gettext("Manifests"),
                    (
                        gettext("Version"),
                        gettext("SHA-256"),
                        gettext("Requested scopes"),
                        gettext("Imported"),
                        gettext("State"),
                    ),
                    [
                        (
                            link(manifest, manifest.version),
                            mono(manifest.sha256[:8]),
                            len(manifest.requested_scopes),
                            when(manifest.imported_at),
                            badge(gettext("current"), "good")
                            if manifest.pk == row.current_manifest_id
                            else gettext("replaced"),
                        )
                        for manifest in versions
                    ],
                    gettext("None was imported."),
                    more_url=list_url(Manifest, urlencode({"application__id__exact": row.pk})),
                    more=gettext("All manifests of this application"),
                )
            )
        if request.user.has_perm("installations.view_installation"):
            of_it = Installation.objects.filter(application=row)
            found.append(_by_version(of_it))
            found.append(installations_table(of_it, f"application__id__exact={row.pk}"))
        return found

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Register an application or import its next manifest, pasted or uploaded."""
        if not (request.user.has_perm("installations.import_manifest") and self.has_view_permission(request)):
            note_refusal(request, "installations.import_manifest", "installations_application_import")
            raise PermissionDenied
        form = ImportForm(posted(request), request.FILES if request.method == "POST" else None)
        errors: list[ManifestError] = []
        if request.method == "POST" and form.is_valid():
            source = form.source()
            try:
                result = import_manifest(
                    document=source,
                    kind=form.cleaned_data["kind"] or None,
                    actor=actor_of(request),
                )
            except ManifestInvalid as error:
                errors = error.errors
                form.add_error(None, translated(error.public_message))
                form.keep(source)
            except NotPermitted:
                raise PermissionDenied from None
            else:
                words = _imported(result)
                if result.changed:
                    of_it = {"target_kind": "application", "target_id": result.application.app_id}
                    words = with_history(request, words, of_it)
                messages.add_message(request, messages.SUCCESS if result.changed else messages.INFO, words)
                may_view = request.user.has_perm("installations.view_manifest")
                return HttpResponseRedirect(change_url(result.manifest if may_view else result.application))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Import a manifest"),
            "form": form,
            "errors": errors,
        }
        return TemplateResponse(request, "admin/installations/application/import.html", context)


def _by_version(installations: QuerySet[Installation]) -> Table:
    """Return how many live installations reported which version at their last launch, by status. One statement."""
    statuses = [Installation.Status.ACTIVE, Installation.Status.PENDING_APPROVAL, Installation.Status.SUSPENDED]
    live = installations.exclude(status=Installation.Status.UNINSTALLED).order_by()
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for version, status, number in live.values_list("reported_version", "status").annotate(number=Count("pk")):
        counts[version][status] = number
    most = sorted(counts.items(), key=lambda found: (-sum(found[1].values()), found[0]))
    return Table(
        gettext("Live installations by version"),
        (gettext("Version"), *(str(status.label) for status in statuses)),
        [
            (visible(version or gettext("not said")), *(f"{found.get(status.value, 0):,}" for status in statuses))
            for version, found in most[:_VERSIONS]
        ],
        gettext("None is installed."),
        note=sentences(
            gettext("As each said at its last launch. A private application always says 1.0.0."),
            ngettext(
                "The %(versions)s most frequent of %(count)s version.",
                "The %(versions)s most frequent of %(count)s versions.",
                len(most),
            )
            % {"versions": _VERSIONS, "count": f"{len(most):,}"}
            if len(most) > _VERSIONS
            else "",
        ),
    )


def _imported(result: ImportResult) -> str:
    what = f"{result.application.app_id} {result.manifest.version}"
    if not result.changed:
        return gettext("Nothing changed: this is the current manifest of %(what)s already.") % {"what": what}
    notices = (
        ngettext("%(count)s notice below.", "%(count)s notices below.", len(result.notices))
        % {"count": f"{len(result.notices):,}"}
        if result.notices
        else ""
    )
    if result.is_new_application:
        registered = gettext(
            "%(what)s is registered. Installations appear when it is opened in a portal; nothing is approved."
        )
        return sentences(registered % {"what": what}, notices)
    current = ngettext(
        "%(what)s is the current manifest. %(count)s installation asks for its scopes now; what is approved stays as "
        "it is.",
        "%(what)s is the current manifest. %(count)s installations ask for its scopes now; what is approved stays as "
        "it is.",
        result.installations_affected,
    )
    return sentences(current % {"what": what, "count": f"{result.installations_affected:,}"}, notices)
