"""Portals, applications, manifests, installations and what was approved for them; knows nothing about tokens."""
