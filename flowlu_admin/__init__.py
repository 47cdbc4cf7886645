"""Composition root: settings, URLs, admin site, system checks, and the accounts of operators.

What may be done with portals, installations and tokens is decided in the apps.
"""
