"""A process that runs a command again and again in children that are killed (SIGKILL) at a given point.

Reads one JSON object a line from standard input: `command`, and either `statement` with `when` (before or after that
statement of the database) or `seconds`. Writes the child's end as one line: how it ended, and how many statements it
made. Django is loaded once; each child has a connection of its own.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "flowlu_admin.settings_test"
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402


def child(order: dict[str, Any], pipe: int) -> None:
    made = 0

    def count(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        nonlocal made
        made += 1
        if (made, "before") == (order.get("statement"), order.get("when")):
            os.kill(os.getpid(), signal.SIGKILL)
        found = execute(sql, params, many, context)
        # The transaction is still open: what the statement did is not committed.
        if (made, "after") == (order.get("statement"), order.get("when")):
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    if "seconds" in order:
        killer = threading.Timer(order["seconds"], os.kill, (os.getpid(), signal.SIGKILL))
        killer.daemon = True
        killer.start()
    try:
        with connection.execute_wrapper(count), open(os.devnull, "w") as nowhere:
            call_command(*order["command"], stdout=nowhere, stderr=nowhere)
        os.write(pipe, json.dumps({"statements": made}).encode())
    except BaseException as error:
        os.write(pipe, json.dumps({"broken": f"{type(error).__name__}: {error}"}).encode())


def main() -> None:
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        order = json.loads(line)
        read, write = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(read)
            child(order, write)
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as stream:
            said = stream.read()
        _pid, status = os.waitpid(process, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": killed, **(json.loads(said) if said else {})}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
