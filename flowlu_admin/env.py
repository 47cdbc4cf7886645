"""Read typed settings from the environment; unknown text is an error, never a default."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def env_str(name: str, default: str = "") -> str:
    """Return the variable without surrounding white space, or `default` when it is not set."""
    return os.environ.get(name, default).strip()


def env_bool(name: str, default: bool) -> bool:
    """Return a yes/no variable.

    Raises ImproperlyConfigured for any other text: a misspelt `DEBUG=flase` must not mean either.
    """
    text = os.environ.get(name)
    if text is None:
        return default
    folded = text.strip().lower()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be one of 1, 0, true, false, yes, no, on, off; it is {text!r}.")


def env_int(name: str, default: int, *, minimum: int = 0) -> int:
    """Return a whole number of at least `minimum`; raises ImproperlyConfigured for anything else."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number; it is {text!r}.") from None
    if value < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}; it is {value}.")
    return value


def env_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """Return one of `choices`; raises ImproperlyConfigured for anything else."""
    value = env_str(name, default).lower() or default
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}; it is {value!r}.")
    return value


def env_list(name: str, default: str = "") -> list[str]:
    """Return the comma-separated parts, without empty ones."""
    return [part for part in (part.strip() for part in env_str(name, default).split(",")) if part]


def env_pairs(name: str, default: str) -> dict[str, str]:
    """Return `a=b,c=d` as a mapping; raises ImproperlyConfigured for a part without both sides."""
    pairs = {}
    for part in env_list(name, default):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise ImproperlyConfigured(f"{name} must be name=value pairs with commas between them; see {part!r}.")
        pairs[key] = value
    return pairs


def env_grants(name: str) -> dict[str, tuple[str, ...]]:
    """Return `a=b,a=c` as what each left side has on its right; the last `=` parts them, since names may have some.

    Raises ImproperlyConfigured for a part without both sides.
    """
    grants: dict[str, tuple[str, ...]] = {}
    for part in env_list(name):
        key, _equals, value = (piece.strip() for piece in part.rpartition("="))
        if not (key and value):
            raise ImproperlyConfigured(f"{name} must be name=group pairs with commas between them; see {part!r}.")
        grants[key] = (*grants.get(key, ()), value)
    return grants


def env_secret(name: str) -> str:
    """Return a secret from `NAME` or from the file that `NAME_FILE` names; "" when neither is set.

    Raises ImproperlyConfigured when both are set or the file cannot be read. The message names the
    variable and the file, never what is inside.
    """
    value = os.environ.get(name, "").strip()
    path = os.environ.get(f"{name}_FILE", "").strip()
    if value and path:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    if not path:
        return value
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ImproperlyConfigured(f"{name}_FILE names {path!r}, which cannot be read as text.") from None
