"""docs/integrate.md, as a vendor follows it: its commands as they stand there, and its frontend in a browser."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.browser.conftest import Stack, _free_port, started
from tests.browser.test_story import expect, open_application

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
FRONTEND = ROOT / "docs/examples/minimal-frontend"


class Guide:
    """The commands of the guide by section, run in one folder and one shell's memory."""

    def __init__(self, stack: Stack, origin: str, folder: Path) -> None:
        self._stack, self._origin, self._folder = stack, origin, folder
        text = (ROOT / "docs/integrate.md").read_text(encoding="utf-8")
        sections = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
        self._blocks = {
            title: re.findall(r"^```sh\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
            for title, body in zip(["", *sections[1::2]], sections[::2], strict=True)
        }
        self._exported = ""
        self._preamble = "\n".join(self._blocks.pop(""))

    def run(self, title: str, number: int) -> str:
        """Run a block of a section and return what it printed; what it exports is there for the next one."""
        block = self._blocks[title][number]
        lines = (
            "set -euo pipefail",
            self._preamble,
            self._exported,
            block,
            'printf "\\n--\\nexport SERVICE_KEY=%s" "${SERVICE_KEY-}"',
        )
        script = "\n".join(lines)
        for there, here in (
            ("http://127.0.0.1:8000", self._stack.service),
            ("http://localhost:8001", self._stack.portal),
            ("http://localhost:5173", self._origin),
            (".venv/bin/python", sys.executable),
            ("table.jsonl", str(self._folder / "table.jsonl")),
        ):
            script = script.replace(there, here)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT, env=self._stack.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed, _, self._exported = done.stdout.rpartition("\n--\n")
        return printed

    def count(self) -> dict[str, int]:
        return {title: len(blocks) for title, blocks in self._blocks.items()}


@pytest.fixture
def origin() -> str:
    return f"http://localhost:{_free_port()}"


@pytest.fixture
def moving_in(tmp_path: Path, origin: str) -> Iterator[Stack]:
    """The stack with the sandbox showing the minimal frontend, which runs beside it."""
    with started(tmp_path, f"moving_in_{os.getpid()}", EMBED_URL=f"{origin}/") as stack:
        given = ("--port", origin.rpartition(":")[2], "--service", stack.service, "--portals", stack.portal)
        serve = [sys.executable, "serve.py", *given, "--sdk-url", f"{stack.portal}/sdk/miniapp-jssdk.js"]
        with subprocess.Popen(serve, cwd=FRONTEND, stdout=subprocess.PIPE, text=True) as frontend:
            assert frontend.stdout is not None
            assert frontend.stdout.readline() == f"The frontend is on {origin}/\n"
            yield stack
            frontend.terminate()


def test_the_guide_from_its_beginning_to_its_end(
    moving_in: Stack, origin: str, open_page: Any, complaints: list[str], tmp_path: Path
) -> None:
    guide = Guide(moving_in, origin, tmp_path)
    register, embed, job, move = guide.count()
    assert list(guide.count().values()) == [1, 2, 3, 3]

    assert "com.example.desk" in guide.run(register, 0)

    assert f"allows {origin}" in guide.run(embed, 0)
    page = open_application(open_page(), moving_in, "acme.flowlu.com", "2")
    expect(page.locator("#who")).to_have_text("Accounts for José Núñez on acme.flowlu.com")
    expect(page.locator("#status")).to_contain_text("has yet to approve")
    expect(page.locator("#accounts li")).to_have_count(0)
    assert "crm.accounts.read" in guide.run(embed, 1)
    page.locator("#again").click()
    expect(page.locator("#status")).to_have_text("")
    names = page.locator("#accounts li").all_inner_texts()
    assert names
    assert complaints == []

    guide.run(job, 0)
    assert names[0] in guide.run(job, 1)
    assert guide.run(job, 2).split("\n")[: len(names)] == [repr(name) for name in names]

    guide.run(move, 0)
    table = (tmp_path / "table.jsonl").read_text()
    trial, once, again = re.findall(r"^line 1: (.*)\n(.*)$", printed := guide.run(move, 1), re.MULTILINE)
    without = "without its refresh token, which is not kept here"
    assert trial == (f"would be stored, {without}", "1 line: 1 would be stored, 0 here already, 0 refused")
    assert re.fullmatch(rf"stored, token #\d+, {without}", once[0])
    assert again[1] == "1 line: 0 stored, 1 here already, 0 refused"
    for token in re.findall(r'_token": "([^"]+)"', table):
        assert token not in printed
    assert guide.run(move, 2).strip()
    assert not (tmp_path / "table.jsonl").exists()


def test_portal_that_posts_gets_the_page_and_nothing_else_is_served(moving_in: Stack, origin: str) -> None:
    with urlopen(f"{origin}/?lang=en", data=b"portal=acme") as answer:
        assert b"/app.js" in answer.read()
        assert f"frame-ancestors {moving_in.portal}" in answer.headers["Content-Security-Policy"]
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{origin}/serve.py")
