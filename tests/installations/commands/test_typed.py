"""What is typed at a terminal, on a real one: asked for, not shown, and twice where a slip would lock somebody out."""

import os
import pty
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ASKING = "from installations.management import typed; print('got', typed.{call}.upper())"


def at_terminal(call: str, *typed: str) -> str:
    """Run the function where somebody answers each prompt; return all that the terminal showed."""
    pid, terminal = pty.fork()
    if not pid:  # pragma: no cover  (the child)
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-c", ASKING.format(call=call)])
    shown = b""
    for line in typed:
        # What came before the prompt would be thrown away.
        while not shown.endswith(b": "):
            shown += os.read(terminal, 1024)
        os.write(terminal, f"{line}\n".encode())
        shown += os.read(terminal, 2)  # the end of the line, which alone is shown
    try:
        while more := os.read(terminal, 1024):
            shown += more
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(terminal)
    os.waitpid(pid, 0)
    return shown.decode()


def test_secret_is_not_shown() -> None:
    assert at_terminal("secret('The API key')", "kept-apart").split("\r\n") == ["The API key: ", "got KEPT-APART", ""]


def test_password_is_typed_twice() -> None:
    shown = at_terminal("new_password()", "correct horse", "correct horse")
    assert shown.split("\r\n") == ["New password: ", "Once more: ", "got CORRECT HORSE", ""]


@pytest.mark.parametrize("second", ["correct hoarse", ""])
def test_slip_is_refused(second: str) -> None:
    shown = at_terminal("new_password()", "correct horse", second)
    assert "The two are not the same. Nothing was changed." in shown
    assert "horse" not in shown
    assert "got" not in shown
