"""How the console shows whether an installation is still there: the verdict, how old a kept one is, the evidence."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import selectors
from installations.admin.display import Table, age, badge, list_url, when, when_text
from installations.admin.text import visible
from installations.liveness import State, Verdict
from installations.models import Evidence, Installation, Liveness
from installations.selectors import ObservedLiveness

_TONE = {
    State.SEEN: "plain",
    State.ACTIVE: "good",
    State.QUIET: "plain",
    State.SUSPECTED: "wait",
    State.CONFIRMED: "gone",
}


class LivenessFilter(admin.SimpleListFilter):
    """By the kept verdict, which is in every row."""

    title = _("liveness")
    parameter_name = "liveness"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in Liveness.State.choices]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(liveness__state=self.value()) if self.value() in Liveness.State.values else queryset


def _word(state: State) -> str:
    return str(Liveness.State(state.value).label)


def verdict_badge(verdict: Verdict) -> SafeString:
    """Return the verdict beside the badges of the status, which has a word `active` of its own."""
    return badge(gettext("liveness: %(word)s") % {"word": _word(verdict.state)}, _TONE[verdict.state])


def kept_liveness(row: Installation) -> Any:
    """Return the kept verdict and how old it is. No statement where it was read with the row."""
    kept: Liveness | None = getattr(row, "liveness", None)
    if kept is None or kept.judged_at is None:
        return gettext("not judged yet")
    now, state = timezone.now(), State(kept.state)
    is_due = kept.judge_again_at is not None and kept.judge_again_at <= now
    old = gettext("judged anew soon") if is_due else _old(now - kept.judged_at)
    shown = badge(_word(state), _TONE[state])
    return format_html('{} <span class="quiet-note">{}, {}</span>', shown, kept.confidence, old)


def _old(span: timedelta) -> str:
    return gettext("new") if span < timedelta(minutes=1) else gettext("%(span)s old") % {"span": age(span)}


def is_suspected(row: Installation) -> bool:
    """Return whether it was suspected to be removed when it was judged last. No statement."""
    kept: Liveness | None = getattr(row, "liveness", None)
    return kept is not None and kept.state == Liveness.State.SUSPECTED


def is_suspected_now(observed: ObservedLiveness) -> bool:
    return observed.verdict.state is State.SUSPECTED


def observed_context(request: HttpRequest, row: Installation) -> dict[str, Any]:
    """Return what a page says that is about whether an installation is gone."""
    observed = selectors.liveness_of(row)
    may_see = request.user.has_perm("installations.view_evidence")
    return {
        "verdict": observed.verdict,
        "verdict_badge": verdict_badge(observed.verdict),
        "evidence": evidence_table(row, observed) if may_see else None,
    }


def evidence_table(row: Installation, observed: ObservedLiveness) -> Table:
    """Return the newest evidence as a table, and what is known of probes."""
    return Table(
        gettext("Evidence"),
        (gettext("Observed"), gettext("What"), gettext("Answer")),
        [
            (when(seen.observed_at), Evidence.Kind(seen.kind).label, visible(seen.detail or "–"))
            for seen in observed.evidence
        ],
        gettext("Nothing was observed in the time for which evidence is kept."),
        note=_probe_words(observed.kept),
        more_url=list_url(Evidence, f"installation__id__exact={row.pk}"),
        more=gettext("All of its evidence"),
    )


def _probe_words(kept: Liveness | None) -> str:
    if kept is None or kept.probe_after is None:
        return ""
    if not kept.probe_outcome:
        return gettext("Not probed yet. The first probe is due from %(probe_after)s on, %(condition)s") % {
            "probe_after": when_text(kept.probe_after),
            "condition": _CONDITION,
        }
    last = gettext("The last probe ended with %(probe_outcome)s.") % {"probe_outcome": kept.probe_outcome}
    return gettext("%(last)s The next one is due from %(probe_after)s on, %(condition)s") % {
        "last": last,
        "probe_after": when_text(kept.probe_after),
        "condition": _CONDITION,
    }


_CONDITION = _("if the purpose liveness is switched on.")
