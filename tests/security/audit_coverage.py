"""What each way into the service records in the audit trail, as tables. test_audit_coverage.py runs every row.

A row names the events that it leaves, or says in a sentence why it leaves none. What has no row fails there.
"""

from typing import TypeAlias

# The events, or the reason why there is none.
Covered: TypeAlias = tuple[str, ...] | str

CUT = ("tokens.revoked",)
CUT_AND_LOCKED = ("tokens.revoked", "portaluser.locked")

# Acts of the console: by the name of their address, done as a superuser with a form that is filled in.
ACTS: dict[str, Covered] = {
    "installations_application_configure": ("application.configured",),
    "installations_application_import": ("manifest.imported",),
    "installations_application_lock": ("application.locked",),
    "installations_application_revoke": CUT,
    "installations_application_unlock": ("application.unlocked",),
    "installations_auditevent_export": ("audit.exported",),
    "installations_installation_approve": ("scopes.approved",),
    "installations_installation_lock": ("installation.locked",),
    "installations_installation_resume": ("installation.resumed",),
    "installations_installation_revoke": CUT,
    "installations_installation_revoke_user": CUT_AND_LOCKED,
    "installations_installation_suspend": ("installation.suspended",),
    "installations_installation_uninstall": ("tokens.revoked", "installation.uninstalled"),
    "installations_installation_unlock": ("installation.unlocked",),
    "installations_installation_withdraw": ("scopes.withdrawn",),
    "installations_portal_lock": ("portal.locked",),
    "installations_portal_revoke": CUT,
    "installations_portal_unlock": ("portal.unlocked",),
    "installations_portaluser_erase": ("tokens.revoked", "portaluser.erased"),
    "installations_portaluser_lock": ("portaluser.locked",),
    "installations_portaluser_revoke": CUT_AND_LOCKED,
    "installations_portaluser_unlock": ("portaluser.unlocked",),
    "tokens_oauthtoken_leaked": ("leaked.looked_up",),
    "tokens_oauthtoken_revoke": CUT_AND_LOCKED,
    "tokens_upstreamrevocation_close": ("upstream.closed",),
    "tokens_upstreamrevocation_try_again": ("upstream.retried",),
    "tokens_oauthtoken_revoke_by": CUT,
    "tokens_revocation_portal_step": ("revocation.portal_step_done",),
}

ACTIONS: dict[str, Covered] = {"tokens.oauthtoken: revoke_selected": CUT}

COMMANDS: dict[str, Covered] = {
    "anchor_audit": ("audit.anchored",),
    "approve_scopes": ("scopes.approved",),
    "create_operator": ("operator.created",),
    "erase_portal_user": ("tokens.revoked", "portaluser.erased"),
    "export_audit": ("audit.exported",),
    "find_leaked": ("leaked.looked_up",),
    "generate_key": "Prints a fresh key and keeps nothing.",
    "import_manifest": ("manifest.imported",),
    "key_status": "Reads only.",
    "lock": ("installation.locked",),
    "prune_audit": ("audit.pruned",),
    "resume_installation": ("installation.resumed",),
    "revoke_tokens": CUT,
    "rewrap_tokens": ("keys.rewrap_started", "keys.rewrap_finished"),
    "run_with_sandbox": "Starts two processes on a development machine (DEBUG only); the import it makes is recorded.",
    "suspend_installation": ("installation.suspended",),
    "sweep": "Runs verbs of its own, each of which records what it does: see tokens.services.wiping.",
    "uninstall_installation": ("tokens.revoked", "installation.uninstalled"),
    "unlock": ("installation.unlocked",),
    "verify_audit": ("audit.verified",),
    "withdraw_scopes": ("scopes.withdrawn",),
}

# Routes of the API by name and method, called by a page.
ROUTES: dict[tuple[str, str], Covered] = {
    ("api:session", "POST"): ("installation.first_seen", "token.stored"),
    ("api:session", "GET"): "Reads only.",
    ("api:session", "DELETE"): "A page puts its own session away; the session's row says when, and no right changes.",
    ("api:session-token", "PUT"): ("token.handed_over",),
    ("api:session-token", "DELETE"): CUT,
    ("api:permissions", "GET"): "Reads only.",
    (
        "api:forward",
        "GET",
    ): "What a user does at Flowlu under their own rights is Flowlu's to record; here nothing changes.",
    (
        "api:forward",
        "POST",
    ): "What a user does at Flowlu under their own rights is Flowlu's to record; here nothing changes.",
}

