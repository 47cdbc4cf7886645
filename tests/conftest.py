"""Fixtures for every test: who acts (`cast`) and where (`stage`). `emptying` has each test begin with nothing."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.cast", "tests.emptying", "tests.grouping", "tests.stage"]

# A busy machine is no defect. What suppresses a health check of its own names this one too: the lists are not joined.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
