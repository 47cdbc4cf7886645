"""Tests of one `xdist_group` run in one process, one after the other: they share a queue, a stack or a service.

pytest-xdist knows a group by the end of a test's id, which it writes where pytest since 9.2 does not look.
"""

from typing import Any

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        names = sorted({mark.args[0] for mark in item.iter_markers("xdist_group")})
        end = f"@{'_'.join(names)}"
        if names and not item.nodeid.endswith(end):
            item._id = type(item._id).parse(item.nodeid + end)