# Addresses beside those: by how the name ends, then one by one.
PAGES_BY_ENDING: dict[str, str] = {
    "_changelist": "A list is only read; its actions are in ACTIONS.",
    "_change": "The page of an object is only read; its acts are in ACTS.",
    "_add": "Nothing is added by hand: 403 for everybody.",
    "_delete": "Nothing is deleted by hand: 403 for everybody.",
    "_history": "Leads to the trail.",
    "<path:object_id>/": "Leads on to the page of an object.",
}
_OWN_ACCOUNT = "An operator's own sign-in: it gives no right over what is stored, and the access log has it."
PAGES: dict[str, str] = {
    "home": "Leads on.",
    "admin:index": "Reads only.",
    "admin:login": "Leads to the sign-in.",
    "admin:logout": _OWN_ACCOUNT,
    "admin:password_change": "Leads on.",
    "admin:password_change_done": "Reads only.",
    "admin:autocomplete": "Reads only.",
    "admin:jsi18n": "Reads only.",
    "admin:view_on_site": "There is nothing.",
    "admin:app_list": "Reads only.",
    "admin/(?P<url>.*)$": "There is nothing.",
    "account_home": "Leads on.",
    "account_login": _OWN_ACCOUNT,
    "account_logout": _OWN_ACCOUNT,
    "account_inactive": "Reads only.",
    "account_reauthenticate": _OWN_ACCOUNT,
    "account_change_password": _OWN_ACCOUNT,
    "mfa_index": "Reads only.",
    "mfa_authenticate": _OWN_ACCOUNT,
    "mfa_reauthenticate": _OWN_ACCOUNT,
    "mfa_activate_totp": _OWN_ACCOUNT,
    "mfa_deactivate_totp": _OWN_ACCOUNT,
    "mfa_view_recovery_codes": "Reads only.",
    "mfa_generate_recovery_codes": _OWN_ACCOUNT,
    "mfa_download_recovery_codes": "Reads only.",
    "schema": "Reads only.",
    "docs": "Reads only.",
    "api-not-found": "There is nothing.",
    "not-found": "There is nothing.",
    "embed": "Serves the page; what it does then goes through the API.",
    "healthz": "Reads only.",
    "readyz": "Reads only.",
}

