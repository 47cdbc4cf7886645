"""What may be called: approvals, levels, what may never widen."""

from tests.broken_rules.breakage import Breakage, race
from tests.broken_rules.suites import API

WIDENS = ("tests/security/test_nothing_widens.py",)
CATALOGUE = ("tests/security/races/test_catalogue.py",)

APPROVAL = (
    Breakage(
        "scope: a call is sent before its scope is checked",
        "tokens/access.py",
        "    if granted is None:\n",
        "    if granted is None and call.level is Level.FULL:\n",
        API,
    ),
    Breakage(
        "scope: a read scope covers a write",
        "installations/scopes.py",
        "        if approval.level >= call.level\n",
        "        if approval.level\n",
        (*API, *WIDENS),
    ),
    Breakage(
        "scope: a scope that the manifest does not ask for can be approved",
        "installations/approving.py",
        "        if scope.code not in asked or asked[scope.code] < scope.level:",
        "        if scope.code not in asked:",
        ("tests/installations/services", *WIDENS),
    ),
    Breakage(
        "nothing widens: an edited catalogue reaches old approvals",
        "installations/scopes.py",
        "        and _covered(approval.covers, call)\n",
        "",
        WIDENS,
    ),
    Breakage(
        "nothing widens: a damaged edition leaves the shipped catalogue in force",
        "installations/editions.py",
        "        return catalogue.unusable(shipped, int(number), str(exc))\n",
        "        return shipped\n",
        ("tests/tokens/api/test_edited_catalogue.py",),
    ),
    Breakage(
        "catalogue: a worker keeps the edition that it read first",
        "installations/editions.py",
        "    found = _parsed.get(key)\n",
        "    found = next(iter(_parsed.values()), None)\n",
        ("tests/tokens/api/test_edited_catalogue.py",),
    ),
    Breakage(
        "catalogue: an approval is copied from what the operator did not read",
        "installations/approving.py",
        "    if seen.catalogue is not None and seen.catalogue != plan.catalogue.version:\n",
        "    if False:\n",
        ("tests/installations/services/test_edit_catalogue.py",),
    ),
    Breakage(
        "catalogue: a stale edit overwrites another one",
        "installations/catalogue_editing.py",
        "        if seen is not None and seen != known.edition:\n",
        "        if False:\n",
        ("tests/installations/services/test_edit_catalogue.py",),
    ),
    race(
        "catalogue: who copies from it does not hold it",
        "installations/editions.py",
        '    _hold("pg_advisory_xact_lock_shared")\n',
        "",
        CATALOGUE,
    ),
    race(
        "catalogue: two edits do not keep out each other",
        "installations/editions.py",
        '    _hold("pg_advisory_xact_lock")\n',
        "",
        CATALOGUE,
    ),
    Breakage(
        "nothing widens: withdrawing wakes what was swallowed",
        "installations/services.py",
        "    waking = {code for code, by in swallowed.items() if by in wanted} - wanted\n",
        "    waking: set[str] = set()\n",
        WIDENS,
    ),
    Breakage(
        "nothing widens: a reinstall takes the approvals along",
        "installations/services.py",
        "        locked_at=last.locked_at if last else None,\n    )\n    events.append(",
        "        locked_at=last.locked_at if last else None,\n"
        "        status=Installation.Status.ACTIVE if last else Installation.Status.PENDING_APPROVAL,\n    )\n"
        "    if last:\n"
        "        last.approved_permissions.in_force().update(installation=installation)\n    events.append(",
        WIDENS,
    ),
    Breakage(
        "nothing widens: a reinstall loses the lock",
        "installations/services.py",
        "        locked_at=last.locked_at if last else None,\n",
        "",
        WIDENS,
    ),
    Breakage(
        "nothing widens: a new manifest approves what it asks for",
        "installations/services.py",
        "        affected = live.update(manifest=manifest)\n",
        "        affected = live.update(manifest=manifest)\n"
        "        for row in Installation.objects.filter(application=application, status='active'):\n"
        "            for text in manifest.requested_scopes:\n"
        "                code, _, level = text.rpartition('.')\n"
        "                entry = editions.in_force().get(code)\n"
        "                if entry and not row.approved_permissions.in_force().filter(code=code).exists():\n"
        "                    row.approved_permissions.create(code=code, level=level, manifest=manifest,\n"
        "                        approved_by='x', approved_at=timezone.now(), reason='x',\n"
        "                        catalogue_entry={'covers': scopes.to_json(entry.covers)})\n",
        WIDENS,
    ),
)
