"""The vendor's backend as the service API sees it: a key, a purpose and whom it says it acts as."""

from typing import Any

from rest_framework.test import APIClient

from tests import factories

USER = f"user:{factories.APP_ID}@acme.flowlu.com/2"
SYSTEM = f"system:{factories.APP_ID}@acme.flowlu.com"


class Backend:
    """One backend service with its key."""

    def __init__(self, key: str, *, purpose: str = "account-sync", act_as: str = USER) -> None:
        self.api = APIClient(raise_request_exception=False)
        self.key = key
        self.purpose = purpose
        self.act_as = act_as

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "X-Purpose": self.purpose, "X-Act-As": self.act_as}

    def get(self, path: str = "crm/account/list", *, headers: dict[str, str] | None = None, **query: Any) -> Any:
        return self.api.get(f"/service/v1/flowlu/{path}", query, headers={**self.headers, **(headers or {})})

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        where = f"/service/v1/flowlu/{path}"
        return self.api.post(where, body or {}, format="json", headers={**self.headers, **(headers or {})})
