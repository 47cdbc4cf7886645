"""`python -m tests.bench.slow_upstream PORT CERTIFICATE KEY DELAY_MS`: a portal that answers each GET after a while."""

import asyncio
import ssl
import sys

from tests.bench.load import ANSWER


class _Portal(asyncio.Protocol):
    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._text = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
        ) + ANSWER
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            self._read = self._read.partition(b"\r\n\r\n")[2]
            asyncio.get_running_loop().call_later(self._delay, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._text)  # type: ignore[attr-defined]  # of a stream it can


async def main(port: int, certificate: str, key: str, delay: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Portal(delay), "127.0.0.1", port, ssl=context, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]) / 1000))
