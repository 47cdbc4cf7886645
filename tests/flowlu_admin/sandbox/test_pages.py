"""The pages without a browser: labels, policies, escaping, the launch form, and the portal page's own calls."""

import json
import re

import pytest

from flowlu_admin.sandbox.server import SandboxServer
from tests.flowlu_admin.sandbox.conftest import Answer, Client


def session_call(client: Client, verb: str, payload: object, content_type: str = "application/json") -> Answer:
    body = json.dumps(payload).encode()
    return client.request("POST", f"/portal-session/{verb}", body=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/open/acme/2", 200),
        ("/nonsense", 404),
        ("/open/acme/99", 404),
        ("/open/x/1", 404),
        ("/open/", 404),
    ],
)
def test_every_page_is_labelled_and_has_a_strict_policy(client: Client, path: str, status: int) -> None:
    page = client.request("GET", path)
    text = page.body.decode()
    assert page.status == status
    assert "Sandbox: not Flowlu" in text
    assert page.headers["Cache-Control"] == "no-store"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", text)


def test_the_index_lists_every_portal_and_user(client: Client, sandbox: SandboxServer) -> None:
    text = client.request("GET", "/").body.decode()
    for portal in sandbox.state.portals.values():
        assert portal.domain in text
        for user in portal.users.values():
            assert f'href="/open/{portal.domain}/{user.id}"' in text
    assert "Łucja O&#x27;Brien-Żak" in text


def test_by_its_number_the_page_moves_to_localhost(client: Client, sandbox: SandboxServer) -> None:
    headers = {"Host": f"127.0.0.1:{sandbox.port}"}
    answer = client.request("GET", "/open/acme.flowlu.com/2?lang=es", headers=headers)
    assert answer.status == 302
    assert answer.headers["Location"] == f"http://localhost:{sandbox.port}/open/acme.flowlu.com/2?lang=es"


def test_the_launch_has_the_documented_values_and_no_token(client: Client, sandbox: SandboxServer) -> None:
    sandbox.embed_url = "http://127.0.0.1:9/embed/"
    text = client.request("GET", "/open/globex/2").body.decode()
    assert 'method="post" action="http://127.0.0.1:9/embed/" target="application"' in text
    assert dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', text)) == {
        "protocol": "http",
        "domain": "globex.flowlu.com",
        "language": "pt",
        "integration_point": "app.homepage",
        "integration_id": "home",
        "app_id": "com.example.desk",
        "app_version": "1.0.0",
    }
    assert sandbox.state.live_pairs("globex") == 0


def test_a_launch_by_get_keeps_the_query_of_the_address(client: Client, sandbox: SandboxServer) -> None:
    sandbox.embed_url = 'http://127.0.0.1:9/embed/?x=1&y="2"'
    text = client.request("GET", "/open/globex/2?launch=get&lang=ru").body.decode()
    assert 'method="get" action="http://127.0.0.1:9/embed/"' in text
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', text))
    assert (fields["x"], fields["y"], fields["language"]) == ("1", "&quot;2&quot;", "ru")


def test_the_portal_page_gets_a_context_with_a_pair_that_works(client: Client) -> None:
    context = session_call(client, "launch", {"portal": "acme.flowlu.com", "user_id": "3", "language": "es"}).json
    assert context["domain"] == "acme.flowlu.com"
    assert context["language"] == "es"
    assert context["https"] is False
    assert context["account"] == {"id": "10421"}
    assert context["app"] == {"id": "com.example.desk", "version": "1.0.0"}
    assert context["placement"] == {"id": "home", "code": "app.homepage", "props": {}}
    assert context["ratelimit"] == {"limit": 10}
    assert client.call("core/user/get", context["auth"]["access_token"]).json["response"]["id"] == "3"

    renewed = session_call(client, "refresh", {"refresh_token": context["auth"]["refresh_token"]})
    assert renewed.headers["Cache-Control"] == "no-store"
    assert client.call("core/user/get", renewed.json["access_token"]).status == 200
    again = session_call(client, "refresh", {"refresh_token": context["auth"]["refresh_token"]})
    assert again.status == 400


def test_every_opening_starts_a_pair_and_leaves_the_others(client: Client) -> None:
    opening = {"portal": "acme", "user_id": "3"}
    tokens = [session_call(client, "launch", opening).json["auth"]["access_token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    assert [client.call("core/user/get", token).status for token in tokens] == [200, 200]


def test_the_portal_pages_calls_take_json_from_its_own_page_only(client: Client) -> None:
    opening = {"portal": "acme", "user_id": "3"}
    assert session_call(client, "launch", opening, "text/plain").status == 415
    assert session_call(client, "nonsense", opening).status == 404
    assert client.request("GET", "/portal-session/launch").status == 404


def test_a_removed_application_is_shown_as_such(client: Client) -> None:
    session_call(client, "remove", {"portal": "acme"})
    assert "The application is not installed here." in client.request("GET", "/").body.decode()
    page = client.request("GET", "/open/acme/2").body.decode()
    assert 'data-installed="no"' in page
    assert session_call(client, "launch", {"portal": "acme", "user_id": "2"}).status == 409
    session_call(client, "install", {"portal": "acme"})
    assert session_call(client, "launch", {"portal": "acme", "user_id": "2"}).status == 200


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/sdk/miniapp-jssdk.js", "text/javascript"),
        ("/static/portal.js", "text/javascript"),
        ("/static/sandbox.css", "text/css"),
        ("/static/icon.svg", "image/svg+xml"),
    ],
)
def test_static_files(client: Client, path: str, media_type: str) -> None:
    answer = client.request("GET", path)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(media_type)
    head = client.request("HEAD", path)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/sdk/", "/static"])
def test_nothing_else_is_served(client: Client, path: str) -> None:
    assert client.request("GET", path).status == 404


def test_a_page_takes_no_form(client: Client) -> None:
    answer = client.request("POST", "/open/acme.flowlu.com/2")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_language_that_there_is_none_of_is_english(client: Client) -> None:
    text = client.request("GET", "/open/globex/2?lang=xx").body.decode()
    assert 'data-language="en"' in text
