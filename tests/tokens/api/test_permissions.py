"""A view that forgot to say who may call it answers nobody."""

from typing import Any

import pytest
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tests.embedded import Frontend
from tokens.api.authentication import SessionTokenAuthentication


class Forgotten(APIView):
    def get(self, _request: Any) -> Response:
        return Response({"told": "anybody"})


class ForgottenWithSession(Forgotten):
    authentication_classes = [SessionTokenAuthentication]


def answer(view: type[APIView], **headers: str) -> tuple[int, dict[str, Any]]:
    response = view.as_view()(APIRequestFactory().get("/", headers=headers))
    return response.status_code, response.data


def test_forgotten_view_is_closed() -> None:
    assert answer(Forgotten) == (
        403,
        {"error": "access_denied", "error_description": "This address is not open to you.", "request_id": ""},
    )


@pytest.mark.django_db(transaction=True)
def test_forgotten_view_is_closed_to_the_holder_of_a_session_too(ana: Frontend) -> None:
    ana.open()

    status, body = answer(ForgottenWithSession, **ana.headers)

    assert (status, body["error"]) == (403, "access_denied")
