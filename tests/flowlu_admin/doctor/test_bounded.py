"""Looks at the deployment: each ends in time, none stops another one, and no text of an error is told."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from flowlu_admin.doctor.bounded import Check, look_at_all
from flowlu_admin.doctor.findings import Finding, Level, summary_of
from tests import factories

pytestmark = pytest.mark.django_db


def well() -> Iterator[Finding]:
    yield Finding(Level.OK, "well")


def silent() -> Iterator[Finding]:
    yield from ()


def told(*checks: Check) -> list[tuple[str, str, str]]:
    return [(found.check, found.level, found.words) for found in look_at_all(checks)]


def test_check_that_fails_stops_no_other_and_its_text_is_not_told() -> None:
    def fails() -> Iterator[Finding]:
        yield Finding(Level.NOTE, "as far as it came")
        raise RuntimeError("postgres://name:password@host")

    assert told(Check("one", fails), Check("two", well), Check("three", silent)) == [
        ("one", "note", "as far as it came"),
        ("one", "error", "failed: RuntimeError"),
        ("two", "ok", "well"),
        ("three", "ok", "nothing found"),
    ]


def test_check_that_hangs_is_left_behind() -> None:
    forever = threading.Event()

    def hangs() -> Iterator[Finding]:
        forever.wait(30)
        yield Finding(Level.OK, "too late")

    began = time.monotonic()
    try:
        assert told(Check("one", hangs, seconds=0.1), Check("two", well)) == [
            ("one", "error", "no answer within 0.1 seconds"),
            ("two", "ok", "well"),
        ]
    finally:
        forever.set()
    assert time.monotonic() - began < 5


@pytest.mark.django_db(transaction=True)
def test_nothing_is_asked_of_a_database_that_hangs_or_does_not_answer() -> None:
    def down() -> Iterator[Finding]:
        yield Finding(Level.ERROR, "does not answer")

    after = [Check("two", well, asks_database=True), Check("three", well)]
    gate = Check("one", down, asks_database=True, gate="it is down")
    assert told(gate, *after)[1:] == [("two", "note", "not looked at: it is down"), ("three", "ok", "well")]
    # An error of any other one is no word on the database.
    assert told(Check("keys", down, asks_database=True), *after)[1] == ("two", "ok", "well")

    held = threading.Event()

    def hangs() -> Iterator[Finding]:
        held.wait(30)
        yield from ()

    try:
        assert told(Check("one", hangs, asks_database=True, seconds=0.1), *after)[1] == (
            "two", "note", "not looked at: a look that hangs may hold the connection",
        )  # fmt: skip
    finally:
        held.set()


def test_check_sees_what_who_asks_has_written_and_leaves_the_connection_as_it_was() -> None:
    def count() -> Iterator[Finding]:
        yield Finding(Level.OK, str(User.objects.filter(username="here").count()))

    was = connection.allow_thread_sharing  # on for a database in memory
    with transaction.atomic():
        factories.operator("here")
        assert told(Check("one", count, asks_database=True)) == [("one", "ok", "1")]
    assert connection.allow_thread_sharing is was


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([], "0 errors, 0 warnings, 0 notes"),
        ([Level.ERROR, Level.OK, Level.NOTE, Level.NOTE], "1 error, 0 warnings, 2 notes"),
    ],
)
def test_summary(levels: list[Any], words: str) -> None:
    assert summary_of([Finding(level, "x") for level in levels]) == words
