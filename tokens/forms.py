"""What operators hand in about tokens, API keys, purposes and service clients. Shape only; every rule is the verb's."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django import forms
from django.core import signing
from django.core.validators import MaxValueValidator
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import scopes
from installations.deception import visible_text
from installations.forms import ReasonForm, SeenForm
from installations.models import Application, Portal
from installations.saying import translated
from installations.scopes import Level, Scope
from installations.seen import digest_of
from tokens import leaks
from tokens.errors import NoPin, NoTarget
from tokens.models import Purpose, ServiceClient
from tokens.services.api_keys import LABEL_MAX
from tokens.services.purposes import DESCRIPTION_MAX, OWNER_MAX
from tokens.services.service_clients import NAME_MAX, allowed_of, shown_of
from tokens.targets import MOST_FINGERPRINTS, Pin, RevocationTarget

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_AT_ONCE = 200
_SALT: Final = "tokens.revocation.pin"
_TIMES: Final = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")


def sign_pin(pin: Pin) -> str:
    """Return a pin as a page carries it: nobody can confirm a set that no page showed."""
    return signing.dumps(str(pin), salt=_SALT)


def read_time(text: str, zone: tzinfo = UTC) -> datetime:
    """Return in UTC a time that an operator wrote, in the zone unless it names UTC itself.

    Raises TimeNotClear for one that the clocks of the zone show twice or never, and ValueError for what is no time.
    """
    cleaned = text.strip().removesuffix("UTC").strip().removesuffix("Z")
    if cleaned != text.strip():
        zone = UTC
    for form in _TIMES:
        try:
            early = datetime.strptime(cleaned, form).replace(tzinfo=zone)
        except ValueError:
            continue
        if early.utcoffset() != early.replace(fold=1).utcoffset():
            raise TimeNotClear
        try:
            return early.astimezone(UTC)
        except OverflowError:  # at the very beginning or end of the calendar
            break
    raise ValueError("not a time like 2026-11-25 10:15, in UTC")


class TimeNotClear(ValueError):
    """The clocks are put back or forward at this time: it is there twice, or not at all."""


def _zone_name() -> str:
    return str(timezone.get_current_timezone())


class RevokeForm(ReasonForm):
    """A revocation of what the page showed; for tokens of one user with the offer to lock that user as well."""

    pinned = forms.CharField(widget=forms.HiddenInput, required=False, max_length=300)
    also_lock = forms.BooleanField(
        label=_("Also lock this user: a page reload brings a new token"),
        required=False,
        help_text=_(
            "Without the lock, the user's next visit hands in a new token and the application works again. With it "
            "nothing can be done in the user's name until an operator unlocks them."
        ),
    )
    drill = forms.BooleanField(
        label=_("Drill: rehearse it and cut nothing"),
        required=False,
        help_text=_(
            "Does every step, measures it and takes it back. Only the audit trail says that there was a drill. "
            "Nothing is locked either."
        ),
    )

    def __init__(
        self, *args: Any, asked_at: datetime, offers_lock: bool = False, offers_drill: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.asked_at = asked_at
        if not offers_lock:
            del self.fields["also_lock"]
        if not offers_drill:
            del self.fields["drill"]

    def clean_pinned(self) -> Pin:
        try:
            return Pin.parse(signing.loads(self.cleaned_data["pinned"], salt=_SALT))
        except (signing.BadSignature, NoPin):
            # The field is hidden: its error is shown with those of the whole form.
            self.add_error(None, translated(NoPin.public_message))
            raise forms.ValidationError("", code="no_pin") from None


class RevokeByForm(RevokeForm):
    """Tokens by what an incident knows of them: a list of fingerprints, or a time before which they were stored."""

    fingerprints = forms.CharField(
        required=False,
        max_length=70 * MOST_FINGERPRINTS,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "autocomplete": "off", "class": "code"}),
        help_text=format_lazy(
            _(
                "One on each line, at most {most}: the eight digits that the console shows of a token, or more of "
                "them. Never a token: what is not understood is not shown again."
            ),
            most=f"{MOST_FINGERPRINTS:,}",
        ),
    )
    stored_before = forms.CharField(
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"placeholder": "2026-11-25 10:15", "autocomplete": "off"}),
    )
    portal = forms.CharField(
        label=_("of that only on the portal"),
        required=False,
        max_length=200,
        help_text=_("Its domain. Empty: on every portal."),
    )
    app_id = forms.CharField(
        label=_("of that only of the application"),
        required=False,
        max_length=200,
        help_text=_("Its appId. Empty: of every application."),
    )
    choices: ClassVar = ("fingerprints", "stored_before", "portal", "app_id")

    def __init__(self, *args: Any, names_only: bool = False, **kwargs: Any) -> None:
        """Make the form of the first step, which only names tokens, or of the second, which confirms them."""
        super().__init__(*args, **kwargs)
        self.fields["stored_before"].label = gettext("or everything stored before (%(zone_name)s)") % {
            "zone_name": _zone_name()
        }
        self.names_only = names_only
        if names_only:
            for name in ("reason", "pinned", "drill"):
                del self.fields[name]
        else:
            for name in self.choices:
                self.fields[name].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        given = {name: (cleaned.get(name) or "").strip() for name in self.choices}
        if bool(given["fingerprints"]) == bool(given["stored_before"]):
            raise forms.ValidationError(gettext("Give either fingerprints or a time."), code="one_of_two")
        try:
            cleaned["target"] = (
                RevocationTarget.of_fingerprints(given["fingerprints"].splitlines())
                if given["fingerprints"]
                else self._stored_before(given)
            )
        except NoTarget as error:
            self.clear_fingerprints()
            raise forms.ValidationError(translated(error.public_message), code="no_target") from None
        return cleaned

    def clear_fingerprints(self) -> None:
        """Leave out of the page what was pasted: it may have been tokens."""
        self.data = {**dict(self.data.items()), "fingerprints": ""}

    def _stored_before(self, given: dict[str, str]) -> RevocationTarget:
        try:
            moment = read_time(given["stored_before"], timezone.get_current_timezone())
        except TimeNotClear:
            raise NoTarget(
                gettext(
                    "The clocks are changed in %(zone_name)s at that time: it is there twice or never. Write it in "
                    "UTC, like 2026-11-25 10:15 UTC."
                )
                % {"zone_name": _zone_name()}
            ) from None
        except ValueError:
            raise NoTarget(
                gettext("Write the time like 2026-11-25 10:15, in %(zone_name)s.") % {"zone_name": _zone_name()}
            ) from None
        portal = Portal.objects.filter(domain=given["portal"].lower()).first() if given["portal"] else None
        application = Application.objects.filter(app_id=given["app_id"]).first() if given["app_id"] else None
        if given["portal"] and portal is None:
            raise NoTarget(gettext("No portal of that name was ever seen here."))
        if given["app_id"] and application is None:
            raise NoTarget(gettext("No application of that appId is registered."))
        return RevocationTarget.stored_before(
            moment,
            portal_id=portal.pk if portal else None,
            application_id=application.pk if application else None,
        )


class GoOnForm(SeenForm):
    """Why a run is to go on, as it stood when the page was shown."""

    seen_salt = "tokens.revocation.go_on"


class PortalStepForm(ReasonForm):
    """What was done at the portal, and how that is known."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["reason"]
        field.label = gettext("Who did what, and how you know")
        field.help_text = gettext("1 to 1000 characters. Kept in the ledger and the audit trail with your name.")
        field.error_messages["required"] = gettext("Say in 1 to 1000 characters who did what, and how you know.")


