"""Each rule of the service, the smallest change that breaks it, and the tests that have to notice."""

from dataclasses import dataclass

API = ("tests/tokens/api",)
ISOLATION = ("tests/security/test_isolation.py",)
ACCOUNTS = ("tests/flowlu_admin/test_accounts.py",)
MATRIX = ("tests/security/test_permission_matrix.py",)
CANARY = ("tests/security/test_canary.py",)
CANARY_CONSOLE = ("tests/security/test_canary_console.py",)
CANARY_PROCESS = ("tests/security/test_canary_process.py",)
WIDENS = ("tests/security/test_nothing_widens.py",)
HOSTILE = ("tests/security/test_hostile_input.py",)
FAULTS = ("tests/security/test_faults.py",)
SEALING = ("tests/security/test_sealing_at_rest.py",)
CUTS = ("tests/security/races/test_cuts.py", "tests/security/races/test_service.py")
REWRAP = ("tests/tokens/services/test_rewrap_tokens.py",)
LAUNCHES = ("tests/security/races/test_launches.py",)
OPERATORS = ("tests/security/races/test_operators.py",)
API_KEYS = ("tests/security/races/test_api_keys.py",)
CATALOGUE = ("tests/security/races/test_catalogue.py",)


@dataclass(frozen=True, slots=True)
class Breakage:
    name: str
    file: str
    text: str  # occurs once in the file
    instead: str
    tests: tuple[str, ...]
    needs_postgresql: bool = False


def race(name: str, file: str, text: str, instead: str, tests: tuple[str, ...]) -> Breakage:
    return Breakage(name, file, text, instead, tests, needs_postgresql=True)


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
)

