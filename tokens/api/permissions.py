"""Permission classes: everything is denied unless a view names who may."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tokens.access import Caller


class DenyAll(BasePermission):
    """The default: a view that forgot to say who may call it answers nobody."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class AllowAnybody(BasePermission):
    """For the handshake and the documentation, which prove or show nothing by being called."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return True


class HasSession(BasePermission):
    """The holder of an open embed session."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Caller)
