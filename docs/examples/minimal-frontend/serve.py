"""Serve the minimal frontend: static files, and the same page for the POST that a portal may open it with."""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
FILES = {"/": ("index.html", "text/html"), "/app.js": ("app.js", "text/javascript")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5173)
    parser.add_argument("--service", default="http://127.0.0.1:8000", help="where the service is")
    parser.add_argument("--sdk-url", default="http://localhost:8001/sdk/miniapp-jssdk.js", help="Flowlu's JS SDK")
    parser.add_argument("--portals", default="http://localhost:8001", help="who may frame the page")
    options = parser.parse_args()

    sdk = urlsplit(options.sdk_url)
    names = {"SERVICE": options.service, "SDK_URL": options.sdk_url}
    settings = "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in names.items())
    policy = (
        f"default-src 'none'; script-src 'self' {options.service} {sdk.scheme}://{sdk.netloc}; "
        f"connect-src {options.service}; frame-ancestors {options.portals}"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            name, media_type = FILES.get(path, ("", "text/javascript"))
            if not name and path != "/settings.js":
                self.send_error(404)
                return
            body = (HERE / name).read_bytes() if name else settings.encode()
            self.send_response(200)
            self.send_header("Content-Type", f"{media_type}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy)
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            # What a portal posts are hints that anybody could send: the SDK says the same, and the token proves it.
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def log_message(self, *_line: object) -> None:
            """Write nothing: an address may hold launch values."""

    with ThreadingHTTPServer(("127.0.0.1", options.port), Handler) as server:
        print(f"The frontend is on http://localhost:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
