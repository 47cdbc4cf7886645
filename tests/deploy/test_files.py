"""What the files in deploy/ promise, as far as it can be seen without Docker and without systemd running."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from flowlu_admin.restoring.server import address_of, parameters
from tests.deploy import image
from tests.deploy.edge import NAMES, ROOT
from tests.migrations.trying import manage

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "beat")
UNITS = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))
CONFINED = (DEPLOY / "systemd/flowlu-.service.d/confined.conf").read_text(encoding="utf-8")
DOCUMENT = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
# What no deployment may show more of, as systemd counts it: 0 is nothing, 10 is everything.
EXPOSURE = 1.5
SECRETS = (
    "SECRET_KEY", "TOKEN_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL",
    "OIDC_CLIENT_SECRET", "FLOWLU_CLIENT_SECRET", "EMAIL_HOST_PASSWORD", "NOTICE_WEBHOOK_URL", "NOTICE_WEBHOOK_SECRET",
)  # fmt: skip


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "deploy"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.splitlines()]


def test_no_file_sets_a_secret_but_by_the_name_of_its_file() -> None:
    documented = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert [name for name in SECRETS if f"`{name}`" not in documented] == []
    sets = re.compile(rf"\b({'|'.join(SECRETS)})[=:]")
    assert {path.name: found for path in files() if (found := sets.findall(path.read_text(encoding="utf-8")))} == {}


def test_image_is_made_of_what_is_let_in_and_runs_as_nobody_who_owns_it() -> None:
    let_in = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(let_in) == image.copied().keys()
    assert "USER 10001:10001" in image.DOCKERFILE
    assert "--require-hashes" in image.DOCKERFILE


def test_every_container_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "database":  # its entry point takes its folder over, and steps down
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_no_process_with_keys_leaves_a_core_dump() -> None:
    assert {name: SERVICES[name].get("ulimits") for name in OURS} == dict.fromkeys(OURS, {"core": 0})
    assert "\nLimitCORE=0\n" in CONFINED
    code = f"""
import resource, runpy
runpy.run_path({str(DEPLOY / "gunicorn.conf.py")!r})
print(resource.getrlimit(resource.RLIMIT_CORE))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "(0, 0)\n"


