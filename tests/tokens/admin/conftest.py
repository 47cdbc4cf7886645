"""The same console as of the lower app."""

from tests.installations.admin.conftest import active, portal_user, token

__all__ = ["active", "portal_user", "token"]
