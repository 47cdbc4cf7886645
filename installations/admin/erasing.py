"""The act that removes a portal user's name."""

from collections.abc import Sequence

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin import counted
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome
from installations.admin.text import Text
from installations.forms import ReasonForm
from installations.models import PortalUser
from tokens.services.erasing import erase_portal_user


class Erase(Act):
    slug = "erase"
    label = _("Erase")
    summary = _("Remove the name, cut the tokens, end the sessions. Cannot be undone.")
    permission = "installations.erase_portaluser"
    tone = "danger"
    stops_heading = _("What is removed")
    stays_heading = _("What stays")

    def applies(self, target: PortalUser) -> bool:
        return target.erased_at is None

    def stops(self, target: PortalUser) -> Sequence[Text]:
        return (
            gettext(
                "The name, and whether they administer the portal. Only the Flowlu user id is left, which history "
                "needs."
            ),
            gettext("Every stored token of theirs is revoked and wiped, on every installation of the portal."),
            gettext("Their open sessions end."),
        )

    def stays(self, target: PortalUser) -> Sequence[Text]:
        return (
            gettext(
                "The audit trail stays as it is: it has the Flowlu user id and never had the name. What operators "
                "wrote as reasons stays too."
            ),
            gettext(
                "A lock stays. Without one, a new visit is recorded anew with the name that Flowlu says then: lock "
                "the user to stop that."
            ),
            SDK_GOES_ON,
            TOKENS_STAY_VALID,
            IN_FLIGHT,
        )

    def perform(self, target: PortalUser, form: ReasonForm, actor: Actor) -> Outcome:
        done = erase_portal_user(portal_user_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        if done is None:
            return Outcome(gettext("Nothing changed: this user was erased already."), changed=False)
        tokens, sessions = counted.tokens(done.tokens_cut), counted.sessions(done.sessions_ended)
        return Outcome(
            gettext("Erased. %(tokens)s revoked, %(sessions)s ended.") % {"tokens": tokens, "sessions": sessions}
        )
