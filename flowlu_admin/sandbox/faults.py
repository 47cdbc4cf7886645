"""The ways in which a portal can fail, carried out on the connection itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flowlu_admin.sandbox import rest
from flowlu_admin.sandbox.http_types import Response, json_response
from flowlu_admin.sandbox.state import Fault

_DELAY = 5.0
_DRIP = 0.5
_CHUNK = 64 * 1024

# Something to look for: no caller of the service may ever see a portal's own text.
UPSTREAM_TEXT = "Sandbox fault: this text belongs to the portal"


class Connection(Protocol):
    """What a fault may do with the connection that a request came in on."""

    def send(self, response: Response) -> None:
        """Send a whole response."""

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""

    def wait(self, seconds: float, fault: Fault) -> None:
        """Wait, but no longer than the fault is switched on and the sandbox runs."""

    def close(self) -> None:
        """End the connection in order."""

    def reset(self) -> None:
        """End the connection with a reset."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One fault at work. `log` takes the status, before the first byte goes out: whoever has it finds it logged."""

    fault: Fault
    connection: Connection
    normal: Callable[[], Response]
    log: Callable[[int], None]

    def send(self, response: Response) -> None:
        """Log and send a whole response."""
        self.log(response.status)
        self.connection.send(response)

    def wait(self, default: float = 0) -> None:
        """Wait as long as the fault says."""
        self.connection.wait(default if self.fault.delay_seconds is None else self.fault.delay_seconds, self.fault)


def carry_out(incident: Incident) -> None:
    """Answer with the fault, late if it says so."""
    on_the_wire = _ON_THE_WIRE.get(incident.fault.kind)
    if on_the_wire is not None:
        on_the_wire(incident)
        return
    incident.wait()
    incident.send(_answer(incident.fault))


def _delay(incident: Incident) -> None:
    """Carry the call out and answer late: who does not wait for the answer does not know that it was done."""
    response = incident.normal()
    incident.log(response.status)
    incident.wait(_DELAY)
    incident.connection.send(response)


def _drip(incident: Incident) -> None:
    """Send the normal answer byte by byte: no single read is slow, all of them together are."""
    response = incident.normal()
    incident.log(response.status)
    incident.connection.send_bytes(_head(response.status, response.content_type, len(response.body)))
    for position in range(len(response.body)):
        incident.connection.send_bytes(response.body[position : position + 1])
        incident.wait(_DRIP)


def _reset(incident: Incident) -> None:
    incident.wait()
    incident.log(0)
    incident.connection.reset()


def _oversized(incident: Incident) -> None:
    """Send a valid answer that is too large, in chunks, so that no length gives it away beforehand."""
    send_bytes = incident.connection.send_bytes
    incident.wait()
    incident.log(200)
    send_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    left = incident.fault.size
    opening, closing = b'{"response":{"filler":"', b'"}}'
    send_bytes(b"%x\r\n%s\r\n" % (len(opening), opening))
    while left > 0:
        part = b"x" * min(left, _CHUNK)
        send_bytes(b"%x\r\n%s\r\n" % (len(part), part))
        left -= len(part)
    send_bytes(b"%x\r\n%s\r\n0\r\n\r\n" % (len(closing), closing))


def _close_before_body(incident: Incident) -> None:
    """Promise a body, send its beginning and hang up."""
    incident.log(200)
    incident.connection.send_bytes(_head(200, "application/json", 1000) + b'{"response":{"total":')
    incident.wait()
    incident.connection.close()


_ON_THE_WIRE: dict[str, Callable[[Incident], None]] = {
    "delay": _delay,
    "drip": _drip,
    "reset": _reset,
    "oversized": _oversized,
    "close_before_body": _close_before_body,
}


def _head(status: int, content_type: str, length: int) -> bytes:
    return f"HTTP/1.1 {status} OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n".encode()


def _answer(fault: Fault) -> Response:
    kind = fault.kind
    match kind:
        case "status_401":
            return rest.error(11, UPSTREAM_TEXT, status=401)
        case "status_403":
            return rest.error(22, UPSTREAM_TEXT, status=403)
        case "status_429":
            return rest.too_many(fault.retry_after)
        case "status_500" | "status_503":
            status = int(kind.removeprefix("status_"))
            headers = {"Retry-After": fault.retry_after} if status == 503 and fault.retry_after else None
            payload = {"error": {"error_code": 13, "error_msg": UPSTREAM_TEXT}}
            return json_response(payload, status, headers)
        case "error_200":
            return rest.error(fault.error_code, UPSTREAM_TEXT, details={"name": UPSTREAM_TEXT})
        case "validation_200":
            return rest.validation({"name": UPSTREAM_TEXT, "email": UPSTREAM_TEXT})
        case "malformed":
            return Response(200, b'{"response": {"total": 3, "items": [{"id": 1, "name": "Nor')
        case "wrong_types":
            wrong = {"id": {"value": [7]}, "name": 42, "role_admin": "yes", "total": "many", "items": {"0": None}}
            return json_response({"response": wrong})
        case "html":
            page = f"<!doctype html><title>Maintenance</title><h1>{UPSTREAM_TEXT}</h1>"
            return Response(200, page.encode(), "text/html; charset=utf-8")
        case "redirect":
            return Response(302, b"", headers={"Location": fault.location or "/_sandbox/redirected"})
        case "no_envelope":
            return json_response({"total": 0, "items": []})
        case "empty":
            return Response(200, b"")
        case _:
            raise AssertionError(kind)
