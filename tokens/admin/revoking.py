"""Words and steps that every page that revokes has in common: look, give a reason, confirm what was looked at."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin import counted
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome, posted
from installations.admin.text import Text, sentences, translated
from installations.errors import DomainError, StateConflict
from installations.flowlu.configured import can_revoke_upstream
from installations.forms import ReasonForm
from installations.models import PortalUser
from installations.services import lock
from tokens.errors import SetChanged
from tokens.forms import RevokeForm, sign_pin
from tokens.revocation_selectors import RevocationPreview, preview_revocation
from tokens.services.revocation import BATCH, DrillResult, drill_revocation, revoke_tokens
from tokens.targets import RevocationTarget

STOPS = (
    _("From the moment this is saved, on every worker, no call through this service starts with these tokens."),
    _("The stored tokens are wiped. A tombstone with a keyed hash stays, so that none of them can be handed in again."),
    _("Their open sessions are told that access was revoked."),
)
IN_PARTS = _(
    "From the moment a part of them is cut, on every worker, no call through this service starts with the tokens of "
    "that part. Those that are left work until their part is cut: a lock stops them all at once."
)
A_RELOAD_BRINGS_ONE = _(
    "A page reload brings a new token, with which the application works again. To stop that, lock the user, the "
    "installation or the portal, or suspend the installation."
)

FLOWLU_IS_TOLD = _(
    "Flowlu is asked to take the tokens back, and what it answers is in the ledger. Until it confirms, they may stay "
    "valid there; a token that is not stored any more cannot be taken back."
)


def at_flowlu() -> Text:
    """Return what becomes of the tokens at Flowlu."""
    return FLOWLU_IS_TOLD if can_revoke_upstream() else TOKENS_STAY_VALID


def what_stays() -> Sequence[Text]:
    """Return what goes on after a revocation."""
    return (SDK_GOES_ON, at_flowlu(), A_RELOAD_BRINGS_ONE, IN_FLIGHT)


class RevokeAct(Act):
    """Revoke tokens after a look at whom and what it stops. What is cut is what was looked at, or nothing."""

    label = _("Revoke")
    permission = "tokens.revoke_oauthtoken"
    tone = "danger"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")
    template_name = "admin/tokens/revoke.html"
    drills: ClassVar[bool] = True
    most: ClassVar[int] = BATCH  # tokens that a page cuts: beyond it takes longer than a request may
    goes_on: ClassVar[bool] = True  # whether the rest is cut in the background, or it is too many for a page

    @abstractmethod
    def aim(self, target: Any) -> RevocationTarget:
        """Return which tokens the act is about."""

    @abstractmethod
    def command_line(self, target: Any) -> str:
        """Return the options of `revoke_tokens` that cut the same."""

    def user(self, target: Any) -> PortalUser | None:
        """Return the one user whose tokens are revoked, who could be locked as well."""
        return None

    def form(self, request: HttpRequest, target: Any) -> RevokeForm:
        user = self.user(target)
        lockable = user is not None and user.locked_at is None and request.user.has_perm("installations.lock_portal")
        return RevokeForm(posted(request), offers_lock=lockable, offers_drill=self.drills, asked_at=timezone.now())

    def context(self, request: HttpRequest, target: Any, form: ReasonForm) -> dict[str, Any]:
        user = self.user(target)
        return {**self.look(request, target, form, self.aim(target)), "user_is_locked": bool(user and user.locked_at)}

    def look(self, request: HttpRequest, target: Any, form: ReasonForm, aim: RevocationTarget) -> dict[str, Any]:
        """Return what would be cut, and make the form confirm exactly that."""
        preview = preview_revocation(aim)
        pin_form(form, preview)
        many = preview.tokens > self.most
        return {
            "preview": preview,
            "many": many,
            "too_many": many and not self.goes_on,
            "most": f"{self.most:,}",
            "lock_url": self._lock_url(request, target),
            "command_line": self.command_line(target) if many else "",
            **({"stops": (IN_PARTS, *STOPS[1:])} if many and self.goes_on else {}),
        }

    def _lock_url(self, request: HttpRequest, target: Any) -> str:
        locks = [act for act in self.model_admin.acts if act.slug == "lock"]
        offered = bool(locks) and locks[0].permitted(request) and isinstance(target, self.model_admin.model)
        return locks[0].url(object_id=target.pk) if offered and locks[0].applies(target) else ""

    def stops(self, target: Any) -> Sequence[Text]:
        return STOPS

    def stays(self, target: Any) -> Sequence[Text]:
        return what_stays()

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        return self.revoke(target, self.aim(target), form, actor)

    def revoke(self, target: Any, aim: RevocationTarget, form: ReasonForm, actor: Actor) -> Outcome:
        """Rehearse or cut what the form confirms."""
        assert isinstance(form, RevokeForm)  # noqa: S101 - made above
        pin, reason = form.cleaned_data["pinned"], form.cleaned_data["reason"]
        many = pin.tokens > self.most
        if form.cleaned_data.get("drill"):
            return Outcome(drill_words(drill_revocation(target=aim, actor=actor, reason=reason, pinned=pin)), False)
        # First: whoever is locked opens no session while their tokens are cut, so that the set stays what it is.
        locked, lock_words = self._lock_too(target, form, actor)
        try:
            cut = revoke_tokens(
                target=aim,
                actor=actor,
                reason=reason,
                pinned=pin,
                asked_at=form.asked_at,
                batch=self.most,
                in_background=many,
            )
        except SetChanged as error:
            raise StateConflict(sentences(error.public_message, lock_words)) from error
        words = (
            ngettext("%(count)s token revoked.", "%(count)s tokens revoked.", cut.tokens_cut)
            % {"count": f"{cut.tokens_cut:,}"}
            if cut.tokens_cut
            else gettext("There was nothing left to revoke.")
        )
        if cut.revocation is not None and cut.revocation.in_background:
            rest = gettext("The rest is cut in the background. This page shows how far it is.")
            return Outcome(sentences(words, rest, lock_words), leads_to=cut.revocation)
        return Outcome(sentences(words, lock_words), changed=bool(cut.tokens_cut) or locked, recorded=cut.revocation)

    def _lock_too(self, target: Any, form: ReasonForm, actor: Actor) -> tuple[bool, str]:
        """Lock the user where that was ticked; returns whether it changed anything, and what to say of it."""
        user = self.user(target)
        if user is None or not form.cleaned_data.get("also_lock"):
            return False, ""
        try:
            locked = lock(target=user, actor=actor, reason=form.cleaned_data["reason"])
        except DomainError as error:
            return False, gettext("The user was not locked: %(why)s") % {"why": translated(error.public_message)}
        words = gettext("%(user)s is locked.") if locked else gettext("%(user)s was locked already.")
        return locked, words % {"user": user}


def pin_form(form: ReasonForm, preview: RevocationPreview) -> None:
    """Make the form confirm what the page shows now, also where it comes back with an error."""
    signed = sign_pin(preview.pin)
    if form.is_bound:
        form.data = {**dict(form.data.items()), "pinned": signed}
    else:
        form.initial["pinned"] = signed


def drill_words(drill: DrillResult) -> str:
    """Return what a drill found, for whoever is in a hurry."""
    preview = drill.preview
    looked = gettext("Looking took %(read)s ms") % {"read": drill.read_ms}
    if drill.lock_ms is not None:
        looked = gettext("%(looked)s, the lock %(lock)s ms") % {"looked": looked, "lock": drill.lock_ms}
    cut = gettext("%(looked)s, the cut %(cut)s ms.")
    if drill.rehearsed != preview.tokens:
        cut = gettext("%(looked)s, the cut of the first %(rehearsed)s %(cut)s ms.")
    return sentences(
        gettext("Drill: nothing was cut. It would be %(tokens)s, %(sessions)s and %(people)s.")
        % {
            "tokens": counted.tokens(preview.tokens),
            "sessions": counted.open_sessions(preview.sessions),
            "people": counted.people(preview.users_count),
        },
        cut % {"looked": looked, "cut": drill.cut_ms, "rehearsed": f"{drill.rehearsed:,}"},
    )
