"""SQLite with no room left, and SQLite that somebody else holds: what writes fails and says so, what reads goes on."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.service import PORTALS, Service

pytestmark = pytest.mark.xdist_group("chaos")
OK, FAILED = (200, ""), (500, "server_error")


@contextmanager
def no_room(service: Service) -> Iterator[None]:
    """Let no file of the service grow: what a full disk is to whoever writes.

    Another process has the file open: the first one that opens it needs some room even to read.
    """
    reader = sqlite3.connect(service.folder / "db.sqlite3")
    reader.execute("SELECT count(*) FROM tokens_oauthtoken").fetchone()
    limits = {worker: resource.prlimit(worker, resource.RLIMIT_FSIZE) for worker in service.workers}
    for worker, (_soft, hard) in limits.items():
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        for worker, before in limits.items():
            resource.prlimit(worker, resource.RLIMIT_FSIZE, before)
        reader.close()


def test_disk_that_is_full_fails_what_writes_and_nothing_that_was_told_is_lost(small: Service) -> None:
    session = small.open(PORTALS[0])
    with no_room(small):
        assert {small.launch(PORTALS[0]).told for _ in range(3)} == {FAILED}
        assert {small.call(session).told for _ in range(3)} == {OK}
        assert small.ask("DELETE", "/api/v1/session", headers={"X-Session-Token": session}).told == FAILED
        assert small.ask("GET", "/healthz").status == 200

    assert small.call(session).told == OK  # it was not ended, and nobody was told so
    assert small.launch(PORTALS[0]).told == (201, "")
    small.manage("verify_audit")
    small.look_for_secrets()


@pytest.mark.chaos
def test_database_that_somebody_holds_fails_what_writes_after_a_while(small: Service) -> None:
    session = small.open(PORTALS[0])
    holder = sqlite3.connect(small.folder / "db.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert small.call(session).told == OK
        assert small.launch(PORTALS[0]).told == FAILED
        assert small.call(session).told == OK
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert small.launch(PORTALS[0]).told == (201, "")
    small.look_for_secrets()
