"""Every way in which the domain says no, with its code, its status and whose turn it is to act.

Context given to an error is for the log and holds ids, enums and counts only: no token, no personal data and
nothing that Flowlu said. What a caller sees is the code, the public message and `response_fields()`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Literal, TypeAlias
from uuid import UUID

from installations.said import said

Fault: TypeAlias = Literal["operator", "portal", "ours"]
Loggable: TypeAlias = str | int | UUID | Enum | None


class DomainError(Exception):
    """A refusal or failure that an entry point turns into its own kind of answer."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    fault: ClassVar[Fault] = "ours"
    public_message: str = said("Something went wrong on our side. Try again, and tell us if it stays.")

    def __init__(self, public_message: str | None = None, **context: Loggable) -> None:
        if public_message is not None:
            self.public_message = public_message
        self.context: dict[str, Loggable] = context
        super().__init__(self.public_message)

    def __str__(self) -> str:
        return f"{self.code}: {self.public_message}"

    def response_fields(self) -> dict[str, object]:
        """Return the members that join `error` and `error_description` in a JSON answer."""
        return {}

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers that belong to the error itself."""
        return {}


class _FieldErrors(DomainError):
    """An error that names the fields it is about."""

    def __init__(
        self,
        public_message: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        **context: Loggable,
    ) -> None:
        super().__init__(public_message, **context)
        self.fields: dict[str, str] = dict(fields or {})

    def response_fields(self) -> dict[str, object]:
        return {"fields": {name: str(text) for name, text in self.fields.items()}}


class InvalidRequest(_FieldErrors):
    """The request cannot be understood; each wrong part is named in `fields`."""

    code = "invalid_request"
    status = 400
    fault = "portal"
    public_message = said("The request is not valid. Correct the fields that are named and send it again.")


class InvalidToken(DomainError):
    """The token that was handed in is not one that Flowlu accepts on that portal."""

    code = "invalid_token"
    status = 401
    fault = "portal"
    public_message = said("Flowlu does not accept this access token. Get a fresh one through the SDK and hand that in.")


class TokenStale(DomainError):
    """Flowlu no longer takes the stored token, or it cannot be read any more."""

    code = "token_stale"
    status = 401
    fault = "portal"
    public_message = said(
        "The stored access token no longer works. Refresh it through the SDK, hand it over and try once more."
    )


class TokenRevoked(DomainError):
    """The token was revoked here and stays so, whatever Flowlu thinks of it."""

    code = "token_revoked"
    status = 401
    fault = "operator"
    public_message = said("Access was revoked. Open the application again with a new sign-in, or ask its vendor.")


class InvalidSession(DomainError):
    """No live embed session belongs to the session token that was sent, if any was."""

    code = "invalid_session"
    status = 401
    fault = "portal"
    public_message = said("The session is missing, has ended or has expired. Open a new one with POST /api/v1/session.")


class InsufficientScope(DomainError):
    """No approved scope covers the call; nothing was sent to Flowlu."""

    code = "insufficient_scope"
    status = 403
    fault = "operator"
    public_message = said("The application is not approved for this call. Ask its vendor to approve the scope.")

    def __init__(
        self, public_message: str | None = None, *, required_scope: str | None = None, **context: Loggable
    ) -> None:
        super().__init__(public_message, **context)
        self.required_scope = required_scope

    def response_fields(self) -> dict[str, object]:
        return {"required_scope": self.required_scope}


class InstallationSuspended(DomainError):
    """An operator suspended the installation."""

    code = "installation_suspended"
    status = 403
    fault = "operator"
    public_message = said("The application is suspended on this portal. Ask the application's vendor.")


class InstallationLocked(DomainError):
    """The portal, the application or the installation is locked."""

    code = "installation_locked"
    status = 403
    fault = "operator"
    public_message = said("The application is locked for now. Ask the application's vendor.")


class UserLocked(DomainError):
    """The portal user is locked."""

    code = "user_locked"
    status = 403
    fault = "operator"
    public_message = said("Your access to the application is locked. Ask the application's vendor.")


class PortalNotAllowed(DomainError):
    """The portal's name is not one that may be called, or the application may not be used there."""

    code = "portal_not_allowed"
    status = 403
    fault = "portal"
    public_message = said("This portal cannot be used here. Send the portal's plain address, like acme.flowlu.com.")


class ApplicationUnknown(DomainError):
    """No registered application has this id."""

    code = "application_unknown"
    status = 403
    fault = "operator"
    public_message = said(
        "This application is not registered here. Check its app id, or ask its vendor to import the manifest."
    )


class OriginNotAllowed(DomainError):
    """The page that sent the request is on another origin than this service, and the application does not allow it."""

    code = "origin_not_allowed"
    status = 403
    fault = "operator"
    public_message = said(
        "This page's origin may not use the application. Ask the application's vendor to allow it in the console."
    )


class FlowluDenied(DomainError):
    """Flowlu refused the call for this user."""

    code = "flowlu_denied"
    status = 403
    fault = "portal"
    public_message = said(
        "Flowlu does not let this user do that. Ask an administrator of the portal for the access right."
    )


class NotFound(DomainError):
    """What was asked for does not exist, or not for this caller."""

    code = "not_found"
    status = 404
    fault = "portal"
    public_message = said("There is no such thing, or it is not visible to this user. Check the address and the id.")


class UserMismatch(DomainError):
    """The token that was handed over belongs to another user or portal than the session."""

    code = "user_mismatch"
    status = 409
    fault = "portal"
    public_message = said("This token belongs to somebody else than the session does. Open a new session with it.")


class RequestTooLarge(DomainError):
    """The request body is larger than is read."""

    code = "request_too_large"
    status = 413
    fault = "portal"
    public_message = said("The request is too large. Send less at once.")


