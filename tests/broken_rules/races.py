"""Two at once."""

from tests.broken_rules.breakage import Breakage, race
from tests.broken_rules.suites import OPERATORS

CUTS = ("tests/security/races/test_cuts.py", "tests/security/races/test_service.py")
LAUNCHES = ("tests/security/races/test_launches.py",)
API_KEYS = ("tests/security/races/test_api_keys.py",)

RACES = (
    race(
        "race: a call that waits for its portal holds a database connection",
        "tokens/api/views.py",
        "                give_back_connection()\n",
        "",
        ("tests/security/races/test_service.py",),
    ),
    race(
        "race: one portal may hold every thread",
        "installations/flowlu/slots.py",
        "            if self._limit and self._under_way[portal] >= self._limit:",
        "            if self._limit < 0:",
        ("tests/security/races/test_service.py",),
    ),
    race(
        "race: the deny list is not read again after Flowlu was asked",
        "tokens/services/admitting.py",
        '    """Read again, in the documented order, what may have changed while Flowlu was asked."""\n'
        "    if selectors.is_revoked(pair.access_token, pair.refresh_token):\n        raise TokenRevoked\n",
        '    """Read again, in the documented order, what may have changed while Flowlu was asked."""\n',
        CUTS,
    ),
    race(
        "race: locks are not read again after Flowlu was asked",
        "tokens/services/admitting.py",
        "    if any(locks.get()):\n        raise InstallationLocked\n",
        "",
        CUTS,
    ),
    Breakage(
        "race: the portals of the application are not read again after Flowlu was asked",
        "tokens/services/sessions.py",
        '        application.refresh_from_db(fields=["allowed_portals", "allowed_origins"])\n',
        "",
        ("tests/tokens/services/test_sessions.py",),
    ),
    race(
        "race: what a launch stored is in the trail a commit later",
        "tokens/services/sessions.py",
        "        audit.append(portal_user_actor(portal, user.id), *events)\n    return OpenedSession",
        "    with transaction.atomic():\n        audit.append(portal_user_actor(portal, user.id), *events)\n"
        "    return OpenedSession",
        ("tests/security/races/test_killed.py",),
    ),
    race(
        "race: erasing a user does not hold the portal",
        "tokens/services/erasing.py",
        "        Portal.objects.select_for_update(no_key=True).get(pk=portal_id)\n",
        "",
        ("tests/tokens/services/test_erase_portal_user.py",),
    ),
    race(
        "race: the state of the token is not read again at a hand-over",
        "tokens/services/sessions.py",
        "        if own.state == OAuthToken.State.REVOKED:\n            raise TokenRevoked\n",
        "",
        CUTS,
    ),
    race(
        "race: the end of the session is not read again at a hand-over",
        "tokens/services/sessions.py",
        "        if session.ended_at is not None:\n            raise InvalidSession\n",
        "",
        CUTS,
    ),
    race(
        "race: a revocation does not hold the installation",
        "tokens/services/cutting.py",
        "    list(rows.select_for_update(no_key=True).order_by",
        "    list(rows.order_by",
        (*CUTS, *OPERATORS),
    ),
    race(
        "race: a launch does not hold the installation",
        "installations/services.py",
        "filter(portal=portal, application=application).select_for_update(no_key=True)",
        "filter(portal=portal, application=application)",
        (*LAUNCHES, *CUTS),
    ),
    race(
        "race: nothing orders two first launches",
        "installations/services.py",
        "    found = live.all().first()\n    if found is not None:\n        return found\n    last =",
        "    last =",
        LAUNCHES,
    ),
    race(
        "race: an approval does not hold the installation",
        "installations/approving.py",
        "    installation = Installation.objects.select_for_update(no_key=True).filter(pk=installation_id).first()",
        "    installation = Installation.objects.filter(pk=installation_id).first()",
        OPERATORS,
    ),
    race(
        "race: a lock is set without holding its row",
        "installations/services.py",
        "        row = type(target)._default_manager.select_for_update(no_key=True).get(pk=target.pk)",
        "        row = type(target)._default_manager.get(pk=target.pk)",
        OPERATORS,
    ),
    race(
        "race: the audit head is not locked",
        "installations/audit.py",
        "    return AuditHead.objects.select_for_update(no_key=True).get(id=AuditHead.ONLY)",
        "    return AuditHead.objects.get(id=AuditHead.ONLY)",
        OPERATORS,
    ),
    race(
        "race: an import does not hold the application",
        "installations/services.py",
        "        application = Application.objects.select_for_update(no_key=True).get(pk=application.pk)\n"
        "        manifest, _",
        "        manifest, _",
        OPERATORS,
    ),
    race(
        "race: an import takes installations as they lie in the table",
        "installations/services.py",
        "        _hold_in_order(live)\n",
        "",
        ("tests/security/races/test_four_eyes.py",),
    ),
    race(
        "race: an API key is added without holding its installation",
        "tokens/services/api_keys.py",
        "    installation = Installation.objects.select_for_update(no_key=True).filter(pk=installation_id).first()",
        "    installation = Installation.objects.filter(pk=installation_id).first()",
        API_KEYS,
    ),
    race(
        "race: an API key is replaced or revoked without holding it",
        "tokens/services/api_keys.py",
        "    installation = Installation.objects.select_for_update(no_key=True).get(pk=found)\n"
        "    row = ApiKey.objects.select_for_update(no_key=True).get(pk=api_key_id)\n",
        "    installation = Installation.objects.get(pk=found)\n    row = ApiKey.objects.get(pk=api_key_id)\n",
        API_KEYS,
    ),
    race(
        "race: switching refresh tokens off does not wait for a hand-over",
        "tokens/services/revocation.py",
        '            list(live.values_list("pk", flat=True))\n',
        "",
        CUTS,
    ),
)
