"""The acts on an installation: approve, withdraw, suspend, resume, revoke, mark as uninstalled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from django.conf import settings
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations import editions, reviews, selectors
from installations.actors import Actor
from installations.admin.acts import IN_FLIGHT, SDK_GOES_ON, TOKENS_STAY_VALID, Act, Outcome, posted
from installations.admin.display import change_url, installation_name, list_url
from installations.admin.observed import is_suspected, observed_context
from installations.admin.review_page import PRESELECTED, review_context
from installations.admin.shown_reviews import ShownReview
from installations.admin.text import Text, sentences, visible_text
from installations.approval_requests import approve_alone, request_approval
from installations.approving import ApprovalResult
from installations.errors import SecondOperatorNeeded, StateConflict
from installations.forms import ApproveForm, ReasonForm, ReviewForm, WithdrawForm, WithholdForm
from installations.models import ApprovedPermission, Installation, PortalUser
from installations.models import Review as ReviewModel
from installations.reviewing import decide_reviews
from installations.reviews import ReviewLine
from installations.services import (
    approve_scopes,
    public_id,
    resume_installation,
    state_present,
    suspend_installation,
    withdraw_scopes,
    withhold_scopes,
)
from tokens.admin.revoking import RevokeAct
from tokens.services.revocation import uninstall_installation
from tokens.targets import RevocationTarget


class InstallationAct(Act):
    def applies(self, target: Installation) -> bool:
        return target.status != Installation.Status.UNINSTALLED


class Approve(InstallationAct):
    slug = "approve"
    label = _("Approve scopes")
    summary = _("Let the application act within scopes that it asks for.")
    permission = "installations.approve_scopes"
    tone = "go"
    template_name = "admin/installations/installation/approve.html"

    def form(self, request: HttpRequest, target: Installation) -> ReasonForm:
        in_force = selectors.approvals_in_force(target)
        known = editions.read_with(target)
        review = selectors.review_scopes(target.manifest.requested_scopes, in_force, known)
        form = ApproveForm(posted(request), installation=target, review=review, in_force=in_force, catalogue=known)
        form.preselect(PRESELECTED.get(request.GET.get("choose", ""), ()))
        return form

    def context(self, request: HttpRequest, target: Installation, form: ReasonForm) -> dict[str, Any]:
        assert isinstance(form, ApproveForm)  # noqa: S101 - made above
        return {**review_context(request, target, form), "four_eyes": settings.FOUR_EYES == "on"}

    def stops(self, target: Installation) -> Sequence[Text]:
        first = (gettext("The first approval makes the installation active."),) if self._is_pending(target) else ()
        return (
            gettext(
                "From its next call on, the application can do within these scopes what the user who has it open may "
                "do."
            ),
            *first,
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            gettext("Nobody can do more than Flowlu lets them: Flowlu checks each user's own rights as well."),
            gettext(
                "Nothing else is approved. A later manifest that asks for more gets nothing without a new decision."
            ),
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        values = _chosen(target, form)
        try:
            return _approved(approve_scopes(**values, actor=actor))
        except SecondOperatorNeeded:
            asked = request_approval(**values, actor=actor)
        if not asked.is_new:
            return Outcome(
                gettext(
                    "Nothing changed: %(requested_by)s asked for the same already (request #%(request)s). Another "
                    "operator can confirm it."
                )
                % {"requested_by": visible_text(asked.request.requested_by), "request": asked.request.pk},
                changed=False,
                recorded=asked.request,
            )
        return Outcome(
            ngettext(
                "Asked for, not approved yet: a second operator has to confirm request #%(request)s within %(count)s "
                "hour, since high risk is among it, by its words or its reach.",
                "Asked for, not approved yet: a second operator has to confirm request #%(request)s within %(count)s "
                "hours, since high risk is among it, by its words or its reach.",
                settings.FOUR_EYES_HOURS,
            )
            % {"request": asked.request.pk, "count": f"{settings.FOUR_EYES_HOURS:,}"},
            recorded=asked.request,
        )

    def _is_pending(self, target: Installation) -> bool:
        return target.status == Installation.Status.PENDING_APPROVAL


class ApproveAlone(Approve):
    slug = "approve-alone"
    label = _("Approve alone (break-glass)")
    summary = _("Approve scopes of high risk without a second operator. It is reported and looked at later.")
    permission = "installations.break_glass"
    tone = "danger"
    only_gives = True

    def applies(self, target: Installation) -> bool:
        return super().applies(target) and settings.FOUR_EYES == "on"

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            *super().stays(target),
            gettext(
                "It is not forgotten: it stays on the list of break-glass approvals until another operator looked at "
                "it."
            ),
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        return _approved(approve_alone(**_chosen(target, form), actor=actor))


def _chosen(target: Installation, form: ReasonForm) -> dict[str, Any]:
    assert isinstance(form, ApproveForm)  # noqa: S101 - made by Approve.form
    return {
        "installation_id": target.pk,
        "requested": form.chosen(),
        "reason": form.cleaned_data["reason"],
        "seen": form.seen(),
        "review_by": form.cleaned_data["review_by"],
    }


def _approved(result: ApprovalResult) -> Outcome:
    if not result.approved:
        return Outcome(
            gettext("Nothing changed: %(unchanged)s was approved already.")
            % {"unchanged": ", ".join(result.unchanged)},
            changed=False,
        )
    approved = gettext("Approved: %(approved)s.") % {"approved": ", ".join(result.approved)}
    active = gettext("The installation is active now.") if result.activated else ""
    return Outcome(sentences(approved, active))


class Withhold(InstallationAct):
    slug = "withhold"
    label = _("Keep what is approved")
    summary = _("Approve nothing more of what the manifest asks for.")
    permission = "installations.approve_scopes"
    template_name = "admin/installations/installation/withhold.html"

    def applies(self, target: Installation) -> bool:
        return super().applies(target) and selectors.needs_decision(target)

    def form(self, request: HttpRequest, target: Installation) -> ReasonForm:
        form = WithholdForm(posted(request))
        form.fields["seen_manifest"].initial = target.manifest.sha256
        return form

    def context(self, request: HttpRequest, target: Installation, form: ReasonForm) -> dict[str, Any]:
        return {"asked_anew": selectors.asked_anew(target), "installation": target}

    def stops(self, target: Installation) -> Sequence[Text]:
        return (gettext("The installation needs no decision any more, until another manifest asks for more."),)

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            gettext("What is approved goes on as it is."),
            gettext(
                "Calls that only the new scopes would cover are refused, as they are now. They can be approved later."
            ),
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        withheld = withhold_scopes(
            installation_id=target.pk,
            actor=actor,
            reason=form.cleaned_data["reason"],
            seen_manifest=form.cleaned_data["seen_manifest"],
        )
        return Outcome.of(
            bool(withheld),
            ngettext(
                "Withheld: %(count)s scope. What is approved goes on.",
                "Withheld: %(count)s scopes. What is approved goes on.",
                len(withheld),
            )
            % {"count": f"{len(withheld):,}"},
            already=gettext("Nothing changed: the manifest asks for nothing that was not decided about."),
        )


class Review(InstallationAct):
    slug = "review"
    label = _("Review scopes")
    summary = _("Keep approved scopes until their next review, lower them or take them back.")
    permission = "installations.withdraw_scopes"
    template_name = "admin/installations/installation/review.html"

    def applies(self, target: Any) -> bool:
        return super().applies(target) and bool(target.in_force)

    def permitted(self, request: HttpRequest) -> bool:
        """Return whether one of the decisions is theirs: to keep is to approve anew, anything else is to withdraw."""
        may_keep = request.user.has_perm("installations.approve_scopes")
        return super().permitted(request) or (may_keep and self.model_admin.has_view_permission(request))

    def form(self, request: HttpRequest, target: Installation) -> ReasonForm:
        return ReviewForm(
            posted(request),
            lines=reviews.lines(self._approvals(target)),
            may_keep=request.user.has_perm("installations.approve_scopes"),
            may_take=request.user.has_perm(self.permission),
            chosen=(request.GET.get("code", ""), request.GET.get("choose", "")),
        )

    def context(self, request: HttpRequest, target: Installation, form: ReasonForm) -> dict[str, Any]:
        assert isinstance(form, ReviewForm)  # noqa: S101 - made above
        may_view_purposes = request.user.has_perm("tokens.view_purpose")
        codes = {line.approval.code for line in form.lines.values()}

        def shown(found: Sequence[tuple[ReviewLine, BoundField]]) -> list[tuple[ShownReview, BoundField]]:
            return [(ShownReview(line, codes, may_view_purposes=may_view_purposes), field) for line, field in found]

        return {"installation": target, "waiting": shown(form.waiting()), "others": shown(form.others())}

    def stops(self, target: Installation) -> Sequence[Text]:
        return (
            gettext(
                "What is lowered or withdrawn holds from the next call on: calls that nothing else covers are refused "
                "with insufficient_scope."
            ),
            gettext("A scope that a withdrawn one swallowed is withdrawn with it."),
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            gettext("What is kept allows what it did, and nothing more. It is no decision about a new manifest."),
            gettext("Tokens and sessions stay, and the installation stays active, also when nothing is left approved."),
            SDK_GOES_ON,
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        assert isinstance(form, ReviewForm)  # noqa: S101 - made above
        result = decide_reviews(
            installation_id=target.pk,
            keep=form.chosen("keep"),
            lower=form.chosen("lower"),
            withdraw=form.chosen("withdraw"),
            seen=form.seen(),
            review_by=form.cleaned_data["review_by"],
            actor=actor,
            reason=form.cleaned_data["reason"],
        )
        words = [
            f"{label}: {', '.join(named)}."
            for label, named in (
                (
                    gettext("Kept"),
                    [
                        gettext("%(scope)s, review by %(day)s") % {"scope": scope, "day": day}
                        for scope, day in result.kept.items()
                    ],
                ),
                (
                    gettext("Lowered to read"),
                    [
                        gettext("%(scope)s, review by %(day)s") % {"scope": scope, "day": day}
                        for scope, day in result.lowered.items()
                    ],
                ),
                (gettext("Withdrawn"), result.withdrawn),
                (gettext("With them, as they were swallowed"), result.also_withdrawn),
            )
            if named
        ]
        already = gettext("Nothing changed: %(unchanged)s was decided about so today already.") % {
            "unchanged": ", ".join(result.unchanged)
        }
        return Outcome.of(bool(words), " ".join(words), already=already)

    def done(self, request: HttpRequest, target: Any, outcome: Outcome) -> HttpResponse:
        """Lead back to the queue where the operator came from there."""
        if request.GET.get("from") != "queue":
            return super().done(request, target, outcome)
        super().done(request, target, replace(outcome, recorded=target))
        return HttpResponseRedirect(list_url(ReviewModel))

    def _approvals(self, target: Installation) -> list[ApprovedPermission]:
        found = selectors.approvals_in_force(target)
        for row in found:
            row.installation = target  # read with its portal and application already
        return found


class Withdraw(InstallationAct):
    slug = "withdraw"
    label = _("Withdraw scopes")
    summary = _("Take approved scopes back; tokens stay.")
    permission = "installations.withdraw_scopes"
    tone = "stop"

    def applies(self, target: Any) -> bool:
        return super().applies(target) and bool(target.in_force)

    def form(self, request: HttpRequest, target: Installation) -> ReasonForm:
        return WithdrawForm(posted(request), in_force=selectors.approvals_in_force(target))

    def stops(self, target: Installation) -> Sequence[Text]:
        return (
            gettext(
                "From the next call on, calls that only a withdrawn scope covers are refused with insufficient_scope."
            ),
            gettext("A scope that a withdrawn one swallowed is withdrawn with it, unless you keep it."),
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            SDK_GOES_ON,
            gettext("Tokens and sessions stay, and the installation stays active, also when nothing is left approved."),
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        result = withdraw_scopes(
            installation_id=target.pk,
            codes=form.cleaned_data["codes"],
            keep=form.cleaned_data.get("keep", ()),
            actor=actor,
            reason=form.cleaned_data["reason"],
        )
        words = gettext("Withdrawn: %(withdrawn)s.") % {"withdrawn": ", ".join(result.withdrawn)}
        if result.also_withdrawn:
            also = gettext("With them, as they were swallowed: %(also_withdrawn)s.")
            words = sentences(words, also % {"also_withdrawn": ", ".join(result.also_withdrawn)})
        if result.kept:
            kept = gettext("Kept, and in force from now on: %(kept)s.")
            words = sentences(words, kept % {"kept": ", ".join(result.kept)})
        return Outcome(words)


class Suspend(InstallationAct):
    slug = "suspend"
    label = _("Suspend")
    summary = _("Refuse every call until somebody resumes it; approvals and tokens stay.")
    permission = "installations.suspend_installation"
    tone = "stop"
    stops_heading = _("What stops")
    stays_heading = _("What does not stop")

    def applies(self, target: Installation) -> bool:
        return super().applies(target) and target.status != Installation.Status.SUSPENDED

    def stops(self, target: Installation) -> Sequence[Text]:
        return (
            gettext(
                "From the moment this is saved, every call and every new session of this installation is refused with "
                "installation_suspended."
            ),
            gettext("It holds until an operator resumes it."),
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            SDK_GOES_ON,
            IN_FLIGHT,
            gettext("Nothing is wiped: approvals, tokens and sessions stay and count again after resuming."),
            TOKENS_STAY_VALID,
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        changed = suspend_installation(installation_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("Suspended. No call of this installation starts from now on."),
            already=gettext("Nothing changed: it was suspended already."),
        )


class Resume(InstallationAct):
    slug = "resume"
    label = _("Resume")
    summary = _("Let it go on where it was: active, or pending when nothing was ever approved.")
    permission = "installations.suspend_installation"
    tone = "go"

    def applies(self, target: Installation) -> bool:
        return target.status == Installation.Status.SUSPENDED

    def stops(self, target: Installation) -> Sequence[Text]:
        return (
            gettext(
                "Calls that an approved scope covers work again from now on, with the tokens that are still stored."
            ),
            gettext("When nothing was ever approved, it waits for approval again."),
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            gettext("Locks stay: one on the portal, the application, the installation or a user still holds."),
            gettext("What was withdrawn or revoked stays so."),
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        changed = resume_installation(installation_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(changed, gettext("Resumed."), already=gettext("Nothing changed: it is not suspended."))


class RevokeAll(RevokeAct):
    slug = "revoke"
    label = _("Revoke all tokens")
    summary = _("Cut every stored token of every user here, for good.")

    def applies(self, target: Installation) -> bool:
        return target.status != Installation.Status.UNINSTALLED

    def heading(self, target: Installation) -> str:
        return gettext("Revoke all tokens of %(installation_name)s") % {"installation_name": installation_name(target)}

    def aim(self, target: Installation) -> RevocationTarget:
        return RevocationTarget.of_installation(target.pk)

    def command_line(self, target: Installation) -> str:
        return _command_line(target)


def _command_line(installation: Installation) -> str:
    return f"--portal {installation.portal.domain} --app {installation.application.app_id}"


@dataclass(frozen=True, slots=True)
class UserHere:
    """A portal user on one installation."""

    installation: Installation
    user: PortalUser


class RevokeUser(RevokeAct):
    slug = "revoke-user"
    label = _("Revoke all tokens of a user")
    summary = _("Cut every token of one user here.")
    route: ClassVar[str] = "<int:object_id>/{slug}/<int:user_id>/"

    def applies(self, target: Any) -> bool:
        return False  # offered beside each user, not for the installation as a whole

    def find(self, request: HttpRequest, object_id: int, **values: int) -> UserHere | None:
        installation = super().find(request, object_id)
        if installation is None:
            return None
        user = (
            PortalUser.objects.select_related("portal")
            .filter(pk=values["user_id"], portal=installation.portal_id)
            .first()
        )
        return UserHere(installation, user) if user else None

    def name(self, target: UserHere) -> str:
        return installation_name(target.installation)

    def back_to(self, target: UserHere) -> str:
        return change_url(target.installation)

    def audited_as(self, target: UserHere) -> tuple[str, str, int | None]:
        return "portaluser", public_id(target.user), target.installation.pk

    def heading(self, target: UserHere) -> str:
        name = f"{target.user.name} ({target.user.flowlu_user_id})" if target.user.name else str(target.user)
        return gettext("Revoke all tokens of %(name)s in %(installation_name)s") % {
            "name": name,
            "installation_name": installation_name(target.installation),
        }

    def user(self, target: UserHere) -> PortalUser | None:
        return target.user

    def aim(self, target: UserHere) -> RevocationTarget:
        return RevocationTarget.of_portal_user(target.user.pk, installation_id=target.installation.pk)

    def command_line(self, target: UserHere) -> str:
        return f"{_command_line(target.installation)} --user {target.user.flowlu_user_id}"


class StatePresent(InstallationAct):
    slug = "still-there"
    label = _("State that it is still there")
    summary = _("Answer the suspicion that it was removed, where you know better.")
    permission = "installations.uninstall_installation"
    template_name = "admin/installations/installation/still_there.html"

    def applies(self, target: Installation) -> bool:
        return super().applies(target) and is_suspected(target)

    def context(self, request: HttpRequest, target: Installation, form: ReasonForm) -> dict[str, Any]:
        return observed_context(request, target)

    def stops(self, target: Installation) -> Sequence[Text]:
        return (
            gettext(
                "Your statement is evidence that it is there, as of now. It is not suspected to be removed any more."
            ),
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            gettext("Nothing it may do changes: approvals, tokens, locks and its status stay as they are."),
            gettext("What is observed from now on counts anew, and may make it suspected again."),
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        changed = state_present(installation_id=target.pk, actor=actor, reason=form.cleaned_data["reason"])
        return Outcome.of(
            changed,
            gettext("Stated that it is still there."),
            already=gettext("Nothing changed: it is not suspected to be removed."),
        )


class Uninstall(RevokeAct):
    slug = "uninstall"
    label = _("Mark as uninstalled")
    summary = _("Record that it is gone and revoke all of its tokens. Cannot be undone.")
    permission = "installations.uninstall_installation"
    template_name = "admin/installations/installation/uninstall.html"
    drills = False
    goes_on = False  # it ends the installation in the same transaction

    def applies(self, target: Installation) -> bool:
        return target.status != Installation.Status.UNINSTALLED

    def heading(self, target: Installation) -> str:
        return gettext("Mark as uninstalled: %(installation_name)s") % {"installation_name": installation_name(target)}

    def aim(self, target: Installation) -> RevocationTarget:
        return RevocationTarget.of_installation(target.pk)

    def command_line(self, target: Installation) -> str:
        return _command_line(target)

    def context(self, request: HttpRequest, target: Installation, form: ReasonForm) -> dict[str, Any]:
        return {**super().context(request, target, form), **observed_context(request, target)}

    def stops(self, target: Installation) -> Sequence[Text]:
        return (
            *super().stops(target),
            gettext(
                "The installation is closed for good. A new launch makes the next generation, pending and with "
                "nothing approved; a lock on this one holds for it too."
            ),
        )

    def stays(self, target: Installation) -> Sequence[Text]:
        return (
            SDK_GOES_ON,
            TOKENS_STAY_VALID,
            gettext(
                "It does not remove the application from the portal: only the portal's administrator can. Flowlu "
                "sends no word of that, so this records what you know."
            ),
            IN_FLIGHT,
        )

    def perform(self, target: Installation, form: ReasonForm, actor: Actor) -> Outcome:
        pin = form.cleaned_data["pinned"]
        if pin.tokens > self.most:
            raise StateConflict(
                gettext("These are too many for a page. Lock first, then use the command that is named below.")
            )
        cut = uninstall_installation(
            installation_id=target.pk, actor=actor, reason=form.cleaned_data["reason"], pinned=pin
        )
        if cut is None:
            return Outcome(gettext("Nothing changed: it was uninstalled already."), changed=False)
        return Outcome(
            ngettext(
                "Marked as uninstalled. %(count)s token revoked.",
                "Marked as uninstalled. %(count)s tokens revoked.",
                cut.tokens_cut,
            )
            % {"count": f"{cut.tokens_cut:,}"},
            recorded=cut.revocation,
        )
