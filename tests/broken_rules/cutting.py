"""Revocations, locks and suspensions hold from their commit."""

from tests.broken_rules.breakage import Breakage
from tests.broken_rules.suites import API, ISOLATION

CUT = (
    *(
        Breakage(
            f"cut: the lock of a {what} is not looked at",
            "tokens/selectors.py",
            text,
            instead,
            API,
        )
        for what, text, instead in (
            ("portal", "i.locked_at IS NOT NULL OR p.locked_at IS NOT NULL OR", "i.locked_at IS NOT NULL OR"),
            ("application", "p.locked_at IS NOT NULL OR a.locked_at IS NOT NULL", "p.locked_at IS NOT NULL"),
            ("installation", "i.locked_at IS NOT NULL OR p.locked_at", "p.locked_at"),
            ("portal user", "u.flowlu_user_id, u.locked_at IS NOT NULL", "u.flowlu_user_id, u.id IS NULL"),
        )
    ),
    Breakage(
        "cut: the caller is remembered for a second",
        "tokens/selectors.py",
        "def caller_of(session_token: str) -> Caller | None:",
        "def caller_of(session_token: str) -> Caller | None:\n"
        "    now = timezone.now()\n"
        "    at, known = _KNOWN.get(session_token, (now - timedelta(hours=1), None))\n"
        "    if (now - at).total_seconds() > 1:\n"
        "        at, known = _KNOWN[session_token] = now, _caller_of(session_token)\n"
        "    return known\n\n\n_KNOWN: dict[str, Any] = {}\n\n\n"
        "def _caller_of(session_token: str) -> Caller | None:",
        (*API, *ISOLATION),
    ),
    Breakage(
        "cut: an uninstalled installation goes on",
        "tokens/access.py",
        ' or caller.installation_status == "uninstalled"',
        "",
        ISOLATION,
    ),
    Breakage(
        "cut: a suspended installation goes on",
        "tokens/access.py",
        '    if caller.installation_status == "suspended":',
        '    if caller.installation_status == "paused":',
        API,
    ),
    Breakage(
        "cut: a revoked token opens a session again",
        "tokens/selectors.py",
        "    return RevokedFingerprint.objects.filter(fingerprint__in=vault.digests_of(*secrets)).exists()",
        "    return False",
        API,
    ),
    Breakage(
        "cut: a revoked token goes on under another application",
        "tokens/revocation_selectors.py",
        "    if not found:\n        return tokens\n    live =",
        "    if found or not found:\n        return tokens\n    live =",
        ("tests/security/test_isolation.py", "tests/tokens/services"),
    ),
    Breakage(
        "cut: a run goes on after an operator stopped it",
        "tokens/services/revocation.py",
        "        if revocation.state != Revocation.State.RUNNING:\n            return 0, revocation\n",
        "        if revocation.state == Revocation.State.DONE:\n            return 0, revocation\n",
        ("tests/tokens/services/test_long_runs.py",),
    ),
    Breakage(
        "cut: whoever sees the ledger may stop a run",
        "tokens/services/long_runs.py",
        """    actor.require("tokens.revoke_oauthtoken")
    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _unfinished(revocation_id)
        if row.state == _State.STOPPED:
""",
        """    why = clean_reason(reason)
    with transaction.atomic(durable=True):
        row = _unfinished(revocation_id)
        if row.state == _State.STOPPED:
""",
        ("tests/tokens/services/test_long_runs.py",),
    ),
    Breakage(
        "cut: what is left in the background is done when the first batch is",
        "tokens/services/revocation.py",
        "                revocation.in_background = True\n",
        "                revocation.state = Revocation.State.DONE\n",
        ("tests/tokens/services/test_long_runs.py",),
    ),
)
