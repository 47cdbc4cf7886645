"""`python -m tests.screenshots`: take the pictures of docs/ anew, of a made-up world, in a browser."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import sync_playwright
from tqdm import tqdm

ROOT: Final = Path(__file__).resolve().parents[2]
IMAGES: Final = ROOT / "docs" / "images"
_SIZE: Final = {"width": 1440, "height": 900}
_INSTALLATIONS: Final = 240
# A picture and how to get there: an address, then what to follow on each page.
PICTURES: Final[dict[str, tuple[str, ...]]] = {
    "home": ("/admin/",),
    "installations": ("/admin/installations/installation/",),
    "installation": ("/admin/installations/installation/?status__exact=pending_approval", "#result_list tbody th a"),
    "approve": (
        "/admin/installations/installation/?status__exact=pending_approval",
        "#result_list tbody th a",
        "a.act[href$='/approve/']",
    ),
    "permissions": (
        "/admin/installations/installation/?status__exact=active",
        "#result_list tbody th a",
        "nav.tabs a[href$='/permissions/']",
    ),
    "activity": (
        "/admin/installations/installation/?status__exact=active",
        "#result_list tbody th a",
        "nav.tabs a[href$='/activity/']",
    ),
    "reviews": ("/admin/installations/review/",),
    "revoke": (
        "/admin/installations/installation/?status__exact=active",
        "#result_list tbody th a",
        "a.act[href$='/revoke/']",
    ),
    "search": ("/admin/search/?q=studio",),
    "audit": ("/admin/installations/auditevent/",),
    "state": ("/admin/state/",),
}


def main() -> int:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No Chromium on this machine: install it, or name it in CHROMIUM.", file=sys.stderr)  # noqa: T201
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as var, _service(Path(var)) as (address, password):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport=_SIZE, reduced_motion="reduce")
            page.goto(f"{address}/accounts/login/")
            page.fill("[name=login]", "operator")
            page.fill("[name=password]", password)
            page.click("button[type=submit]")
            for name, steps in tqdm(PICTURES.items(), unit=" pictures", disable=None):
                _take(page, address, name, steps)
            browser.close()
    return 0


def _take(page: Any, address: str, name: str, steps: tuple[str, ...]) -> None:
    page.goto(address + steps[0])
    for selector in steps[1:]:
        page.locator(selector).first.click()
        page.wait_for_load_state()
    page.screenshot(path=IMAGES / f"{name}.png")


@contextmanager
def _service(var: Path) -> Iterator[tuple[str, str]]:
    """Run the service on a database of its own with a made-up world in it."""
    port, sandbox_port = _free_port(), _free_port()
    environment = os.environ | {
        "DEBUG": "1",
        "VAR_DIR": str(var),
        "DATABASE_URL": "",
        "PORT": str(port),
        "SANDBOX_PORT": str(sandbox_port),
    }
    manage = [sys.executable, "manage.py"]
    seed = ["seed", "--installations", str(_INSTALLATIONS), "--seed", "7"]
    for command in (["migrate", "--verbosity", "0"], seed):
        subprocess.run([*manage, *command], cwd=ROOT, env=environment, check=True)
    process = subprocess.Popen([*manage, "run_with_sandbox"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/healthz", process)
        found = re.search(r"password: (\S+)", (var / "sandbox-operator.txt").read_text())
        if found is None:
            raise SystemExit("The service wrote no password for its operator.")
        yield address, found[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("The service did not start.")
        try:
            with urllib.request.urlopen(address):
                return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise SystemExit("The service did not answer.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
