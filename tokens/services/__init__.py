"""Verbs of the upper app: sessions, hand-over, revocation, uninstallation."""
