"""Errors carry their contract (code and status) and say nothing but their public message."""

import pickle

import pytest

from installations import errors
from installations.errors import DomainError

CONTRACT = {
    errors.InvalidRequest: ("invalid_request", 400),
    errors.InvalidToken: ("invalid_token", 401),
    errors.TokenStale: ("token_stale", 401),
    errors.TokenRevoked: ("token_revoked", 401),
    errors.InvalidSession: ("invalid_session", 401),
    errors.InsufficientScope: ("insufficient_scope", 403),
    errors.InstallationSuspended: ("installation_suspended", 403),
    errors.InstallationLocked: ("installation_locked", 403),
    errors.UserLocked: ("user_locked", 403),
    errors.OriginNotAllowed: ("origin_not_allowed", 403),
    errors.PortalNotAllowed: ("portal_not_allowed", 403),
    errors.ApplicationUnknown: ("application_unknown", 403),
    errors.FlowluDenied: ("flowlu_denied", 403),
    errors.NotPermitted: ("not_permitted", 403),
    errors.OwnRequest: ("own_request", 403),
    errors.NotFound: ("not_found", 404),
    errors.MethodNotAllowed: ("method_not_allowed", 405),
    errors.UserMismatch: ("user_mismatch", 409),
    errors.StateConflict: ("state_conflict", 409),
    errors.SecondOperatorNeeded: ("second_operator_needed", 409),
    errors.RequestTooLarge: ("request_too_large", 413),
    errors.FlowluInvalid: ("flowlu_invalid", 422),
    errors.RateLimited: ("rate_limited", 429),
    errors.FlowluError: ("flowlu_error", 502),
    errors.FlowluUnavailable: ("flowlu_unavailable", 503),
    errors.PortalUnreached: ("flowlu_unavailable", 503),
    errors.FlowluTimeout: ("flowlu_timeout", 504),
    errors.ReasonRequired: ("reason_required", 400),
    errors.ReasonHoldsSecret: ("reason_refused", 400),
    errors.ReviewDateRefused: ("review_date_refused", 400),
    errors.ManifestInvalid: ("manifest_invalid", 400),
    errors.CatalogueNotTaken: ("catalogue_invalid", 400),
    errors.UnknownScope: ("unknown_scope", 400),
    errors.ScopeNotRequested: ("scope_not_requested", 400),
}


@pytest.mark.parametrize(("kind", "expected"), CONTRACT.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_code_and_status_are_the_contract(kind: type[DomainError], expected: tuple[str, int]) -> None:
    assert (kind.code, kind.status) == expected
    assert kind.public_message != DomainError.public_message


def test_every_error_class_is_in_the_contract() -> None:
    public = {
        value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, DomainError) and not name.startswith("_")
    }
    assert public - {DomainError} == set(CONTRACT)


def test_context_is_kept_for_the_log_and_out_of_every_text() -> None:
    error = errors.TokenStale(installation_id=4711)
    assert error.context == {"installation_id": 4711}
    assert "4711" not in f"{error} {error!r} {error.args} {error.public_message}"
    assert str(error).startswith("token_stale: ")


def test_own_message_replaces_the_fixed_one() -> None:
    assert str(errors.StateConflict("The scope was withdrawn.")) == "state_conflict: The scope was withdrawn."


def test_response_fields_carry_what_the_caller_needs() -> None:
    assert errors.InvalidRequest(fields={"portal": "is missing"}).response_fields() == {
        "fields": {"portal": "is missing"}
    }
    assert errors.InsufficientScope(required_scope="crm.read").response_fields() == {"required_scope": "crm.read"}
    assert errors.InsufficientScope().response_fields() == {"required_scope": None}
    assert errors.ManifestInvalid(errors=[errors.ManifestError("name", "required")]).response_fields() == {
        "errors": [{"path": "name", "message": "required"}]
    }
    assert errors.TokenStale().response_fields() == {}


def test_retry_after_is_a_header() -> None:
    assert errors.RateLimited(retry_after=7).headers() == {"Retry-After": "7"}
    assert errors.RateLimited().headers() == {}


def test_an_error_survives_a_trip_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(errors.RateLimited(retry_after=7, portal_id=3)))
    assert (type(copy), copy.retry_after, copy.context) == (errors.RateLimited, 7, {"portal_id": 3})
