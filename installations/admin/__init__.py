"""The console's pages of the lower app. Importing the modules registers their models on the admin site."""

from installations.admin import applications, audit_trail, installations, manifests, portals, records, reviews

__all__ = ["applications", "audit_trail", "installations", "manifests", "portals", "records", "reviews"]
