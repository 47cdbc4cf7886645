"""The page of a manifest: what changed since another content of the same application."""

import json
from typing import Any

import pytest

from installations.models import Application, Manifest
from installations.services import import_manifest
from tests import factories
from tests.installations.admin.console import signed_in, text, url


def imported(**members: Any) -> Manifest:
    """Import one more content of the application and return it."""
    document = factories.manifest(**members)
    return import_manifest(document=document, kind=None, actor=factories.superactor()).manifest


def page(user: Any, manifest: Manifest, **query: Any) -> Any:
    return signed_in(user).get(url("installations_manifest_change", manifest.pk), query)


def test_first_content_is_compared_with_nothing(auditor: Any, application: Application) -> None:
    shown = text(page(auditor, Manifest.objects.get()))

    assert "What changed since" not in shown
    assert "Requested scopes" in shown


def test_content_is_compared_with_the_one_before_and_says_what_it_asks_for_more(
    auditor: Any, application: Application
) -> None:
    old = Manifest.objects.get()
    new = imported(permissions=["crm.accounts.read", "fin.full", "warehouse.read"], version="1.1.0")

    shown = text(page(auditor, new))

    assert f"What changed since 1.0.0 ({old.sha256[:8]})" in shown
    assert "It asks for more. Installations go on with what is approved, and ask for the rest." in shown
    assert "unknown: asks for more warehouse.read new and not in the catalogue: it grants nothing here" in shown
    assert "removed task was asked for at level read" in shown
    assert "changed version from 1.0.0 to 1.1.0" in shown


def test_content_that_only_narrows_says_so(auditor: Any, application: Application) -> None:
    new = imported(permissions=["crm.accounts.read"], version="1.1.0")

    shown = text(page(auditor, new))

    assert "It asks for nothing that was not asked for then." in shown
    assert "asks for more" not in shown


def test_any_two_contents_of_an_application_can_be_compared(auditor: Any, application: Application) -> None:
    first = Manifest.objects.get()
    second = imported(permissions=["crm.accounts.read"], version="1.1.0")
    third = imported(permissions=["fin.read"], version="1.2.0")

    assert "What changed since 1.1.0" in text(page(auditor, third))
    assert "What changed since 1.0.0" in text(page(auditor, third, against=first.pk))
    assert "What changed since 1.1.0" in text(page(auditor, first))  # the next one, where there is none before
    links = page(auditor, third).content.decode()
    assert f"{url('installations_manifest_change', third.pk)}?against={first.pk}" in links
    assert f'?against={second.pk}"' not in links  # it is compared above


def test_content_that_is_too_old_to_be_offered_can_still_be_named(auditor: Any, application: Application) -> None:
    first = Manifest.objects.get()
    for number in range(25):
        last = imported(version=f"2.0.{number}")

    assert f'?against={first.pk}"' not in page(auditor, last).content.decode()
    assert "What changed since 1.0.0" in text(page(auditor, last, against=first.pk))


@pytest.mark.parametrize("named", ["0", "x", "-1", "9" * 40, "1 OR 1=1", "\u0661"])
def test_name_of_no_content_compares_with_the_one_before(auditor: Any, application: Application, named: str) -> None:
    new = imported(version="1.1.0")

    assert "What changed since 1.0.0" in text(page(auditor, new, against=named))


def test_content_of_another_application_is_never_compared(auditor: Any, application: Application) -> None:
    other = factories.application("com.example.other", name="Other", description="Of somebody else")
    new = imported(version="1.1.0")

    shown = text(page(auditor, new, against=other.current_manifest_id))

    assert "What changed since 1.0.0" in shown
    assert "somebody else" not in shown


def test_hostile_values_of_both_contents_are_text(auditor: Any, application: Application) -> None:
    evil = "<script>alert(1)</script>\u202e"
    imported(version="1.1.0", categories=[evil], permissions=["crm.read", f"x.{evil}"])
    new = imported(version="1.2.0", categories=["a"], configuration={evil: {"type": "text"}})

    response = page(auditor, new)

    assert response.status_code == 200
    body = response.content.decode()
    assert "<script>alert" not in body
    assert "\u202e" not in body
    assert "categories" in text(response)


def test_comparison_costs_the_same_for_many_contents(
    auditor: Any, application: Application, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(auditor)
    last = imported(version="1.1.0")
    client.get(url("installations_manifest_change", last.pk))
    with django_assert_max_num_queries(8) as few:
        client.get(url("installations_manifest_change", last.pk))

    for number in range(5):
        last = imported(version=f"2.0.{number}", permissions=[f"x{n}.read" for n in range(40)])
    with django_assert_max_num_queries(8) as many:
        client.get(url("installations_manifest_change", last.pk))
    assert len(many) == len(few)


def test_stored_document_is_whole(application: Application) -> None:
    """The comparison reads what was imported, member for member."""
    assert Manifest.objects.get().document == json.loads(factories.manifest())
