"""What nginx promises in front of the service."""

from tests.broken_rules.breakage import Breakage

_FILE = "deploy/nginx.conf.template"
_TESTS = ("tests/deploy/test_behind_nginx.py",)

DEPLOYMENT = (
    Breakage(
        "edge: nginx's error log writes of requests",
        _FILE,
        "    error_log stderr emerg;",
        "    error_log stderr error;",
        _TESTS,
    ),
    Breakage("edge: the access log has the query", _FILE, '"$request_method $uri"', '"$request"', _TESTS),
    Breakage(
        "edge: what a client says of whom it speaks for is passed on",
        _FILE,
        "X-Forwarded-For $remote_addr;",
        "X-Forwarded-For $proxy_add_x_forwarded_for;",
        _TESTS,
    ),
    Breakage("edge: a header is sent twice", _FILE, '"" nosniff;', "default nosniff;", _TESTS),
    Breakage("edge: a body goes through a file", _FILE, "body_buffer_size 3m;", "body_buffer_size 1m;", _TESTS),
    Breakage("edge: old TLS is spoken", _FILE, "ssl_protocols TLSv1.2", "ssl_protocols TLSv1.1 TLSv1.2", _TESTS),
    Breakage("edge: another name is answered", _FILE, "        return 421;\n", "", _TESTS),
    Breakage("edge: the version is told", _FILE, "server_tokens off;", "server_tokens on;", _TESTS),
)