class FlowluInvalid(_FieldErrors):
    """Flowlu does not accept the values; the fields that it named are in `fields`."""

    code = "flowlu_invalid"
    status = 422
    fault = "portal"
    public_message = said("Flowlu does not accept the values that were sent. Correct the fields that are named.")


class RateLimited(DomainError):
    """Too many calls, by Flowlu's count or ours; `retry_after` is in seconds where it is known."""

    code = "rate_limited"
    status = 429
    fault = "portal"
    public_message = said("Too many calls in a short time. Wait a moment and try again.")

    def __init__(
        self, public_message: str | None = None, *, retry_after: int | None = None, **context: Loggable
    ) -> None:
        super().__init__(public_message, **context)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class FlowluError(DomainError):
    """Flowlu answered with something that is neither a result nor an error that a caller could act on."""

    code = "flowlu_error"
    status = 502
    fault = "portal"
    public_message = said("Flowlu's answer could not be used. Try again later.")


class FlowluUnavailable(DomainError):
    """The portal could not be reached, or not in a way that is safe."""

    code = "flowlu_unavailable"
    status = 503
    fault = "portal"
    public_message = said("The portal cannot be reached at the moment. Try again later.")

    def __init__(
        self, public_message: str | None = None, *, retry_after: int | None = None, **context: Loggable
    ) -> None:
        super().__init__(public_message, **context)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class PortalUnreached(FlowluUnavailable):
    """The portal was not asked, and is again in `retry_after` seconds: the last connections to it all failed."""


class FlowluTimeout(DomainError):
    """The portal did not answer in time; whether it acted on the call is not known."""

    code = "flowlu_timeout"
    status = 504
    fault = "portal"
    public_message = said(
        "The portal took too long to answer. Check whether the change was made before you send it again."
    )


class MethodNotAllowed(DomainError):
    """The call exists, but not with this HTTP method."""

    code = "method_not_allowed"
    status = 405
    fault = "portal"
    public_message = said("This method is not allowed here. A call that changes something needs POST.")


class NotPermitted(DomainError):
    """The operator lacks the permission for this verb."""

    code = "not_permitted"
    status = 403
    fault = "operator"
    public_message = said("You do not have the permission to do this. Ask somebody who manages operators.")

    @property
    def permission(self) -> str:
        """The Django permission that was asked for."""
        return str(self.context.get("permission", ""))


class OwnRequest(DomainError):
    """An operator tried to be their own second operator (four eyes)."""

    code = "own_request"
    status = 403
    fault = "operator"
    public_message = said("You asked for this yourself, or approved it alone. Another operator has to look at it.")


class ReasonRequired(DomainError):
    """The verb is recorded with a reason, and none of 1 to 1000 characters was given."""

    code = "reason_required"
    status = 400
    fault = "operator"
    public_message = said("Give a reason of 1 to 1000 characters. It is kept in the audit trail.")


class ReasonHoldsSecret(ReasonRequired):
    """What was given as the reason may hold a token or a key, which nothing could take out of the trail again."""

    code = "reason_refused"
    public_message = said(
        "This looks like a token or a key, and a reason is kept for ever. Nothing was done. Write it without that: the "
        "first eight characters of the fingerprint say which one is meant."
    )


class ReviewDateRefused(DomainError):
    """The day by which an approval is to be reviewed is not after today, or later than its risk allows."""

    code = "review_date_refused"
    status = 400
    fault = "operator"
    public_message = said("Choose a day after today, and none later than the risk of the scope allows.")


@dataclass(frozen=True, slots=True)
class ManifestError:
    """One thing that is wrong in a manifest, and where; not an exception, since all are reported at once."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ManifestInvalid(DomainError):
    """The manifest cannot be imported; `errors` names every reason."""

    code = "manifest_invalid"
    status = 400
    fault = "operator"
    public_message = said("The manifest cannot be imported. Correct what is listed and import it again.")

    def __init__(
        self,
        public_message: str | None = None,
        *,
        errors: Sequence[ManifestError] = (),
        **context: Loggable,
    ) -> None:
        super().__init__(public_message, **context)
        self.errors: list[ManifestError] = list(errors)

    def response_fields(self) -> dict[str, object]:
        return {"errors": [{"path": error.path, "message": error.message} for error in self.errors]}


class CatalogueNotTaken(DomainError):
    """The entry or file cannot be a part of the scope catalogue; the message names the place of the fault."""

    code = "catalogue_invalid"
    status = 400
    fault = "operator"
    public_message = said("This cannot be a part of the scope catalogue.")


class UnknownScope(DomainError):
    """The scope is not in the catalogue, so nobody can say what approving it would allow."""

    code = "unknown_scope"
    status = 400
    fault = "operator"
    public_message = said("This scope is not in the catalogue and cannot be approved. Check its spelling.")


class ScopeNotRequested(DomainError):
    """The application's manifest does not ask for this scope, or only for a lower level of it."""

    code = "scope_not_requested"
    status = 400
    fault = "operator"
    public_message = said("The manifest does not ask for this scope at this level, so it cannot be approved.")


class SecondOperatorNeeded(DomainError):
    """A scope of high risk comes into force only when a second operator confirms it (four eyes)."""

    code = "second_operator_needed"
    status = 409
    fault = "operator"
    public_message = said("A second operator has to confirm this, since it is of high risk. Ask for it.")


class StateConflict(DomainError):
    """What the operator acted on is no longer as it was shown; the message says what changed."""

    code = "state_conflict"
    status = 409
    fault = "operator"
    public_message = said("This has changed in the meantime. Look at it again and decide anew.")
