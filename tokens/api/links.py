"""Links of the OpenAPI document: what opens a session leads to all that is called with it."""

from typing import Any

from tokens.api.authentication import HEADER, SessionTokenScheme

_FROM_ANSWER = "$response.body#/session_token"


def link_session(result: dict[str, Any], **_asked: object) -> dict[str, Any]:
    """Say in the document that the answer which opens a session holds what each call of a session sends."""
    operations = [operation for path in result["paths"].values() for operation in path.values()]
    of_session = [
        each for each in operations if any(SessionTokenScheme.name in way for way in each.get("security", []))
    ]
    opened = result["paths"]["/api/v1/session"]["post"]["responses"]["201"]
    opened["links"] = {
        each["operationId"]: {"operationId": each["operationId"], "parameters": {f"header.{HEADER}": _FROM_ANSWER}}
        for each in of_session
    }
    return result
