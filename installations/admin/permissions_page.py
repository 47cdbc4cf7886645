"""The page and the exports of an installation's permissions: requested, approved, effective, used; and what if.

Reading only. Whether a call would be let through is asked of the very check that calls go through.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db.models import Case, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from installations import editions, selectors
from installations.admin.charts import bars
from installations.admin.display import change_url, installation_name, locks_of
from installations.admin.installation_tabs import tab_links
from installations.admin.text import sentences, translated, visible_text
from installations.catalogue import Catalogue
from installations.errors import DomainError, InsufficientScope, InvalidRequest
from installations.flowlu.calls import build_call
from installations.forms import WhatIfForm
from installations.four_columns import USE_DAYS, Line, four_columns, use_of, utc_today
from installations.models import ApprovedPermission, Installation, PortalUser
from installations.review_rules import is_overdue
from installations.scopes import Call
from installations.spreadsheet import csv_lines
from tokens.access import Caller, check_allowed

MOST_LINES: Final = 500
_MOST_USERS: Final = 50
_USABLE = "active"

COLUMNS: Final = (
    "scope", "requested", "manifest", "approved", "source", "approved_by", "confirmed_by", "approved_at", "reason",
    "review_by", "overdue", "reviewed_by", "reviewed_at", "effective", "why",
    "effective_now", "accepted", "denied", "writes", "users", "purposes", "last_used_at", "user_accepted",
    "user_denied", "differences",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Whether a call would be let through, and by which rule."""

    call: str
    allowed: bool
    rule: str


def permissions_view(model_admin: Any, request: HttpRequest, object_id: int) -> HttpResponse:
    """Show the four columns of an installation, or hand them out as a file."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    found = editions.with_edition(Installation.objects.filter(pk=object_id))
    found = found.select_related("portal", "application", "manifest", "decided_manifest", "liveness")
    installation = found.defer("manifest__document", "decided_manifest__document").first()
    if installation is None:
        raise Http404
    form = WhatIfForm(request.GET, may_choose_user=request.user.has_perm("installations.view_portaluser"))
    people = _people(installation, form) if form.may_choose_user else []
    user = _chosen_user(people, form)
    may_view_purposes = request.user.has_perm("tokens.view_purpose")
    in_force = selectors.approvals_in_force(installation)
    vars(installation)["in_force"] = in_force  # as the header reads it, which needs no statement for it then
    page = _Page(installation, in_force, user, may_view_purposes=may_view_purposes)
    wanted = request.GET.get("format", "")
    if wanted == "csv":
        body = "".join(csv_lines(COLUMNS, ([row[name] for name in COLUMNS] for row in page.rows())))
        return _file(HttpResponse(body, content_type="text/csv; charset=utf-8"), installation, wanted)
    if wanted == "json":
        return _file(JsonResponse(page.document()), installation, wanted)
    lines = page.lines()
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": visible_text(
            gettext("Permissions: %(installation_name)s") % {"installation_name": installation_name(installation)}
        ),
        "installation": installation,
        "badges": model_admin.header(installation),
        "tabs": tab_links(request, installation.pk, "permissions"),
        "back_url": change_url(installation),
        "form": form,
        "portal_user": user,  # `user` is the operator
        "stopped": page.stopped,
        "lines": [ShownLine(line) for line in lines[:MOST_LINES]],
        "left_out": len(lines) - MOST_LINES,
        "stands_out": Counter(word for line in lines for word in line.differences).most_common(),
        "days": USE_DAYS,
        "people": people,
        "known_calls": _known_calls(page.known),
        "what_if": page.what_if(form),
        "may_view_purposes": may_view_purposes,
    }
    return TemplateResponse(request, "admin/installations/installation/permissions.html", context)


class _Page:
    """What the page and both files say, from the same reads."""

    def __init__(
        self,
        installation: Installation,
        in_force: Sequence[ApprovedPermission],
        user: PortalUser | None,
        *,
        may_view_purposes: bool,
    ) -> None:
        self.installation, self.in_force, self.user = installation, in_force, user
        self._may_view_purposes = may_view_purposes
        self.now, self.today = timezone.now(), utc_today()
        self.known = editions.read_with(installation)
        self.stopped = _stopped(installation, user)

    def lines(self) -> list[Line]:
        here = self.installation.pk
        return four_columns(
            self.installation.manifest.requested_scopes,
            self.in_force,
            use_of(here, today=self.today, portal_user_id=self.user.pk if self.user else None),
            now=self.now,
            known=self.known,
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one plain row for each line, for a file. What the reader may not see is empty, as on the page."""
        for line in self.lines():
            approval = line.approval
            yield {
                "scope": line.text,
                "requested": line.requested or ("unreadable" if line.declared else None),
                "manifest": self.installation.manifest.sha256 if line.declared else None,
                "approved": approval.level if approval else None,
                "source": approval.source if approval else None,
                "approved_by": approval.approved_by if approval else None,
                "confirmed_by": approval.confirmed_by if approval else None,
                "approved_at": approval.approved_at.isoformat() if approval else None,
                "reason": approval.reason if approval else None,
                "review_by": str(approval.review_by) if approval else None,
                "overdue": is_overdue(approval.review_by, self.today) if approval and approval.review_by else None,
                "reviewed_by": approval.reviewed_by or None if approval else None,
                "reviewed_at": approval.reviewed_at.isoformat() if approval and approval.reviewed_at else None,
                "effective": line.effective,
                "why": line.why,
                "effective_now": line.effective is not None and not self.stopped,
                "accepted": line.use.accepted,
                "denied": line.use.denied,
                "writes": line.use.writes,
                "users": line.use.users,
                "purposes": list(line.use.purposes) if self._may_view_purposes else None,
                "last_used_at": line.use.last_at.isoformat() if line.use.last_at else None,
                "user_accepted": line.answers.accepted if self.user else None,
                "user_denied": line.answers.denied if self.user else None,
                "differences": list(line.differences),
            }

    def document(self) -> dict[str, Any]:
        return {
            "installation": self.installation.pk,
            "portal": self.installation.portal.domain,
            "app_id": self.installation.application.app_id,
            "generation": self.installation.generation,
            "status": self.installation.status,
            "stopped": self.stopped,
            "at": self.now.isoformat(),
            "use_of_days": USE_DAYS,
            "user": self.user.flowlu_user_id if self.user else None,
            "scopes": list(self.rows()),
        }

    def what_if(self, form: WhatIfForm) -> WhatIf | None:
        """Return what the call that the form names would be answered; None when it names none."""
        parts = form.call_parts()
        if parts is None:
            return None
        try:
            call = build_call(*parts).scope_call
        except InvalidRequest as error:
            form.refuse(error.fields)
            return None
        return self._answer(call)

    def _answer(self, call: Call) -> WhatIf:
        text = "/".join(part for part in (call.module, call.model, call.action, call.id) if part)
        try:
            scope = check_allowed(self._caller(), call, self.known, http_method="POST")
        except InsufficientScope as refusal:
            needed = refusal.required_scope
            hint = (
                gettext("The smallest that would do is %(needed)s.") % {"needed": needed}
                if needed
                else gettext("No scope of the catalogue covers it.")
            )
            refused = gettext("insufficient_scope: no effective scope covers it at level %(level)s.")
            return WhatIf(text, False, sentences(refused % {"level": call.level}, hint))
        except DomainError as refusal:
            return WhatIf(text, False, f"{refusal.code}: {translated(refusal.public_message)}")
        return WhatIf(
            text,
            True,
            gettext("Let through by %(scope)s. Flowlu then checks what the user may do there.") % {"scope": scope},
        )

    def _caller(self) -> Caller:
        """Return somebody with a session here and a token that can be used: what is left to decide is asked about."""
        row, user = self.installation, self.user
        return Caller(
            session_id=0,
            session_used_seconds_ago=0,
            token_id=0,
            token_uuid="",
            token_state=_USABLE,
            token_generation=0,
            sealed_access_token=None,
            installation_id=row.pk,
            installation_status=row.status,
            installation_locked=bool(locks_of(row)),
            portal=row.portal.domain,
            portal_user_id=user.pk if user else 0,
            flowlu_user_id=user.flowlu_user_id if user else "",
            user_locked=bool(user and user.locked_at),
            approvals=[approval.as_approval() for approval in self.in_force],
            catalogue=self.known,
        )


