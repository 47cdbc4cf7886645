"""Revoke what an incident names: a list of fingerprints, or all that was stored before a time. Look first, then cut."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor
from installations.admin.acts import Outcome, posted
from installations.admin.display import list_url
from installations.admin.text import translated
from installations.errors import DomainError
from installations.forms import ReasonForm
from tokens.admin.revoking import RevokeAct
from tokens.errors import NoTarget
from tokens.forms import RevokeByForm
from tokens.models import OAuthToken
from tokens.revocation_selectors import names_of, resolve_fingerprints
from tokens.targets import Kind, RevocationTarget


class RevokeBy(RevokeAct):
    """Two steps on one page: name and look, then confirm. What was named travels in the form."""

    slug = "revoke-by"
    label = _("Revoke by fingerprint or time")
    summary = _("Cut the tokens that an incident names.")
    route: ClassVar[str] = "{slug}/"
    template_name = "admin/tokens/revoke_by.html"

    def audited_as(self, target: Any) -> tuple[str, str, int | None]:
        return "tokens", "", None

    def applies(self, target: Any) -> bool:
        return False  # of the list, not of one token

    def find(self, request: HttpRequest, object_id: int = 0, **_values: int) -> str:
        return gettext("tokens that are named on the page")

    def aim(self, target: RevocationTarget) -> RevocationTarget:
        return target

    def name(self, target: Any) -> str:
        return ""

    def heading(self, target: Any) -> str:
        return str(self.label)

    def back_to(self, target: Any) -> str:
        return list_url(OAuthToken)

    def form(self, request: HttpRequest, target: Any) -> RevokeByForm:
        names_only = "confirmed" not in request.POST
        return RevokeByForm(posted(request), names_only=names_only, asked_at=timezone.now())

    def view(self, request: HttpRequest, **values: int) -> HttpResponse:
        if request.method != "POST" or "confirmed" in request.POST or not self.permitted(request):
            return super().view(request, **values)
        # The first step changes nothing: it shows what was named, in a form of its own.
        named = self.form(request, None)
        if not named.is_valid():
            return self.page(request, None, named)
        given = {name: named.cleaned_data[name] for name in RevokeByForm.choices}
        try:
            aim, unknown = _resolved(named.cleaned_data["target"])
        except DomainError as error:
            named.clear_fingerprints()
            named.add_error(None, translated(error.public_message))
            return self.page(request, None, named)
        if unknown:
            words = ngettext(
                "%(count)s of the fingerprints is of no token that could be revoked.",
                "%(count)s of the fingerprints are of no token that could be revoked.",
                len(unknown),
            )
            messages.warning(request, words % {"count": f"{len(unknown):,}"})
        # Only what is known here is kept and shown again.
        given["fingerprints"] = "\n".join(aim.fingerprints)
        return self.page(request, None, RevokeByForm(initial=given, asked_at=timezone.now()))

    def context(self, request: HttpRequest, target: Any, form: ReasonForm) -> dict[str, Any]:
        assert isinstance(form, RevokeByForm)  # noqa: S101 - made above
        if form.names_only:
            return {"preview": None}
        # As it was sent: the form forgot what it did not understand.
        named = RevokeByForm(request.POST if form.is_bound else form.initial, names_only=True, asked_at=form.asked_at)
        if not named.is_valid():
            return {"preview": None, "form": named}
        try:
            aim, _unknown = _resolved(named.cleaned_data["target"])
        except DomainError as error:
            named.clear_fingerprints()
            named.add_error(None, translated(error.public_message))
            return {"preview": None, "form": named}
        return {"aimed_at": names_of(aim).label, **self.look(request, target, form, aim)}

    def command_line(self, target: Any) -> str:
        return "--fingerprints FILE or --stored-before TIME"

    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        return self.revoke(target, self.aim(form.cleaned_data["target"]), form, actor)


def _resolved(aim: RevocationTarget) -> tuple[RevocationTarget, Sequence[str]]:
    if aim.kind is not Kind.FINGERPRINTS:
        return aim, ()
    found, unknown = resolve_fingerprints(aim)
    if not found.fingerprints:
        raise NoTarget(gettext("No token that could be revoked has or had one of these fingerprints."))
    return found, unknown
