"""Manifests: every content that was imported, what it asks for, and what changed since another one."""

import json
import re
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import catalogue, editions, manifests, selectors
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import (
    Table,
    at,
    badge,
    change_url,
    column,
    join,
    mono,
    text_of,
    to,
    when,
)
from installations.admin.lists import NamedFilter
from installations.admin.text import prose, sentences, visible, visible_text
from installations.catalogue import Catalogue, Origin
from installations.errors import ManifestInvalid
from installations.manifest_diff import Content, diff
from installations.models import Manifest
from installations.risks import guarded_risk
from installations.scopes import Scope

_OTHERS = 20
_OF_MANY = {"installations_manifest_changelist", "installations_manifest_list_export"}
RISK_TONES = {"low": "good", "medium": "wait", "high": "bad"}


@admin.register(Manifest)
class ManifestAdmin(ReadOnlyAdmin):
    list_display = (
        text_of("version", _("version")),
        to("application", _("application"), order="application__name"),
        column("sha", _("SHA-256"), lambda row: mono(row.sha256[:8])),
        column("requested", _("requested scopes"), lambda row: len(row.requested_scopes)),
        column(
            "current",
            _("state"),
            lambda row: (
                badge(gettext("current"), "good")
                if row.application.current_manifest_id == row.pk
                else gettext("replaced")
            ),
        ),
        at("imported_at", _("imported")),
    )
    list_filter = (("application", NamedFilter),)
    allowed_lookups = frozenset({"application__id__exact"})
    search_fields = ("version", "application__name", "application__app_id")
    ordering = ("-imported_at", "-pk")
    can_be_exported = True
    facts = (
        to("application", _("application")),
        text_of("version", _("version")),
        column("sha", _("SHA-256 of the canonical JSON"), lambda row: mono(row.sha256)),
        at("imported_at", _("imported")),
        column("notices", _("notices"), lambda row: _notices(row)),
        column("document", _("document"), lambda row: pretty_document(row)),
    )
    words_here = ("requested-scopes",)
    intro = _("Every content that was imported, as it was. Installations ask for the scopes of the current one.")
    empty_text = _("No manifest was imported yet.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Manifest]:
        found = editions.with_edition(super().get_queryset(request)).select_related("application")
        # Only a page shows the document, which may be a megabyte.
        match = request.resolver_match
        return found.defer("document") if match and match.url_name in _OF_MANY else found

    def page_title(self, row: Manifest) -> str:
        return f"{row.application.name} {row.version}"

    def badges(self, row: Manifest) -> Sequence[Any]:
        current = row.application.current_manifest_id == row.pk
        return [badge(gettext("current"), "good") if current else badge(gettext("replaced"), "gone")]

    def tables(self, request: HttpRequest, row: Manifest) -> Sequence[Table]:
        requested = requested_table(selectors.review_scopes(row.requested_scopes, [], editions.read_with(row)))
        others = _others(row)
        if not others:
            return [requested]
        chosen = _chosen(request, row, others)
        return [_changes_table(chosen, row), _versions_table(chosen, row, others), requested]


def requested_table(review: selectors.ScopeReview) -> Table:
    """Return what a manifest asks for, without what any installation decided."""
    return Table(
        gettext("Requested scopes"),
        (gettext("Scope"), gettext("What it covers"), gettext("Risk"), gettext("Flags")),
        [
            (mono(row.text), scope_words(row.about), risk_badge(row.about), join(scope_flags(row)) or "–")
            for row in review.rows
        ],
        gettext("This manifest asks for no scope."),
        kind="scopes",
    )


def scope_words(about: Any) -> Any:
    if not about.known and about.title == about.text:
        return visible(about.meaning)
    return format_html("<strong>{}.</strong> {} {}", visible(about.title), prose(about.allows), prose(about.meaning))


def risk_badge(about: Any) -> Any:
    if about.risk is None:
        return badge(gettext("unknown"), "wait")
    return format_html(
        '{}<span class="quiet-note">{}</span>', badge(about.risk, RISK_TONES[about.risk]), visible(about.risk_reason)
    )


def edited_words(known: Catalogue, scope: Scope | None) -> str:
    """Return in sentences what is to be known of an entry that operators wrote; nothing of a shipped one."""
    entry = known.described(scope.code) if scope else None
    if scope is None or entry is None or known.origin(scope.code) is Origin.SHIPPED:
        return ""
    shipped = catalogue.load()
    before = shipped.described(scope.code)
    found = (
        gettext("Operators changed this entry; shipped it is: %(title)s, %(risk)s risk.")
        % {"title": before.title, "risk": before.at(scope.level).risk}
        if before
        else gettext("Operators wrote this entry; none is shipped.")
    )
    risk = guarded_risk(entry, scope.level, shipped)
    if risk != entry.at(scope.level).risk:
        counts = gettext("By what it reaches it counts as %(risk)s risk for the second operator and for policies.")
        return sentences(found, counts % {"risk": risk})
    return found


def scope_flags(row: selectors.ScopeRow) -> list[Any]:
    flags = []
    if not row.about.known:
        flags.append(badge(gettext("cannot be approved"), "wait"))
    if not row.about.documented:
        flags.append(badge(gettext("not documented by Flowlu"), "wait"))
    if row.repeats:
        flags.append(badge(gettext("named before"), "plain"))
    if row.swallowed_in_request:
        flags.append(
            badge(
                gettext("swallowed by %(swallowed_in_request)s if that is approved too")
                % {"swallowed_in_request": row.swallowed_in_request},
                "plain",
            )
        )
    return flags


def _notices(row: Manifest) -> Any:
    try:
        found = manifests.parse(json.dumps(row.document), catalogue=editions.read_with(row)).notices
    except ManifestInvalid:
        return gettext("This manifest would be refused today. It was imported under other rules.")
    if not found:
        return "none"
    items = [
        format_html("<li>{}{}: {}</li>", mono(notice.path or "document"), _named(notice), visible(notice.message))
        for notice in found
    ]
    return format_html('<ul class="plain-list">{}</ul>', join(items, ""))


def _named(notice: manifests.ManifestNotice) -> Any:
    return format_html(" ({})", mono(notice.scope)) if notice.scope else ""


def pretty_document(row: Manifest) -> Any:
    """Return the document as people read JSON."""
    text = json.dumps(row.document, indent=2, ensure_ascii=False)
    return format_html('<pre class="document" tabindex="0">{}</pre>', visible(text))


# --- What changed ----------------------------------------------------------------------------------------------


def _others(row: Manifest) -> list[Manifest]:
    """Return the other contents of the application, the newest first, without their documents."""
    found = Manifest.objects.filter(application=row.application_id).exclude(pk=row.pk).defer("document")
    return list(found.order_by("-imported_at", "-pk")[:_OTHERS])


def _chosen(request: HttpRequest, row: Manifest, others: Sequence[Manifest]) -> Manifest:
    """Return the one that the address names, else the one before, else the one after."""
    named = request.GET.get("against", "")
    wanted = next((other for other in others if str(other.pk) == named), None)
    if wanted is None and re.fullmatch(r"[0-9]{1,18}", named):  # older than those that are offered
        same = Manifest.objects.filter(application=row.application_id).exclude(pk=row.pk)
        wanted = same.filter(pk=int(named)).first()
    before = next((other for other in others if (other.imported_at, other.pk) < (row.imported_at, row.pk)), None)
    return wanted or before or others[-1]


def _changes_table(old: Manifest, new: Manifest) -> Table:
    found = diff(_content(old), _content(new), editions.read_with(new))
    rows = [
        (_kind(change.change, change.escalates), mono(change.code), visible(change.words)) for change in found.scopes
    ]
    rows += [(_kind("changed", field.escalates), mono(field.field), visible(field.words)) for field in found.fields]
    more = gettext("It asks for more. %(follows)s") % {"follows": found.follows} if found.escalates else ""
    return Table(
        gettext("What changed since %(version)s (%(sha256)s)")
        % {"version": visible_text(old.version), "sha256": old.sha256[:8]},
        (gettext("Change"), gettext("What"), gettext("How")),
        rows,
        gettext("Nothing: the two say the same."),
        note=more or ("" if found.is_empty else gettext("It asks for nothing that was not asked for then.")),
        kind="changes",
    )


def _content(row: Manifest) -> Content:
    return Content(row.requested_scopes, row.document)


def _kind(word: str, escalates: bool) -> Any:
    return badge(
        gettext("%(word)s: asks for more") % {"word": word} if escalates else word, "bad" if escalates else "plain"
    )


def _versions_table(chosen: Manifest, row: Manifest, others: Sequence[Manifest]) -> Table:
    def choice(other: Manifest) -> Any:
        if other.pk == chosen.pk:
            return badge(gettext("compared above"), "plain")
        return format_html('<a href="{}?against={}">{}</a>', change_url(row), other.pk, gettext("compare"))

    return Table(
        gettext("Other contents"),
        (gettext("Version"), gettext("SHA-256"), gettext("Requested scopes"), gettext("Imported"), gettext("Compare")),
        [
            (
                format_html('<a href="{}">{}</a>', change_url(other), visible(other.version)),
                mono(other.sha256[:8]),
                len(other.requested_scopes),
                when(other.imported_at),
                choice(other),
            )
            for other in others
        ],
        gettext("None."),
        note=gettext("A private application always reports 1.0.0, so a change is seen by its content."),
    )
