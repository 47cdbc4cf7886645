"""A portal user never meets an error without a sentence for it, nor a key of the page without words."""

import re
from pathlib import Path

from tokens.api import errors, examples
from tokens.embed_texts import COUNTED, LANGUAGES, TEXTS

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "tokens" / "static" / "embed"


def test_every_error_of_the_api_and_of_the_client_has_a_sentence() -> None:
    scripts = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("flowlu-client.js", "flowlu-sdk.js"))
    thrown = set(re.findall(r"FlowluClientError\(\s*'(\w+)'", scripts))
    documented = set(re.findall(r"^\| (`.+?) \|", _errors_of_the_guide(), re.MULTILINE))
    codes = {code for cell in documented for code in re.findall(r"`([a-z_]+)`", cell)} - {"retryAfter"}
    answered = {code for code, _ in errors._FRAMEWORK.values()} | {"access_denied", "server_error"}
    described = {code for text in examples._WHEN.values() for code in re.findall(r"`([a-z_]+)`", text)}

    assert len(thrown) > 5
    assert len(codes) > 20
    assert len(described) > 10
    assert (thrown | codes | answered | described) - TEXTS.keys() == {"fields", "required_scope"}  # no codes


def _errors_of_the_guide() -> str:
    guide = (ROOT / "docs" / "embed-client.md").read_text(encoding="utf-8")
    return guide.split("## Errors", 1)[1].split("\n## ", 1)[0]


def test_script_of_the_page_uses_the_keys_that_are_there_and_all_of_them() -> None:
    script = (STATIC / "page.js").read_text(encoding="utf-8")
    used = set(re.findall(r"'(page\.[a-z_.]+)'", script))
    made = {f"page.status.{status}" for status in re.findall(r"(\w+): '(?:good|waiting|problem)'", script)}

    assert used | made == {key for key in TEXTS.keys() | COUNTED.keys() if key.startswith("page.")}


def test_sandbox_offers_what_the_page_speaks() -> None:
    pages = (ROOT / "flowlu_admin" / "sandbox" / "pages.py").read_text(encoding="utf-8")

    assert tuple(re.findall(r'"(\w\w)": "', pages.split("LANGUAGES = ", 1)[1].splitlines()[0])) == LANGUAGES
