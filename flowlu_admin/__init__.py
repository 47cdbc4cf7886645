"""Composition root: settings, URLs, admin site, system checks. No business rule lives here."""
