"""The WSGI callable does not start with unsafe settings, says what to mend, and shows no secret."""

import base64
import os
import subprocess
import sys

import pytest

KEYS = {
    "TOKEN_KEYS": "k1:" + base64.b64encode(bytes(range(32))).decode(),
    "FINGERPRINT_KEY": base64.b64encode(bytes(range(32, 64))).decode(),
    "AUDIT_KEY": base64.b64encode(bytes(range(64, 96))).decode(),
    "SECRET_KEY": "abcdefghij" * 6,
}
WELL = {**KEYS, "ALLOWED_HOSTS": "console.example.com", "PUBLIC_URL": "https://console.example.com"}


@pytest.fixture
def start(tmp_path, project_root):
    """Import the callable in a process of its own."""

    def start(**environment):
        names = ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")  # the last one so that `make coverage` sees it, too
        kept = {name: os.environ[name] for name in names if name in os.environ}
        return subprocess.run(
            [sys.executable, "-c", "from flowlu_admin.wsgi import application; print(type(application).__name__)"],
            cwd=project_root,
            env={**kept, "VAR_DIR": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


def test_service_that_is_well_starts(start):
    result = start(**WELL)

    assert (result.returncode, result.stdout) == (0, "Utf8Handler\n")


@pytest.mark.parametrize("address", ["s3cret-and-no-address", "ftp://name:s3cret@db.example.com/flowlu"])
def test_database_that_cannot_be_read_is_named_without_its_password(start, address):
    result = start(**WELL, DATABASE_URL=address)

    assert result.returncode != 0
    assert "DATABASE_URL cannot be read. For example postgres://" in result.stderr
    assert "s3cret" not in result.stdout + result.stderr


def test_without_any_secret_it_stops_and_says_what_to_set(start):
    result = start(ALLOWED_HOSTS="console.example.com")

    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr.startswith("The service does not start with these settings:\n")
    for name in KEYS:
        assert f"(flowlu_admin.E001) {name} is not set." in result.stderr
        assert f"Set {name} or {name}_FILE." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY": "too-short-a-key"}, "flowlu_admin.E002"),
        ({"AUDIT_KEY": "bm90IDMyIGJ5dGVz"}, "flowlu_admin.E003"),
        ({"AUDIT_KEY": KEYS["FINGERPRINT_KEY"]}, "flowlu_admin.E004"),
        ({"DEBUG": "1"}, "flowlu_admin.E005"),
        ({"ALLOWED_HOSTS": "*"}, "flowlu_admin.E006"),
        ({"PUBLIC_URL": "http://console.example.com"}, "flowlu_admin.E007"),
    ],
)
def test_unsafe_setting_stops_the_start_without_showing_a_secret(start, changes, expected):
    environment = WELL | changes

    result = start(**environment)

    assert result.returncode == 3
    assert expected in result.stderr
    shown = [environment[name] for name in KEYS if environment[name].rpartition(":")[2] in result.stderr]
    assert shown == []


def test_command_without_any_secret_says_in_lines_what_to_set(tmp_path, project_root):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = ["withdraw_scopes", "--portal", "p", "--app", "a", "x", "--operator", "o", "--reason", "r"]
    result = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=project_root,
        env={**kept, "VAR_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert "?: (flowlu_admin.E001) AUDIT_KEY is not set." in lines
    assert any(line.startswith("\tHINT: Set AUDIT_KEY or AUDIT_KEY_FILE.") and "DEBUG=1" in line for line in lines)
    assert "\\n" not in result.stderr
