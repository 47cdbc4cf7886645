"""What a command is given and nobody is to see: arguments are in the list of processes, typed text is on the screen."""

import getpass
import sys

from installations.management.output import Refusal


def secret(what: str) -> str:
    """Return a secret, typed unseen where somebody sits at a terminal, else the next line of standard input."""
    return getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


def new_password() -> str:
    """Return a password as `secret` does. Whoever types it does so twice, and refuses a slip by it."""
    password = secret("New password")
    if sys.stdin.isatty() and secret("Once more") != password:
        raise Refusal("The two are not the same. Nothing was changed.")
    return password
