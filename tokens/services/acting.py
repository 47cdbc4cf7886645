"""Act as a portal user or as the system for a declared purpose. The token or key never leaves this module.

The service API and code of this project come through the same door: `forward`. Whoever uses it holds a `Record` that is
written as one row, whatever came of the call.

    act_as_user(purpose="invoice-sync", app_id="com.example.desk", portal="acme.flowlu.com", user_id="2").call(
        "fin", "invoice", "list", params={"limit": 20}
    )
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from installations import request_ids
from installations.errors import DomainError, TokenStale
from installations.flowlu.calls import FlowluCall, build_call, encode_json_body
from installations.flowlu.configured import flowlu_client
from installations.said import said
from installations.strict_json import JSONValue
from tokens import backend_reads, usage, vault
from tokens.backend_access import SYSTEM, USER, ActAs, Granted, SystemKey, UserToken, check_call
from tokens.errors import ApiKeyRefused, NoCredential, UnsealFailed, UserTokenStale
from tokens.models import ServiceCall
from tokens.services import api_keys, sessions
from tokens.services.freshness import fresh, fresh_after_refusal
from tokens.usage import Use
from tokens.waiting import give_back_connection

_UNKNOWN = "server_error"


class Record:
    """What is known so far of one call, to be written as one row when it is over."""

    def __init__(self, client: backend_reads.Client | None) -> None:
        self.began_at = time.monotonic()
        self.client = client
        self.row = ServiceCall(service_client_id=client.id if client else None, at=timezone.now())

    def write(self, outcome: str) -> None:
        """Write the row. Raises DatabaseError, and then the caller must not hand out what the call brought."""
        self.row.outcome = outcome[:40]
        self.row.milliseconds = int((time.monotonic() - self.began_at) * 1000)
        self.row.save(force_insert=True)


def forward(record: Record, act_as: ActAs, purpose: str, call: FlowluCall, *, http_method: str) -> JSONValue:
    """Make the call if client, purpose, scope, installation, locks and credential all allow it.

    Fills `record` on the way; its owner writes it. Nothing is sent unless every check has passed. One statement, and
    those of a refresh where the application's pairs are refreshed here and this one is due.

    Raises what `tokens.backend_access.check_call` does, UserTokenStale or ApiKeyRefused when Flowlu takes the
    credential no longer, what `tokens.services.freshness.fresh` does, and what the adapter raises.
    """
    row = record.row
    row.acts_as = act_as.kind
    row.call = f"{call.module}/{call.model}/{call.action}"

    def decide() -> Granted:
        found = backend_reads.decision_of(act_as, purpose, record.client)
        row.purpose_id = found.purpose.id if found.purpose else None
        row.installation_id, row.portal_user_id = found.installation_id, found.portal_user_id
        request_ids.note_installation(found.installation_id)
        granted = check_call(found, call.scope_call, found.catalogue, http_method=http_method)
        row.code, row.level = granted.scope.code, granted.scope.level.value
        return granted

    def token_again() -> UserToken:
        return _token_of(decide())

    def used() -> Use:
        assert row.installation_id is not None  # noqa: S101 - check_call refuses where there is none
        return Use(row.installation_id, row.portal_user_id, purpose, row.code, call.scope_call.level)

    granted = decide()
    if granted.key is not None:
        row.api_key_id = granted.key.id
        return _as_system(row, act_as.portal, call, granted.key, used())
    return _as_user(row, call, _token_of(granted), token_again, used)


def _token_of(granted: Granted) -> UserToken:
    assert granted.token is not None  # noqa: S101 - check_call grants with the one that the purpose acts with
    return granted.token


def _as_user(
    row: ServiceCall, call: FlowluCall, token: UserToken, again: Callable[[], UserToken], used: Callable[[], Use]
) -> JSONValue:
    try:
        token = fresh(token, again)
        try:
            return _send(row, call, token, used())
        except TokenStale:
            other = fresh_after_refusal(token, again)
            if other is None:
                raise
        # Refused for its token, so it was not carried out: once more with the fresh one, and no third time.
        return _send(row, call, other, used())
    except TokenStale as error:
        raise UserTokenStale(None, **error.context) from None


def _send(row: ServiceCall, call: FlowluCall, token: UserToken, use: Use) -> JSONValue:
    """Send the call with exactly this token. Raises TokenStale, and then the row says so."""
    row.oauth_token_id = token.token_id
    try:
        access_token = vault.unseal_access_token(token.token_uuid, token.sealed_access_token or b"")
    except UnsealFailed as error:
        sessions.note_undecryptable(
            token_id=token.token_id,
            generation=token.token_generation,
            installation_id=row.installation_id,
            reason=error.reason,
            key_id=error.key_id,
        )
        raise UserTokenStale from None
    try:
        with usage.counted(use, expires_at=token.token_expires_at):
            _wait_without_connection(row)
            return flowlu_client().call(token.portal, call, access_token).response
    except TokenStale:
        sessions.note_stale_token(token_id=token.token_id, generation=token.token_generation)
        raise


def _wait_without_connection(row: ServiceCall) -> None:
    if row.service_client_id is not None:  # else it is code of this project, which may have a cursor open
        give_back_connection()


def _as_system(row: ServiceCall, portal: str, call: FlowluCall, key: SystemKey, use: Use) -> JSONValue:
    try:
        api_key = vault.unseal_api_key(key.uuid, key.sealed)
    except UnsealFailed as error:
        api_keys.note_undecryptable_key(api_key_id=key.id, reason=error.reason, key_id=error.key_id)
        raise NoCredential(said("The stored API key cannot be read any more. Ask an operator to replace it.")) from None
    try:
        with usage.counted(use):
            _wait_without_connection(row)
            return flowlu_client().call_as_system(portal, call, api_key).response
    except TokenStale:
        # Not marked as dead: Flowlu answers the same when a living key is used for a call that needs a user.
        raise ApiKeyRefused from None


@dataclass(frozen=True, slots=True)
class Acting:
    """Whom code of this project acts as, and for which purpose."""

    act_as: ActAs
    purpose: str

    def call(
        self,
        module: str,
        model: str,
        action: str,
        id: str | None = None,
        *,
        params: Mapping[str, object] | None = None,
        record: Record | None = None,
    ) -> JSONValue:
        """Call Flowlu and return its `response`. The checks and the row are those of the service API.

        A `record` of the caller's is filled, so that they can read what the call went out with.

        Call it outside of every transaction: it asks Flowlu, and the row must stay whatever the caller does next.
        Raises DomainError; RuntimeError inside a transaction.
        """
        _outside_of_transactions()
        record = record or Record(None)
        outcome = _UNKNOWN
        try:
            call = build_call(module, model, action, id, encode_json_body(params or {}))
            response = forward(record, self.act_as, self.purpose, call, http_method="POST")
            outcome = ServiceCall.OK
        except DomainError as error:
            outcome = error.code
            raise
        finally:
            record.write(outcome)
        return response


def act_as_user(*, purpose: str, app_id: str, portal: str, user_id: str) -> Acting:
    """Act as one portal user, with a token that they handed over in this very application."""
    return Acting(ActAs(USER, app_id, portal.lower(), user_id), purpose)


def act_as_system(*, purpose: str, app_id: str, portal: str) -> Acting:
    """Act as the system, with an API key of the installation that is declared for the purpose."""
    return Acting(ActAs(SYSTEM, app_id, portal.lower()), purpose)


def _outside_of_transactions() -> None:
    if connection.in_atomic_block:
        raise RuntimeError("A call of backend code asks Flowlu and leaves a row: make it outside of transactions.")
