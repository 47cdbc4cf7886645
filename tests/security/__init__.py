"""Suites that fail when somebody breaks a rule that this product sells."""
