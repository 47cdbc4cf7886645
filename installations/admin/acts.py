"""An act on an object: its own page that says what will happen, asks for a reason and calls one verb."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.actors import Actor, Via, operator_actor
from installations.admin.display import change_url, link, list_url
from installations.admin.text import Text, translated, visible, visible_text
from installations.errors import DomainError, NotPermitted
from installations.forms import ReasonForm
from installations.models import AuditEvent, Installation
from installations.said import said
from installations.services import Lockable, public_id
from installations.trail.refusals import note_refused

if TYPE_CHECKING:
    from installations.admin.base import ReadOnlyAdmin

# Said by every page that cuts or stops something (design.md §2.8).
SDK_GOES_ON = _(
    "The page's own calls to Flowlu through the JS SDK go on. They do not pass through this service, so nothing here "
    "can stop them."
)
TOKENS_STAY_VALID = _(
    "The tokens stay valid at Flowlu until they expire or the portal's administrator removes the application. Flowlu "
    "documents no way to revoke a token."
)
CONFIRM_FIRST = said(
    "Confirm first that it is you, in the tab that opens, and then press the button once more. Nothing is lost."
)
IN_FLIGHT = _("A call that is already under way may still end, within 30 seconds.")


def actor_of(request: HttpRequest) -> Actor:
    """Return who acts. An account that is not signed in as staff may do nothing."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    return operator_actor(request.user, Via.ADMIN)


def note_refusal(
    request: HttpRequest,
    permission: str,
    attempted: str,
    target: tuple[str, str] = ("console", ""),
    installation_id: int | None = None,
) -> None:
    """Record that the operator tried what they may not do. To look at the page of an act is no attempt."""
    if request.method == "POST":
        note_refused(
            actor=actor_of(request),
            permission=permission,
            attempted=attempted,
            target=target,
            installation_id=installation_id,
        )


