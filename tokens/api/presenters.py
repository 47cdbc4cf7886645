"""Shape a session and its permissions for the answers. No secret is at hand here."""

from typing import Any

from installations.scopes import parse
from tokens.access import Caller
from tokens.models import EmbedSession


def present_session(session: EmbedSession, caller: Caller) -> dict[str, Any]:
    """Return the body that POST and GET /session share."""
    token = session.oauth_token
    user, installation = token.portal_user, token.installation
    uninstalled = installation.status == installation.Status.UNINSTALLED
    return {
        "expires_at": session.expires_at,
        "user": {"id": user.flowlu_user_id, "name": user.name, "is_portal_admin": user.is_portal_admin},
        "portal": installation.portal.domain,
        "installation": {"id": str(installation.pk), "status": installation.status},
        "application": {
            "id": installation.application.app_id,
            "name": installation.application.name,
            "stores_refresh_tokens": installation.application.stores_refresh_tokens,
            "refreshed_by": installation.application.refreshed_by,
        },
        "permissions": present_permissions(caller),
        "token": {"state": "revoked" if uninstalled else token.state, "expires_at": token.expires_at},
    }


def present_permissions(caller: Caller) -> dict[str, Any]:
    """Return the approved scopes, normalised, as texts and in words."""
    known = caller.catalogue
    approved = caller.approved_scopes()
    described = []
    for text in approved:
        scope, words = parse(text), known.describe(text)
        described.append(
            {
                "scope": text,
                "code": scope.code,
                "level": scope.level.value,
                "title": words.title,
                "allows": words.allows,
            }
        )
    return {"approved": approved, "described": described}