def _last_day(help_text: "_StrPromise") -> forms.DateField:
    return forms.DateField(
        label=_("Last day (UTC)"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        help_text=help_text,
        validators=[MaxValueValidator(date.max - timedelta(days=1))],  # there is no day after the last one
    )


def end_of(day: date | None) -> datetime | None:
    """Return the end of a day in UTC, from which on what expires is over."""
    return None if day is None else datetime.combine(day + timedelta(days=1), time.min, UTC)


def last_day_of(moment: datetime | None) -> date | None:
    return None if moment is None else (moment.astimezone(UTC) - timedelta(microseconds=1)).date()


def _key_field(help_text: "_StrPromise") -> forms.CharField:
    # A password field: what was typed is never written into a page again, also not after a mistake elsewhere.
    return forms.CharField(
        label=_("API key"),
        max_length=4096,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=help_text,
    )


class _Rows(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic in the stubs only
    """A choice of rows, whose names strangers may have written."""

    def clean(self, value: Any) -> Any:
        try:
            return super().clean(value)
        except OverflowError:  # a number that no row of SQLite can have
            raise forms.ValidationError(gettext("There is no such choice."), code="invalid_choice") from None

    def label_from_instance(self, obj: Any) -> str:
        name = visible_text(obj)
        return name if getattr(obj, "enabled", True) else gettext("%(name)s (switched off)") % {"name": name}


class _ScopeLines(forms.CharField):
    """Scopes, one on each line."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "code"})
        super().__init__(max_length=10_000, widget=widget, **kwargs)

    def clean(self, value: Any) -> list[str]:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


class AddKeyForm(ReasonForm):
    label = forms.CharField(max_length=LABEL_MAX, help_text=_("How the portal's administrator will know it again."))
    key = _key_field(_("Pasted once. No page ever shows it again, not even in part."))
    scopes = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "What it may be used for here: a part of what is approved for the installation. What Flowlu allows the "
            "key is set at Flowlu and may be less."
        ),
    )
    purposes = _Rows(
        Purpose.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("It is used for these and for nothing else."),
    )
    last_day = _last_day(_("Empty: no end. After it the key is refused and wiped."))

    def __init__(self, *args: Any, approved: Sequence[Scope], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        effective = scopes.normalise(approved)
        texts = [f"{code}.{level}" for code, most in effective.items() for level in Level if level <= most]
        self.fields["scopes"].choices = [(text, text) for text in texts]  # type: ignore[attr-defined]  # see below
        system = Purpose.objects.filter(acts_as=Purpose.ActsAs.SYSTEM).order_by("code")
        self.fields["purposes"].queryset = system  # type: ignore[attr-defined]  # the stubs know fields, not which kind this one is


class ReplaceKeyForm(ReasonForm):
    key = _key_field(_("The new one. Pasted once, never shown again."))
    overlap = forms.TypedChoiceField(
        label=_("The old key stays for"),
        coerce=int,
        choices=[
            (0, _("not at all: it is wiped at once")),
            (3600, _("one hour")),
            (86400, _("one day")),
            (604800, _("seven days")),
        ],
        initial=86400,
        help_text=_("Calls go out with the new key from now on. The old one is there for whatever still needs it."),
    )
    last_day = _last_day(_("Of the new key. Empty: no end."))


class PurposeForm(SeenForm):
    """What may be changed of a purpose later."""

    seen_salt = "tokens.forms.PurposeForm"

    description = forms.CharField(
        max_length=DESCRIPTION_MAX,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("What is done in whose name, and why. Whoever asks later reads this."),
    )
    scopes = _ScopeLines(
        help_text=_("One on each line, like crm.accounts.read. A call needs one of them and an approved one as well.")
    )
    owner = forms.CharField(max_length=OWNER_MAX, help_text=_("Who answers for it: a team or a person."))
    last_day = _last_day(_("Empty: no end. After it every call for this purpose is refused."))


class DeclarePurposeForm(PurposeForm):
    seen = None  # type: ignore[assignment]  # nothing was there to be seen; Django takes a field away so
    code = forms.SlugField(max_length=100, help_text=_("Sent in X-Purpose, like invoice-sync. It stays."))
    acts_as = forms.ChoiceField(
        label=_("Acts as"),
        choices=Purpose.ActsAs.choices,
        widget=forms.RadioSelect,
        help_text=_("As a user: with the token that this user handed over. As the system: with the portal's API key."),
    )
    enabled = forms.BooleanField(label=_("Switch it on now"), required=False, initial=True)
    field_order = ("code", "description", "acts_as", "scopes", "owner", "last_day", "enabled")


class ClientForm(SeenForm):
    """For what, in which applications and on which portals a client may act."""

    seen_salt = "tokens.forms.ClientForm"

    purposes = _Rows(
        Purpose.objects.order_by("code"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None: for nothing."),
    )
    applications = _Rows(
        Application.objects.order_by("name", "pk"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None: in no application."),
    )
    portals = forms.CharField(
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text=_("One domain on each line, like acme.flowlu.com. Empty: on no portal."),
    )

    def __init__(self, *args: Any, client: ServiceClient | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if client is not None:
            now = allowed_of(client)
            self.show(digest_of(shown_of(client, now)))
            self.initial = {
                **self.initial,
                "purposes": now.purposes,
                "applications": now.applications,
                "portals": "\n".join(sorted(portal.domain for portal in now.portals)),
            }

    def clean_portals(self) -> list[Portal]:
        wanted = {line.strip().lower() for line in self.cleaned_data["portals"].splitlines() if line.strip()}
        found = list(Portal.objects.filter(domain__in=wanted))
        if missing := sorted(wanted - {portal.domain for portal in found}):
            names = ", ".join(visible_text(name[:100], ascii_only=True) for name in missing[:10])
            raise forms.ValidationError(
                gettext("Never seen here: %(names)s. A portal is known from its first launch on.") % {"names": names},
                code="portal_unknown",
            )
        return found


class CreateClientForm(ClientForm):
    seen = None  # type: ignore[assignment]  # nothing was there to be seen; Django takes a field away so
    name = forms.CharField(max_length=NAME_MAX, help_text=_("Of the backend service, like billing-worker."))
    field_order = ("name", "purposes", "applications", "portals")


class _NeverEchoed(forms.Textarea):
    """A box that is empty on every page, whatever was put into it before."""

    def format_value(self, value: Any) -> None:
        return None


class LeakedForm(forms.Form):
    """What was found in a leak, pasted or as a file. Looked at once and given back to nobody."""

    error_css_class = "errors"
    pasted = forms.CharField(
        label=_("Paste what was found"),
        required=False,
        strip=False,
        widget=_NeverEchoed(
            # A browser's spelling service and its memory of forms are places to leak to as well.
            attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off", "autocapitalize": "off", "class": "code"}
        ),
        help_text=format_lazy(
            _(
                "One on each line: a token alone or in quotes, after “Bearer”, or anywhere in a line of a log or JSON. "
                "At most {most} lines and 1 MiB."
            ),
            most=f"{leaks.MAX_LINES:,}",
        ),
    )
    file = forms.FileField(
        label=_("or choose a file"),
        required=False,
        allow_empty_file=True,
        help_text=_("Plain text, UTF-8, at most 1 MiB."),
    )

    def clean_file(self) -> Any:
        found: Any = self.cleaned_data.get("file")
        if found is not None and (found.size or 0) > leaks.MAX_BYTES:
            raise forms.ValidationError(gettext("The file is larger than 1 MiB: split it."), code="too_large")
        return found

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and bool((cleaned.get("pasted") or "").strip()) == bool(cleaned.get("file")):
            raise forms.ValidationError(gettext("Either paste what was found or choose a file."), code="one_of_two")
        return cleaned

    def lines(self) -> list[leaks.LeakedLine]:
        """Return what was handed in, line by line. Raises TooMuchAtOnce."""
        uploaded: Any = self.cleaned_data.get("file")
        text = uploaded.read().decode("utf-8", "replace") if uploaded else self.cleaned_data["pasted"]
        return leaks.read(text)


class CutLeakedForm(ReasonForm):
    """Why the credentials that were ticked are revoked; which they are stands beside it as numbers of rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].initial = gettext("Found in a leak.")

    def tokens(self) -> list[int]:
        return self._numbers("token")

    def api_keys(self) -> list[int]:
        return self._numbers("api_key")

    def clean(self) -> dict[str, Any]:
        if not self.tokens() and not self.api_keys():
            raise forms.ValidationError(
                gettext("Nothing was ticked. Look the leak up again and tick what to revoke."), code="nothing_ticked"
            )
        return super().clean() or {}

    def _numbers(self, name: str) -> list[int]:
        given = self.data.getlist(name) if hasattr(self.data, "getlist") else []
        read = [int(number) for number in given if number.isascii() and number.isdigit() and len(number) < 19]
        return read[:_AT_ONCE]
