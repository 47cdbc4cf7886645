"""What an operator reads before they decide about scopes: whose installation it is, what is new, what is approved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.forms import BoundField
from django.http import HttpRequest
from django.utils.translation import gettext

from installations import selectors
from installations.admin.manifests import edited_words
from installations.admin.observed import verdict_badge
from installations.catalogue import RISKS
from installations.forms import ApproveForm
from installations.manifest_diff import ScopeChange
from installations.models import Installation, PortalUser
from installations.selectors import ScopeRow

# By the word in the address: of which risks what is asked for is chosen when the page opens.
PRESELECTED: Final[dict[str, tuple[str, ...]]] = {
    "low": ("low",),
    "medium": ("low", "medium"),
    "all": ("low", "medium", "high"),
}
_EVENTS: Final = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """One scope to decide about, with what changed of it since the last decision."""

    row: ScopeRow
    field: BoundField
    change: ScopeChange | None
    note: str  # what operators wrote into the catalogue about it


@dataclass(frozen=True, slots=True)
class Section:
    """Scopes that are decided about for the same reason. What is closed says nothing new."""

    title: str
    decisions: Sequence[Decision]
    is_open: bool


def review_context(request: HttpRequest, installation: Installation, form: ApproveForm) -> dict[str, Any]:
    """Return what the page says. Six statements, whatever the number of scopes."""
    changes = selectors.asked_anew(installation)
    observed = (
        selectors.liveness_of(installation, count=0) if request.user.has_perm("installations.view_evidence") else None
    )
    may_see_users = request.user.has_perm("installations.view_portaluser")
    return {
        "installation": installation,
        "review": form.review,
        "sections": _sections(form, changes, installation),
        "first_user": _first_user(installation) if may_see_users else None,
        "may_see_users": may_see_users,
        "liveness": observed.verdict if observed else None,
        "liveness_badge": verdict_badge(observed.verdict) if observed else "",
        "events": selectors.latest_events(installation.pk, count=_EVENTS)
        if request.user.has_perm("installations.view_auditevent")
        else [],
        "chosen": request.GET.get("choose", ""),
    }


def _sections(form: ApproveForm, changes: Sequence[ScopeChange], installation: Installation) -> list[Section]:
    """Put what is new first, then what was decided about; all of it is open where nothing was decided yet.

    The highest risk comes first in each.
    """
    by_code = {change.code: change for change in changes}
    decisions = [
        Decision(row, field, by_code.get(row.code), edited_words(form.catalogue, row.requested))
        for row, field in form.decisions()
    ]
    decisions.sort(key=lambda each: -RISKS.index(each.row.about.risk or "high"))
    if installation.decided_manifest_id is None:
        return [Section(gettext("Asked for"), decisions, is_open=True)]
    new = [each for each in decisions if each.change is not None]
    # A choice that was made or is wrong must be seen.
    known = [each for each in decisions if each.change is None]
    left = installation.left_to_operator
    touched = any(each.field.errors or each.field.value() for each in known)
    found = [
        Section(
            gettext("Left to you by the policy") if left else gettext("Asked for since the last decision"),
            new,
            is_open=True,
        ),
        Section(
            gettext("Approved already") if left else gettext("Decided about before"), known, is_open=touched or not new
        ),
    ]
    return [section for section in found if section.decisions]


def _first_user(installation: Installation) -> PortalUser | None:
    """Return who was the first of those whose token is known here to be seen. One statement."""
    users = PortalUser.objects.filter(portal=installation.portal_id, tokens__installation=installation)
    return users.order_by("first_seen_at", "pk").first()
