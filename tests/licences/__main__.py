"""`python -m tests.licences`: write docs/licences.md by the pins and what the installed packages say of themselves."""

from tests.licences.listing import DOCUMENT, written

DOCUMENT.write_text(written(), encoding="utf-8")
