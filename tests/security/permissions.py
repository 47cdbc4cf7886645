"""Who may do what, as tables: one row for each URL and method, admin action and command, one column for each role.

test_permission_matrix.py holds the service against them. What has no row fails there.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

IN_A_MONTH = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()

# Methods of each URL in the tables. A page takes no other: 405 for everybody (PageMethodsMiddleware).
OTHER_METHODS = ("OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW")

# Columns: anonymous, portal user's session, outsider (staff in no group), auditor, reviewer, responder,
# superuser without a second factor where one is required, superuser.
# redirects, whoever asks
LEADS_ON = {
    "GET": "302 302 302 302 302 302 302 302",
    "POST": "302 302 302 302 302 302 302 302",
}
# any staff with a second factor
STAFF_PAGE = {
    "GET": "302 302 200 200 200 200 302 200",
    "POST": "302 302 200 200 200 200 302 200",
}
# the same, reading only
STAFF_READ = {
    "GET": "302 302 200 200 200 200 302 200",
    "POST": "302 302 405 405 405 405 302 405",
}
# staff learn that there is nothing; others are sent to sign in
NOT_THERE = {
    "GET": "302 302 404 404 404 404 302 404",
    "POST": "302 302 404 404 404 404 302 404",
}
# acts of responders
RESPONDS = {
    "GET": "302 302 403 403 403 200 302 200",
    "POST": "302 302 403 403 403 200 302 200",
}
# lists: all three groups view
LIST = {
    "GET": "302 302 403 200 200 200 302 200",
    "POST": "302 302 403 200 200 200 302 200",
}
# pages and files that are only read: all three groups view
READ = {
    "GET": "302 302 403 200 200 200 302 200",
    "POST": "302 302 403 405 405 405 302 405",
}
# adding and deleting: not even a superuser
NOBODY = {
    "GET": "302 302 403 403 403 403 302 403",
    "POST": "302 302 403 403 403 403 302 403",
}
# leads to the audit trail
HISTORY = {
    "GET": "302 302 404 302 302 302 302 302",
    "POST": "302 302 404 302 302 302 302 302",
}
# the page of an object: viewed, never changed by a form
OBJECT = {
    "GET": "302 302 403 200 200 200 302 200",
    "POST": "302 302 403 403 403 403 302 403",
}
# acts of reviewers
REVIEWS = {
    "GET": "302 302 403 403 200 403 302 200",
    "POST": "302 302 403 403 200 403 302 200",
}
# the file of a list, for who views it: whoever only looks at the address is led to the list
LIST_EXPORT = {
    "GET": "302 302 403 302 302 302 302 302",
    "POST": "302 302 403 200 200 200 302 200",
}
# the same of a list that no group views
LIST_EXPORT_CLOSED = {
    "GET": "302 302 403 403 403 403 302 302",
    "POST": "302 302 403 403 403 403 302 200",
}
# acts of auditors
AUDITS = {
    "GET": "302 302 403 200 403 403 302 200",
    "POST": "302 302 403 200 403 403 302 200",
}
# what no group may
CLOSES = {
    "GET": "302 302 403 403 403 403 302 200",
    "POST": "302 302 403 403 403 403 302 200",
}
# open to all, reading only
OPEN_READ = {
    "GET": "200 200 200 200 200 200 200 200",
    "POST": "405 405 405 405 405 405 405 405",
}
# open to all, and takes a form
OPEN_PAGE = {
    "GET": "200 200 200 200 200 200 200 200",
    "POST": "200 200 200 200 200 200 200 200",
}
# the same as before the last, told what it is by REST framework
OPEN_API_PAGE = OPEN_READ | {"OPTIONS": "200 200 200 200 200 200 200 200"}
# an operator's own account
OWN_ACCOUNT = {
    "GET": "302 302 200 200 200 200 200 200",
    "POST": "302 302 200 200 200 200 200 200",
}
# takes a form only, about what the operator who asks does not have
OWN_FILTER = {
    "GET": "302 302 405 405 405 405 302 405",
    "POST": "302 302 404 404 404 404 302 404",
}
# what the settings of the suite leave off, whoever asks
OFF = {
    "GET": "404 404 404 404 404 404 404 404",
    "POST": "404 404 404 404 404 404 404 404",
}
# The same addresses where the settings name a provider.
WITH_A_PROVIDER = {
    # confirms first
    "account_company": LEADS_ON,
    # takes a form only; whoever is signed in is in already
    "account_company_sign_in": {
        "GET": "405 405 405 405 405 405 405 405",
        "POST": "200 200 302 302 302 302 302 302",
    },
    # comes from the provider with what this browser left with, or from nowhere
    "account_company_callback": {
        "GET": "403 403 403 403 403 403 403 403",
        "HEAD": "405 405 405 405 405 405 405 405",
        "POST": "405 405 405 405 405 405 405 405",
    },
}
# HEAD answers as GET where no row says otherwise.
URLS: dict[str, dict[str, str]] = {
    "home": LEADS_ON,
    "admin:index": STAFF_PAGE,
    # what was typed leads to an address that can be kept
    "admin:search": {
        "GET": "302 302 200 200 200 200 302 200",
        "POST": "302 302 302 302 302 302 302 302",
    },
    "admin:glossary": STAFF_READ,
    # what was ended is said on the page that one is led to
    "admin:sessions": {
        "GET": "302 302 200 200 200 200 302 200",
        "POST": "302 302 302 302 302 302 302 302",
    },
    "admin:state": READ,
    # who may see nothing has nothing to choose
    "admin:notices": {
        "GET": "302 302 200 200 200 200 302 200",
        "POST": "302 302 302 200 200 200 302 200",
    },
    # nobody here keeps the filter that is named: it is nobody else's to open either
    "admin:saved_filter_save": OWN_FILTER,
    "admin:saved_filter": {
        "GET": "302 302 404 404 404 404 302 404",
        "POST": "302 302 405 405 405 405 302 405",
    },
    "admin:saved_filter_delete": OWN_FILTER,
    "admin:login": LEADS_ON,
    "admin:logout": {
        "GET": "302 302 200 200 200 200 302 200",
        "POST": "302 302 302 302 302 302 302 302",
    },
    "admin:password_change": LEADS_ON,
    "admin:password_change_done": STAFF_READ,
    "admin:autocomplete": NOT_THERE,
    "admin:jsi18n": STAFF_READ,
    "admin:view_on_site": NOT_THERE,
    "admin:tokens_oauthtoken_leaked": RESPONDS,
    "admin:tokens_oauthtoken_revoke": RESPONDS,
    "admin:tokens_oauthtoken_revoke_by": RESPONDS,
    "admin:tokens_oauthtoken_list_export": LIST_EXPORT,
    "admin:tokens_oauthtoken_changelist": LIST,
    "admin:tokens_oauthtoken_add": NOBODY,
    "admin:tokens_oauthtoken_history": HISTORY,
    "admin:tokens_oauthtoken_delete": NOBODY,
    "admin:tokens_oauthtoken_change": OBJECT,
    "admin/tokens/oauthtoken/<path:object_id>/": LEADS_ON,
    "admin:tokens_embedsession_list_export": LIST_EXPORT,
    "admin:tokens_embedsession_changelist": LIST,
    "admin:tokens_embedsession_add": NOBODY,
    "admin:tokens_embedsession_history": NOT_THERE,
    "admin:tokens_embedsession_delete": NOBODY,
    "admin:tokens_embedsession_change": OBJECT,
    "admin/tokens/embedsession/<path:object_id>/": LEADS_ON,
    "admin:tokens_revocation_portal_step": RESPONDS,
    "admin:tokens_revocation_go_on": RESPONDS,
    "admin:tokens_revocation_stop": RESPONDS,
    "admin:tokens_revocation_list_export": LIST_EXPORT,
    "admin:tokens_revocation_changelist": LIST,
    "admin:tokens_revocation_add": NOBODY,
    "admin:tokens_revocation_history": HISTORY,
    "admin:tokens_revocation_delete": NOBODY,
    "admin:tokens_revocation_change": OBJECT,
    "admin/tokens/revocation/<path:object_id>/": LEADS_ON,
    "admin:tokens_refreshattempt_list_export": LIST_EXPORT,
    "admin:tokens_refreshattempt_changelist": LIST,
    "admin:tokens_refreshattempt_add": NOBODY,
    "admin:tokens_refreshattempt_history": NOT_THERE,
    "admin:tokens_refreshattempt_delete": NOBODY,
    "admin:tokens_refreshattempt_change": OBJECT,
    "admin/tokens/refreshattempt/<path:object_id>/": LEADS_ON,
    "admin:flowlu_admin_operator_list_export": LIST_EXPORT_CLOSED,
    "admin:flowlu_admin_operator_changelist": CLOSES,
    "admin:flowlu_admin_operator_add": NOBODY,
    "admin:flowlu_admin_operator_history": {
        "GET": "302 302 404 404 404 404 302 302",
        "POST": "302 302 404 404 404 404 302 302",
    },
    "admin:flowlu_admin_operator_delete": NOBODY,
    "admin:flowlu_admin_operator_change": {
        "GET": "302 302 403 403 403 403 302 200",
        "POST": "302 302 403 403 403 403 302 403",
    },
    "admin/flowlu_admin/operator/<path:object_id>/": LEADS_ON,
    "admin:flowlu_admin_noticedelivery_list_export": LIST_EXPORT_CLOSED,
    "admin:flowlu_admin_noticedelivery_changelist": CLOSES,
    "admin:flowlu_admin_noticedelivery_add": NOBODY,
    "admin:flowlu_admin_noticedelivery_history": NOT_THERE,
    "admin:flowlu_admin_noticedelivery_delete": NOBODY,
    "admin:flowlu_admin_noticedelivery_change": {
        "GET": "302 302 403 403 403 403 302 200",
        "POST": "302 302 403 403 403 403 302 403",
    },
    "admin/flowlu_admin/noticedelivery/<path:object_id>/": LEADS_ON,
    "admin:flowlu_admin_operator_remove": CLOSES,
    "admin:flowlu_admin_operator_restore": CLOSES,
    "admin:flowlu_admin_operator_sign_out": CLOSES,
    "admin:flowlu_admin_operator_reset_factors": CLOSES,
    "admin:flowlu_admin_operator_groups": CLOSES,
    "admin:flowlu_admin_invitation_new": CLOSES,
    "admin:flowlu_admin_invitation_send_again": CLOSES,
    "admin:flowlu_admin_invitation_withdraw": CLOSES,
    "admin:flowlu_admin_invitation_list_export": LIST_EXPORT_CLOSED,
    "admin:flowlu_admin_invitation_changelist": CLOSES,
    "admin:flowlu_admin_invitation_add": NOBODY,
    "admin:flowlu_admin_invitation_history": {
        "GET": "302 302 404 404 404 404 302 302",
        "POST": "302 302 404 404 404 404 302 302",
    },
    "admin:flowlu_admin_invitation_delete": NOBODY,
    "admin:flowlu_admin_invitation_change": {
        "GET": "302 302 403 403 403 403 302 200",
        "POST": "302 302 403 403 403 403 302 403",
    },
    "admin/flowlu_admin/invitation/<path:object_id>/": LEADS_ON,
    "admin:tokens_upstreamrevocation_try_again": RESPONDS,
    "admin:tokens_upstreamrevocation_close": CLOSES,
    "admin:tokens_upstreamrevocation_list_export": LIST_EXPORT,
    "admin:tokens_upstreamrevocation_changelist": LIST,
    "admin:tokens_upstreamrevocation_add": NOBODY,
    "admin:tokens_upstreamrevocation_history": HISTORY,
    "admin:tokens_upstreamrevocation_delete": NOBODY,
    "admin:tokens_upstreamrevocation_change": OBJECT,
    "admin/tokens/upstreamrevocation/<path:object_id>/": LEADS_ON,
    "admin:installations_portal_revoke": RESPONDS,
    "admin:tokens_apikey_replace": REVIEWS,
    "admin:tokens_apikey_revoke": RESPONDS,
    "admin:tokens_apikey_confirm_deletion": RESPONDS,
    "admin:tokens_apikey_list_export": LIST_EXPORT,
    "admin:tokens_apikey_changelist": LIST,
    "admin:tokens_apikey_add": NOBODY,
    "admin:tokens_apikey_history": HISTORY,
    "admin:tokens_apikey_delete": NOBODY,
    "admin:tokens_apikey_change": OBJECT,
    "admin/tokens/apikey/<path:object_id>/": LEADS_ON,
    "admin:tokens_purpose_new": REVIEWS,
    "admin:tokens_purpose_change_purpose": REVIEWS,
    "admin:tokens_purpose_switch_on": REVIEWS,
    "admin:tokens_purpose_switch_off": RESPONDS,
    "admin:tokens_purpose_list_export": LIST_EXPORT,
    "admin:tokens_purpose_changelist": LIST,
    "admin:tokens_purpose_add": NOBODY,
    "admin:tokens_purpose_history": HISTORY,
    "admin:tokens_purpose_delete": NOBODY,
    "admin:tokens_purpose_change": OBJECT,
    "admin/tokens/purpose/<path:object_id>/": LEADS_ON,
    "admin:tokens_serviceclient_new": REVIEWS,
    "admin:tokens_serviceclient_change_client": REVIEWS,
    "admin:tokens_serviceclient_new_key": REVIEWS,
    "admin:tokens_serviceclient_switch_on": REVIEWS,
    "admin:tokens_serviceclient_switch_off": RESPONDS,
    "admin:tokens_serviceclient_list_export": LIST_EXPORT,
    "admin:tokens_serviceclient_changelist": LIST,
    "admin:tokens_serviceclient_add": NOBODY,
    "admin:tokens_serviceclient_history": HISTORY,
    "admin:tokens_serviceclient_delete": NOBODY,
    "admin:tokens_serviceclient_change": OBJECT,
    "admin/tokens/serviceclient/<path:object_id>/": LEADS_ON,
    "admin:tokens_servicecall_list_export": LIST_EXPORT,
    "admin:tokens_servicecall_changelist": LIST,
    "admin:tokens_servicecall_add": NOBODY,
    "admin:tokens_servicecall_history": NOT_THERE,
    "admin:tokens_servicecall_delete": NOBODY,
    "admin:tokens_servicecall_change": OBJECT,
    "admin/tokens/servicecall/<path:object_id>/": LEADS_ON,
    "admin:installations_portal_lock": RESPONDS,
    "admin:installations_portal_unlock": RESPONDS,
    "admin:installations_portal_list_export": LIST_EXPORT,
    "admin:installations_portal_changelist": LIST,
    "admin:installations_portal_add": NOBODY,
    "admin:installations_portal_history": HISTORY,
    "admin:installations_portal_delete": NOBODY,
    "admin:installations_portal_change": OBJECT,
    "admin/installations/portal/<path:object_id>/": LEADS_ON,
    "admin:installations_portaluser_revoke": RESPONDS,
    "admin:installations_portaluser_lock": RESPONDS,
    "admin:installations_portaluser_unlock": RESPONDS,
    "admin:installations_portaluser_erase": RESPONDS,
    "admin:installations_portaluser_list_export": LIST_EXPORT,
    "admin:installations_portaluser_changelist": LIST,
    "admin:installations_portaluser_add": NOBODY,
    "admin:installations_portaluser_history": HISTORY,
    "admin:installations_portaluser_delete": NOBODY,
    "admin:installations_portaluser_change": OBJECT,
    "admin/installations/portaluser/<path:object_id>/": LEADS_ON,
    "admin:installations_application_import": REVIEWS,
    "admin:installations_application_configure": REVIEWS,
    "admin:installations_application_origins": REVIEWS,
    "admin:installations_application_revoke": RESPONDS,
    "admin:installations_application_lock": RESPONDS,
    "admin:installations_application_unlock": RESPONDS,
    "admin:installations_application_list_export": LIST_EXPORT,
    "admin:installations_application_changelist": LIST,
    "admin:installations_application_add": NOBODY,
    "admin:installations_application_history": HISTORY,
    "admin:installations_application_delete": NOBODY,
    "admin:installations_application_change": OBJECT,
    "admin/installations/application/<path:object_id>/": LEADS_ON,
    "admin:installations_manifest_list_export": LIST_EXPORT,
    "admin:installations_manifest_changelist": LIST,
    "admin:installations_manifest_add": NOBODY,
    "admin:installations_manifest_history": NOT_THERE,
    "admin:installations_manifest_delete": NOBODY,
    "admin:installations_manifest_change": OBJECT,
    "admin/installations/manifest/<path:object_id>/": LEADS_ON,
    "admin:installations_approvedpermission_list_export": LIST_EXPORT,
    "admin:installations_approvedpermission_changelist": LIST,
    "admin:installations_approvedpermission_add": NOBODY,
    "admin:installations_approvedpermission_history": NOT_THERE,
    "admin:installations_approvedpermission_delete": NOBODY,
    "admin:installations_approvedpermission_change": OBJECT,
    "admin/installations/approvedpermission/<path:object_id>/": LEADS_ON,
    "admin:installations_catalogueedition_catalogue": READ,
    "admin:installations_catalogueedition_entry": READ,
    "admin:installations_catalogueedition_export": READ,
    "admin:installations_catalogueedition_edit_entry": REVIEWS,
    "admin:installations_catalogueedition_new_entry": REVIEWS,
    "admin:installations_catalogueedition_take_back": REVIEWS,
    "admin:installations_catalogueedition_import_catalogue": REVIEWS,
    "admin:installations_catalogueedition_changelist": LIST,
    "admin:installations_catalogueedition_add": NOBODY,
    "admin:installations_catalogueedition_history": HISTORY,
    "admin:installations_catalogueedition_delete": NOBODY,
    "admin:installations_catalogueedition_change": OBJECT,
    "admin/installations/catalogueedition/<path:object_id>/": LEADS_ON,
    "admin:installations_review_list_export": LIST_EXPORT,
    "admin:installations_review_changelist": LIST,
    "admin:installations_review_add": NOBODY,
    "admin:installations_review_history": NOT_THERE,
    "admin:installations_review_delete": NOBODY,
    "admin:installations_review_change": OBJECT,
    "admin/installations/review/<path:object_id>/": LEADS_ON,
    "admin:installations_evidence_list_export": LIST_EXPORT,
    "admin:installations_evidence_changelist": LIST,
    "admin:installations_evidence_add": NOBODY,
    "admin:installations_evidence_history": NOT_THERE,
    "admin:installations_evidence_delete": NOBODY,
    "admin:installations_evidence_change": OBJECT,
    "admin/installations/evidence/<path:object_id>/": LEADS_ON,
    "admin:installations_auditevent_export": AUDITS,
    "admin:installations_auditevent_changelist": LIST,
    "admin:installations_auditevent_add": NOBODY,
    "admin:installations_auditevent_history": NOT_THERE,
    "admin:installations_auditevent_delete": NOBODY,
    "admin:installations_auditevent_change": OBJECT,
    "admin/installations/auditevent/<path:object_id>/": LEADS_ON,
    "admin:installations_approvalrequest_confirm": REVIEWS,
    "admin:installations_approvalrequest_refuse": REVIEWS,
    "admin:installations_approvalrequest_list_export": LIST_EXPORT,
    "admin:installations_approvalrequest_changelist": LIST,
    "admin:installations_approvalrequest_add": NOBODY,
    "admin:installations_approvalrequest_history": HISTORY,
    "admin:installations_approvalrequest_delete": NOBODY,
    "admin:installations_approvalrequest_change": OBJECT,
    "admin/installations/approvalrequest/<path:object_id>/": LEADS_ON,
    "admin:installations_breakglass_look_at": REVIEWS,
    "admin:installations_breakglass_list_export": LIST_EXPORT,
    "admin:installations_breakglass_changelist": LIST,
    "admin:installations_breakglass_add": NOBODY,
    "admin:installations_breakglass_history": HISTORY,
    "admin:installations_breakglass_delete": NOBODY,
    "admin:installations_breakglass_change": OBJECT,
    "admin/installations/breakglass/<path:object_id>/": LEADS_ON,
    "admin:installations_installation_permissions": READ,
    "admin:installations_installation_credentials": READ,
    "admin:installations_installation_people": READ,
    "admin:installations_installation_activity": READ,
    "admin:installations_installation_manifest": READ,
    "admin:installations_installation_approve": REVIEWS,
    "admin:installations_installation_approve_alone": CLOSES,
    "admin:installations_installation_withhold": REVIEWS,
    "admin:installations_installation_review": REVIEWS,
    "admin:installations_installation_withdraw": REVIEWS,
    "admin:installations_installation_add_key": REVIEWS,
    "admin:installations_installation_revoke": RESPONDS,
    "admin:installations_installation_revoke_user": RESPONDS,
    "admin:installations_installation_suspend": RESPONDS,
    "admin:installations_installation_resume": RESPONDS,
    "admin:installations_installation_lock": RESPONDS,
    "admin:installations_installation_unlock": RESPONDS,
    "admin:installations_installation_still_there": RESPONDS,
    "admin:installations_installation_uninstall": RESPONDS,
    "admin:installations_installation_list_export": LIST_EXPORT,
    "admin:installations_installation_changelist": LIST,
    "admin:installations_installation_add": NOBODY,
    "admin:installations_installation_history": HISTORY,
    "admin:installations_installation_delete": NOBODY,
    "admin:installations_installation_change": OBJECT,
    "admin/installations/installation/<path:object_id>/": LEADS_ON,
    "admin:app_list": {
        "GET": "302 302 404 200 200 200 302 200",
        "POST": "302 302 404 200 200 200 302 200",
    },
    "admin/(?P<url>.*)$": NOT_THERE,
    "account_home": LEADS_ON,
    "account_login": {
        "GET": "200 200 302 302 302 302 302 302",
        "POST": "200 200 302 302 302 302 302 302",
    },
    "account_logout": {
        "GET": "302 302 200 200 200 200 200 200",
        "POST": "302 302 302 302 302 302 302 302",
    },
    "account_inactive": OPEN_READ,
    "account_reset_password": OPEN_PAGE,
    # before a code was asked for
    "account_confirm_password_reset_code": LEADS_ON,
    "account_complete_password_reset": LEADS_ON,
    "account_password_reset_completed": OPEN_READ,
    # whoever is signed in is told so
    "account_invitation": OPEN_PAGE,
    "account_invitation_accept": OPEN_PAGE,
    # whoever has a second factor is asked for that one
    "account_reauthenticate": {
        "GET": "302 302 302 302 302 302 200 302",
        "POST": "302 302 302 302 302 302 200 302",
    },
    # confirms first
    "account_change_password": LEADS_ON,
    "account_company": OFF,
    "account_company_sign_in": OFF,
    "account_company_callback": OFF,
    "account_time_zone": OWN_ACCOUNT,
    "mfa_index": {
        "GET": "302 302 200 200 200 200 200 200",
        "POST": "302 302 405 405 405 405 405 405",
    },
    "mfa_authenticate": LEADS_ON,
    "mfa_reauthenticate": STAFF_PAGE,
    "mfa_activate_totp": LEADS_ON,
    "mfa_replace_totp": LEADS_ON,
    "mfa_deactivate_totp": {
        "GET": "302 302 302 302 302 302 404 302",
        "POST": "302 302 302 302 302 302 404 302",
    },
    # whoever has no key is led to what they have; the others ask for the second factor first
    "mfa_reauthenticate_webauthn": LEADS_ON,
    "mfa_add_webauthn": LEADS_ON,
    "mfa_edit_webauthn": LEADS_ON,
    "mfa_remove_webauthn": LEADS_ON,
    "mfa_view_recovery_codes": {
        "GET": "302 302 404 404 404 404 404 404",
        "POST": "302 302 405 405 405 405 405 405",
    },
    "mfa_generate_recovery_codes": LEADS_ON,
    "mfa_download_recovery_codes": {
        "GET": "302 302 404 404 404 404 404 404",
        "POST": "302 302 404 404 404 404 404 404",
    },
    "api:session": {
        "GET": "401 200 401 401 401 401 401 401",
        "POST": "400 400 400 400 400 400 400 400",
        "PUT": "401 405 401 401 401 401 401 401",
        "DELETE": "401 204 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 200 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "api:session-token": {
        "GET": "401 405 401 401 401 401 401 401",
        "POST": "401 405 401 401 401 401 401 401",
        "PUT": "401 400 401 401 401 401 401 401",
        "DELETE": "401 204 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 405 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "api:permissions": {
        "GET": "401 200 401 401 401 401 401 401",
        "POST": "401 405 401 401 401 401 401 401",
        "PUT": "401 405 401 401 401 401 401 401",
        "DELETE": "401 405 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 200 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "api:forward": {
        "GET": "401 403 401 401 401 401 401 401",
        "POST": "401 403 401 401 401 401 401 401",
        "PUT": "401 405 401 401 401 401 401 401",
        "DELETE": "401 405 401 401 401 401 401 401",
        "PATCH": "401 405 401 401 401 401 401 401",
        "HEAD": "401 405 401 401 401 401 401 401",
        "OPTIONS": "401 405 401 401 401 401 401 401",
    },
    "schema": OPEN_API_PAGE,
    "docs": OPEN_API_PAGE,
    "api-not-found": {
        "GET": "404 404 404 404 404 404 404 404",
        "POST": "404 404 404 404 404 404 404 404",
    },
    # For a service client it is tests/tokens/service_api: none of these roles is one, whatever they hold.
    "service:forward": {
        "GET": "401 401 401 401 401 401 401 401",
        "POST": "401 401 401 401 401 401 401 401",
    },
    "service-not-found": {
        "GET": "404 404 404 404 404 404 404 404",
        "POST": "404 404 404 404 404 404 404 404",
    },
    "not-found": {
        "GET": "404 404 404 404 404 404 404 404",
        "POST": "404 404 404 404 404 404 404 404",
    },
    "embed": {
        "GET": "200 200 200 200 200 200 200 200",
        "POST": "200 200 200 200 200 200 200 200",
    },
    "healthz": OPEN_READ,
    "readyz": OPEN_READ,
    "metrics": {  # without METRICS_TOKEN; tests/flowlu_admin/test_metrics.py has what it opens
        "GET": "404 404 404 404 404 404 404 404",
        "POST": "404 404 404 404 404 404 404 404",
    },
}

# Every admin action of every model page with the permission that it needs, and what each role gets that asks for it.
# Staff who may look but not act are shown the list, as if they had asked for nothing.
ACTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "tokens.oauthtoken": {"revoke_selected": ("tokens.revoke_oauthtoken", "302 302 403 200 200 200 302 200")},
    "installations.installation": {
        "approve_selected": ("installations.approve_scopes", "302 302 403 200 200 200 302 200")
    },
}

# Files that need no address of the URL configuration: open to all, reading only.
STATIC = ("embed/flowlu-client.js", "embed/page.js", "embed/embed.css", "console/console.css", "admin/css/base.css")

# Commands, with `{app_model}` for the number of an object: which operators are served; None for those that ask no
# operator, since a shell may do them by itself.
REVIEWERS, RESPONDERS = {"reviewer", "superuser"}, {"responder", "superuser"}
HERE = ("--portal", "acme.flowlu.com", "--app", "com.example.desk")
COMMANDS: dict[str, tuple[set[str] | None, tuple[str, ...]]] = {
    "create_operator": (None, ()),
    "remove_operator": ({"superuser"}, ("asker",)),
    "restore_operator": ({"superuser"}, ("asker",)),
    "sign_out_operator": ({"superuser"}, ("asker",)),
    "reset_second_factors": ({"superuser"}, ("asker",)),
    "set_operator_address": ({"superuser"}, ("asker", "--email", "new@example.com")),
    "changepassword": (None, ()),
    "set_operator_groups": ({"superuser"}, ("asker", "--group", "Auditor")),
    "invite_operator": ({"superuser"}, ("new@example.com", "--group", "Auditor")),
    "import_manifest": (None, ()),
    "run_with_sandbox": (None, ()),
    "seed": (None, ()),
    "diff_manifests": (None, ()),
    "export_catalogue": (None, ()),
    "import_catalogue": (REVIEWERS, (str(Path(__file__).with_name("no_entries.json")),)),
    "generate_key": (None, ()),
    "key_status": (None, ()),
    "doctor": (None, ()),
    "restore_drill": (None, ()),
    "sweep": (None, ()),
    "approve_scopes": (REVIEWERS, (*HERE, "fin.read")),
    "withhold_scopes": (REVIEWERS, HERE),
    "set_allowed_origins": (REVIEWERS, ("--app", "com.example.desk", "https://app.example.com")),
    "keep_scopes": (REVIEWERS, (*HERE, "crm.accounts", "--review-by", IN_A_MONTH)),
    "lower_scopes": (REVIEWERS, (*HERE, "crm.accounts")),
    "withdraw_scopes": (REVIEWERS, (*HERE, "crm.accounts")),
    "state_present": (RESPONDERS, HERE),
    "suspend_installation": (RESPONDERS, HERE),
    "resume_installation": (RESPONDERS, HERE),
    "uninstall_installation": (RESPONDERS, HERE),
    "lock": (RESPONDERS, HERE),
    "unlock": (RESPONDERS, HERE),
    "revoke_tokens": (RESPONDERS, HERE),
    "rewrap_tokens": (RESPONDERS, ()),
    "find_leaked": (RESPONDERS, (__file__,)),
    "erase_portal_user": (RESPONDERS, ("--portal", "acme.flowlu.com", "--user", "7")),
    "prune_audit": ({"superuser"}, ("--before", "2020-01-01", "--archive", "/nowhere/audit.jsonl")),
    "verify_audit": (None, ()),
    "anchor_audit": (None, ()),
    "export_audit": (None, ()),
    "import_tokens": ({"superuser"}, (str(Path(__file__).with_name("one_key.jsonl")),)),
    "add_api_key": (
        REVIEWERS,
        (*HERE, "--label", "Weekly", "--scope", "crm.accounts.read", "--purpose", "nightly"),
    ),
    "replace_api_key": (REVIEWERS, ("--key", "{tokens_apikey}", "--overlap-hours", "2")),
    "revoke_api_key": (RESPONDERS, ("--key", "{tokens_apikey}")),
    "create_purpose": (
        REVIEWERS,
        ("weekly", "--acts-as", "system", "--scope", "crm.accounts.read", "--owner", "Us", "--description", "Why."),
    ),
    "switch_off_purpose": (RESPONDERS, ("nightly",)),
    "create_service_client": (
        REVIEWERS,
        ("worker", "--purpose", "nightly", "--app", "com.example.desk", "--portal", "acme.flowlu.com"),
    ),
    "switch_off_service_client": (RESPONDERS, ("sync",)),
}
