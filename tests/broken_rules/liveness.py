"""Whether an installation is still there."""

from tests.broken_rules.breakage import Breakage, race

LIVENESS = (
    Breakage(
        "liveness: silence alone is a suspicion",
        "installations/liveness.py",
        "(days and silent_long) or unreached_long",
        "silent_long or unreached_long",
        ("tests/installations/test_liveness.py",),
    ),
    Breakage(
        "liveness: evidence of another generation counts",
        "installations/liveness.py",
        "{seen for seen in observations if seen.generation == generation}",
        "set(observations)",
        ("tests/installations/test_liveness.py",),
    ),
    Breakage(
        "liveness: a token that may have expired speaks for a removal",
        "installations/liveness.py",
        "return expires_at is not None and expires_at > now + ZONE_DOUBT",
        "return expires_at is None or expires_at > now + ZONE_DOUBT",
        ("tests/installations/test_liveness.py", "tests/tokens/services/test_probing.py"),
    ),
    Breakage(
        "liveness: evidence that changes a verdict leaves the kept one as it is",
        "installations/evidence.py",
        "return state is State.ACTIVE or (state is State.SEEN and CALLS.isdisjoint(kinds))",
        "return True",
        ("tests/installations/test_evidence.py", "tests/tokens/test_observations.py"),
    ),
    Breakage(
        "liveness: retention takes what a verdict depends on",
        "tokens/services/pruning.py",
        "for _at, pk, is_superseded in batch if is_superseded]",
        "for _at, pk, _is_superseded in batch]",
        ("tests/tokens/services/test_pruning.py",),
    ),
    Breakage(
        "liveness: a probe counts as use",
        "tokens/usage.py",
        "use.portal_user_id is not None and use.purpose != liveness.PURPOSE",
        "use.portal_user_id is not None",
        ("tests/tokens/test_observations.py", "tests/tokens/services/test_probing.py"),
    ),
    Breakage(
        "liveness: what this service does not reach is noted as gone",
        "tokens/services/probing.py",
        "            if reached or _others_live(probe.row.installation.portal_id):",
        "            if True:",
        ("tests/tokens/services/test_probing.py",),
    ),
    Breakage(
        "liveness: two sweeps probe the same installation",
        "tokens/services/probing.py",
        "        if held.probe_after != row.probe_after:\n            return False\n",
        "",
        ("tests/tokens/services/test_probing.py",),
    ),
    Breakage(
        "liveness: whoever launches again and again fills the table",
        "installations/evidence.py",
        "    if kind not in _OFTEN:\n",
        "    if True:\n",
        ("tests/installations/test_evidence.py",),
    ),
    race(
        "liveness: a verdict is read before its row is held",
        "installations/evidence.py",
        "Liveness.objects.select_for_update(no_key=True).filter(pk__in=ids)",
        "Liveness.objects.filter(pk__in=ids)",
        ("tests/security/races/test_liveness.py",),
    ),
)