def posted(request: HttpRequest) -> QueryDict | None:
    """Return what was sent, however little, or None for a page that is only looked at."""
    return request.POST if request.method == "POST" else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act did, in words for the operator."""

    message: str
    changed: bool = True
    leads_to: Any = None  # an object to show instead of the one that the operator came from
    recorded: Any = None  # a row that tells of it and that no other link leads to

    @classmethod
    def of(cls, changed: bool, message: str, *, already: str) -> "Outcome":
        """Return what to say of a verb that tells whether it changed anything."""
        return cls(message) if changed else cls(already, changed=False)


def pointing_to(request: HttpRequest, words: str, row: Model | None) -> str:
    """Return a message with a link to the row that tells of it, where the operator may look at that."""
    if row is None or not _may_view(request, row):
        return words
    before, named, after = words.partition(translated(row))
    if "#" in named:
        return format_html("{}{}{}", visible(before), link(row), visible(after))
    return format_html(gettext("{words} See {row}."), words=visible(words), row=link(row))


def with_history(request: HttpRequest, words: str, query: Mapping[str, Any]) -> str:
    """Return a message with the way to what the audit trail has of it, where the operator may look at that."""
    if not admin.site.get_model_admin(AuditEvent).has_view_permission(request):
        return words
    return format_html(
        '{} <a class="to-history" href="{}">{}</a>',
        words if isinstance(words, SafeString) else visible(words),
        list_url(AuditEvent, urlencode(query)),
        gettext("See it in the audit trail."),
    )


def history_of_own(request: HttpRequest) -> dict[str, str]:
    """Return what the audit trail is filtered by to see what was done to the account of whoever asks."""
    return {"target_kind": "operator", "target_id": actor_of(request).id}


def _may_view(request: HttpRequest, row: Model) -> bool:
    return admin.site.get_model_admin(type(row)).has_view_permission(request)


class ConfirmFirst(DomainError):
    """Whoever does it has to prove anew who they are: the last proof of theirs is too old for this."""

    code = "confirm_first"
    status = 403
    fault = "operator"
    public_message = CONFIRM_FIRST


def where_to_confirm(request: HttpRequest) -> str:
    """Return where an operator proves first that it is they, or "" where they did a short time ago."""
    site: Any = admin.site
    found: str = site.where_to_confirm(request)
    return found


class Act(ABC):
    """One verb for one object. Subclasses say what it does in words; state is in the arguments, never on `self`."""

    slug: ClassVar[str]
    label: ClassVar[Text]
    summary: ClassVar[Text]
    permission: ClassVar[str]
    also_needs: ClassVar[Sequence[str]] = ()  # permissions besides, such as to see what its page shows
    tone: ClassVar[str] = "plain"  # or "go", "stop" (can be taken back), "danger" (cannot)
    # Whether it gives power to operators, services or frontends, which needs a fresh proof of who does it, as all does
    # that cannot be taken back (docs/adr/0040).
    empowers: ClassVar[bool] = False
    only_gives: ClassVar[bool] = False  # whether it stops nothing, though its tone warns
    stops_heading: ClassVar[Text] = _("What happens")
    stays_heading: ClassVar[Text] = _("What does not happen")
    form_class: ClassVar[type[ReasonForm]] = ReasonForm
    template_name: ClassVar[str] = "admin/console/act.html"
    route: ClassVar[str] = "<int:object_id>/{slug}/"

    def __init__(self, model_admin: "ReadOnlyAdmin") -> None:
        self.model_admin = model_admin

    # --- Said by subclasses ---

    def applies(self, target: Any) -> bool:
        """Return whether the act makes sense in the target's present state. The verb decides anew."""
        return True

    def name(self, target: Any) -> str:
        """Return how the object that the operator came from is called."""
        return self.model_admin.page_title(target)

    def heading(self, target: Any) -> str:
        return f"{self.label}: {self.name(target)}"

    def offered_to(self, request: HttpRequest, target: Any) -> bool:
        """Return whether to offer the act to this operator, who may do it in general. The verb decides anew."""
        return True

    @abstractmethod
    def stops(self, target: Any) -> Sequence[Text]:
        """Return what the act stops, or does."""

    @abstractmethod
    def stays(self, target: Any) -> Sequence[Text]:
        """Return what goes on, or is not done."""

    def form(self, request: HttpRequest, target: Any) -> ReasonForm:
        return self.form_class(posted(request))

    def context(self, request: HttpRequest, target: Any, form: ReasonForm) -> dict[str, Any]:
        return {}

    @abstractmethod
    def perform(self, target: Any, form: ReasonForm, actor: Actor) -> Outcome:
        """Call the verb and say what it did."""

    def find(self, request: HttpRequest, object_id: int, **_values: int) -> Any:
        """Return the target or None."""
        return self.model_admin.get_object(request, str(object_id))

    def back_to(self, target: Any) -> str:
        """Return the address of the object that the operator came from."""
        return change_url(target)

    # --- The same for all ---

    @property
    def url_name(self) -> str:
        meta = self.model_admin.opts
        return f"{meta.app_label}_{meta.model_name}_{self.slug.replace('-', '_')}"

    def url(self, **values: int) -> str:
        return reverse(f"admin:{self.url_name}", kwargs=values)

    def url_pattern(self) -> URLPattern:
        view = self.model_admin.admin_site.admin_view(self.view)
        return path(self.route.format(slug=self.slug), view, name=self.url_name)

    def permitted(self, request: HttpRequest) -> bool:
        needed = (self.permission, *self.also_needs)
        return request.user.has_perms(needed) and self.model_admin.has_view_permission(request)

    @property
    def needs_proof(self) -> bool:
        """Return whether whoever does it has to have proved a short time ago who they are."""
        return self.empowers or self.tone == "danger"

    @property
    def is_stop(self) -> bool:
        """Return whether it stops something or ends it for good."""
        return self.tone in ("stop", "danger") and not self.only_gives

    def where_to_confirm(self, request: HttpRequest) -> str:
        """Return where to prove that first, or "" where it is not needed."""
        return where_to_confirm(request) if self.needs_proof else ""

    def audited_as(self, target: Any) -> tuple[str, str, int | None]:
        """Return kind, id and installation under which the audit trail has what the act is about."""
        installation = target.pk if isinstance(target, Installation) else getattr(target, "installation_id", None)
        if isinstance(target, Lockable):
            return target._meta.model_name or "", public_id(target), installation
        query = self.model_admin.audit_query(target) or {"target_kind": self.model_admin.opts.model_name}
        return query["target_kind"], query.get("target_id", str(target.pk)), installation

    def history_of(self, target: Any) -> dict[str, Any]:
        """Return what the audit trail is filtered by to see what it has of the target."""
        if isinstance(target, Installation):
            return {"installation_id": target.pk}
        kind, name, _installation = self.audited_as(target)
        return {"target_kind": kind, "target_id": name} if name else {"target_kind": kind}

    def refuse(self, request: HttpRequest, target: Any) -> PermissionDenied:
        """Record the attempt and return the refusal to raise."""
        kind, name, installation_id = self.audited_as(target) if target is not None else ("console", "", None)
        missing = (each for each in (self.permission, *self.also_needs) if not request.user.has_perm(each))
        note_refusal(request, next(missing, self.permission), self.url_name, (kind, name), installation_id)
        return PermissionDenied()

    def view(self, request: HttpRequest, **values: int) -> HttpResponse:
        target = self.find(request, **values)
        if not self.permitted(request):
            raise self.refuse(request, target)
        if target is None:
            raise Http404
        confirm_at = self.where_to_confirm(request)
        if confirm_at and request.method != "POST":
            return HttpResponseRedirect(confirm_at)
        form = self.form(request, target)
        if request.method == "POST" and form.is_valid():
            try:
                if confirm_at:
                    raise ConfirmFirst
                outcome = self.perform(target, form, actor_of(request))
            except NotPermitted:
                raise self.refuse(request, target) from None
            except DomainError as error:
                form.add_error(None, visible_text(error.public_message))
            else:
                return self.done(request, target, outcome)
        return self.page(request, target, form)

    def done(self, request: HttpRequest, target: Any, outcome: Outcome) -> HttpResponse:
        """Say what was done, on the page that the operator came from or of what came out of it."""
        words = pointing_to(request, outcome.message, outcome.recorded)
        if outcome.changed and outcome.recorded is None:
            words = with_history(request, words, self.history_of(target))
        messages.add_message(request, messages.SUCCESS if outcome.changed else messages.INFO, words)
        shown = outcome.leads_to
        if shown is not None and _may_view(request, shown):
            return HttpResponseRedirect(change_url(shown))
        return HttpResponseRedirect(self.back_to(target))

    def page(self, request: HttpRequest, target: Any, form: ReasonForm) -> TemplateResponse:
        context = {
            **self.model_admin.admin_site.each_context(request),
            "opts": self.model_admin.opts,
            "act": self,
            "target": target,
            "title": visible_text(self.heading(target)),
            "back_url": self.back_to(target),
            "back_label": self.name(target),
            "stops": self.stops(target),
            "stays": self.stays(target),
            "form": form,
            "confirm_at": self.where_to_confirm(request),
            **self.context(request, target, form),
        }
        return TemplateResponse(request, self.template_name, context)