SECRETS = (
    Breakage(
        "secrets: the answer to a look at the session repeats its token",
        "tokens/api/views.py",
        "        return Response(OutputSession(present_session(selectors.session_of(caller), caller)).data)",
        "        body = OutputSession(present_session(selectors.session_of(caller), caller)).data\n"
        '        return Response({**body, "again": request.headers["X-Session-Token"]})',
        CANARY,
    ),
    Breakage(
        "secrets: the session token is stored in clear",
        "tokens/selectors.py",
        '    return sha256(session_token.encode("utf-8", "surrogatepass")).hexdigest()',
        "    return session_token",
        CANARY,
    ),
    Breakage(
        "secrets: an exception carries the access token",
        "tokens/services/sessions.py",
        "    except TokenStale:\n        raise InvalidToken from None",
        '    except TokenStale:\n        raise ValueError(f"refused {pair.access_token}") from None',
        CANARY,
    ),
    Breakage(
        "secrets: a log line carries the access token",
        "tokens/services/sessions.py",
        "def _prove(portal: str, pair: Pair) -> FlowluUser:\n",
        "def _prove(portal: str, pair: Pair) -> FlowluUser:\n    logger.debug('asking with %s', pair.access_token)\n",
        CANARY,
    ),
    Breakage(
        "secrets: a pair prints itself",
        "tokens/services/storing.py",
        '        return "<Pair>"',
        '        return f"<Pair {self.access_token}>"',
        CANARY,
    ),
    Breakage(
        "secrets: the audit row carries the whole token",
        "tokens/services/sessions.py",
        '            "fingerprint": token.access_fingerprint[:8],',
        '            "fingerprint": vault.unseal_access_token(str(token.uuid), token.sealed_access_token or b""),',
        CANARY,
    ),
    Breakage(
        "secrets: refresh tokens are kept without the setting",
        "tokens/services/storing.py",
        "    return pair.refresh_token if approved and installation.application.stores_refresh_tokens else None",
        "    return pair.refresh_token if approved else None",
        API,
    ),
    Breakage(
        "secrets: refresh tokens are kept before an approval",
        "tokens/services/storing.py",
        "    return pair.refresh_token if approved and installation.application.stores_refresh_tokens else None",
        "    return pair.refresh_token if installation.application.stores_refresh_tokens else None",
        API,
    ),
    Breakage(
        "secrets: a second factor is stored in clear",
        "flowlu_admin/operators.py",
        "    def encrypt(self, text: str) -> str:",
        "    def encrypt(self, text: str) -> str:\n        return text\n\n    def _encrypt(self, text: str) -> str:",
        (*CANARY_CONSOLE, "tests/flowlu_admin/test_operators_mfa.py"),
    ),
    Breakage(
        "secrets: gunicorn's logs are not redacted",
        "flowlu_admin/access_log.py",
        "                handler.addFilter(RedactionFilter())\n",
        "                handler.setFormatter(made)\n",
        CANARY_PROCESS,
    ),
    Breakage(
        "secrets: a token as a step of a path is written to the log",
        "flowlu_admin/redaction.py",
        'rf"(?P<keep>)(?<![\\w-])(?!(?<=',
        'rf"(?P<keep>)(?<![\\w/-])(?!(?<=',
        CANARY_PROCESS,
    ),
    Breakage(
        "operators: a removed one may go on in an open session",
        "flowlu_admin/operator_accounts.py",
        "        operator.is_active = False\n",
        "",
        ("tests/flowlu_admin/test_operator_accounts.py",),
    ),
    Breakage(
        "operators: what a removed one asked for still waits",
        "flowlu_admin/operator_accounts.py",
        'void_requests_of(str(operator.pk), actor=actor, why="The operator who asked was removed.")',
        "[]",
        ("tests/flowlu_admin/test_operator_accounts.py",),
    ),
    Breakage(
        "operators: the last superuser may be removed",
        "flowlu_admin/operator_accounts.py",
        "if operator in superusers and len(superusers) == 1:",
        "if False:",
        ("tests/flowlu_admin/test_operator_accounts.py",),
    ),
    Breakage(
        "operators: whoever manages them may give any group",
        "flowlu_admin/operator_accounts.py",
        '                actor.require(f"{permission.content_type.app_label}.{permission.codename}")\n',
        "                pass\n",
        ("tests/flowlu_admin/test_operator_accounts.py",),
    ),
    Breakage(
        "operators: two remove each other at once",
        "flowlu_admin/operator_accounts.py",
        "if not Operator.objects.filter(pk=int(actor.id), is_active=True).exists():",
        "if False:",
        ("tests/flowlu_admin/test_operator_accounts.py",),
    ),
    Breakage(
        "operators: one manages the own account",
        "flowlu_admin/operator_accounts.py",
        "if actor.id == str(operator.pk):",
        "if False:",
        ("tests/flowlu_admin/test_operator_accounts.py",),
    ),
    Breakage(
        "secrets: a page searches for a token that stands in its address",
        "flowlu_admin/admin_site.py",
        "if any(map(looks_like_credential, given)):",
        "if False:",
        (*CANARY_CONSOLE, "tests/flowlu_admin/test_search.py"),
    ),
    Breakage(
        "secrets: the search takes a token",
        "flowlu_admin/search_page.py",
        "refused = looks_like_credential(text)",
        "refused = False",
        (*CANARY_CONSOLE, "tests/flowlu_admin/test_search.py"),
    ),
    Breakage(
        "secrets: Django's own page for what is not there",
        "flowlu_admin/settings.py",
        '    "flowlu_admin.middleware.NotFoundMiddleware",\n',
        "",
        (*CANARY_PROCESS, "tests/flowlu_admin/test_not_found.py"),
    ),
    Breakage(
        "secrets: answers may be cached",
        "flowlu_admin/middleware.py",
        '        response.headers["Cache-Control"] = "no-store"\n',
        "",
        ("tests/flowlu_admin", *API),
    ),
    Breakage(
        "sealing: a sealed value is not bound to its row",
        "tokens/sealing.py",
        "_ContextSigner(mac_key, head + context.encoded())",
        '_ContextSigner(mac_key, head + b"")',
        SEALING,
    ),
    Breakage(
        "sealing: a sealed value is not bound to its key id and version",
        "tokens/sealing.py",
        "_ContextSigner(mac_key, head + context.encoded())",
        "_ContextSigner(mac_key, context.encoded())",
        ("tests/tokens/test_sealing.py",),
    ),
    Breakage(
        "sealing: what does not unseal is taken as it is",
        "tokens/sealing.py",
        '        raise UnsealFailed("tampered", key_id=key_id) from None',
        '        return body.decode("latin-1")',
        SEALING,
    ),
)

