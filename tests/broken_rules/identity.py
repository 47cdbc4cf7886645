"""Whose session, token and installation it is."""

from tests.broken_rules.breakage import Breakage
from tests.broken_rules.suites import API, HOSTILE, ISOLATION

MOVING_IN = ("tests/tokens/commands/test_import_tokens.py",)

IDENTITY = (
    Breakage(
        "identity: a pair of another user is taken at the hand-over",
        "tokens/services/sessions.py",
        "    if user.id != caller.flowlu_user_id:\n        raise UserMismatch\n",
        "",
        ISOLATION,
    ),
    Breakage(
        "identity: the body of a handshake names the user",
        "tokens/services/sessions.py",
        "            flowlu_user_id=user.id,\n            user_name=user.name,",
        "            flowlu_user_id=launch.integration_point or user.id,\n            user_name=user.name,",
        (*ISOLATION, *API),
    ),
    Breakage(
        "identity: a table says whose the pairs are that are moved in",
        "tokens/services/importing.py",
        "        if user.id != flowlu_user_id:\n            raise UserMismatch\n",
        "",
        MOVING_IN,
    ),
    Breakage(
        "identity: a pair is moved in for a place that nothing is approved for",
        "tokens/services/importing.py",
        "    if installation.status in (Installation.Status.PENDING_APPROVAL, Installation.Status.UNINSTALLED):",
        "    if installation.status == Installation.Status.UNINSTALLED:",
        MOVING_IN,
    ),
    Breakage(
        "identity: an erased user is brought back by a table",
        "tokens/services/importing.py",
        "    if user is not None and user.erased_at is not None:",
        "    if user is not None and user.erased_at is not None and user.name:",
        MOVING_IN,
    ),
    Breakage(
        "identity: any text is a session",
        "tokens/selectors.py",
        " WHERE s.token_hash = %s",
        " WHERE s.token_hash >= %s",
        ISOLATION,
    ),
    Breakage(
        "identity: a session uses the newest token of its user",
        "tokens/selectors.py",
        "  JOIN tokens_oauthtoken t ON t.id = s.oauth_token_id\n",
        "  JOIN tokens_oauthtoken own ON own.id = s.oauth_token_id\n"
        "  JOIN tokens_oauthtoken t ON t.id = (SELECT max(n.id) FROM tokens_oauthtoken n\n"
        "   WHERE n.portal_user_id = own.portal_user_id AND n.state = 'active')\n",
        ISOLATION,
    ),
    Breakage(
        "identity: a hand-over replaces a token that another session lives on",
        "tokens/services/storing.py",
        "    if row is None and own is not None and not _others_live_on(own):",
        "    if row is None and own is not None:",
        (*ISOLATION, *API),
    ),
    Breakage(
        "identity: an ended session goes on",
        "tokens/selectors.py",
        '" AND s.ended_at IS NULL AND s.expires_at',
        '" AND s.expires_at',
        API,
    ),
    Breakage(
        "credentials: a parameter named api_key is forwarded",
        "installations/flowlu/calls.py",
        'frozenset({"api_key", ',
        "frozenset({",
        (*ISOLATION, *HOSTILE),
    ),
)
