"""`python -m tests.coverage_map REPORT [--sqlite-only]`: hold coverage.py's JSON report against docs/coverage.md.

Fails for a function that is not run whole, lines and branches, and has no row there; for a row that is not needed; and
for a row about a module that has to be whole.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| `([^`]+)` \| [^|]+ \|$", re.MULTILINE)


def whole_modules() -> set[str]:
    """Name the modules where nothing may be left out: the pure ones, every layer below the forms, and the API."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    found = {"tokens.api"}
    for contract in tools["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            layers = [layer.split(" | ") for layer in contract["layers"]]
            # Without forms the first layer is that of the entry points.
            forms = next((place for place, layer in enumerate(layers) if layer[0].endswith(".forms")), 0)
            found.update(name for layer in layers[forms + 1 :] for name in layer)
        elif contract["name"].startswith("Pure modules"):
            found.update(contract["source_modules"])
    return found


def rows() -> tuple[set[str], set[str]]:
    """Return what docs/coverage.md lists, and what it lists for runs without PostgreSQL only."""
    text = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    always, heading, without_postgresql = text.partition("\n## Without PostgreSQL\n")
    assert heading
    return set(_ROW.findall(always)), set(_ROW.findall(without_postgresql))


def gaps(files: dict[str, Any]) -> dict[str, str]:
    """Return `file: function` of what was not run whole, with the lines and with the ways from line to line."""
    found = {}
    for file, measured in files.items():
        for function, part in measured["functions"].items():
            missing = part["missing_lines"]
            ways = [f"{start}->{end}" for start, end in part["missing_branches"] if start not in missing]
            if missing or ways:
                found[f"{file}: {function}" if function else file] = ", ".join([*map(str, missing), *ways])
    return found


def complaints(files: dict[str, Any], *, sqlite_only: bool) -> Iterator[str]:
    always, without_postgresql = rows()
    expected = always | without_postgresql if sqlite_only else always
    found = gaps(files)
    for place in sorted(found.keys() - expected):
        yield f"{place} is not covered and has no row in docs/coverage.md: {found[place]}"
    for place in sorted(expected - found.keys()):
        yield f"{place} is covered, or gone: its row in docs/coverage.md is not needed"
    for module in sorted(whole_modules()):
        path = module.replace(".", "/")
        if not any(file == f"{path}.py" or file.startswith(f"{path}/") for file in files):
            yield f"{module} was not measured"
        for place in sorted(always):
            if place.partition(":")[0] == f"{path}.py" or place.startswith(f"{path}/"):
                yield f"{place} has to be covered whole: it has no place in docs/coverage.md"


def main() -> None:
    report, *options = sys.argv[1:]
    files = json.loads(Path(report).read_text(encoding="utf-8"))["files"]
    sys.exit("\n".join(complaints(files, sqlite_only=options == ["--sqlite-only"])) or 0)


if __name__ == "__main__":
    main()
