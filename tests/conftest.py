"""Fixtures for every test: who acts (`cast`) and where (`stage`). `emptying` has each test begin with nothing."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.cast", "tests.emptying", "tests.grouping", "tests.stage"]

# A busy machine is no defect. What suppresses a health check of its own names this one too: the lists are not joined.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# What nohup or a shell's "&" had this process ignore, the processes that tests start and signal would ignore too.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)
