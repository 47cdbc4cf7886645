"""Who calls: the service key in `Authorization: Bearer`. Cookies and session tokens count for nothing."""

import re

from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tokens import activity, backend_reads
from tokens.backend_reads import Client
from tokens.errors import InvalidClient

_BEARER = re.compile(r"[Bb]earer ([\x21-\x7e]{1,100})")


class ServiceKeyAuthentication(BaseAuthentication):
    """Make the client that holds the key `request.user`; raises InvalidClient for everybody else."""

    def authenticate(self, request: Request) -> tuple[Client, None]:
        given = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        client = backend_reads.client_of(given[1]) if given else None
        if client is None:
            raise InvalidClient
        activity.note_client_use(client.id, client.last_used_at)
        return client, None


class IsServiceClient(BasePermission):
    def has_permission(self, request: Request, view: object) -> bool:
        return isinstance(request.user, Client)
