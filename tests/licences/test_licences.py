"""docs/licences.md is what `make licences` writes, and what is shipped may be."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.licences.listing import DOCUMENT, READ, ROOT, licence_of, pins, written

ROW = re.compile(r"^\| ([a-z0-9-]+) \| ([^ |]+) \| ([^|]+) \|$", re.MULTILINE)
SHIPPED = "requirements.txt"


def test_every_pin_is_listed_with_its_version_and_nothing_else_is() -> None:
    listed = {name: version for name, version, _licence in ROW.findall(DOCUMENT.read_text(encoding="utf-8"))}
    assert listed == pins("requirements-dev.txt") | pins(SHIPPED)


def test_list_is_what_would_be_written() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == written(), "run make licences"


def test_nothing_that_is_shipped_asks_for_the_source_of_the_service() -> None:
    asks = {name: licence_of(name) for name in pins(SHIPPED) if re.search(r"(?<!L)GPL", licence_of(name))}
    assert asks == {}


def test_package_of_which_nothing_is_known_is_told() -> None:
    with pytest.raises(LookupError, match="no-such-package is not installed here"):
        licence_of("no-such-package")
    assert READ.keys() <= pins("requirements-dev.txt").keys() | pins(SHIPPED).keys()


@pytest.mark.parametrize("file", [SHIPPED, "requirements-dev.txt"])
def test_every_pin_has_hashes(file: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / file).read_text(encoding="utf-8").strip())
    assert len(entries) == len(pins(file))
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_parts_of_a_release_are_the_pins_under_the_version_of_the_project(tmp_path: Path) -> None:
    recipe = re.search(
        r"^sbom:.*\n(?:\t@.*\n)*\t\$\(BIN\)/cyclonedx-py (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert recipe
    output = tmp_path / "sbom.json"
    arguments = [str(output) if word == "var/sbom.json" else word for word in recipe[1].split()]
    subprocess.run([sys.executable, "-m", "cyclonedx_py", *arguments], cwd=ROOT, check=True, capture_output=True)
    parts = json.loads(output.read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert parts["bomFormat"] == "CycloneDX"
    assert (parts["metadata"]["component"]["name"], parts["metadata"]["component"]["version"]) == (
        project["name"], project["version"],
    )  # fmt: skip
    assert {part["name"]: part["version"] for part in parts["components"]} == pins(SHIPPED)
    assert [part["name"] for part in parts["components"] if "hashes" not in str(part)] == []
