"""The operator groups that ship with the service, and what each may do. Made again at every migrate."""

from typing import Any, Final

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.db import DEFAULT_DB_ALIAS

VIEW: Final = (
    "installations.view_portal",
    "installations.view_application",
    "installations.view_manifest",
    "installations.view_portaluser",
    "installations.view_installation",
    "installations.view_approvedpermission",
    "installations.view_approvalrequest",
    "installations.view_breakglass",
    "installations.view_evidence",
    "installations.view_catalogueedition",
    "installations.view_auditevent",
    "tokens.view_oauthtoken",
    "tokens.view_embedsession",
    "tokens.view_revocation",
    "tokens.view_refreshattempt",
    "tokens.view_upstreamrevocation",
    "tokens.view_apikey",
    "tokens.view_purpose",
    "tokens.view_serviceclient",
    "tokens.view_servicecall",
)
# In no group: tokens.close_upstream, which gives up on a token that Flowlu did not confirm to be dead,
# installations.break_glass, which approves without a second operator, tokens.import_oauthtoken, which is for moving in
# and then for nobody, and all of flowlu_admin, which manages operators.
# A superuser has them, or a group of the deployment's own.
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "Auditor": (*VIEW, "installations.export_audit"),
    "Reviewer": (
        *VIEW,
        "installations.approve_scopes",
        "installations.withdraw_scopes",
        "installations.import_manifest",
        "installations.configure_application",
        "installations.edit_catalogue",
        "tokens.manage_apikey",
        "tokens.manage_purpose",
        "tokens.manage_serviceclient",
    ),
    "Responder": (
        *VIEW,
        "installations.suspend_installation",
        "installations.uninstall_installation",
        "installations.lock_portal",
        "installations.erase_portaluser",
        "tokens.revoke_oauthtoken",
        "tokens.find_leaked",
        "tokens.rewrap_tokens",
        "tokens.revoke_apikey",
        "tokens.switch_off_purpose",
        "tokens.switch_off_serviceclient",
    ),
}


def make_groups(using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Give each group exactly its permissions. Idempotent: a second run changes nothing.

    Runs after migrate, when the permissions themselves may not have been made yet.
    """
    from django.contrib.auth.models import Group, Permission

    for label in ("installations", "tokens", "flowlu_admin"):
        create_permissions(apps.get_app_config(label), verbosity=0, using=using)
    by_name = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.using(using).select_related("content_type")
    }
    for name, permissions in ROLES.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        group.permissions.set([by_name[permission] for permission in permissions])
