"""Run the service and the sandbox portal together, for a first look and for development."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from installations.actors import command_actor
from installations.models import Application
from installations.services import import_manifest

OPERATOR = "operator"
SAMPLE = Path(__file__).resolve().parent.parent.parent / "sandbox" / "sample-manifest.json"
JOBS = "the periodic jobs"
START_SECONDS = 30
STOP_SECONDS = 5


class Command(BaseCommand):
    help = (
        "Prepare var/ and the database, then run gunicorn, the sandbox portal and the periodic jobs until Ctrl-C. "
        "Needs DEBUG=1."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("This is for development: set DEBUG=1. For production read README.md.")
        port, sandbox_port = _port("PORT", 8000), _port("SANDBOX_PORT", 8001)
        if port == sandbox_port:
            raise CommandError("PORT and SANDBOX_PORT must differ.")
        for name, number in (("PORT", port), ("SANDBOX_PORT", sandbox_port)):
            _check_free(name, number)
        call_command("migrate", verbosity=0, interactive=False)
        application = _application()
        credentials = self._operator()
        service, portal = f"http://127.0.0.1:{port}", f"http://localhost:{sandbox_port}"
        environment = os.environ | {
            "DEBUG": "1",
            "PORT": str(port),
            "PUBLIC_URL": service,
            "FLOWLU_PORTAL_URL": os.environ.get("FLOWLU_PORTAL_URL", f"{portal}/{{portal}}"),
            "FLOWLU_SDK_URL": os.environ.get("FLOWLU_SDK_URL", f"{portal}/sdk/miniapp-jssdk.js"),
        }
        environment |= _endpoint_of_sandbox(portal)
        commands = {
            "the service": [
                sys.executable, "-m", "gunicorn",
                "-c", "deploy/gunicorn.conf.py",
                "flowlu_admin.wsgi:application",
            ],
            "the sandbox portal": [
                sys.executable, "-m", "flowlu_admin.sandbox",
                "--port", str(sandbox_port),
                "--embed-url", os.environ.get("EMBED_URL") or f"{service}/embed/",
                "--app-id", application.app_id,
                "--state", str(settings.VAR_DIR / "sandbox.json"),
            ],
            JOBS: [sys.executable, "manage.py", "sweep", "--every", "60"],
        }  # fmt: skip
        self._run(commands, environment, service, portal, credentials)

    def _run(
        self, commands: dict[str, list[str]], environment: dict[str, str], service: str, portal: str, credentials: Path
    ) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        # Set even though it is Python's own: a shell that starts this in the background has it ignored, for the
        # children as well.
        signal.signal(signal.SIGINT, _interrupt)
        # Groups of their own: Ctrl-C reaches this process only, which then stops them in order.
        running = {
            name: subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, start_new_session=True)  # noqa: S603  (our own commands)
            for name, command in commands.items()
        }
        try:
            self._wait_until_up(running, service, portal)
            self.stdout.write(
                f"\n  Sandbox portal   {portal}/        start here: pick a portal and a user\n"
                f"  Console          {service}/admin/\n"
                f"  API documents    {service}/api/docs\n"
                f"  Operator's name and password are in {credentials}\n"
                "  Ctrl-C stops all of it.\n"
            )
            self.stdout.flush()
            while all(process.poll() is None for process in running.values()):
                time.sleep(0.3)
            stopped = [name for name, process in running.items() if process.poll() is not None]
            raise CommandError(f"{' and '.join(stopped)} stopped. The reason is in the lines above.")
        except KeyboardInterrupt:
            self.stdout.write("\nStopping.")
        finally:
            _stop(running)

    def _wait_until_up(self, running: dict[str, "subprocess.Popen[bytes]"], service: str, portal: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        waiting = [f"{service}/readyz", f"{portal}/"]
        while waiting:
            for name, process in running.items():
                if process.poll() is not None:
                    raise CommandError(
                        f"{name} did not start; the reason is in the lines above. If a port is taken, choose others: "
                        "make run PORT=8010 SANDBOX_PORT=8011"
                    )
            if time.monotonic() > deadline:
                raise CommandError(f"{' and '.join(waiting)} did not answer within {START_SECONDS} seconds.")
            waiting = [url for url in waiting if not _answers(url)]
            time.sleep(0.1)

    def _operator(self) -> Path:
        """Make the sandbox operator once for this database; the file has its name and password."""
        # On PostgreSQL, and with secrets in the environment, nothing else has made it.
        settings.VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        path: Path = settings.VAR_DIR / "sandbox-operator.txt"
        user_model = get_user_model()
        user = user_model.objects.filter(username=OPERATOR).first()
        if user is not None and path.exists():
            return path
        password = secrets.token_urlsafe(16)
        if user is None:
            user = user_model(username=OPERATOR, is_staff=True, is_superuser=True)
        user.set_password(password)
        user.save()
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(f"name: {OPERATOR}\npassword: {password}\n")
        return path


def _application() -> Application:
    """Return the sample application, registered where it is not known: a manifest of somebody's own stays."""
    sample = SAMPLE.read_bytes()
    known = Application.objects.filter(app_id=json.loads(sample)["appId"], current_manifest__isnull=False).first()
    return known or import_manifest(document=sample, kind=None, actor=command_actor()).application


def _port(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip() or str(default)
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise CommandError(f"{name} must be a port number from 1 to 65535; it is {text!r}.")
    return int(text)


def _check_free(name: str, port: int) -> None:
    """Refuse a port that somebody listens at: their answers would be taken for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was given up just now is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CommandError(f"{name} {port} is taken. Choose others: make run PORT=8010 SANDBOX_PORT=8011") from None


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  (an address made above)
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(running: "Mapping[str, subprocess.Popen[bytes]]") -> None:
    """Stop at once: nobody waits here for a browser that keeps its connection open."""
    processes = list(running.values())
    for name, process in running.items():
        if process.poll() is None:
            # SIGINT, to gunicorn: without the grace that a deployment's stop has.
            process.send_signal(signal.SIGTERM if name == JOBS else signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _endpoint_of_sandbox(portal: str) -> dict[str, str]:
    """Return the sandbox's token endpoint as settings, so that an application may be refreshed by this service.

    None where the environment names another one.
    """
    if settings.FLOWLU_TOKEN_URL or settings.FLOWLU_CLIENT_SECRET:
        return {}
    return {
        "FLOWLU_TOKEN_URL": f"{portal}/oauth/token",
        "FLOWLU_CLIENT_ID": "sandbox-client",
        "FLOWLU_CLIENT_SECRET": secrets.token_urlsafe(32),
    }