WIRE = (
    Breakage(
        "wire: redirects are followed",
        "installations/flowlu/client.py",
        "                redirect=False,\n                retries=False,",
        "                redirect=True,\n                retries=__import__('urllib3').Retry(0, redirect=3),",
        (*FAULTS, "-k", "redirect"),
    ),
    Breakage(
        "wire: a failed call is tried again",
        "installations/flowlu/client.py",
        "                redirect=False,\n                retries=False,",
        "                redirect=False,\n                retries=2,",
        FAULTS,
    ),
    Breakage(
        "wire: no deadline over all steps",
        "installations/flowlu/pool.py",
        "        left = self.deadline - time.monotonic()\n",
        "        left = self.step\n",
        (*FAULTS, "-k", "drip and first"),  # the shortest answer that drips: without a deadline it takes its time
    ),
    Breakage(
        "wire: an answer may be of any size",
        "installations/flowlu/client.py",
        "                if size > self._limits.body:",
        "                if size < 0:",
        FAULTS,
    ),
    Breakage(
        "wire: private addresses are called",
        "installations/flowlu/pool.py",
        "        if not self.allow_private and not all(is_public(str(info[4][0])) for info in found):",
        "        if not found:",
        (*HOSTILE, "tests/installations/flowlu"),
    ),
    Breakage(
        "wire: one public address among private ones is enough",
        "installations/flowlu/pool.py",
        "not all(is_public(",
        "not any(is_public(",
        (*HOSTILE, "tests/installations/flowlu"),
    ),
    Breakage(
        "wire: a portal of another domain is called",
        "installations/portals.py",
        '        if ending == "." or not host.endswith(ending):\n            continue\n'
        "        if not _LABEL.fullmatch(host.removesuffix(ending)):",
        '        if ending == "." or ending not in host:\n            continue\n'
        "        if not _LABEL.fullmatch(host.partition(ending)[0]):",
        HOSTILE,
    ),
)

CONSOLE = (
    Breakage(
        "console: no second factor is asked for",
        "flowlu_admin/admin_site.py",
        "            missing = what_is_missing(request) if self.has_permission(request) else None\n",
        "            missing = None\n",
        MATRIX,
    ),
    Breakage(
        "console: the factor of the account opens every session",
        "flowlu_admin/second_factor.py",
        "    if is_mfa_enabled(request.user):\n        back",
        "    if is_mfa_enabled(request.user):\n        return None\n        back",
        ACCOUNTS,
    ),
    Breakage(
        "console: sessions from before a factor stay open",
        "flowlu_admin/second_factor.py",
        "    _keep(request, [*get_authentication_records(request, user), proof])\n"
        "    end_other_sessions(user.pk, request.session.session_key)\n",
        "    _keep(request, [*get_authentication_records(request, user), proof])\n",
        ACCOUNTS,
    ),
    Breakage(
        "console: the password alone takes a factor away",
        "flowlu_admin/operators.py",
        "        return factors or methods\n",
        "        return methods\n",
        ACCOUNTS,
    ),
    Breakage(
        "console: Django's own sign-in takes a password",
        "flowlu_admin/admin_site.py",
        '        return redirect("admin:index")\n',
        "        return super().login(request, extra_context)\n",
        (*ACCOUNTS, *MATRIX),
    ),
    Breakage(
        "console: no CSRF protection",
        "flowlu_admin/settings.py",
        '    "django.middleware.csrf.CsrfViewMiddleware",\n',
        "",
        ("tests/security/test_console_requests.py", *MATRIX),
    ),
    Breakage(
        "console: a page takes any method",
        "flowlu_admin/settings.py",
        '    "flowlu_admin.middleware.PageMethodsMiddleware",\n',
        "",
        MATRIX,
    ),
    Breakage(
        "console: any text is a chosen row",
        "installations/admin/base.py",
        "        if not all(map(_is_key, request.POST.getlist(ACTION_CHECKBOX_NAME))):\n"
        '            raise BadRequest("A chosen row is no number.")\n',
        "",
        ("tests/security/test_console_requests.py",),
    ),
    Breakage(
        "console: a verb asks for no permission",
        "installations/services.py",
        '    actor.require("installations.approve_scopes")\n    why = clean_reason(reason)\n'
        "    wanted = parse_all(requested)\n"
        "    with transaction.atomic(durable=True):\n        installation = locked",
        "    why = clean_reason(reason)\n    wanted = parse_all(requested)\n"
        "    with transaction.atomic(durable=True):\n        installation = locked",
        ("tests/installations/services/test_approve_scopes.py", *MATRIX),
    ),
    Breakage(
        "console: auditors may revoke",
        "flowlu_admin/roles.py",
        '    "Auditor": (*VIEW, "installations.export_audit"),',
        '    "Auditor": (*VIEW, "installations.export_audit", "tokens.revoke_oauthtoken"),',
        MATRIX,
    ),
    Breakage(
        "audit: an approval leaves no row",
        "installations/services.py",
        "review_by=review_by)\n        audit.append(actor, *events)\n",
        "review_by=review_by)\n",
        ("tests/installations/services",),
    ),
    Breakage(
        "audit: the chain has no key",
        "installations/audit_chain.py",
        '    return hmac.new(key.derive(use), text.encode("ascii"), sha256).hexdigest()',
        '    return sha256(text.encode("ascii")).hexdigest()',
        ("tests/installations/test_audit.py",),
    ),
    Breakage(
        "rates: calls are not limited",
        "tokens/api/throttling.py",
        '    take(settings.CALL_RATE, "call", str(session_id))',
        "    return",
        (*ISOLATION, *API),
    ),
    Breakage(
        "rates: one session spends another's rate",
        "tokens/api/throttling.py",
        '    take(settings.CALL_RATE, "call", str(session_id))',
        '    take(settings.CALL_RATE, "call")',
        ISOLATION,
    ),
)

