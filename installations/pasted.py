"""Whether a text that somebody typed or pasted looks like a credential. Pure.

Tokens and API keys have no mark of their own (Flowlu documents no format), so this goes by what names, addresses and
ids never look like. The console's script asks the same before anything leaves the browser.
"""

import re

# Letters of both cases, or letters and digits. One token in some thousands has no digit at all; a name of the code has
# no capitals beside its small letters.
MIXED = r"(?:(?=[\w-]*\d)(?=[\w-]*[A-Za-z])|(?=[\w-]*[a-z])(?=[\w-]*[A-Z]))"
_CASED = (
    # the label of a domain may be as long
    rf"(?<![\w-])(?![a-z0-9-]+\.[a-z]){MIXED}[\w-]{{40,}}",
    # shorter ones have all three kinds
    r"(?<![\w+=-])(?=[\w+=-]*\d)(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])[\w+=-]{32,}",
    # digits of a hash or a random number; people see 8 of a fingerprint
    r"(?<![\w-])(?=\d*[A-Fa-f])(?=[A-Fa-f]*\d)[0-9A-Fa-f]{20,}(?![\w-])",
    # capitals and digits, as the seed of a second factor
    r"(?<![\w-])(?=\d*[A-Z])(?=[A-Z]*\d)[0-9A-Z]{20,}(?![\w-])",
    r"(?<![\w-])fls_[\w-]{8,}",
    r"(?<![\w-])eyJ[\w-]{5,}\.",
)
_NAMED = (
    r"(?:access_token|refresh_token|session_token|api_?key|client_secret)[\"']?\s*[=:]",
    r"(?:password|secret)\s*=",
    r"\bbearer\s+[\w.~+/=-]{16,}",
)
_SHAPES = (re.compile("|".join(_CASED), re.ASCII), re.compile("|".join(_NAMED), re.IGNORECASE))


def looks_like_credential(text: str) -> bool:
    """Return whether a token, an API key or a password may stand in the text.

    A shape is no proof: a long name may have it as well.
    """
    return any(shape.search(text) for shape in _SHAPES)