class CreateAct(Act):
    """Make a new object of the page's model. It is offered on the list; there is no object yet."""

    slug = "new"
    route = "{slug}/"
    tone = "go"

    def find(self, request: HttpRequest, object_id: int = 0, **_values: int) -> Any:
        return self.model_admin.model

    def audited_as(self, target: Any) -> tuple[str, str, int | None]:
        return self.model_admin.opts.model_name or "", "", None  # there is no object yet

    def applies(self, target: Any) -> bool:
        return False  # never on the page of an object

    def name(self, target: Any) -> str:
        return ""  # the list is named in the way back already

    def heading(self, target: Any) -> str:
        return str(self.label)

    def back_to(self, target: Any) -> str:
        return list_url(self.model_admin.model)


@dataclass(frozen=True, slots=True)
class ActLink:
    """An act as it is offered on the page of its object."""

    label: Text
    summary: Text
    tone: str
    url: str
    stops: bool  # whether it stops something or ends it for good


def offered(acts: Sequence[Act], request: HttpRequest, target: Any) -> list[ActLink]:
    """Return the acts that this operator may do and that make sense now, those that stop something last."""
    found = [
        ActLink(act.label, act.summary, act.tone, act.url(object_id=target.pk), act.is_stop)
        for act in acts
        if act.permitted(request) and act.applies(target) and act.offered_to(request, target)
    ]
    return sorted(found, key=lambda link: link.stops)