_STEP = "A step inside the transaction of a verb, which records it."
_READS = "Reads only."
# Every public function of the modules that hold verbs.
VERBS: dict[str, Covered] = {
    "installations.services.approve_scopes": ("scopes.approved",),
    "installations.services.import_manifest": ("manifest.imported",),
    "installations.services.lock": ("portal.locked",),
    "installations.services.mark_uninstalled_locked": _STEP,
    "installations.services.public_id": _READS,
    "installations.services.record_launch_locked": _STEP,
    "installations.services.resume_installation": ("installation.resumed",),
    "installations.services.suspend_installation": ("installation.suspended",),
    "installations.services.unlock": ("portal.unlocked",),
    "installations.services.withdraw_scopes": ("scopes.withdrawn",),
    "installations.trail.anchoring.anchor_if_due": ("audit.anchored",),
    "installations.trail.anchoring.anchor_to_file": ("audit.anchored",),
    "installations.trail.anchoring.anchor_to_url": "As anchor_to_file, shown in test_anchoring.py over HTTP.",
    "installations.trail.exporting.export_audit": ("audit.exported",),
    "installations.trail.pruning.prune_audit": ("audit.pruned",),
    "installations.trail.reading.anything_but": _READS,
    "installations.trail.reading.checkpoint_fields": _READS,
    "installations.trail.reading.checkpoint_signature": _READS,
    "installations.trail.reading.hash_at": _READS,
    "installations.trail.reading.head": _READS,
    "installations.trail.reading.newest_genuine": _READS,
    "installations.trail.reading.rows": _READS,
    "installations.trail.reading.start": _READS,
    "installations.trail.receiver.send_anchor": "A step of anchor_to_url, which records it.",
    "installations.trail.refusals.note_refused": ("attempt.refused",),
    "installations.trail.refusals.tell_what_was_counted": ("attempt.more_refused",),
    "installations.trail.state.trail_state": _READS,
    "installations.trail.verifying.record_verification": ("audit.verified",),
    "tokens.services.cutting.begin_locked": _STEP,
    "tokens.services.cutting.cut_next_locked": _STEP,
    "tokens.services.cutting.extent": _READS,
    "tokens.services.cutting.lock_places": _STEP,
    "tokens.services.cutting.revoke_locked": _STEP,
    "tokens.services.cutting.revoked_event": _STEP,
    "tokens.services.erasing.erase_portal_user": ("tokens.revoked", "portaluser.erased"),
    "tokens.services.keys.record_keys": "Notes in a table of its own which keys are in use; no right changes.",
    "tokens.services.keys.record_keys_after_migrate": "As record_keys.",
    "tokens.services.keys.rewrap_tokens": ("keys.rewrap_started", "keys.rewrap_finished"),
    "tokens.services.keys.rows_to_rewrap": _READS,
    "tokens.services.leaks.find_leaked": ("leaked.looked_up",),
    "tokens.services.freshness.caller_after_refusal": "Calls refresh_pair, which records it.",
    "tokens.services.freshness.fresh_caller": "Calls refresh_pair, which records it.",
    "tokens.services.proving.is_open": _READS,
    "tokens.services.proving.prove_pair": "Lets a recorded refresh be used; another user's pair is tokens.revoked.",
    "tokens.services.refreshing.label_unknown": "token.refresh_unknown, shown in test_refresh_pair.py.",
    "tokens.services.refreshing.overdue": _READS,
    "tokens.services.refreshing.refresh_pair": (
        "token.refreshed, token.refresh_refused or token.refresh_discarded, shown in test_refresh_pair.py; a failure "
        "for now changes no right and has its row."
    ),
    "tokens.services.revocation.check_refresher": _READS,
    "tokens.services.revocation.configure_application": ("application.configured",),
    "tokens.services.revocation.revoke_foreign_locked": _STEP,
    "tokens.services.ledger.note_handed_in_again": "Once an hour for each fingerprint, shown in test_ledger.py.",
    "tokens.services.ledger.probe_revocation": "Proves what was recorded; the ledger says what it found.",
    "tokens.services.ledger.record_portal_step": ("revocation.portal_step_done",),
    "tokens.services.revocation.drill_revocation": ("revocation.drilled",),
    "tokens.services.revocation.resume_revocation": "As revoke_tokens goes on, shown in test_revoke_targets.py.",
    "tokens.services.revocation.revoke_of_user_locked": _STEP,
    "tokens.services.revocation.revoke_own_token": CUT,
    "tokens.services.revocation.revoke_tokens": CUT,
    "tokens.services.revocation.uninstall_installation": ("tokens.revoked", "installation.uninstalled"),
    "tokens.services.sessions.end_session": "The session's row says when; no right changes.",
    "tokens.services.sessions.hand_over_token": ("token.handed_over",),
    "tokens.services.sessions.note_stale_token": "Flowlu refused the pair: its row says since when; no right changes.",
    "tokens.services.sessions.note_undecryptable_token": ("token.undecryptable",),
    "tokens.services.sessions.open_session": ("installation.first_seen", "token.stored"),
    "tokens.services.storing.is_spent": _READS,
    "tokens.services.storing.make_room_locked": _STEP,
    "tokens.services.storing.prune_replaced_fingerprints": "Forgets hashes of pairs that are out of use by their age.",
    "tokens.services.storing.store_pair_locked": _STEP,
    "tokens.services.upstream.close_upstream": "upstream.closed, shown by its act and in test_upstream.py.",
    "tokens.services.upstream.enqueue_pair_locked": _STEP,
    "tokens.services.upstream.enqueue_upstream_locked": _STEP,
    "tokens.services.upstream.retry_upstream": "upstream.retried, shown by its act and in test_upstream.py.",
    "tokens.services.upstream.tell": "upstream.confirmed or upstream.irrevocable at its end: test_upstream.py.",
    "tokens.services.upstream.tell_due": "Calls tell, which records it.",
    "tokens.services.wiping.label_lost_attempts": "Calls label_unknown, which records it.",
    "tokens.services.wiping.refresh_what_expires": "Calls refresh_pair, which records it.",
    "tokens.services.wiping.wipe_expired": "tokens.wiped, shown in test_sweeps.py.",
    "tokens.services.wiping.wipe_orphans": "tokens.wiped, shown in test_sweeps.py.",
}
# Verbs that only a page reaches: shown by the route that calls them.
BY_ROUTE: dict[str, tuple[str, str]] = {
    "tokens.services.revocation.revoke_own_token": ("api:session-token", "DELETE"),
    "tokens.services.sessions.hand_over_token": ("api:session-token", "PUT"),
    "tokens.services.sessions.open_session": ("api:session", "POST"),
}
