"""Words and steps that every page that revokes has in common."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome, posted
from installations.admin.display import plural
from installations.errors import DomainError
from installations.flowlu.configured import can_revoke_upstream
from installations.forms import ReasonForm
from installations.models import PortalUser
from installations.services import lock
from tokens import selectors
from tokens.forms import RevokeForm
from tokens.services.revocation import RevocationResult

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


class RevokeAct(Act):
    """Revoke tokens after a look at whom and what it stops."""

    label = "Revoke"
    permission = "tokens.revoke_oauthtoken"
    tone = "danger"
    stops_heading = "What stops"
    stays_heading = "What does not stop"
    template_name = "admin/tokens/revoke.html"
    offers_lock = False

    @abstractmethod
    def preview(self, target: Any) -> selectors.RevocationPreview:
        """Return whom and what the revocation stops."""

    def user(self, target: Any) -> PortalUser | None:
        """Return the one user whose tokens are revoked, who could be locked as well."""
        return None

    def form(self, request: HttpRequest, target: Any) -> ReasonForm:
        user = self.user(target)
        lockable = user is not None and user.locked_at is None and request.user.has_perm("installations.lock_portal")
        return RevokeForm(posted(request), offers_lock=lockable)

    def context(self, request: HttpRequest, target: Any, form: ReasonForm) -> dict[str, Any]:
        user = self.user(target)
        return {"preview": self.preview(target), "user_is_locked": bool(user and user.locked_at)}

    def stops(self, target: Any) -> Sequence[str]:
        return STOPS

    def stays(self, target: Any) -> Sequence[str]:
        return (SDK_GOES_ON, at_flowlu(), A_RELOAD_BRINGS_ONE, IN_FLIGHT)

    def outcome(self, cut: RevocationResult, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        """Lock the user too where that was ticked, and say what both did."""
        words = f"{plural(cut.tokens_cut, 'token')} revoked." if cut.tokens_cut else "There was nothing left to revoke."
        user = self.user(target)
        locked = False
        if user is not None and form.cleaned_data.get("also_lock"):
            try:
                locked = lock(target=user, actor=actor, reason=form.cleaned_data["reason"])
                words += f" {user} is locked." if locked else f" {user} was locked already."
            except DomainError as error:
                words += f" The user was not locked: {error.public_message}"
        return Outcome(words, changed=bool(cut.tokens_cut) or locked)
