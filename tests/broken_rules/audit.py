"""The trail of what was done."""

from tests.broken_rules.breakage import Breakage

TRAIL = ("tests/installations/test_audit_chain.py", "tests/installations/trail")

AUDIT = (
    Breakage(
        "audit: the verifier takes any hash",
        "installations/audit_chain.py",
        '            if not hmac.compare_digest(computed.encode(), stored.encode("utf-8", "surrogatepass")):',
        "            if False:",
        TRAIL,
    ),
    Breakage(
        "audit: a gap is none",
        "installations/audit_chain.py",
        "        if sequence > self.last.sequence + 1:",
        "        if False:",
        TRAIL,
    ),
    Breakage(
        "audit: what an anchor says about the end is not asked",
        "installations/audit_chain.py",
        "        if newest is not None and newest.link.sequence >",
        "        if newest is not None and newest.link.sequence < 0 and newest.link.sequence >",
        TRAIL,
    ),
    Breakage(
        "audit: the signature of a checkpoint is not asked",
        "installations/trail/verifying.py",
        "        elif signature is Signature.WRONG:",
        "        elif False:",
        TRAIL,
    ),
    Breakage(
        "audit: a chain that became shorter is anchored",
        "installations/trail/anchoring.py",
        "                _check_goes_on(known[-1], head)\n",
        "",
        TRAIL,
    ),
    Breakage(
        "audit: refused attempts are told without a bound",
        "installations/trail/refusals.py",
        "            if row.count <= TOLD:",
        "            if row.count:",
        TRAIL,
    ),
    Breakage(
        "audit: an act of the console is refused without a note",
        "installations/admin/acts.py",
        "        note_refusal(request, next(missing, self.permission), self.url_name, (kind, name), installation_id)\n",
        "",
        TRAIL,
    ),
    Breakage(
        "audit: young events are removed",
        "installations/trail/pruning.py",
        "    if before > timezone.now() - timedelta(days=settings.AUDIT_RETENTION_DAYS):",
        "    if False:",
        TRAIL,
    ),
)
