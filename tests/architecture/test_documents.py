"""What the documents name exists: tests and files of the threat model, rules of SECURITY.md."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from installations import manifests
from tokens import sweeps

ROOT = Path(__file__).resolve().parents[2]
THREATS = (ROOT / "docs/security.md").read_text(encoding="utf-8")
CODE = re.compile(r"`([^`]+)`")
# A path below tests/, perhaps with the name of a test in it.
TEST_PATH = re.compile(r"(?P<path>[a-z_]+(?:/[a-z_]+)*/\w+\.(?:py|mjs))(?:::(?P<test>\w+))?")


def rows() -> list[list[str]]:
    """Return the cells of every row of the tables: tries, stopped by, proved by, remains."""
    lines = [line for line in THREATS.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "Tries" and not set("".join(row)) <= {"-"}]


def named_tests() -> list[str]:
    return [name for row in rows() for name in CODE.findall(row[2])]


def rules_of(text: str) -> set[int]:
    """Return the rules that a cell begins with, as in `1, 2: the session decides`."""
    found = re.match(r"\d+(?:, \d+)*(?=$|: )", text)
    return {int(number) for number in found[0].split(", ")} if found else set()


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("name", sorted(set(named_tests())))
def test_named_test_exists(name: str) -> None:
    found = TEST_PATH.fullmatch(name)
    assert found, f"{name!r} is no path below tests/"
    path = ROOT / "tests" / found["path"]
    assert path.is_file(), f"there is no tests/{found['path']}"
    if found["test"]:
        assert found["test"].startswith("test_")
        assert found["test"] in functions_of(path), f"tests/{found['path']} has no {found['test']}"


def test_every_row_names_what_proves_it() -> None:
    assert len(rows()) > 25
    assert [row for row in rows() if len(row) != 4 or not TEST_PATH.search(row[2])] == []
    assert [row[2] for row in rows() if CODE.sub("", row[2]).strip()] == [], "prose among the names of tests"


def test_every_rule_that_is_named_exists_and_every_rule_is_named() -> None:
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    section = security.partition("## What holds")[2].partition("\n## ")[0]
    rules = {int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)}
    named = {number for row in rows() for number in rules_of(row[1])}

    assert rules == set(range(1, len(rules) + 1))
    assert named == rules


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))])  # fmt: skip
def test_file_that_a_document_links_to_exists(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_setting_that_the_threat_model_names_exists() -> None:
    settings = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    named = {word for code in CODE.findall(THREATS) for word in re.findall(r"\b[A-Z][A-Z]+_[A-Z_]+\b", code)}
    assert named
    assert {name for name in named if name not in settings} == set()


def test_every_periodic_job_is_in_the_table_with_how_often_it_runs() -> None:
    commands = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (`[a-z_`, ]+) \| (\d+) s \|", commands, re.MULTILINE)
    told = {name: int(seconds) for names, seconds in lines for name in CODE.findall(names)}

    assert told == {job.name: job.every_seconds for job in sweeps.JOBS}


def test_sample_manifest_is_one_of_which_the_members_are_told() -> None:
    commands = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    section = commands.partition("## The manifest")[2].partition("\n## ")[0]
    sample = json.loads((ROOT / "flowlu_admin/sandbox/sample-manifest.json").read_text(encoding="utf-8"))

    assert sample.keys() <= set(CODE.findall(section))
    assert set(manifests._KNOWN_FIELDS) <= set(CODE.findall(section))


@pytest.mark.parametrize("document", ["incidents", "operations", "upgrading"])
def test_command_that_a_playbook_calls_takes_what_it_is_given(document: str) -> None:
    """A line of a block is whole; a command that a sentence names alone is only a name."""
    text = (ROOT / f"docs/{document}.md").read_text(encoding="utf-8")
    called = re.findall(r"(^ *|`)manage\.py (?!shell )(\w+)([^`\n]*)", text.replace("\\\n", " "), re.MULTILINE)
    assert called

    for before, name, arguments in called:
        command = load_command_class(get_commands()[name], name)
        line = shlex.split(arguments.partition(" > ")[0].replace("BY", "--operator NAME --reason TEXT"))
        if (line or before != "`") and "…" not in line:
            command.create_parser("manage.py", name).parse_args(line)
