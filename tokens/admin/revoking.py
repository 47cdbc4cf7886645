"""Words and steps that every page that revokes has in common: look, give a reason, confirm what was looked at."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from django.http import HttpRequest
from django.utils import timezone

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome, posted
from installations.admin.display import plural
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
    "From the moment this is saved, on every worker, no call through this service starts with these tokens.",
    "The stored tokens are wiped. A tombstone with a keyed hash stays, so that none of them can be handed in again.",
    "Their open sessions are told that access was revoked.",
)
A_RELOAD_BRINGS_ONE = (
    "A page reload brings a new token, with which the application works again. To stop that, lock the user, "
    "the installation or the portal, or suspend the installation."
)

FLOWLU_IS_TOLD = (
    "Flowlu is asked to take the tokens back, and what it answers is in the ledger. Until it confirms, they may stay "
    "valid there; a token that is not stored any more cannot be taken back."
)


def at_flowlu() -> str:
    """Return what becomes of the tokens at Flowlu."""
    return FLOWLU_IS_TOLD if can_revoke_upstream() else TOKENS_STAY_VALID


def what_stays() -> Sequence[str]:
    """Return what goes on after a revocation."""
    return (SDK_GOES_ON, at_flowlu(), A_RELOAD_BRINGS_ONE, IN_FLIGHT)


class RevokeAct(Act):
    """Revoke tokens after a look at whom and what it stops. What is cut is what was looked at, or nothing."""

    label = "Revoke"
    permission = "tokens.revoke_oauthtoken"
    tone = "danger"
    stops_heading = "What stops"
    stays_heading = "What does not stop"
    template_name = "admin/tokens/revoke.html"
    drills: ClassVar[bool] = True
    most: ClassVar[int] = BATCH  # tokens that a page cuts: beyond it takes longer than a request may

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
        too_many = preview.tokens > self.most
        return {
            "preview": preview,
            "too_many": too_many,
            "most": self.most,
            "lock_url": self._lock_url(request, target),
            "command_line": self.command_line(target) if too_many else "",
        }

    def _lock_url(self, request: HttpRequest, target: Any) -> str:
        locks = [act for act in self.model_admin.acts if act.slug == "lock"]
        offered = bool(locks) and locks[0].permitted(request) and isinstance(target, self.model_admin.model)
        return locks[0].url(object_id=target.pk) if offered and locks[0].applies(target) else ""

    def stops(self, target: Any) -> Sequence[str]:
        return STOPS

    def stays(self, target: Any) -> Sequence[str]:
        return what_stays()

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        return self.revoke(target, self.aim(target), form, actor)

    def revoke(self, target: Any, aim: RevocationTarget, form: ReasonForm, actor: Actor) -> Outcome:
        """Rehearse or cut what the form confirms."""
        assert isinstance(form, RevokeForm)  # noqa: S101 - made above
        pin, reason = form.cleaned_data["pinned"], form.cleaned_data["reason"]
        if pin.tokens > self.most:
            raise StateConflict("These are too many for a page. Lock first, then use the command that is named below.")
        if form.cleaned_data.get("drill"):
            return Outcome(drill_words(drill_revocation(target=aim, actor=actor, reason=reason, pinned=pin)), False)
        # First: whoever is locked opens no session while their tokens are cut, so that the set stays what it is.
        locked, lock_words = self._lock_too(target, form, actor)
        try:
            cut = revoke_tokens(target=aim, actor=actor, reason=reason, pinned=pin, asked_at=form.asked_at)
        except SetChanged as error:
            raise StateConflict(f"{error.public_message}{lock_words}") from error
        words = f"{plural(cut.tokens_cut, 'token')} revoked." if cut.tokens_cut else "There was nothing left to revoke."
        return Outcome(words + lock_words, changed=bool(cut.tokens_cut) or locked)

    def _lock_too(self, target: Any, form: ReasonForm, actor: Actor) -> tuple[bool, str]:
        """Lock the user where that was ticked; returns whether it changed anything, and what to say of it."""
        user = self.user(target)
        if user is None or not form.cleaned_data.get("also_lock"):
            return False, ""
        try:
            locked = lock(target=user, actor=actor, reason=form.cleaned_data["reason"])
        except DomainError as error:
            return False, f" The user was not locked: {error.public_message}"
        return locked, f" {user} is locked." if locked else f" {user} was locked already."


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
    lock_words = "" if drill.lock_ms is None else f"the lock {drill.lock_ms} ms, "
    part = "" if drill.rehearsed == preview.tokens else f" of the first {drill.rehearsed:,}"
    return (
        f"Drill: nothing was cut. It would be {plural(preview.tokens, 'token')}, "
        f"{plural(preview.sessions, 'open session')} and {plural(preview.users_count, 'person', 'people')}. "
        f"Looking took {drill.read_ms} ms, {lock_words}the cut{part} {drill.cut_ms} ms."
    )
