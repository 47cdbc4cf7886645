"""Tests that have to notice breakages of more than one subject."""

API = ("tests/tokens/api",)
ISOLATION = ("tests/security/test_isolation.py",)
HOSTILE = ("tests/security/test_hostile_input.py",)
OPERATORS = ("tests/security/races/test_operators.py",)