class ShownLine:
    """A line with what only the page shows of it."""

    def __init__(self, line: Line) -> None:
        self.line = line

    @property
    def chart(self) -> SafeString:
        use = self.line.use
        words = ngettext(
            "%(count)s call in %(use_days)s days, at most %(max)s a day",
            "%(count)s calls in %(use_days)s days, at most %(max)s a day",
            use.accepted + use.denied,
        ) % {"count": f"{use.accepted + use.denied:,}", "use_days": USE_DAYS, "max": f"{max(use.per_day):,}"}
        return bars(use.per_day, words)

    @property
    def purposes(self) -> str:
        return ", ".join(purpose or gettext("the embedded page") for purpose in self.line.use.purposes)


def _people(installation: Installation, form: WhatIfForm) -> list[PortalUser]:
    """Return whom to choose from: who was chosen, and those who were seen last on this portal. One statement."""
    chosen_first = Case(When(flowlu_user_id=form.user_id(), then=Value(0)), default=Value(1))
    return list(
        PortalUser.objects.filter(portal=installation.portal_id).order_by(chosen_first, "-last_seen_at")[:_MOST_USERS]
    )


def _chosen_user(people: Sequence[PortalUser], form: WhatIfForm) -> PortalUser | None:
    number = form.user_id()
    user = next((person for person in people if person.flowlu_user_id == number), None)
    if number and user is None:
        form.refuse({"user": gettext("No user with this id was seen on this portal.")})
    return user


def _stopped(installation: Installation, user: PortalUser | None) -> str:
    """Return the sentence why nothing at all is effective now, or nothing."""
    words = {
        Installation.Status.PENDING_APPROVAL: gettext("pending: nothing was approved yet"),
        Installation.Status.SUSPENDED: "suspended",
        Installation.Status.UNINSTALLED: "uninstalled",
    }.get(Installation.Status(installation.status))
    found = ([words] if words else []) + [word for word, _since in locks_of(installation)]
    if user is not None and user.locked_at is not None:
        found.append(gettext("this user is locked"))
    return ", ".join(found)


def _known_calls(known: Catalogue) -> dict[str, list[str]]:
    """Return the modules and models that the catalogue names, to choose from."""
    rules = [rule for entry in known.entries if entry.enabled for rule in entry.covers]
    return {
        "modules": sorted({rule.module for rule in rules}),
        "models": sorted({name for entry in known.entries if entry.enabled for name in entry.models}),
    }


def _file(response: HttpResponse, installation: Installation, kind: str) -> HttpResponse:
    response["Content-Disposition"] = f'attachment; filename="permissions-{installation.pk}.{kind}"'
    return response
