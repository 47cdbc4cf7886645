"""The ledger of revocations: what was cut, the proof of it, Flowlu's side, and what is left for people to do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from installations.actors import Actor
from installations.admin.acts import Act, Outcome
from installations.admin.base import ReadOnlyAdmin
from installations.admin.display import Table, age, at, badge, column, join, link, plural, text_of, utc
from installations.admin.text import visible
from installations.forms import ReasonForm
from tokens.admin.tables import tokens_table
from tokens.admin.upstream import cases_table
from tokens.forms import PortalStepForm
from tokens.models import Revocation
from tokens.revocation_selectors import with_upstream_facts
from tokens.services.ledger import record_portal_step

PORTAL_STEP = (
    "Ask the portal's administrator to take the access away at Flowlu: for one person, in the settings of the "
    "application that say which roles and groups may use it; for everybody, by removing the application from the "
    "portal. Only a portal administrator can do either."
)


class RecordPortalStep(Act):
    slug = "portal-step"
    label = "Record the administrator's step"
    summary = "Note that the portal's administrator took the access away at Flowlu."
    permission = "tokens.revoke_oauthtoken"
    form_class = PortalStepForm
    stops_heading = "What is to be done at Flowlu"
    stays_heading = "What this does"

    def applies(self, target: Revocation) -> bool:
        return target.portal_step != Revocation.PortalStep.DONE

    def stops(self, target: Revocation) -> Sequence[str]:
        return (PORTAL_STEP,)

    def stays(self, target: Revocation) -> Sequence[str]:
        return (
            "It writes down that it was done, with your name and your note. It asks nobody and checks nothing: Flowlu "
            "sends no word of it.",
        )

    def perform(self, target: Revocation, form: ReasonForm, actor: Actor) -> Outcome:
        changed = record_portal_step(revocation_id=target.pk, actor=actor, note=form.cleaned_data["reason"])
        return Outcome.of(
            changed, "Recorded that the portal's administrator took the access away.", already="it was recorded already"
        )


@admin.register(Revocation)
class RevocationAdmin(ReadOnlyAdmin):
    list_display = (
        column("name", "revocation", lambda row: str(row)),
        column("what", "what was aimed at", lambda row: _aim(row), order="scope"),
        column("cut", "cut here", lambda row: _cut_badge(row), order="tokens_cut"),
        column("proof", "proof", lambda row: _proof_badge(row, short=True)),
        column("portal_step", "step at the portal", lambda row: _step_badge(row), order="portal_step"),
        column("alive", "may live at Flowlu", lambda row: _alive_short(row)),
        column("when", "when, by whom", lambda row: join((utc(row.cut_at), visible(row.actor_name))), order="cut_at"),
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
    search_help_text = "Search by portal, appId, user or who revoked"
    ordering = ("-cut_at", "-pk")
    facts = (
        column("aim", "what was aimed at", lambda row: _aim(row)),
        column("facts", "cut here", lambda row: join((_cut_badge(row), _facts(row)))),
        column("proof", "proof", lambda row: join((_proof_badge(row), _proof(row)))),
        column("flowlu", "at Flowlu", lambda row: join((_upstream_badge(row), _upstream_words(row)))),
        column("alive", "possibly alive at Flowlu", lambda row: _alive(row)),
        column("step", "the portal administrator's step", lambda row: join((_step_badge(row), _step(row)))),
        column("again", "handed in again", lambda row: _again(row)),
        text_of("actor_name", "who"),
        column("reason", "why", lambda row: visible(row.reason)),
        at("asked_at", "confirmed", empty="not known"),
        at("cut_at", "cut"),
    )
    act_classes: ClassVar = (RecordPortalStep,)
    intro = "The ledger: what was cut here, the proof of it, and what is known about Flowlu's side."
    empty_text = "Nothing was revoked yet. Revoke on the page of a portal, an installation, a user or a token."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Revocation]:
        return with_upstream_facts(super().get_queryset(request))

    def page_title(self, row: Revocation) -> str:
        return f"Revocation #{row.pk}"

    def badges(self, row: Revocation) -> Sequence[Any]:
        return [
            _cut_badge(row),
            _proof_badge(row),
            badge(f"portal's step: {row.get_portal_step_display()}", _tone(row)),
        ]

    def audit_query(self, row: Revocation) -> dict[str, Any]:
        return {"target_kind": "revocation", "target_id": str(row.pk)}

    def tables(self, request: HttpRequest, row: Revocation) -> Sequence[Table]:
        found = []
        if row.upstream != _Upstream.NOT_POSSIBLE and request.user.has_perm("tokens.view_upstreamrevocation"):
            found.append(cases_table(row))
        if request.user.has_perm("tokens.view_oauthtoken"):
            query = f"revocation__id__exact={row.pk}"
            found.append(tokens_table(request, row.tokens.all(), query, title="Tokens that were cut"))
        return found


def _aim(row: Revocation) -> Any:
    if not row.target_label:  # of before the ledger said so
        return link(row.installation) if row.installation else row.get_scope_display()
    return visible(row.target_label)


def _cut_badge(row: Revocation) -> Any:
    if row.state == Revocation.State.RUNNING:
        return badge(f"not finished: {row.tokens_cut:,} of {row.tokens_expected:,}", "bad")
    return badge(f"{plural(row.tokens_cut, 'token')} cut", "good")


def _facts(row: Revocation) -> Any:
    if row.state == Revocation.State.RUNNING:
        return (
            f"{plural(row.tokens_cut, 'token')} of about {row.tokens_expected:,} cut so far. It was interrupted, or is "
            f"still running. What is cut stays cut; to go on, run manage.py revoke_tokens --resume {row.pk}."
        )
    were = "was" if row.tokens_cut == 1 else "were"
    return (
        f"{plural(row.tokens_cut, 'token')} {were} cut ({row.get_scope_display()}). No call through this service "
        "started with them after that time. The secrets are wiped, and none of them can be handed in again."
    )


def _proof_badge(row: Revocation, *, short: bool = False) -> Any:
    if row.probe == Revocation.Probe.LET_IN:
        return badge("a probe was let in", "bad")
    if row.first_refused_at:
        words = "call" if short else "a call was refused"
        return badge(f"{words}{_after(row, row.first_refused_at)}", "good")
    if row.probe == Revocation.Probe.REFUSED:
        words = "probe" if short else "a probe was refused"
        return badge(f"{words}{_after(row, row.probed_at)}", "good")
    if row.probe == Revocation.Probe.NO_SESSION:
        return badge("no session was open", "plain")
    return badge("none yet", "wait")


def _proof(row: Revocation) -> Any:
    lines: list[Any] = []
    if row.first_refused_at:
        lines.append(
            format_html(
                "The first call that was refused because of it came at {}{}.",
                utc(row.first_refused_at),
                _after(row, row.first_refused_at, " after it was confirmed"),
            )
        )
    if row.probe == Revocation.Probe.REFUSED:
        after = _after(row, row.probed_at, " after it was confirmed")
        words = "Right after the commit the service asked for one of the cut sessions, as a call does: refused{}."
        lines.append(format_html(words, after))
    elif row.probe == Revocation.Probe.NO_SESSION:
        lines.append("No open session lived on what was cut, so there was nothing to ask for after the commit.")
    elif row.probe == Revocation.Probe.LET_IN:
        lines.append(
            "Right after the commit one of the cut sessions was let in. Lock what was aimed at, now, and report it."
        )
    if not lines:
        return "None yet: no call came since, and nothing was asked after the commit."
    return join(lines)


def _after(row: Revocation, moment: datetime | None, suffix: str = "") -> str:
    """Return how long after the click something was, or nothing where the click was not recorded."""
    if row.asked_at is None or moment is None:
        return ""
    milliseconds = max(0, round((moment - row.asked_at).total_seconds() * 1000))
    if milliseconds < 10_000:
        words = f"{milliseconds:,} ms"
    elif milliseconds < 120_000:
        words = f"{milliseconds / 1000:.1f} s"
    else:
        words = age(moment - row.asked_at)
    return f", {words}{suffix}" if suffix else f" after {words}"


_Upstream = Revocation.Upstream
_UPSTREAM_BADGES: dict[str, tuple[str, str]] = {
    _Upstream.NOT_POSSIBLE: ("not told", "wait"),
    _Upstream.PENDING: ("being told", "wait"),
    _Upstream.CONFIRMED: ("confirmed", "good"),
    _Upstream.IRREVOCABLE: ("irrevocable", "bad"),
    _Upstream.CLOSED: ("closed, not confirmed", "gone"),
}
_UPSTREAM_WORDS: dict[str, str] = {
    _Upstream.PENDING: "Flowlu is being told and has not confirmed all of them yet.",
    _Upstream.CONFIRMED: "",
    _Upstream.IRREVOCABLE: "Flowlu did not confirm at least one of them, and the tries are used up.",
    _Upstream.CLOSED: "An operator closed the case of at least one of them without Flowlu's confirmation.",
}


def _upstream_badge(row: Any) -> Any:
    words, tone = _UPSTREAM_BADGES[row.upstream]
    if row.upstream == _Upstream.CONFIRMED:
        words, tone = f"{row.confirmed:,} of {row.told:,} told and confirmed", tone if _all_told(row) else "wait"
    return badge(words, tone)


def _upstream_words(row: Any) -> Any:
    if row.upstream == _Upstream.NOT_POSSIBLE:
        return "Nothing was revoked at Flowlu: it documents no way to, or nothing was stored that it could be told."
    lines = [_UPSTREAM_WORDS[row.upstream]]
    if row.upstream != _Upstream.CONFIRMED:  # else the badge says it
        lines.insert(0, f"{row.confirmed:,} of {row.told:,} told and confirmed.")
    untold = row.tokens_cut - row.told_tokens
    if untold == 1:
        lines.append("The other one was no longer stored, so nothing could be told about it.")
    elif untold > 1:
        lines.append(f"The other {untold:,} were no longer stored, so nothing could be told about them.")
    return join(line for line in lines if line)


def _all_told(row: Any) -> bool:
    return bool(row.told_tokens >= row.tokens_cut and row.confirmed == row.told)


def _dead(row: Any) -> bool:
    """Say whether nothing of what was cut is known to live on at Flowlu: only its own word counts, for all of them."""
    over = row.upstream == _Upstream.CONFIRMED and row.state == Revocation.State.DONE
    return over and _all_told(row) and not (row.came_back or row.had_others or row.kept_apart)


def _alive(row: Any) -> Any:
    if _dead(row):
        words = "Flowlu confirmed it for the access and the refresh token of each, and no other pair of them is known."
        return join((badge("no longer", "good"), words))
    until = _until(row)
    parts: list[Any] = [badge("unknown" if until is None else "perhaps", "wait")]
    if row.came_back:
        parts.append("A refresh that was under way brought a pair after the cut. Until when that is valid is unknown.")
    elif until is None:
        unknown = f"for {row.without_expiry:,} of them" if row.without_expiry > 1 else "for at least one"
        parts.append(
            f"Until when they are valid there is unknown: {unknown} no expiry was told. A refresh token may live on."
        )
    else:
        expire = "expired" if until <= timezone.now() else "expire"
        words = "By what the page told they {} at {}; not checked, and a refresh token may live on."
        parts.append(format_html(words, expire, utc(until)))
    if row.had_others:
        parts.append("Earlier pairs of them were replaced here; Flowlu was not told about those.")
    if row.upstream == _Upstream.CONFIRMED and row.kept_apart:
        parts.append("Not every refresh token of them was stored here, so Flowlu was not told about each.")
    return join(parts)


def _alive_short(row: Any) -> Any:
    if _dead(row):
        return "no longer, confirmed"
    until = _until(row)
    return "unknown" if until is None else format_html("perhaps; told: {}", utc(until))


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
            "As {} recorded at {}: {}",
            visible(row.portal_step_by),
            utc(row.portal_step_at),
            visible(row.portal_step_note),
        )
    if row.portal_step == Revocation.PortalStep.NOT_ASKED:
        return "The user revoked their own token."
    return PORTAL_STEP


def _again(row: Revocation) -> Any:
    if not row.handed_in_again:
        return "Never."
    times = plural(row.handed_in_again, "time")
    return format_html("{}, last at {}. It was refused each time.", times, utc(row.handed_in_again_at))