KEYS = (
    Breakage(
        "rewrap: what somebody changed beside it is overwritten",
        "tokens/sealed_models.py",
        'same = [f"{column} IS %s" for column in sealed]',
        'same = [f"({column} IS %s OR 1=1)" for column in sealed]',
        REWRAP,
    ),
    race(
        "rewrap: what somebody changed beside it is overwritten, on PostgreSQL",
        "tokens/sealed_models.py",
        'f"t.{column} IS NOT DISTINCT FROM d.c{place}" for column',
        'f"(t.{column} IS NOT DISTINCT FROM d.c{place} OR true)" for column',
        REWRAP,
    ),
    Breakage(
        "rewrap: complete although a row is left",
        "tokens/services/keys.py",
        "        return not (self.remaining or self.left_alone)",
        "        return True",
        (*REWRAP, "tests/tokens/commands/test_rewrap_tokens.py"),
    ),
    Breakage(
        "rewrap: a denied token gets a fingerprint that is not denied",
        "tokens/sealed_models.py",
        "denied = RevokedFingerprint.objects.filter(fingerprint__in=list(moved)) if moved else ()",
        "denied = ()",
        REWRAP,
    ),
    Breakage(
        "revoking: denied under the key of the row only",
        "tokens/vault.py",
        "        found |= {other.digest: other for other in fingerprints(value, ring)}\n",
        "",
        REWRAP,
    ),
    Breakage(
        "keys: another key under the right id is not seen",
        "tokens/key_report.py",
        "            elif known and key.fingerprint not in known:",
        "            elif False:",
        ("tests/tokens/commands/test_key_status.py",),
    ),
    Breakage(
        "desk: what was pasted comes back",
        "tokens/forms.py",
        "    def format_value(self, value: Any) -> None:\n        return None\n",
        "    pass\n",
        ("tests/tokens/admin/test_leaked.py",),
    ),
    Breakage(
        "desk: an API key is told about to who may not see keys",
        "tokens/admin/leaked.py",
        '    sees_keys = request.user.has_perm("tokens.view_apikey")\n',
        "    sees_keys = True\n",
        ("tests/tokens/admin/test_leaked.py",),
    ),
    Breakage(
        "desk: anybody on the staff may look tokens up",
        "tokens/services/leaks.py",
        '    actor.require("tokens.find_leaked")\n',
        "",
        ("tests/tokens/services/test_find_leaked.py",),
    ),
)

