"""Fixtures for every test: who acts (`cast`) and where (`stage`). `emptying` has each test begin with nothing."""

pytest_plugins = ["tests.cast", "tests.emptying", "tests.stage"]
