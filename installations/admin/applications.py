"""Applications: registered by a manifest, their settings, and where they are installed."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from installations.actors import Actor
from installations.admin.acts import Act, Outcome, actor_of, note_refusal, posted
from installations.admin.base import ReadOnlyAdmin
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
    plural,
    text_of,
    utc,
)
from installations.admin.lists import LockedFilter
from installations.admin.locks import Lock, Unlock
from installations.admin.portals import installations_table
from installations.admin.text import visible, visible_text
from installations.errors import InvalidRequest, ManifestError, ManifestInvalid, NotPermitted
from installations.forms import ConfigureForm, ImportForm, ReasonForm
from installations.models import Application, Installation, Manifest
from installations.seen import digest_of
from installations.services import ImportResult, import_manifest
from tokens.admin.revoke_acts import RevokeApplication
from tokens.services.revocation import configure_application, settings_of


class Configure(Act):
    slug = "configure"
    label = "Change settings"
    summary = "Whether refresh tokens are kept, who refreshes, what is approved by itself, and on which portals."
    permission = "installations.configure_application"
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

    def stops(self, target: Application) -> Sequence[str]:
        return (
            "A portal that is left out opens no new session. The sessions that are open there end by themselves or by "
            "a revocation. Backend code acts there no longer, from its next call on.",
            "Switching refresh tokens off wipes every one that is stored for this application, and so does another "
            "refresher: a pair must never be refreshed from two sides.",
            "A policy that trusts the portal's administrator approves scopes of installations that are first seen "
            "from now on, without an operator. To change it needs the right to approve scopes.",
        )

    def stays(self, target: Application) -> Sequence[str]:
        return ("Approved scopes, access tokens and open sessions stay as they are.",)

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
                form.add_error("allowed_portals", f"{visible_text(portal, ascii_only=True)}: {message}")
            raise
        return Outcome.of(
            changed, f"The settings of {target.app_id} are changed.", already="these are the settings already"
        )


@admin.register(Application)
class ApplicationAdmin(ReadOnlyAdmin):
    list_display = (
        text_of("name", "name"),
        column("app_id", "appId", lambda row: mono(row.app_id), order="app_id"),
        "kind",
        column(
            "current",
            "current manifest",
            lambda row: visible(row.current_manifest.version if row.current_manifest else "–"),
        ),
        column("installed", "live installations", lambda row: row.installed),
        column("lock", "lock", lambda row: lock_badge() if row.locked_at else "–", order="locked_at"),
        at("created_at", "registered"),
    )
    list_filter = (LockedFilter, "kind")
    allowed_lookups = frozenset({"kind__exact"})
    search_fields = ("name", "app_id")
    ordering = ("name", "pk")
    facts = (
        column("app_id", "appId", lambda row: mono(row.app_id)),
        text_of("name", "name"),
        "kind",
        "approval_policy",
        "refreshed_by",
        column("refresh", "refresh tokens", lambda row: "kept" if row.stores_refresh_tokens else "never stored"),
        column("portals", "allowed portals", lambda row: ", ".join(row.allowed_portals) or "any portal"),
        column("current", "current manifest", lambda row: link(row.current_manifest) if row.current_manifest else "–"),
        at("created_at", "registered"),
        at("locked_at", "locked since", empty="not locked"),
    )
    act_classes = (Configure, RevokeApplication, Lock, Unlock)
    intro = "Custom applications of ours. An application is registered by importing its manifest."
    empty_text = "No application is registered. Import the manifest of the first one to begin."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Application]:
        live = Count("installations", filter=~Q(installations__status=Installation.Status.UNINSTALLED))
        found = super().get_queryset(request).select_related("current_manifest").defer("current_manifest__document")
        counted: QuerySet[Application] = found.annotate(installed=live)
        return counted

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.import_view)
        return [path("import/", view, name="installations_application_import"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        may_import = request.user.has_perm("installations.import_manifest")
        links = [(reverse("admin:installations_application_import"), "Import manifest")] if may_import else []
        return super().changelist_view(request, {"list_links": links, **(extra_context or {})})

    def page_title(self, row: Application) -> str:
        return row.name

    def badges(self, row: Application) -> Sequence[Any]:
        return [lock_badge("application locked")] if row.locked_at else []

    def audit_query(self, row: Application) -> dict[str, Any]:
        return {"target_kind": "application", "target_id": row.app_id}

    def tables(self, request: HttpRequest, row: Application) -> Sequence[Table]:
        found = []
        if request.user.has_perm("installations.view_manifest"):
            versions = list(row.manifests.defer("document").order_by("-imported_at", "-pk")[:20])
            found.append(
                Table(
                    "Manifests",
                    ("Version", "SHA-256", "Requested scopes", "Imported", "State"),
                    [
                        (
                            link(manifest, manifest.version),
                            mono(manifest.sha256[:8]),
                            len(manifest.requested_scopes),
                            utc(manifest.imported_at),
                            badge("current", "good") if manifest.pk == row.current_manifest_id else "replaced",
                        )
                        for manifest in versions
                    ],
                    "None was imported.",
                    more_url=list_url(Manifest, urlencode({"application__id__exact": row.pk})),
                    more="All manifests of this application",
                )
            )
        if request.user.has_perm("installations.view_installation"):
            of_it = Installation.objects.filter(application=row)
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
                form.add_error(None, error.public_message)
                _keep_upload(form, source)
            except NotPermitted:
                raise PermissionDenied from None
            else:
                messages.add_message(request, messages.SUCCESS if result.changed else messages.INFO, _imported(result))
                may_view = request.user.has_perm("installations.view_manifest")
                return HttpResponseRedirect(change_url(result.manifest if may_view else result.application))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Import a manifest",
            "form": form,
            "errors": errors,
        }
        return TemplateResponse(request, "admin/installations/application/import.html", context)


def _keep_upload(form: ImportForm, source: bytes | str) -> None:
    """Put an uploaded text into the box: a browser does not offer a file twice."""
    if isinstance(source, bytes):
        text = source.decode("utf-8", "replace").lstrip("\ufeff")
        form.data = {"kind": form.data.get("kind", ""), "document": text}


def _imported(result: ImportResult) -> str:
    what = f"{result.application.app_id} {result.manifest.version}"
    if not result.changed:
        return f"Nothing changed: this is the current manifest of {what} already."
    notices = f" {plural(len(result.notices), 'notice')} below." if result.notices else ""
    if result.is_new_application:
        return (
            f"{what} is registered. Installations appear when it is opened in a portal; nothing is approved.{notices}"
        )
    asks = f"{plural(result.installations_affected, 'installation')} ask for its scopes now"
    if result.installations_affected == 1:
        asks = "1 installation asks for its scopes now"
    return f"{what} is the current manifest. {asks}; what is approved stays as it is.{notices}"
