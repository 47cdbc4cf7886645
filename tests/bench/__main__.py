"""`python -m tests.bench [--scale 1] [NAME…]`: run the benches on PostgreSQL, print their figures, keep them in var/.

`DATABASE_URL` names a server, on which databases of the bench's own are made and dropped again.
"""

import argparse
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType

from tests import bench
from tests.bench.databases import database
from tests.bench.figures import ROOT, as_line, as_table, read_lines

DEFAULT_URL = "postgres://root@127.0.0.1:5432/postgres"
_IN_CHILD = "--child"


def benches() -> Iterator[str]:
    for found in pkgutil.iter_modules(bench.__path__):
        if found.ispkg:
            continue
        source = (ROOT / "tests" / "bench" / f"{found.name}.py").read_text(encoding="utf-8")
        if "\ndef measure(" in source:
            yield found.name


def child(name: str, scale: float) -> None:
    """Run one bench in this process, which was started for it, and write its figures as lines of JSON."""
    import django

    django.setup()
    module: ModuleType = importlib.import_module(f"tests.bench.{name}")
    for figure in module.measure(scale):
        print(as_line(name, figure), flush=True)  # noqa: T201


def run(name: str, url: str, scale: float) -> list[dict[str, object]]:
    environment = _environment(url)
    command = [sys.executable, "-m", "tests.bench", _IN_CHILD, "--scale", str(scale), name]
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        sys.exit(f"{name} ended with {ended.returncode}\n{ended.stdout}")
    return list(read_lines(ended.stdout))


def _environment(url: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": url,
        "DATABASE_POOL_SIZE": "4",
        "DJANGO_SETTINGS_MODULE": "flowlu_admin.settings_test",
        "LOG_LEVEL": "WARNING",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(benches())}; none: all")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of rows (1)")
    parser.add_argument(_IN_CHILD, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.names[0], options.scale)
        return
    unknown = sorted(set(options.names) - set(benches()))
    if unknown:
        parser.error(f"there is no bench named {', '.join(unknown)}")
    server = os.environ.get("DATABASE_URL") or DEFAULT_URL
    if not server.startswith("postgres"):
        parser.error("DATABASE_URL must name a PostgreSQL server.")
    rows: list[dict[str, object]] = []
    with database(server, f"bench_{os.getpid()}") as template:
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=_environment(template), check=True)
        for name in options.names or benches():
            print(f"{name} …", file=sys.stderr, flush=True)  # noqa: T201
            with database(server, f"bench_{os.getpid()}_{name}", f"bench_{os.getpid()}") as url:
                rows += run(name, url, options.scale)
    kept = ROOT / "var" / "bench.json"
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    report: dict[str, object] = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "scale": options.scale}
    for row in rows:
        if details := row.pop("details"):
            report.setdefault(str(row["bench"]), []).append(details)  # type: ignore[attr-defined]  # a list
    report["figures"] = rows
    kept.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(as_table(rows))  # noqa: T201


if __name__ == "__main__":
    main()
