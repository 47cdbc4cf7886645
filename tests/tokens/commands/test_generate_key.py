"""`generate_key`: the key once, on standard output, and nothing of it anywhere else."""

from datetime import UTC, datetime
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command

from installations.keys import parse_key_ring


def run(*arguments):
    out, advice = StringIO(), StringIO()
    call_command("generate_key", *arguments, stdout=out, stderr=advice)
    return out.getvalue(), advice.getvalue()


def test_key_is_all_there_is_on_standard_output():
    out, advice = run("--id", "k7")

    line = out.removesuffix("\n")
    key = parse_key_ring(line).newest
    assert (line.count("\n"), key.id, len(key.material)) == (0, "k7", 32)
    assert advice.startswith(f"Key k7, fingerprint {key.fingerprint[:8]}.")
    assert line.partition(":")[2][:8] not in advice


def test_each_key_is_another():
    keys = {parse_key_ring(run()[0].strip()).newest.material for _ in range(20)}

    assert len(keys) == 20


def test_id_is_the_time_so_that_two_of_one_day_stand_in_one_ring():
    with time_machine.travel(datetime(2026, 4, 1, 10, 15, 20, tzinfo=UTC), tick=False):
        assert run()[0].startswith("k20260401-101520:")


@pytest.mark.parametrize("name", ["", "with space", "a:b", "a,b", "ü", "x" * 33])
def test_id_that_no_ring_takes_is_refused(name):
    with pytest.raises(CommandError, match="must be 1 to 32 letters"):
        run("--id", name)


@pytest.mark.parametrize("broken", ["", "no-key"])
def test_works_before_any_key_is_set(settings, broken):
    settings.TOKEN_KEYS = settings.FINGERPRINT_KEY = settings.AUDIT_KEY = broken

    assert parse_key_ring(run()[0].strip()).newest
