"""The sweep as a command: one line, and it leaves at once when it is told to."""

import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tokens import sweeps
from tokens.models import SweepRun
from tokens.sweeps import Job

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.django_db(transaction=True)
def test_one_sweep_says_in_one_line_what_it_did():
    out = StringIO()
    before = signal.getsignal(signal.SIGTERM)

    call_command("sweep", stdout=out)

    assert out.getvalue() == (
        "Swept: label_lost_attempts 0, refresh_what_expires 0, cut_in_background 0, tell_upstream 0, wipe_expired 0, "
        "wipe_orphans 0, prune_replaced_fingerprints 0, wipe_expired_api_keys 0, prune_service_calls 0, "
        "prune_scope_usage 0, note_use_of_scopes 0, prune_sessions 0, prune_evidence 0, prune_refresh_attempts 0, "
        "judge_liveness 0, probe_quiet 0, tell_refusals 0, count_days 0, anchor_audit 0, look_for_notices 0, "
        "deliver_notices 0, prune_notices 0.\n"
    )
    assert SweepRun.objects.count() == len(sweeps.JOBS)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.django_db(transaction=True)
def test_failed_job_is_a_failed_command(monkeypatch):
    def fail(stopped):
        raise RuntimeError("broken")

    monkeypatch.setattr(sweeps, "JOBS", [Job("broken", 60, fail)])

    with pytest.raises(CommandError, match=r"^Failed: broken\. The reason is in the log\.$"):
        call_command("sweep", stdout=StringIO())


@pytest.mark.django_db
def test_interval_below_a_second_is_refused():
    with pytest.raises(CommandError, match="at least 1"):
        call_command("sweep", "--every", "0", stdout=StringIO(), skip_checks=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sweeping_process_leaves_when_it_is_told_to(tmp_path, number):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    }
    environment |= {"DEBUG": "1", "VAR_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings"}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True, timeout=120)
    sweeping = subprocess.Popen(
        [*manage, "sweep", "--every", "3600"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert sweeping.stdout is not None
    assert sweeping.stdout.readline().startswith("Swept: ")
    time.sleep(0.2)

    sweeping.send_signal(number)

    assert sweeping.wait(timeout=20) == 0


@pytest.mark.django_db(transaction=True)
def test_second_signal_ends_it_without_waiting_for_the_job_under_way(monkeypatch):
    after = []

    def called_away(stopped):
        signal.raise_signal(signal.SIGTERM)
        assert stopped()
        signal.raise_signal(signal.SIGTERM)
        after.append(1)
        return 0

    monkeypatch.setattr(sweeps, "JOBS", [Job("slow", 60, called_away)])
    before = signal.getsignal(signal.SIGTERM)

    call_command("sweep", stdout=StringIO())

    assert after == []
    assert signal.getsignal(signal.SIGTERM) is before
