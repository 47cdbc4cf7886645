"""/api/schema and /api/docs: a valid document that names every route, and a page that loads nothing from outside."""

import re

import pytest
import yaml
from django.test import Client
from openapi_spec_validator import validate

from flowlu_admin import api_document
from tokens.api.urls import urlpatterns

pytestmark = pytest.mark.django_db


def test_schema_is_valid_and_names_every_route_with_examples(client: Client) -> None:
    document = yaml.safe_load(client.get("/api/schema").content)

    validate(document)
    assert set(document["paths"]) == {
        "/api/v1/session",
        "/api/v1/session/token",
        "/api/v1/permissions",
        "/api/v1/flowlu/{path}",
    }
    assert len(document["paths"]) == len(urlpatterns)
    opened = document["paths"]["/api/v1/session"]["post"]
    assert opened["requestBody"]["content"]["application/json"]["examples"]
    assert opened["responses"]["201"]["content"]["application/json"]["examples"]
    assert opened.get("security", []) in ([], [{}])
    assert document["components"]["securitySchemes"]["sessionToken"]["name"] == "X-Session-Token"
    links = opened["responses"]["201"]["links"]
    assert links.keys() == {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if operation is not opened
    }
    assert {link["parameters"]["header.X-Session-Token"] for link in links.values()} == {
        "$response.body#/session_token"
    }
    assert set(document["paths"]["/api/v1/flowlu/{path}"]["get"]["responses"]) == {
        "200", "400", "401", "403", "404", "405", "422", "429", "502", "503", "504",
    }  # fmt: skip


def test_schema_is_made_once_whatever_is_asked(client: Client) -> None:
    first = client.get("/api/schema")
    made = api_document._written.cache_info().misses

    for query in ("", "?lang=es", "?version=2", f"?x={'y' * 1000}"):
        again = client.get("/api/schema" + query, headers={"Accept-Language": "ru"})
        assert (again.content, again.headers["Content-Type"]) == (first.content, first.headers["Content-Type"])

    assert api_document._written.cache_info().misses == made
    as_json = client.get("/api/schema", headers={"Accept": "application/json"})
    assert as_json.json() == yaml.safe_load(first.content)
    assert as_json.headers["Content-Disposition"] == 'inline; filename="Current-user API.json"'
    assert client.get("/api/schema", headers={"Accept": "text/html"}).status_code == 406


def test_page_loads_nothing_from_outside_and_nothing_inline(client: Client) -> None:
    body = client.get("/api/docs").content.decode()

    for address in re.findall(r'(?:src|href)="([^"]+)"', body):
        assert address.startswith("/"), address
    assert "<style" not in body
    assert not re.search(r"<script(?![^>]*src=)", body)
