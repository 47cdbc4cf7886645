"""What can go wrong with a sealed value or a revocation, and every way in which backend use is refused.

What a caller of the current-user API sees is in `installations.errors`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from installations.errors import DomainError, Fault, StateConflict
from installations.said import joined, said


class UnsealFailed(Exception):
    """A stored value could not be unsealed.

    `reason` is one of malformed, unknown_version, unknown_key, tampered. The text holds no part of the value.
    """

    def __init__(self, reason: str, *, key_id: str | None = None) -> None:
        super().__init__(reason if key_id is None else f"{reason} (key {key_id!r})")
        self.reason = reason
        self.key_id = key_id


class NoTarget(StateConflict):
    """What was named is nothing that tokens could be revoked of."""

    public_message = said("There is nothing of that name. Look for it again.")


class NoPin(StateConflict):
    """What should say which tokens were looked at does not."""

    public_message = said("It is not known which tokens you looked at. Look at what would be cut, and confirm that.")


@dataclass(frozen=True, slots=True)
class SetChange:
    """How the tokens that a revocation would cut differ from those that were looked at."""

    before: int
    now: int
    added: Sequence[str]  # as `token #7 of user 3 of acme.flowlu.com`, the first ones
    added_count: int
    gone: Sequence[str]
    gone_count: int

    def __str__(self) -> str:
        parts = []
        if self.added_count:
            parts.append(
                said(
                    "%(added_count)s came (%(some)s)",
                    added_count=f"{self.added_count:,}",
                    some=_some(self.added, self.added_count),
                )
            )
        if self.gone_count:
            parts.append(
                said(
                    "%(gone_count)s went (%(some)s)",
                    gone_count=f"{self.gone_count:,}",
                    some=_some(self.gone, self.gone_count),
                )
            )
        return said(
            "Then %(before)s, now %(now)s: %(change)s.",
            before=f"{self.before:,}",
            now=f"{self.now:,}",
            change=joined(", ", parts) or said("others than before"),
        )


class SetChanged(StateConflict):
    """What would be cut is no longer what was looked at. Nothing was cut."""

    def __init__(self, change: SetChange) -> None:
        super().__init__(
            said(
                "Nothing was cut: the tokens changed since you looked. %(change)s Look at what would be cut now and "
                "confirm.",
                change=change,
            )
        )
        self.change = change


def _some(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names)
    return (
        said("%(shown)s and %(count)s more", shown=shown, count=f"{count - len(names):,}")
        if names and count > len(names)
        else shown or said("by now cut")
    )


class ServiceRefused(DomainError):
    """Backend code asked for something that was not declared or is not there. Nothing was sent to Flowlu."""

    code = "service_refused"
    status = 403
    fault: ClassVar[Fault] = "operator"


class InvalidClient(ServiceRefused):
    code = "invalid_client"
    status = 401
    public_message = said(
        "No service client that is switched on has this key. Send it as Authorization: Bearer, or ask an operator."
    )


class PurposeUnknown(ServiceRefused):
    code = "purpose_unknown"
    public_message = said("No purpose with this code is declared. Check X-Purpose, or ask an operator to declare it.")


class PurposeNotAllowed(ServiceRefused):
    code = "purpose_not_allowed"
    public_message = said("This service client may not act for this purpose. Ask an operator to allow it.")


class PurposeDisabled(ServiceRefused):
    code = "purpose_disabled"
    public_message = said("This purpose is switched off. Ask an operator.")


class PurposeExpired(ServiceRefused):
    code = "purpose_expired"
    public_message = said("The time of this purpose is over. Ask an operator to declare how long it goes on.")


class ActsAsNotAllowed(ServiceRefused):
    code = "acts_as_not_allowed"
    public_message = said("This purpose is declared for the other kind of act: as a user, or as the system.")


class ApplicationNotAllowed(ServiceRefused):
    code = "application_not_allowed"
    public_message = said("This service client may not act for this application. Ask an operator to allow it.")


class PortalNotAllowedToClient(ServiceRefused):
    code = "portal_not_allowed"
    public_message = said("This service client may not act on this portal. Ask an operator to allow it.")


class PortalNotAllowedToApplication(ServiceRefused):
    code = "portal_not_allowed"
    public_message = said(
        "This application is not to be used on this portal. Ask an operator to allow it in its settings."
    )


class ScopeNotInPurpose(ServiceRefused):
    """The purpose names no scope that covers the call; `required_scope` is the smallest one that would."""

    code = "scope_not_in_purpose"
    public_message = said(
        "The purpose does not name a scope that covers this call. Ask an operator to change the purpose."
    )

    def __init__(self, *, required_scope: str | None = None) -> None:
        super().__init__()
        self.required_scope = required_scope

    def response_fields(self) -> dict[str, object]:
        return {"required_scope": self.required_scope}


class InstallationUnknown(ServiceRefused):
    code = "installation_unknown"
    public_message = said(
        "The application is not installed on this portal: it was never opened there, or is uninstalled."
    )


class NoCredential(ServiceRefused):
    code = "no_credential"
    public_message = said("Nothing is stored that this call could be made with.")


class ScopeNotInKey(ServiceRefused):
    code = "scope_not_in_key"
    public_message = said(
        "No API key for this purpose may be used for this call. Ask an operator for one with the scope."
    )


class UserTokenStale(ServiceRefused):
    """Flowlu no longer takes what is stored of the user. Only they can bring a fresh token."""

    code = "token_stale"
    fault = "portal"
    public_message = said(
        "Flowlu no longer takes the stored token of this user. They have to open the application once more; until "
        "then nothing can be done in their name."
    )


class ApiKeyRefused(ServiceRefused):
    """Flowlu answered that it does not take the key, or that this call needs a user."""

    code = "api_key_refused"
    public_message = said(
        "Flowlu does not accept the stored API key for this call: the key was deleted there, or the call needs a user."
    )
