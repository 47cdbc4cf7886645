"""Fixtures for every test: who acts (`cast`) and where (`stage`)."""

pytest_plugins = ["tests.cast", "tests.stage"]
