"""`floor` forwards and checks nothing; `dot` checks a token and one scope, and forwards nothing."""

import os
from typing import Any

from django.contrib import admin
from django.urls import path, re_path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from installations.flowlu.calls import build_call_at
from installations.flowlu.configured import flowlu_client

PORTAL = "floor.flowlu.com"
TOKEN = os.environ.get("BENCH_TOKEN", "no-token-that-counts")


class FloorView(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def get(self, request: Request, path: str) -> Response:
        query = [(name, value) for name, values in request.query_params.lists() for value in values]
        return Response(flowlu_client().call(PORTAL, build_call_at(path, query), TOKEN).response)


class DotView(APIView):
    authentication_classes = [OAuth2Authentication]
    permission_classes = [TokenHasScope]
    required_scopes = ["read"]

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.pk})


urlpatterns = [
    re_path(r"^api/v1/flowlu/(?P<path>.*)$", FloorView.as_view()),
    path("dot", DotView.as_view()),
    path("admin/", admin.site.urls),  # system checks look its addresses up
]
