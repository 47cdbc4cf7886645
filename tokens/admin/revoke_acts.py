"""Revoking on the pages of a portal, an application and a portal user."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations.models import Application, Portal, PortalUser
from tokens.admin.revoking import RevokeAct
from tokens.targets import RevocationTarget


class RevokePortal(RevokeAct):
    slug = "revoke"
    label = _("Revoke all tokens")
    summary = _("Cut every stored token of every application on this portal, for good.")

    def heading(self, target: Portal) -> str:
        return gettext("Revoke all tokens of %(target)s") % {"target": target}

    def aim(self, target: Portal) -> RevocationTarget:
        return RevocationTarget.of_portal(target.pk)

    def command_line(self, target: Portal) -> str:
        return f"--portal {target.domain}"


class RevokeApplication(RevokeAct):
    slug = "revoke"
    label = _("Revoke all tokens")
    summary = _("Cut every stored token of this application, on every portal, for good.")

    def heading(self, target: Application) -> str:
        return gettext("Revoke all tokens of %(target)s") % {"target": target}

    def aim(self, target: Application) -> RevocationTarget:
        return RevocationTarget.of_application(target.pk)

    def command_line(self, target: Application) -> str:
        return f"--app {target.app_id}"


class RevokePortalUser(RevokeAct):
    slug = "revoke"
    label = _("Revoke all tokens")
    summary = _("Cut every stored token of this user, in every application, for good.")

    def heading(self, target: PortalUser) -> str:
        name = f"{target.name} ({target.flowlu_user_id})" if target.name else str(target)
        return gettext("Revoke all tokens of %(name)s on %(portal)s") % {"name": name, "portal": target.portal}

    def user(self, target: PortalUser) -> PortalUser:
        return target

    def aim(self, target: PortalUser) -> RevocationTarget:
        return RevocationTarget.of_portal_user(target.pk)

    def command_line(self, target: PortalUser) -> str:
        return f"--portal {target.portal.domain} --user {target.flowlu_user_id}"
