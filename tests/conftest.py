"""Fixtures for every test: who acts (`cast`) and where (`stage`). `emptying` empties the database."""

pytest_plugins = ["tests.cast", "tests.emptying", "tests.stage"]
