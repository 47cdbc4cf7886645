"""`python -m flowlu_admin.sandbox`: run the sandbox until Ctrl-C or SIGTERM."""

import argparse
import errno
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from flowlu_admin.sandbox.book import SandboxError
from flowlu_admin.sandbox.server import NotLoopbackError, SandboxServer

_SAMPLE_MANIFEST = Path(__file__).parent / "sample-manifest.json"
_TRUE = frozenset({"1", "true", "yes", "on"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox; return 0 when it was stopped, 1 when it could not start, 2 when it must not."""
    options = _parser().parse_args(arguments)
    if os.environ.get("DEBUG", "").strip().lower() not in _TRUE:
        return _refuse(
            "The sandbox gives tokens to whoever asks and is for development only. Set DEBUG=1 to run it.", 2
        )
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="sandbox: %(message)s")
    embed = urlsplit(options.embed_url)
    if embed.scheme not in ("http", "https") or not embed.hostname:
        return _refuse(f"--embed-url must be an http address; it is {options.embed_url!r}.", 2)
    try:
        sandbox = SandboxServer(
            port=options.port,
            host=options.host,
            embed_url=options.embed_url,
            app_id=options.app_id,
            app_version=options.app_version,
            requested_scopes=_scopes_of(options.manifest),
            state_file=options.state,
            # Not an argument: everybody on the machine could read it there.
            client_secret=os.environ.get("FLOWLU_CLIENT_SECRET", "").strip(),
        )
    except NotLoopbackError as exc:
        return _refuse(str(exc), 2)
    except SandboxError as exc:
        return _refuse(exc.message, 1)
    except OverflowError:
        return _refuse(f"There is no port {options.port}.", 2)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            taken = f"Port {options.port} on {options.host} is taken."
            return _refuse(f"{taken} Stop what uses it, or choose another one with --port.", 1)
        return _refuse(f"The sandbox cannot listen on {options.host}:{options.port}: {exc.strerror}.", 1)

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with sandbox:
        sys.stdout.write(f"Sandbox portals (not Flowlu): {sandbox.url}/\n")
        sys.stdout.flush()
        stopped.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flowlu_admin.sandbox",
        description="A stand-in for Flowlu for development and tests. It needs DEBUG=1 and listens on loopback only.",
    )
    parser.add_argument("--port", type=int, default=8001, help="default 8001; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address, default 127.0.0.1")
    parser.add_argument("--embed-url", default="http://127.0.0.1:8000/embed/", help="the application's page")
    parser.add_argument("--app-id", default="com.example.desk", help="the application that the portals have installed")
    parser.add_argument("--app-version", default="1.0.0", help="what portals report; private applications are 1.0.0")
    parser.add_argument(
        "--manifest",
        type=Path,
        default=_SAMPLE_MANIFEST,
        help="take the requested scopes from this manifest.json; default: the sample application's",
    )
    parser.add_argument("--state", type=Path, help="keep tokens and approvals in this file over a restart")
    parser.add_argument("--verbose", action="store_true", help="write one line for each REST call")
    return parser


def _scopes_of(path: Path) -> tuple[str, ...]:
    try:
        scopes = json.loads(path.read_text(encoding="utf-8"))["permissions"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SandboxError(f"{path} is not a manifest with permissions.") from None
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise SandboxError(f"The permissions in {path} are not a list of texts.")
    return tuple(scopes)


def _refuse(sentence: str, status: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
