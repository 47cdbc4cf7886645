"""The files that deploy/Dockerfile puts into the image, in a folder: whatever it forgets is missing there too."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.edge import ROOT

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")


def copied() -> dict[str, str]:
    """Return what is copied out of the project, and to which place."""
    found = {}
    for sources, place in re.findall(r"^COPY (?!--from)(.+) (\S+)$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            found[source] = place + Path(source).name if place.endswith("/") else place
    return found


def make(folder: Path) -> None:
    """Do what the Dockerfile's first stage does, but for the packages, which are those of the tests."""
    for source, place in copied().items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__", "*.po"))
        else:
            shutil.copy(ROOT / source, target)
    collected = re.search(r"STATIC_ROOT=/srv/(\w+) /venv/bin/python (manage\.py collectstatic [^\\\n]+)", DOCKERFILE)
    assert collected
    environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(folder.parent / "var-of-build")}
    subprocess.run(
        [sys.executable, *collected[2].split()],
        cwd=folder,
        env={**environment, "STATIC_ROOT": str(folder / collected[1])},
        check=True,
    )
