"""The ledger of revocations: what was cut, the proof of it, Flowlu's side, and what is left for people to do."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin import counted
from installations.admin.acts import Act, Outcome, posted
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, age, at, badge, column, join, link, list_url, text_of, when
from installations.admin.searching import by_installation, within
from installations.admin.text import Text, sentences, visible
from installations.forms import ReasonForm
from installations.seen import digest_of
from tokens.admin.tables import tokens_table
from tokens.admin.upstream import cases_table
from tokens.forms import GoOnForm, PortalStepForm
from tokens.models import Revocation, SweepRun
from tokens.revocation_selectors import with_upstream_facts
from tokens.services.ledger import record_portal_step
from tokens.services.long_runs import have_go_on, standing_of, stop_revocation

_SHOWN = 20
_NO_SWEEP = timedelta(minutes=5)  # the periodic jobs are looked at every minute
PORTAL_STEP = _(
    "Ask the portal's administrator to take the access away at Flowlu: for one person, in the settings of the "
    "application that say which roles and groups may use it; for everybody, by removing the application from the "
    "portal. Only a portal administrator can do either."
)


class RecordPortalStep(Act):
    slug = "portal-step"
    label = _("Record the administrator's step")
    summary = _("Note that the portal's administrator took the access away at Flowlu.")
    permission = "tokens.revoke_oauthtoken"
    form_class = PortalStepForm
    stops_heading = _("What is to be done at Flowlu")
    stays_heading = _("What this does")

    def applies(self, target: Revocation) -> bool:
        return target.portal_step != Revocation.PortalStep.DONE

    def stops(self, target: Revocation) -> Sequence[Text]:
        return (PORTAL_STEP,)

    def stays(self, target: Revocation) -> Sequence[Text]:
        return (
            gettext(
                "It writes down that it was done, with your name and your note. It asks nobody and checks nothing: "
                "Flowlu sends no word of it."
            ),
        )

    def perform(self, target: Revocation, form: ReasonForm, actor: Actor) -> Outcome:
        changed = record_portal_step(revocation_id=target.pk, actor=actor, note=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("Recorded that the portal's administrator took the access away."),
            already=gettext("Nothing changed: it was recorded already."),
        )


class HaveGoOn(Act):
    slug = "go-on"
    label = _("Have it go on")
    summary = _("Cut what is left of it in the background.")
    permission = "tokens.revoke_oauthtoken"
    tone = "danger"
    stops_heading = _("What happens")
    stays_heading = _("What does not happen")

    def applies(self, target: Revocation) -> bool:
        return target.state != Revocation.State.DONE and not target.in_background

    def stops(self, target: Revocation) -> Sequence[Text]:
        left = max(0, target.tokens_expected - target.tokens_cut)
        return (
            ngettext(
                "About %(count)s more token of what was aimed at are cut for good, batch by batch, with the periodic "
                "jobs. The page shows how far it is, and can stop it.",
                "About %(count)s more tokens of what was aimed at are cut for good, batch by batch, with the periodic "
                "jobs. The page shows how far it is, and can stop it.",
                left,
            )
            % {"count": f"{left:,}"},
        )

    def stays(self, target: Revocation) -> Sequence[Text]:
        return (gettext("Tokens that were stored since it began are not of it: revoke anew for those."),)

    def form(self, request: HttpRequest, target: Revocation) -> ReasonForm:
        form = GoOnForm(posted(request))
        form.show(digest_of(standing_of(target)))
        return form

    def perform(self, target: Revocation, form: ReasonForm, actor: Actor) -> Outcome:
        values = form.cleaned_data
        changed = have_go_on(revocation_id=target.pk, actor=actor, reason=values["reason"], seen=values["seen"])
        return Outcome.of(
            changed, gettext("It goes on in the background."), already=gettext("Nothing changed: it goes on already.")
        )


class StopRevocation(Act):
    slug = "stop"
    label = _("Stop cutting")
    summary = _("Leave alone what is not cut yet.")
    permission = "tokens.revoke_oauthtoken"
    tone = "stop"
    stops_heading = _("What happens")
    stays_heading = _("What does not happen")

    def applies(self, target: Revocation) -> bool:
        return target.state == Revocation.State.RUNNING

    def stops(self, target: Revocation) -> Sequence[Text]:
        return (
            gettext(
                "The batch that is being cut now ends, and no other begins, whether the periodic jobs cut or a command."
            ),
            gettext("The tokens that are left go on working."),
        )

    def stays(self, target: Revocation) -> Sequence[Text]:
        return (
            ngettext(
                "What is cut stays cut: %(count)s token so far. It can be had go on later.",
                "What is cut stays cut: %(count)s tokens so far. It can be had go on later.",
                target.tokens_cut,
            )
            % {"count": f"{target.tokens_cut:,}"},
        )

    def perform(self, target: Revocation, form: ReasonForm, actor: Actor) -> Outcome:
        changed = stop_revocation(revocation_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("Stopped. What is left goes on working."),
            already=gettext("Nothing changed: it was stopped already."),
        )


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", _("revocation"), lambda row: str(row)),
        column("what", _("what was aimed at"), lambda row: _aim(row), order="scope"),
        column("cut", _("cut here"), lambda row: _cut_badge(row), order="tokens_cut"),
        column("proof", _("proof"), lambda row: _proof_badge(row, short=True)),
        column("portal_step", _("step at the portal"), lambda row: _step_badge(row), order="portal_step"),
        column("alive", _("may live at Flowlu"), lambda row: _alive_short(row)),
        column(
            "when", _("when, by whom"), lambda row: join((when(row.cut_at), visible(row.actor_name))), order="cut_at"
        ),
    )
    list_filter = ("portal_step", "upstream", "state", "probe", "scope")
    allowed_lookups = frozenset(
        {
            "scope__exact",
            "state__exact",
            "portal_step__exact",
            "upstream__exact",
            "probe__exact",
            "installation__id__exact",
        }
    )
    list_select_related = ("installation__portal", "installation__application")
    search_fields = ("target_label", "installation__portal__domain", "installation__application__app_id", "actor_name")
    search_ways = (within("target_label", "actor_name"), by_installation("installation"))
    search_help_text = _("Search by what was aimed at, by portal, application or who revoked")
    ordering = ("-cut_at", "-pk")
    can_be_exported = True
    facts = (
        column("aim", _("what was aimed at"), lambda row: _aim(row)),
        column("facts", _("cut here"), lambda row: join((_cut_badge(row), _facts(row)))),
        column("proof", _("proof"), lambda row: join((_proof_badge(row), _proof(row)))),
        column("flowlu", _("at Flowlu"), lambda row: join((_upstream_badge(row), _upstream_words(row)))),
        column("alive", _("possibly alive at Flowlu"), lambda row: _alive(row)),
        column("step", _("the portal administrator's step"), lambda row: join((_step_badge(row), _step(row)))),
        column("again", _("handed in again"), lambda row: _again(row)),
        text_of("actor_name", _("who")),
        column("reason", _("why"), lambda row: visible(row.reason)),
        at("asked_at", _("confirmed"), empty=_("not known")),
        at("cut_at", _("cut")),
    )
    act_classes: ClassVar = (RecordPortalStep, HaveGoOn, StopRevocation)
    change_form_template = "admin/tokens/revocation/change_form.html"
    words_here = ("target", "proof")
    intro = _("The ledger: what was cut here, the proof of it, and what is known about Flowlu's side.")
    empty_text = _("Nothing was revoked yet. Revoke on the page of a portal, an installation, a user or a token.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Revocation]:
        return with_upstream_facts(super().get_queryset(request))

    def page_title(self, row: Revocation) -> str:
        return gettext("Revocation #%(pk)s") % {"pk": row.pk}

    def badges(self, row: Revocation) -> Sequence[Any]:
        return [
            _cut_badge(row),
            _proof_badge(row),
            badge(
                gettext("portal's step: %(portal_step)s") % {"portal_step": row.get_portal_step_display()}, _tone(row)
            ),
        ]

    def audit_query(self, row: Revocation) -> dict[str, Any]:
        return {"target_kind": "revocation", "target_id": str(row.pk)}

    def page_context(self, request: HttpRequest, row: Revocation) -> dict[str, Any]:
        return {**super().page_context(request, row), "under_way": _under_way(row)}

    def tables(self, request: HttpRequest, row: Revocation) -> Sequence[Table]:
        found = []
        if row.upstream != _Upstream.NOT_POSSIBLE and request.user.has_perm("tokens.view_upstreamrevocation"):
            found.append(cases_table(row))
        if request.user.has_perm("tokens.view_oauthtoken"):
            query = f"revocation__id__exact={row.pk}"
            found.append(tokens_table(request, row.tokens.all(), query, title=gettext("Tokens that were cut")))
        return found


def _aim(row: Revocation) -> Any:
    if not row.target_label:  # of before the ledger said so
        return link(row.installation) if row.installation else row.get_scope_display()
    return visible(row.target_label)


def _cut_badge(row: Revocation) -> Any:
    if row.state != Revocation.State.DONE:
        words = gettext("under way") if row.in_background else _UNFINISHED[row.state]
        return badge(
            gettext("%(words)s: %(tokens_cut)s of %(tokens_expected)s")
            % {"words": words, "tokens_cut": f"{row.tokens_cut:,}", "tokens_expected": f"{row.tokens_expected:,}"},
            "wait" if row.in_background else "bad",
        )
    return badge(
        ngettext("%(count)s token cut", "%(count)s tokens cut", row.tokens_cut) % {"count": f"{row.tokens_cut:,}"},
        "good",
    )


def _facts(row: Revocation) -> Any:
    if row.state != Revocation.State.DONE:
        words = ngettext(
            "%(count)s token of about %(expected)s cut so far.",
            "%(count)s tokens of about %(expected)s cut so far.",
            row.tokens_cut,
        )
        so_far = words % {"count": f"{row.tokens_cut:,}", "expected": f"{row.tokens_expected:,}"}
        return sentences(so_far, _how_to_go_on(row))
    return ngettext(
        "%(count)s token was cut (%(scope)s). No call through this service started with them after that time. The "
        "secrets are wiped, and none of them can be handed in again.",
        "%(count)s tokens were cut (%(scope)s). No call through this service started with them after that time. The "
        "secrets are wiped, and none of them can be handed in again.",
        row.tokens_cut,
    ) % {"count": f"{row.tokens_cut:,}", "scope": row.get_scope_display()}


_UNFINISHED: dict[str, Text] = {
    Revocation.State.RUNNING: _("not finished"),
    Revocation.State.STOPPED: _("stopped"),
}


def _how_to_go_on(row: Revocation) -> str:
    if row.in_background:
        return gettext("The periodic jobs cut the rest.")
    if row.state == Revocation.State.STOPPED:
        return gettext("An operator stopped it; the history says who and why. What is left works. It can be had go on.")
    return gettext(
        "It was interrupted, or a command is still running. What is cut stays cut. Have it go on here, or run "
        "manage.py revoke_tokens --resume %(pk)s."
    ) % {"pk": row.pk}


def _under_way(row: Revocation) -> dict[str, Any] | None:
    """Return how far a run in the background is, or None for any other. One statement."""
    if not row.in_background:
        return None
    runs = SweepRun.objects.filter(started_at__gte=timezone.now() - _NO_SWEEP)
    return {
        "cut": row.tokens_cut,
        "expected": max(row.tokens_expected, row.tokens_cut),
        "words": ngettext(
            "%(tokens_cut)s of about %(count)s token cut.",
            "%(tokens_cut)s of about %(count)s tokens cut.",
            row.tokens_expected,
        )
        % {"tokens_cut": f"{row.tokens_cut:,}", "count": f"{row.tokens_expected:,}"},
        "nobody_cuts": not runs.exists(),
        "command_line": gettext("manage.py revoke_tokens --resume %(pk)s --operator NAME --reason TEXT")
        % {"pk": row.pk},
    }


def _proof_badge(row: Revocation, *, short: bool = False) -> Any:
    if row.probe == Revocation.Probe.LET_IN:
        return badge(gettext("a probe was let in"), "bad")
    if row.first_refused_at:
        words = gettext("call") if short else gettext("a call was refused")
        return badge(_after(words, _span(row, row.first_refused_at)), "good")
    if row.probe == Revocation.Probe.REFUSED:
        words = gettext("probe") if short else gettext("a probe was refused")
        return badge(_after(words, _span(row, row.probed_at)), "good")
    if row.probe == Revocation.Probe.NO_SESSION:
        return badge(gettext("no session was open"), "plain")
    return badge(gettext("none yet"), "wait")


def _proof(row: Revocation) -> Any:
    lines: list[Any] = []
    if row.first_refused_at:
        after = _span(row, row.first_refused_at)
        lines.append(format_html(_first_refused_words(after), when=when(row.first_refused_at), after=after))
    if row.probe == Revocation.Probe.REFUSED:
        after = _span(row, row.probed_at)
        words = (
            gettext(
                "Right after the commit the service asked for one of the cut sessions, as a call does: refused, "
                "{after} after it was confirmed."
            )
            if after
            else gettext(
                "Right after the commit the service asked for one of the cut sessions, as a call does: refused."
            )
        )
        lines.append(format_html(words, after=after))
    elif row.probe == Revocation.Probe.NO_SESSION:
        lines.append(
            gettext("No open session lived on what was cut, so there was nothing to ask for after the commit.")
        )
    elif row.probe == Revocation.Probe.LET_IN:
        lines.append(
            gettext(
                "Right after the commit one of the cut sessions was let in. Lock what was aimed at, now, and report it."
            )
        )
    if not lines:
        return gettext("None yet: no call came since, and nothing was asked after the commit.")
    return join(lines)


def _first_refused_words(after: str) -> str:
    if not after:
        return gettext("The first call that was refused because of it came at {when}.")
    return gettext("The first call that was refused because of it came at {when}, {after} after it was confirmed.")


def _span(row: Revocation, moment: datetime | None) -> str:
    """Return how long after the click something was, or nothing where the click was not recorded."""
    if row.asked_at is None or moment is None:
        return ""
    milliseconds = max(0, round((moment - row.asked_at).total_seconds() * 1000))
    if milliseconds < 10_000:
        return gettext("%(milliseconds)s ms") % {"milliseconds": f"{milliseconds:,}"}
    if milliseconds < 120_000:
        return gettext("%(seconds)s s") % {"seconds": f"{milliseconds / 1000:.1f}"}
    return age(moment - row.asked_at)


def _after(words: str, span: str) -> str:
    return gettext("%(what)s after %(span)s") % {"what": words, "span": span} if span else words


_Upstream = Revocation.Upstream
_UPSTREAM_BADGES: dict[str, tuple[Text, str]] = {
    _Upstream.NOT_POSSIBLE: (_("not told"), "wait"),
    _Upstream.PENDING: (_("being told"), "wait"),
    _Upstream.CONFIRMED: (_("confirmed"), "good"),
    _Upstream.IRREVOCABLE: (_("irrevocable"), "bad"),
    _Upstream.CLOSED: (_("closed, not confirmed"), "gone"),
}
_UPSTREAM_WORDS: dict[str, Text] = {
    _Upstream.PENDING: _("Flowlu is being told and has not confirmed all of them yet."),
    _Upstream.CONFIRMED: "",
    _Upstream.IRREVOCABLE: _("Flowlu did not confirm at least one of them, and the tries are used up."),
    _Upstream.CLOSED: _("An operator closed the case of at least one of them without Flowlu's confirmation."),
}


def _upstream_badge(row: Any) -> Any:
    words, tone = _UPSTREAM_BADGES[row.upstream]
    if row.upstream == _Upstream.CONFIRMED:
        words, tone = (
            gettext("%(confirmed)s of %(told)s told and confirmed")
            % {"confirmed": f"{row.confirmed:,}", "told": f"{row.told:,}"},
            tone if _all_told(row) else "wait",
        )
    return badge(words, tone)


def _upstream_words(row: Any) -> Any:
    if row.upstream == _Upstream.NOT_POSSIBLE:
        return gettext(
            "Nothing was revoked at Flowlu: it documents no way to, or nothing was stored that it could be told."
        )
    lines = [_UPSTREAM_WORDS[row.upstream]]
    if row.upstream != _Upstream.CONFIRMED:  # else the badge says it
        lines.insert(
            0,
            gettext("%(confirmed)s of %(told)s told and confirmed.")
            % {"confirmed": f"{row.confirmed:,}", "told": f"{row.told:,}"},
        )
    untold = row.tokens_cut - row.told_tokens
    if untold == 1:
        lines.append(gettext("The other one was no longer stored, so nothing could be told about it."))
    elif untold > 1:
        lines.append(
            gettext("The other %(untold)s were no longer stored, so nothing could be told about them.")
            % {"untold": f"{untold:,}"}
        )
    return join(line for line in lines if line)


def _all_told(row: Any) -> bool:
    return bool(row.told_tokens >= row.tokens_cut and row.confirmed == row.told)


def _dead(row: Any) -> bool:
    """Say whether nothing of what was cut is known to live on at Flowlu: only its own word counts, for all of them."""
    over = row.upstream == _Upstream.CONFIRMED and row.state == Revocation.State.DONE
    return over and _all_told(row) and not (row.came_back or row.had_others or row.kept_apart)


def _alive(row: Any) -> Any:
    if _dead(row):
        words = gettext(
            "Flowlu confirmed it for the access and the refresh token of each, and no other pair of them is known."
        )
        return join((badge(gettext("no longer"), "good"), words))
    until = _until(row)
    parts: list[Any] = [badge(gettext("unknown") if until is None else gettext("perhaps"), "wait")]
    if row.came_back:
        parts.append(
            gettext("A refresh that was under way brought a pair after the cut. Until when that is valid is unknown.")
        )
    elif until is None:
        words = (
            gettext(
                "Until when they are valid there is unknown: for %(number)s of them no expiry was told. A refresh "
                "token may live on."
            )
            if row.without_expiry > 1
            else gettext(
                "Until when they are valid there is unknown: for at least one no expiry was told. A refresh token may "
                "live on."
            )
        )
        parts.append(words % {"number": f"{row.without_expiry:,}"})
    else:
        words = (
            gettext("By what the page told they expired at {when}; not checked, and a refresh token may live on.")
            if until <= timezone.now()
            else gettext("By what the page told they expire at {when}; not checked, and a refresh token may live on.")
        )
        parts.append(format_html(words, when=when(until)))
    if row.had_others:
        parts.append(gettext("Earlier pairs of them were replaced here; Flowlu was not told about those."))
    if row.upstream == _Upstream.CONFIRMED and row.kept_apart:
        parts.append(gettext("Not every refresh token of them was stored here, so Flowlu was not told about each."))
    return join(parts)


def _alive_short(row: Any) -> Any:
    if _dead(row):
        return gettext("no longer, confirmed")
    until = _until(row)
    if until is None:
        return gettext("unknown")
    return format_html(gettext("perhaps; told: {when}"), when=when(until))


def _until(row: Any) -> datetime | None:
    """Return the latest expiry that was told, unless a pair came back that nobody told the expiry of."""
    return None if row.came_back else row.possibly_alive_until


def _tone(row: Revocation) -> str:
    return {"open": "wait", "done": "good"}.get(row.portal_step, "plain")


def _step_badge(row: Revocation) -> Any:
    return badge(row.get_portal_step_display(), _tone(row))


def _step(row: Revocation) -> Any:
    if row.portal_step == Revocation.PortalStep.DONE:
        return format_html(
            gettext("As {operator} recorded at {when}: {note}"),
            operator=visible(row.portal_step_by),
            when=when(row.portal_step_at),
            note=visible(row.portal_step_note),
        )
    if row.portal_step == Revocation.PortalStep.NOT_ASKED:
        return gettext("The user revoked their own token.")
    return PORTAL_STEP


def _again(row: Revocation) -> Any:
    if not row.handed_in_again:
        return gettext("Never.")
    return format_html(
        gettext("{times}, last at {when}. It was refused each time."),
        times=counted.times(row.handed_in_again),
        when=when(row.handed_in_again_at),
    )


def revocations_table(revocations: QuerySet[Revocation], query: str) -> Table:
    """Return the last revocations, with what is left to do of each. One statement."""
    return Table(
        gettext("Revocations"),
        (
            gettext("Revocation"),
            gettext("What was aimed at"),
            gettext("Cut here"),
            gettext("Step at the portal"),
            gettext("When, by whom"),
        ),
        [
            (
                link(row),
                _aim(row),
                _cut_badge(row),
                _step_badge(row),
                join((when(row.cut_at), visible(row.actor_name))),
            )
            for row in revocations.order_by("-cut_at", "-pk")[:_SHOWN]
        ],
        gettext("Nothing of it was revoked by itself. Revocations of a whole portal or application are in the list."),
        more_url=list_url(Revocation, query),
        more=gettext("Show in the list"),
    )
