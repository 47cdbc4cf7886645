"""Shapes of what comes in and goes out. Input is taken as it is: no trimming, no number turned into text."""

import unicodedata
from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tokens import vault


class TextField(serializers.CharField):
    """A JSON string, unchanged. The stock field would take numbers and trim white space."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a string")
        return super().to_internal_value(data)


class TokenField(TextField):
    """A token: visible ASCII. The error never repeats what was sent."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not vault.is_token_text(value):
            raise serializers.ValidationError("must be 1 to 4096 visible ASCII characters without spaces")
        return value


@extend_schema_field(OpenApiTypes.STR)
class ExpiryField(serializers.Field[datetime, Any, str, Any]):
    """`YYYY-MM-DD HH:MM:SS` in FLOWLU_EXPIRY_ZONE, which is UTC unless set, as the SDK says it, or ISO 8601 with Z."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            return vault.parse_expiry(data if isinstance(data, str) and len(data) <= 30 else "")
        except ValueError:
            raise serializers.ValidationError("must be a UTC time like 2026-04-01 10:15:20") from None


class LineField(TextField):
    """A text on one line: what goes into rows and pages that people read."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in value):
            raise serializers.ValidationError("must not contain control characters or line breaks")
        return value


def _hint(longest: int) -> LineField:
    return LineField(required=False, allow_null=True, allow_blank=True, max_length=longest)


class InputPair(serializers.Serializer[Any]):
    access_token = TokenField()
    refresh_token = TokenField(required=False, allow_null=True)
    expires_at = ExpiryField(required=False, allow_null=True)


class InputSession(InputPair):
    portal = TextField(max_length=300, allow_blank=True, help_text="The portal's domain: acme.flowlu.com")
    app_id = LineField(max_length=200, help_text="The manifest's appId")
    app_version = _hint(50)
    integration_point = _hint(200)
    language = _hint(35)


class InputQuestion(serializers.Serializer[Any]):
    """The call that `GET /permissions` is asked about."""

    module = TextField(max_length=64)
    model = TextField(max_length=64)
    action = TextField(max_length=64)
    id = TextField(required=False, max_length=20)


class OutputUser(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    is_portal_admin = serializers.BooleanField()


class OutputInstallation(serializers.Serializer[Any]):
    id = serializers.CharField()
    status = serializers.ChoiceField(["pending_approval", "active", "suspended", "uninstalled"])


class OutputApplication(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The manifest's appId")
    name = serializers.CharField()
    stores_refresh_tokens = serializers.BooleanField()
    refreshed_by = serializers.ChoiceField(choices=["frontend", "server"])


class OutputScope(serializers.Serializer[Any]):
    scope = serializers.CharField()
    code = serializers.CharField()
    level = serializers.ChoiceField(["read", "full"])
    title = serializers.CharField()
    allows = serializers.CharField()


class OutputApproved(serializers.Serializer[Any]):
    approved = serializers.ListField(child=serializers.CharField(), help_text="Normalised, as `code.level`")
    described = OutputScope(many=True, help_text="The same in plain words")


class OutputToken(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["active", "stale", "revoked"])
    expires_at = serializers.DateTimeField(allow_null=True)


class OutputSession(serializers.Serializer[Any]):
    expires_at = serializers.DateTimeField()
    user = OutputUser()
    portal = serializers.CharField()
    installation = OutputInstallation()
    application = OutputApplication()
    permissions = OutputApproved()
    token = OutputToken()


class OutputNewSession(OutputSession):
    session_token = serializers.CharField(help_text="Shown here only. Keep it in memory, send it as X-Session-Token.")


class OutputPermissions(OutputApproved):
    allowed = serializers.BooleanField(required=False, help_text="Only when a call is asked about")
    scope = serializers.CharField(required=False, allow_null=True, help_text="The approved scope that covers it")
    error = serializers.CharField(required=False, allow_null=True, help_text="The code it would be refused with")
    required_scope = serializers.CharField(required=False, allow_null=True)


class OutputError(serializers.Serializer[Any]):
    """RFC 6749 §5.2."""

    error = serializers.CharField()
    error_description = serializers.CharField()
    request_id = serializers.CharField(help_text="Names the request in the log of the service")
    fields_ = serializers.DictField(child=serializers.CharField(), required=False)
    required_scope = serializers.CharField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # `fields` is taken by the framework; the wire name is the contract's.
        declared = super().get_fields()
        declared["fields"] = declared.pop("fields_")
        return declared
