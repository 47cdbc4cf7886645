"""What a browser calls itself, in a few words of ours. Pure: nothing of the header itself comes out."""

from typing import Final

from django.utils.translation import gettext

# The first that is found: most browsers also name those that they descend from.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_of(user_agent: str) -> str:
    """Return browser and system, like `Firefox on Linux`. A client is free to call itself anything."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), gettext("another browser"))
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return gettext("%(browser)s on %(system)s") % {"browser": browser, "system": system} if system else browser
