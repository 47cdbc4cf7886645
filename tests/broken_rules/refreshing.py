"""Pairs that are redeemed by this service."""

from tests.broken_rules.breakage import Breakage, race

REFRESHING = ("tests/tokens/services/test_refresh_pair.py",)

REFRESH = (
    Breakage(
        "refresh: a fresh pair is used before it is proven",
        "tokens/services/refreshing.py",
        "token.needs_proof, token.state, token.stale_at = True, OAuthToken.State.STALE, now",
        "token.needs_proof, token.state, token.stale_at = False, OAuthToken.State.ACTIVE, None",
        ("tests/tokens/api/test_forward_refreshing.py",),
    ),
    Breakage(
        "refresh: what comes back after a revocation may be handed in again",
        "tokens/services/refreshing.py",
        "        _refuse_locked(revocation, token, redeemed, now)\n",
        "",
        REFRESHING,
    ),
    Breakage(
        "refresh: an outdated result is stored over a newer pair",
        "tokens/services/refreshing.py",
        "if token.generation != attempt.generation or _held_elsewhere(token, redeemed):",
        "if _held_elsewhere(token, redeemed):",
        REFRESHING,
    ),
    Breakage(
        "refresh: a token that may be spent is kept",
        "tokens/services/storing.py",
        "    if offered is not None and not is_spent(offered):\n",
        "    if offered is not None:\n",
        REFRESHING,
    ),
    Breakage(
        "refresh: a lost answer is an answer for now",
        "installations/flowlu/oauth_endpoint.py",
        "            if answer.sent:\n",
        "            if False:\n",
        (*REFRESHING, "tests/installations/flowlu/test_oauth_endpoint.py"),
    ),
    Breakage(
        "upstream: whoever revokes may close",
        "tokens/services/upstream.py",
        'actor.require("tokens.close_upstream")',
        'actor.require("tokens.revoke_oauthtoken")',
        ("tests/tokens/services/test_upstream.py",),
    ),
    Breakage(
        "upstream: told is as good as confirmed",
        "tokens/services/upstream.py",
        "        if error.is_final or row.attempts >= settings.UPSTREAM_TRIES:\n"
        "            _finish(row, _State.IRREVOCABLE, error.code)\n",
        "        if error.is_final or row.attempts >= settings.UPSTREAM_TRIES:\n"
        '            _finish(row, _State.CONFIRMED, "")\n',
        ("tests/tokens/services/test_upstream.py",),
    ),
    race(
        "race: an attempt under way keeps nobody out",
        "tokens/services/refreshing.py",
        "        if earlier is not None and earlier.outcome == _Outcome.STARTED:\n"
        "            if earlier.started_at > overdue(now):\n"
        "                return Ending.BUSY\n"
        "        elif",
        "        if False:\n            pass\n        elif",
        ("tests/security/races/test_refreshes.py",),
    ),
)
