"""The act that removes a portal user's name."""

from collections.abc import Sequence

from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome
from installations.admin.display import plural
from installations.forms import ReasonForm
from installations.models import PortalUser
from tokens.services.erasing import erase_portal_user


class Erase(Act):
    slug = "erase"
    label = "Erase"
    summary = "Remove the name, cut the tokens, end the sessions. Cannot be undone."
    permission = "installations.erase_portaluser"
    tone = "danger"
    stops_heading = "What is removed"
    stays_heading = "What stays"

    def applies(self, target: PortalUser) -> bool:
        return target.erased_at is None

    def stops(self, target: PortalUser) -> Sequence[str]:
        return (
            "The name, and whether they administer the portal. Only the Flowlu user id is left, which history needs.",
            "Every stored token of theirs is revoked and wiped, on every installation of the portal.",
            "Their open sessions end.",
        )

    def stays(self, target: PortalUser) -> Sequence[str]:
        return (
            "The audit trail stays as it is: it has the Flowlu user id and never had the name. What operators wrote as "
            "reasons stays too.",
            "A lock stays. Without one, a new visit is recorded anew with the name that Flowlu says then: lock the "
            "user to stop that.",
            SDK_GOES_ON,
            TOKENS_STAY_VALID,
            IN_FLIGHT,
        )

    def perform(self, target: PortalUser, form: ReasonForm, actor: Actor) -> Outcome:
        done = erase_portal_user(portal_user_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if done is None:
            return Outcome("Nothing changed: this user was erased already.", changed=False)
        tokens, sessions = plural(done.tokens_cut, "token"), plural(done.sessions_ended, "session")
        return Outcome(f"Erased. {tokens} revoked, {sessions} ended.")
