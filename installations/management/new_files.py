"""Writing what a command hands out to a new file or to standard output."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError


@contextmanager
def new_file(name: str, stdout: Any) -> Iterator[Callable[[str], object]]:
    """Give what writes to a file that is made now, for its owner only, or for `-` to standard output.

    Raises CommandError for a file that is there already or cannot be written.
    """
    if name == "-":
        yield lambda text: stdout.write(text, ending="")
        return
    try:
        descriptor = os.open(Path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{name!r} exists already. Name a new file.") from None
    except OSError as error:
        raise CommandError(f"{name!r} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        yield stream.write
