"""Manifests that nobody would write: each is imported or refused whole, can be read on every page and decided about."""

import json
from typing import Any

import pytest

from installations import selectors
from installations.errors import ManifestInvalid
from installations.manifests import MAX_BYTES
from installations.models import ApprovedPermission, Installation, Manifest
from installations.services import approve_scopes, import_manifest, withhold_scopes
from tests import factories
from tests.installations.admin.console import signed_in, text, url
from tests.security.labels import ALL_LABELS
from tests.security.reading import faults_of
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = ["fin.read", *(f"vendor.part{number:05}.{'x' * 178}.read" for number in range(4_999))]
EXTREMES = {
    "five thousand": ["fin.read", *(f"vendor.part{number}.full" for number in range(4_999))],
    "almost a megabyte": MEGABYTE,
    "duplicates and contradictions": ["fin.read", "fin.full", "fin", "fin.read", "crm.read", "crm.accounts.full"],
    "look-alikes and directions": ["fin.read", "fіn.read", "\u202efin.read", "fin.read\u200b", "FIN.read", *ALL_LABELS],
    "nothing": [],
}


def pages(installation: Installation) -> list[str]:
    here = {"object_id": installation.pk}
    return [
        url("installations_installation_changelist"),
        url("installations_installation_change", installation.pk),
        url("installations_installation_approve", **here),
        url("installations_installation_permissions", **here),
        url("installations_installation_manifest", **here),
        url("installations_manifest_change", installation.manifest_id),
        url("installations_manifest_changelist"),
        url("installations_application_change", installation.application_id),
        url("index"),
    ]


@pytest.mark.parametrize("kind", EXTREMES)
def test_pages_show_it_as_text_and_in_bounds(reviewer: Any, kind: str) -> None:
    document = factories.manifest(permissions=EXTREMES[kind])
    assert len(document) <= MAX_BYTES
    installation = factories.installation(factories.application(permissions=EXTREMES[kind]))
    client = signed_in(reviewer)

    for where in pages(installation):
        page = client.get(where)
        assert page.status_code == 200, where
        if kind == "look-alikes and directions":
            assert faults_of(page.content.decode()) == [], where
    for export in ("csv", "json"):
        assert client.get(pages(installation)[3], {"format": export}).status_code == 200


@pytest.mark.parametrize("kind", [kind for kind in EXTREMES if kind != "nothing"])
def test_only_what_is_a_known_scope_can_be_approved(kind: str) -> None:
    installation = factories.installation(factories.application(permissions=EXTREMES[kind]))

    review = selectors.review_scopes(installation.manifest.requested_scopes, [])
    offered = {row.code for row in review.to_decide}
    approve_scopes(
        installation_id=installation.pk,
        requested=[f"{code}.read" for code in sorted(offered)],
        actor=factories.superactor(),
        reason="For a test.",
    )

    assert "fin" in offered
    assert offered <= {"fin", "crm", "crm.accounts"}
    assert set(ApprovedPermission.objects.values_list("code", flat=True)) == offered


def test_highest_level_counts_where_a_manifest_contradicts_itself() -> None:
    kind = "duplicates and contradictions"
    installation = factories.installation(factories.application(permissions=EXTREMES[kind]))

    row = next(
        row
        for row in selectors.review_scopes(installation.manifest.requested_scopes, []).to_decide
        if row.code == "fin"
    )

    assert str(row.requested) == "fin.full"


def test_wider_one_after_it_needs_re_approval_and_can_be_withheld(reviewer: Any) -> None:
    installation = factories.installation(factories.application(permissions=["fin.read"]), approved=["fin.read"])
    factories.application(permissions=MEGABYTE, version="2.0.0")
    client = signed_in(reviewer)

    installation.refresh_from_db()
    page = client.get(pages(installation)[1])
    listed = client.get(pages(installation)[0], {"decision": "anew"})
    compared = client.get(pages(installation)[4], {"against": Manifest.objects.earliest("pk").pk})
    withheld = withhold_scopes(installation_id=installation.pk, actor=factories.superactor(), reason="No.")

    assert "needs re-approval" in text(page)
    assert listed.context["cl"].result_count == 1
    assert compared.status_code == 200
    assert len(withheld) == len(MEGABYTE) - 1


def test_more_than_a_megabyte_is_refused_whole() -> None:
    document = json.dumps({**json.loads(factories.manifest()), "permissions": [f"a.b{n}.read" for n in range(90_000)]})

    with nothing_changes(), pytest.raises(ManifestInvalid) as refused:
        import_manifest(document=document, kind=None, actor=factories.superactor())
    assert "larger than" in refused.value.errors[0].message
