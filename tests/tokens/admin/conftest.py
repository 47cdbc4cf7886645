"""The same console as of the lower app."""

from tests.installations.admin.conftest import _no_second_factor, active, portal_user, token

__all__ = ["_no_second_factor", "active", "portal_user", "token"]
