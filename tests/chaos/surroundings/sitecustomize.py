"""The hosts file and the clock of a process that a test starts. Python imports this at its start, by its name.

NAMES_FILE has a name and an address in each line. CLOCK_FILE says by how many seconds the clock is wrong; what it is
set to is written beside it, under the process's number. What measures how long something takes goes on, as it does on
a machine whose clock is set.
"""

import os
import socket
import threading
import time
from pathlib import Path


def _look_up_in(names):
    look_up = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *how, **more: look_up(names.get(host, host), *how, **more)


def _follow(file):
    import time_machine

    clock = time_machine.travel(time.time(), tick=True).start()
    wrong_by = 0.0
    while True:
        asked = float(file.read_text())
        if asked != wrong_by:
            wrong_by = asked
            clock.move_to(time_machine.escape_hatch.time.time() + wrong_by)
        file.with_name(f"{file.name}-{os.getpid()}").write_text(str(wrong_by))
        time.sleep(0.05)


def _set_clock():
    threading.Thread(target=_follow, args=(Path(os.environ["CLOCK_FILE"]),), daemon=True).start()


if "NAMES_FILE" in os.environ:
    _look_up_in(dict(line.split() for line in Path(os.environ["NAMES_FILE"]).read_text().splitlines()))
if "CLOCK_FILE" in os.environ:
    os.register_at_fork(after_in_child=_set_clock)  # gunicorn's workers
