"""The console's pages of the lower app. Importing the modules registers their models on the admin site."""

from installations.admin import (
    applications,
    approval_requests,
    audit_trail,
    catalogue,
    installations,
    manifests,
    portals,
    records,
    reviews,
)

__all__ = [
    "applications",
    "approval_requests",
    "audit_trail",
    "catalogue",
    "installations",
    "manifests",
    "portals",
    "records",
    "reviews",
]