def test_what_is_there_for_good_is_not_collected_during_calls() -> None:
    code = f"""
import gc, runpy
configured = runpy.run_path({str(DEPLOY / "gunicorn.conf.py")!r})
import flowlu_admin.checks
configured["post_worker_init"](None)
print(gc.is_tracked(vars(flowlu_admin.checks)), any(each is vars(flowlu_admin.checks) for each in gc.get_objects()))
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "True False\n"


def test_nothing_but_nginx_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert {name: list(SERVICES[name]["networks"]) for name in ("database", "redis", "beat")} == {
        "database": ["back"], "redis": ["back"], "beat": ["back"],
    }  # fmt: skip


def test_only_nginx_says_whom_a_request_comes_from() -> None:
    edge = {name: SERVICES[name]["networks"]["edge"]["ipv4_address"] for name in ("nginx", "web")}

    assert SERVICES["web"]["environment"]["TRUSTED_PROXIES"] == edge["nginx"]
    assert SERVICES["nginx"]["environment"]["EDGE_SERVICE"] == f"{edge['web']}:8000"


def test_secrets_are_those_that_are_made_and_each_is_given_to_who_reads_it(tmp_path: Path) -> None:
    made = make_secrets(tmp_path / "secrets")
    named = {Path(secret["file"]) for secret in COMPOSE["secrets"].values()}

    assert {path.name for path in named if path.parent.name == "secrets"} == set(made)
    for name in OURS:
        given = SERVICES[name]["secrets"]
        assert [path for path in SERVICES[name]["environment"].values() if path.startswith("/run/secrets/")] == [
            f"/run/secrets/{secret}" for secret in given
        ]
    loaded = re.findall(r"^LoadCredential=(\w+):/etc/flowlu/secrets/(\w+)$", CONFINED, re.MULTILINE)
    assert loaded == [(secret, secret) for secret in SERVICES["web"]["secrets"]]
    read = re.findall(r"\b([A-Z_]+)_FILE=%d/(\w+)", CONFINED)
    assert read == [(secret.upper(), secret) for secret in SERVICES["web"]["secrets"]]


def make_secrets(folder: Path, **environment: str) -> dict[str, str]:
    given = {"PATH": os.environ["PATH"], "FOR": "systemd", **environment}
    done = subprocess.run([DEPLOY / "make-secrets", folder], env=given, capture_output=True, text=True, check=True)
    made = {path.name: path.read_text(encoding="utf-8").strip() for path in folder.iterdir()}
    assert done.stdout + done.stderr == ""
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o400}
    return made


def test_made_secrets_belong_together_and_are_never_made_twice(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = make_secrets(folder, DATABASE_HOST="db.example.com:5432")

    assert len(set(made.values())) == len(made)
    assert made["database_url"] == f"postgres://flowlu:{made['database_password']}@db.example.com:5432/flowlu"
    assert made["redis.conf"] == f"requirepass {made['redis_url'][len('redis://:') : -len('@redis:6379/0')]}"
    again = subprocess.run([DEPLOY / "make-secrets", folder], capture_output=True, text=True, check=False)
    assert (again.returncode, "is not empty" in again.stderr) == (1, True)
    assert make_secrets(tmp_path / "others") != made


@pytest.mark.postgresql
def test_service_connects_as_a_role_that_is_no_superuser(tmp_path: Path) -> None:
    """By the file that compose gives the image, with another name than the service's own on this server."""
    assert "./database.sql:/docker-entrypoint-initdb.d/flowlu.sql:ro" in SERVICES["database"]["volumes"]
    assert "POSTGRES_USER" not in SERVICES["database"]["environment"]
    name, password, server = f"flowlu_role_{tmp_path.stat().st_ino}", tmp_path / "password", os.environ["DATABASE_URL"]
    password.write_text("a 'quoted' password\n", encoding="utf-8")
    script = (DEPLOY / "database.sql").read_text(encoding="utf-8")
    script = script.replace("/run/secrets/database_password", str(password)).replace(" flowlu", f" {name}")
    line = ["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--quiet", "--dbname", server]
    with psycopg.connect(server, autocommit=True) as connection:
        try:
            subprocess.run(line, input=script, text=True, check=True)
            url = address_of(name, parameters(server) | {"user": name, "password": "a 'quoted' password"})
            manage(url, "migrate", "--verbosity=0")
            with psycopg.connect(url) as own:
                (superuser,) = own.execute("SHOW is_superuser").fetchone() or ()
            asked = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = %s"
            found = connection.execute(asked, [name]).fetchall()
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"DROP ROLE IF EXISTS {name}")
    assert (superuser, found) == ("off", [(False, False, False)])


def test_what_nginx_is_filled_with_is_told_and_set() -> None:
    told = set(re.findall(r"^\| `(EDGE_[A-Z_]+)`", DOCUMENT, re.MULTILINE))
    given = {name for name in SERVICES["nginx"]["environment"] if name.startswith("EDGE_")}

    assert told == given == NAMES


def test_gunicorn_may_end_what_is_under_way_before_it_is_killed() -> None:
    configured: dict[str, Any] = {}
    exec((DEPLOY / "gunicorn.conf.py").read_text(encoding="utf-8"), configured)
    template = (DEPLOY / "nginx.conf.template").read_text(encoding="utf-8")
    unit = (DEPLOY / "systemd/flowlu-web.service").read_text(encoding="utf-8")

    assert int(SERVICES["web"]["stop_grace_period"].removesuffix("s")) > configured["graceful_timeout"]
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > configured["graceful_timeout"]
    assert int(re.findall(r"proxy_read_timeout (\d+)s", template)[0]) > configured["timeout"]
    assert int(re.findall(r"keepalive_timeout (\d+)s", template)[1]) < configured["keepalive"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NOT RUN without systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_sound_and_shows_little(unit: str, tmp_path: Path) -> None:
    placed = tmp_path / "etc/systemd/system"
    shutil.copytree(DEPLOY / "systemd", placed)
    for path in placed.rglob("*.*"):
        if path.is_file():  # what is started is looked for
            path.write_text(path.read_text(encoding="utf-8").replace("/opt/flowlu-admin", str(ROOT)), encoding="utf-8")
    analyze = {"capture_output": True, "text": True, "check": False}

    path = os.environ | {"SYSTEMD_UNIT_PATH": f"{placed}:"}
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], env=path, **analyze)
    assert (verified.returncode, verified.stderr) == (0, "")

    threshold = ["--offline=true", f"--root={tmp_path}", f"--threshold={int(EXPOSURE * 10)}"]
    exposed = subprocess.run(["systemd-analyze", "security", *threshold, unit], **analyze)
    assert exposed.returncode == 0, exposed.stdout
