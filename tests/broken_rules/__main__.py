"""`python -m tests.broken_rules [NAME…]`: break, run the tests that should notice, say which did."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.broken_rules.breakage import Breakage
from tests.broken_rules.rules import BREAKAGES

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", ".hypothesis", "docs")


def break_it(breakage: Breakage, copy: Path) -> None:
    path = copy / breakage.file
    text = path.read_text(encoding="utf-8")
    if text.count(breakage.text) != 1:
        sys.exit(f"{breakage.name}: the text occurs {text.count(breakage.text)} times in {breakage.file}, not once.")
    path.write_text(text.replace(breakage.text, breakage.instead), encoding="utf-8")


def first_failure(breakage: Breakage) -> str:
    """Return the test that failed first, or nothing when every test passed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
        break_it(breakage, copy)
        command = [sys.executable, "-m", "pytest", "-x", "-n0", "-p", "no:cacheprovider", *breakage.tests]
        # Where the two databases have statements of their own, each has a breakage of its own.
        database = os.environ.get("DATABASE_URL", "") if breakage.needs_postgresql else ""
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "DATABASE_URL": database}
        ended = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        if ended.returncode == 0:
            return ""
        failed = re.search(r"^(?:FAILED|ERROR) (\S+?::[^\n]*?)(?: - .*)?$", ended.stdout, re.MULTILINE)
        if failed is None:
            sys.exit(f"{breakage.name}: pytest ended with {ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr}")
        return failed[1]


def main() -> None:
    wanted = sys.argv[1:]
    chosen = [one for one in BREAKAGES if not wanted or any(name in one.name for name in wanted)]
    missed = 0
    for number, breakage in enumerate(chosen, start=1):
        if breakage.needs_postgresql and not os.environ.get("DATABASE_URL", "").startswith("postgres"):
            print(f"{number}/{len(chosen)}  NOT RUN, needs PostgreSQL: {breakage.name}", flush=True)  # noqa: T201
            missed += 1
            continue
        caught = first_failure(breakage)
        missed += not caught
        print(f"{number}/{len(chosen)}  {breakage.name}\n      {caught or 'NOT CAUGHT'}", flush=True)  # noqa: T201
    sys.exit(f"{missed} of {len(chosen)} broken rules were not caught." if missed else 0)


if __name__ == "__main__":
    main()
