"""What docs/licences.md says: each pin with the licence that its package declares."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/licences.md"
# What is not installed on this kind of machine, and what says nothing short: read in the package, by hand.
READ = {
    "async-timeout": "Apache-2.0",
    "axe-playwright-python": "MIT",
    "colorama": "BSD-3-Clause",
    "fido2": "BSD-2-Clause, with parts under Apache-2.0 and MPL-2.0",
    "pyyaml-ft": "MIT",
}
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
_LONGEST = 40  # longer is the text of a licence, and not its name
_SAYS_NOTHING = frozenset({"", "UNKNOWN", "Dual License"})
_BEGIN = """\
# Licences

Of what the service is made with, as each package declares it. `make licences` writes this list by the pins; a test
fails where they differ.

"""


def pins(file: str) -> dict[str, str]:
    """Return the version of each package that a file pins."""
    return dict(_PIN.findall((ROOT / file).read_text(encoding="utf-8")))


def licence_of(package: str) -> str:
    """Return what the installed package declares; raises LookupError where nobody knows."""
    if package in READ:
        return READ[package]
    try:
        said = metadata(package)
    except PackageNotFoundError:
        raise LookupError(f"{package} is not installed here: add its licence to {__name__}") from None
    for name in ("License-Expression", "License"):
        text = str(said.get(name) or "").strip()
        if text not in _SAYS_NOTHING and "\n" not in text and len(text) <= _LONGEST:
            return text
    found = [text.split(" :: ")[-1] for text in said.get_all("Classifier", []) if text.startswith("License :: ")]
    if not found:
        raise LookupError(f"{package} declares no licence: add it to {__name__}")
    return ", ".join(found)


def written() -> str:
    """Return the document as it has to be."""
    shipped, tools = pins("requirements.txt"), pins("requirements-dev.txt")
    return (
        _BEGIN
        + "## What is shipped\n\ndrf-spectacular-sidecar brings Swagger UI and Redoc along, under Apache-2.0 and MIT;"
        + "\nDjango's admin brings jQuery, Select2 and XRegExp, under MIT.\n\n"
        + _table(shipped)
        + "\n## What only develops and tests it\n\n"
        + _table({name: version for name, version in tools.items() if name not in shipped})
    )


def _table(versions: dict[str, str]) -> str:
    rows = [f"| {name} | {version} | {licence_of(name)} |\n" for name, version in sorted(versions.items())]
    return "| Package | Version | Licence |\n|---|---|---|\n" + "".join(rows)
