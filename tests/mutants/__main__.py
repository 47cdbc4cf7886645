"""`python -m tests.mutants [OPTION…]`: let mutmut change the code, and fail for what neither a test nor a reason meets.

What is changed, and which tests have to notice, stands in pyproject.toml. Options go to `mutmut run`.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.explained import EXPLAINED, Mutant

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", ".hypothesis", "docs")
_PROPERTY = re.compile(r" {4}@property\n( {4}def (\w+)\(.*?\n)(?=\n|\Z)", re.DOTALL)


def undecorate_properties(copy: Path) -> None:
    """Write `level = property(level)` instead of the decorator: mutmut leaves decorated functions as they are."""
    configuration = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))
    for file in configuration["tool"]["mutmut"]["only_mutate"]:
        text = (copy / file).read_text(encoding="utf-8")
        (copy / file).write_text(_PROPERTY.sub(r"\1    \2 = property(\2)\n", text), encoding="utf-8")


def mutmut(copy: Path, *arguments: str) -> str:
    """Return what mutmut printed; its progress is thousands of lines and of no use afterwards."""
    ended = subprocess.run([sys.executable, "-m", "mutmut", *arguments], cwd=copy, capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"mutmut {arguments[0]} ended with {ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr}")
    return ended.stdout


def verdicts(copy: Path) -> Iterator[tuple[str, str]]:
    """Give each mutant's name and what became of it, such as `survived`, `timeout` or `no tests`."""
    for line in mutmut(copy, "results", "--all", "true").splitlines():
        name, _, verdict = line.strip().rpartition(": ")
        yield name, verdict


def read_mutant(copy: Path, name: str) -> Mutant:
    """Return the mutant under a name that outlives its number: `app.module.Class.method` and the changed line."""
    module, _, mangled = name.rpartition(".")
    function = mangled.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    diff = mutmut(copy, "show", name).splitlines()
    changed = [line for line in diff if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    line, instead = (" ".join(one[1:].strip() for one in changed if one[0] == sign) for sign in "-+")
    return Mutant(f"{module}.{function}", line, instead)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
        undecorate_properties(copy)
        mutmut(copy, "run", *sys.argv[1:])
        found = dict(verdicts(copy))
        if late := [name for name, verdict in found.items() if verdict == "timeout"]:
            # The machine may have been busy; one that runs out of time again counts as one that lives.
            mutmut(copy, "run", *sys.argv[1:], *late)
            found = dict(verdicts(copy))
        living = {read_mutant(copy, name): verdict for name, verdict in found.items() if verdict != "killed"}
    for mutant, verdict in living.items():
        what = EXPLAINED.get(mutant, f"{verdict.upper()}, AND NO REASON GIVEN")
        print(f"{mutant.function}\n  - {mutant.line}\n  + {mutant.instead}\n    {what}")  # noqa: T201
    for mutant in EXPLAINED.keys() - living.keys():
        print(f"{mutant.function}\n  - {mutant.line}\n  + {mutant.instead}\n    EXPLAINED, BUT NOT THERE")  # noqa: T201
    wrong = len(living.keys() ^ EXPLAINED.keys())
    print(f"{len(found)} mutants, {len(found) - len(living)} killed, {len(living)} living.")  # noqa: T201
    sys.exit(f"{wrong} of them are not as tests/mutants/explained.py says." if wrong or not found else 0)


if __name__ == "__main__":
    main()
