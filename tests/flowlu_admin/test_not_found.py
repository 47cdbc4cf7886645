"""What is not there says so, with DEBUG as without: never the address, nor the query, that somebody asked for."""

from typing import Any

import pytest
from django.test import Client

from flowlu_admin.redaction import redact
from tests.installations.admin.console import signed_in

SOUGHT = "tok7NzQw2ExLr9"


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", ["/{}", "/x/{}/y", "/admin/{}/", "/admin/tokens/{}/", "/static/{}", "/api/v1/{}"])
def test_neither_path_nor_query_comes_back(superuser: Any, settings: Any, path: str, debug: bool) -> None:
    settings.DEBUG = debug
    for client in (Client(), signed_in(superuser)):
        response = client.get(path.format(SOUGHT), {"q": SOUGHT}, headers={"X-Session-Token": SOUGHT})

        assert response.status_code in (404, 302)
        assert SOUGHT not in response.content.decode()


@pytest.mark.django_db
def test_post_to_nothing_is_not_found_rather_than_forbidden() -> None:
    assert Client(enforce_csrf_checks=True).post("/nothing", {"q": SOUGHT}).status_code == 404


@pytest.mark.parametrize("step", ["Zra6igVZi_jD5ZUHz5ldHPe7Dr5ghzK6huu3zqxmFh8", "0" * 39 + "a"])
def test_token_as_a_step_of_a_path_is_redacted(step: str) -> None:
    assert redact(f"Internal Server Error: /api/v1/{step}") == "Internal Server Error: /api/v1/[redacted]"
    assert redact(f'"GET /{step}/x?y" 404') == '"GET /[redacted]/x?y" 404'


def test_digest_in_the_name_of_a_file_is_no_token() -> None:
    for name in (f"{'0' * 39}a.css", f"base.{'0' * 39}a.css"):
        assert redact(f"/static/{name}") == f"/static/{name}"