RACES = (
    race(
        "race: one portal may hold every thread",
        "installations/flowlu/slots.py",
        "            if self._limit and self._under_way[portal] >= self._limit:",
        "            if self._limit < 0:",
        ("tests/security/races/test_service.py",),
    ),
    race(
        "race: the deny list is not read again after Flowlu was asked",
        "tokens/services/sessions.py",
        '    """Read again, in the documented order, what may have changed while Flowlu was asked."""\n'
        "    if selectors.is_revoked(pair.access_token, pair.refresh_token):\n        raise TokenRevoked\n",
        '    """Read again, in the documented order, what may have changed while Flowlu was asked."""\n',
        CUTS,
    ),
    race(
        "race: locks are not read again after Flowlu was asked",
        "tokens/services/sessions.py",
        "    if any(locks.get()):\n        raise InstallationLocked\n",
        "",
        CUTS,
    ),
    Breakage(
        "race: the portals of the application are not read again after Flowlu was asked",
        "tokens/services/sessions.py",
        '        application.refresh_from_db(fields=["allowed_portals"])\n',
        "",
        ("tests/tokens/services/test_sessions.py",),
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
        "        note_refusal(request, self.permission, self.url_name, (kind, name), installation_id)\n",
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

SERVICE = ("tests/tokens/service_api", "tests/security/test_backend_isolation.py")
API_KEYS = ("tests/tokens/services/test_api_keys.py",)

BACKEND = (
    Breakage(
        "backend: a client may act for any purpose",
        "tokens/backend_reads.py",
        "purpose_allowed=client_id is None or bool(first[5])",
        "purpose_allowed=True",
        SERVICE,
    ),
    Breakage(
        "backend: a client may act in any application",
        "tokens/backend_reads.py",
        "application_allowed=client_id is None or bool(first[6])",
        "application_allowed=True",
        SERVICE,
    ),
    Breakage(
        "backend: a client may act on any portal",
        "tokens/backend_reads.py",
        "portal_allowed=client_id is None or bool(first[7])",
        "portal_allowed=True",
        SERVICE,
    ),
    Breakage(
        "backend: a portal that the application's settings leave out is served",
        "tokens/backend_reads.py",
        "application_takes_portal=_takes(_json(first[28]), act_as.portal)",
        "application_takes_portal=True",
        SERVICE,
    ),
    Breakage(
        "backend: a client that is off goes on",
        "tokens/backend_reads.py",
        "WHERE c.key_hash = %s AND c.enabled",
        "WHERE c.key_hash = %s",
        SERVICE,
    ),
    Breakage(
        "backend: a token of another application of the user is used",
        "tokens/backend_reads.py",
        "WHERE n.installation_id = i.id AND n.portal_user_id = u.id\n               AND (n.state",
        "WHERE n.portal_user_id = u.id\n               AND (n.state",
        SERVICE,
    ),
    Breakage(
        "backend: after a refresh the decision is not asked again",
        "tokens/services/acting.py",
        "        return _token_of(decide())\n",
        "        fresh_one = backend_reads.decision_of(act_as, purpose, record.client).token\n"
        "        return fresh_one or _token_of(decide())\n",
        ("tests/tokens/service_api/test_forward_refreshing.py",),
    ),
    Breakage(
        "backend: a client that is switched off during a refresh goes on",
        "tokens/backend_access.py",
        "    if not found.client_enabled:\n",
        "    if False:\n",
        ("tests/tokens/service_api/test_forward_refreshing.py",),
    ),
    Breakage(
        "backend: a key that is replaced during a refresh goes on",
        "tokens/backend_reads.py",
        " AND sc.key_hash = %(key_hash)s",
        "",
        ("tests/tokens/service_api/test_forward_refreshing.py",),
    ),
    Breakage(
        "backend: an API key is used for any purpose",
        "tokens/backend_reads.py",
        "        AND EXISTS (SELECT 1 FROM tokens_apikey_purposes kp"
        " WHERE kp.apikey_id = k.id AND kp.purpose_id = p.id)\n",
        "",
        SERVICE,
    ),
    Breakage(
        "backend: an expired API key is used until it is wiped",
        "tokens/backend_reads.py",
        " AND (k.expires_at IS NULL OR k.expires_at > %(now)s)",
        "",
        SERVICE,
    ),
    Breakage(
        "backend: an edited catalogue widens purposes and keys",
        "tokens/backend_access.py",
        "        return Approval(scope.code, scope.level, scopes.from_json(copy))\n",
        "        from installations import catalogue\n\n"
        "        return Approval(scope.code, scope.level, catalogue.load().coverage.get(scope.code, ()))\n",
        ("tests/tokens/service_api/test_edited_catalogue.py",),
    ),
    Breakage(
        "use: a call that Flowlu denied counts as accepted",
        "tokens/usage.py",
        "        _note(use, denied=1)\n",
        "        _note(use, accepted=1)\n",
        ("tests/tokens/test_usage.py",),
    ),
    Breakage(
        "permissions page: it goes by what is approved and not by what is effective",
        "installations/scopes.py",
        "    if swallowed_by(approval.code, approved) is not None:\n        return None\n",
        "",
        ("tests/installations/test_scopes.py", "tests/installations/test_four_columns.py"),
    ),
    Breakage(
        "four eyes: one operator approves high risk",
        "installations/services.py",
        'if settings.FOUR_EYES == "on" and plan.high_risk:',
        "if False:",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "four eyes: a lowered risk in the catalogue does without",
        "installations/four_eyes.py",
        'guarded_risk(entry, scope.level, shipped) != "high"',
        'entry.at(scope.level).risk != "high"',
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "policy: an edit of the catalogue makes it trust more",
        "installations/trust.py",
        "guarded_risk(entry, level, shipped) in risks",
        "entry.at(level).risk in risks",
        ("tests/installations/services/test_policy.py",),
    ),
    Breakage(
        "catalogue: full is called less of a risk than read, which it includes",
        "installations/catalogue.py",
        "        if RISKS.index(self.full.risk) >= RISKS.index(self.read.risk):\n            return self.full\n",
        "        return self.full\n",
        ("tests/installations/test_four_eyes.py",),
    ),
    Breakage(
        "four eyes: the requester confirms",
        "installations/approval_requests.py",
        "        if actor.id == request.requested_by_id:\n            raise OwnRequest\n        broken, plans",
        "        broken, plans",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "four eyes: a change does not void the request",
        "installations/four_eyes.py",
        "if getattr(then, name) != getattr(now, name)",
        "if False",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "four eyes: who asked need not be an operator any more",
        "installations/approval_requests.py",
        "[] if _may_still_ask(request) else",
        "[] if True else",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "four eyes: a late request is confirmed",
        "installations/approval_requests.py",
        "if request.expires_at <= timezone.now() and not even_if_late:",
        "if False:",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "four eyes: break-glass needs no permission of its own",
        "installations/approval_requests.py",
        '    actor.require("installations.break_glass")\n',
        "",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "approvals: many are approved though one of them changed",
        "installations/approval_requests.py",
        "if pinned is not None and pinned != pin_of(installations, plans[0].catalogue):",
        "if False:",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "approvals: a part of what one operator approved alone is another one's decision",
        "installations/approving.py",
        "    if old is None or not of_high_risk or (",
        "    if True or (",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "approvals: who may only withdraw wakes what was swallowed",
        "installations/services.py",
        "        _check_may_wake([in_force[code].as_approval() for code in sorted(kept)], actor)\n",
        "        pass\n",
        ("tests/installations/services/test_withdraw_scopes.py",),
    ),
    Breakage(
        "approvals: a stale page decides",
        "installations/approving.py",
        "if seen.in_force is not None and seen.in_force != in_force_digest(plan.in_force.values()):",
        "if False:",
        ("tests/installations/services/test_approval_requests.py",),
    ),
    Breakage(
        "policy: a reinstall is trusted anew",
        "installations/services.py",
        "if events and installation.generation == 1:",
        "if events:",
        ("tests/installations/services/test_policy.py",),
    ),
    Breakage(
        "policy: high risk is trusted where two operators are asked for",
        "installations/services.py",
        "if not (four_eyes and scope in plan.high_risk)]",
        "if True]",
        ("tests/installations/services/test_policy.py",),
    ),
    Breakage(
        "policy: it is changed without the right to approve",
        "tokens/services/revocation.py",
        '            actor.require("installations.approve_scopes")\n',
        "            pass\n",
        ("tests/installations/admin/test_four_eyes_pages.py",),
    ),
    Breakage(
        "reviews: a later day than the risk allows can be chosen",
        "installations/reviews.py",
        "if chosen is not None and chosen > latest:",
        "if False:",
        ("tests/installations/services/test_reviewing.py",),
    ),
    Breakage(
        "reviews: a decision about what somebody else decided meanwhile counts",
        "installations/reviewing.py",
        "    if moved:\n",
        "    if False:\n",
        ("tests/installations/services/test_reviewing.py",),
    ),
    Breakage(
        "reviews: keeping needs no right to approve",
        "installations/reviewing.py",
        '        actor.require("installations.approve_scopes")\n',
        '        actor.require("installations.withdraw_scopes")\n',
        ("tests/installations/services/test_reviewing.py",),
    ),
    Breakage(
        "reviews: what was swallowed is kept into force",
        "installations/reviewing.py",
        "        if swallowed.get(code) in withdrawn:\n",
        "        if False:\n",
        ("tests/installations/services/test_reviewing.py",),
    ),
    Breakage(
        "reviews: lowering is an approval for the newest manifest",
        "installations/reviewing.py",
        "            manifest_id=row.manifest_id,\n",
        "            manifest_id=Installation.objects.get(pk=row.installation_id).manifest_id,\n",
        ("tests/installations/services/test_reviewing.py",),
    ),
    Breakage(
        "reviews: a call does not end a proposal",
        "installations/reviews.py",
        ".filter(~Exists(used))",
        "",
        ("tests/installations/test_reviews.py",),
    ),
    Breakage(
        "reviews: a stopped installation is proposed for less",
        "installations/review_rules.py",
        "if stopped or counted_since is None",
        "if counted_since is None",
        ("tests/installations/test_review_rules.py",),
    ),
    Breakage(
        "approvals: a wider manifest needs no decision",
        "installations/selectors.py",
        "if change.escalates)",
        "if False)",
        ("tests/installations/services/test_withhold_scopes.py",),
    ),
    Breakage(
        "backend: the purpose's own scopes do not count",
        "tokens/backend_access.py",
        "    if not scopes.granting_scope(purpose.scopes, catalogue, call):\n"
        "        raise ScopeNotInPurpose(required_scope=_smallest(call, catalogue))\n",
        "",
        SERVICE,
    ),
    Breakage(
        "backend: a purpose for users is good for the system as well",
        "tokens/backend_access.py",
        "    if purpose.acts_as != found.act_as.kind:\n        raise ActsAsNotAllowed\n",
        "",
        SERVICE,
    ),
    Breakage(
        "backend: an API key goes out in the address",
        "installations/flowlu/client.py",
        'is_get = call.http_method == "GET" and not secret_params',
        'is_get = call.http_method == "GET"',
        ("tests/installations/flowlu/test_client.py", *SERVICE),
    ),
    Breakage(
        "backend: an API key may be for more than is approved",
        "tokens/services/api_keys.py",
        "if beyond := outside(wanted, _approved(installation)):",
        "if beyond := outside(wanted, wanted):",
        API_KEYS,
    ),
    Breakage(
        "backend: uninstalling leaves the API keys",
        "tokens/services/revocation.py",
        "keys = revoke_api_keys_locked(installation, why)",
        "keys: list[audit.Event] = []",
        (*API_KEYS, *SERVICE),
    ),
)


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
        "return expires_at is not None and expires_at - ZONE_DOUBT > now",
        "return expires_at is None or expires_at - ZONE_DOUBT > now",
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
        "for _at, pk, gone in batch if gone]",
        "for _at, pk, _gone in batch]",
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


BREAKAGES = (
    *AUDIT,
    *IDENTITY,
    *APPROVAL,
    *CUT,
    *SECRETS,
    *WIRE,
    *CONSOLE,
    *KEYS,
    *RACES,
    *REFRESH,
    *BACKEND,
    *LIVENESS,
)
