"""Backend use for a declared purpose: which, by whom, and what was done."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from installations.models import Installation, Portal, PortalUser
from installations.said import said
from installations.scopes import Level
from tokens.models.credentials import ApiKey, OAuthToken
from tokens.models.digests import HEX_DIGEST


class Purpose(models.Model):
    """A declared reason for which backend code may act with a stored credential."""

    class ActsAs(models.TextChoices):
        USER = "user", _("a portal user")
        SYSTEM = "system", _("the system")

    code = models.SlugField(max_length=100, unique=True)
    description = models.CharField(max_length=1000)
    scopes = models.JSONField(default=list)
    covers = models.JSONField(
        default=dict,
        help_text=_("What each scope covered when it was named: a later, wider entry does not widen this."),
    )
    acts_as = models.CharField(max_length=10, choices=ActsAs.choices)
    owner = models.CharField(max_length=150)
    enabled = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        permissions: ClassVar = [
            ("manage_purpose", "Can declare, change and switch on purposes"),
            ("switch_off_purpose", "Can switch off purposes"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(acts_as__in=["user", "system"]), name="tokens_purpose_acts_as_known")
        ]

    def __str__(self) -> str:
        return self.code


class ServiceClient(models.Model):
    """A backend service of the vendor that may act for declared purposes.

    Its key is stored as a plain SHA-256: it is 256 random bits, which nobody can guess their way to. An empty list
    of purposes, applications or portals allows none.
    """

    name = models.CharField(max_length=100, unique=True)
    key_hash = models.CharField(max_length=64, unique=True)
    purposes = models.ManyToManyField(Purpose, blank=True, related_name="service_clients")
    applications = models.ManyToManyField("installations.Application", blank=True, related_name="+")
    portals = models.ManyToManyField(Portal, blank=True, related_name="+")
    enabled = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    key_made_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions: ClassVar = [
            ("manage_serviceclient", "Can create, change and switch on service clients"),
            ("switch_off_serviceclient", "Can switch off service clients"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(key_hash__regex=HEX_DIGEST), name="tokens_serviceclient_hash_is_hex")
        ]

    def __str__(self) -> str:
        return self.name


class ServiceCall(models.Model):
    """One call that backend code made, or tried to make, for a purpose. Kept for `SERVICE_CALL_DAYS`.

    Whom and what it names are foreign keys, so that a person's and a credential's page can say who acted there; a
    refused call has only what was known when it was refused.
    """

    OK: ClassVar = "ok"

    at = models.DateTimeField(default=timezone.now)
    service_client = models.ForeignKey(
        ServiceClient, null=True, blank=True, on_delete=models.PROTECT, related_name="calls"
    )  # None: code of this project, which needs no key
    purpose = models.ForeignKey(Purpose, null=True, blank=True, on_delete=models.PROTECT, related_name="calls")
    acts_as = models.CharField(max_length=10, choices=Purpose.ActsAs.choices, blank=True)
    installation = models.ForeignKey(
        Installation, null=True, blank=True, on_delete=models.PROTECT, related_name="service_calls"
    )
    portal_user = models.ForeignKey(
        PortalUser, null=True, blank=True, on_delete=models.PROTECT, related_name="service_calls"
    )
    oauth_token = models.ForeignKey(
        OAuthToken, null=True, blank=True, on_delete=models.PROTECT, related_name="service_calls"
    )
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.PROTECT, related_name="service_calls")
    call = models.CharField(max_length=200, blank=True, help_text=_("module/model/action; never parameters"))
    code = models.CharField(max_length=200, blank=True, help_text=_("the approved scope under which it went out"))
    level = models.CharField(max_length=4, blank=True, choices=[(level.value, level.value) for level in Level])
    outcome = models.CharField(max_length=40, help_text=_("ok, or the code of the error"))
    milliseconds = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["purpose", "-at"], name="tokens_servicecall_purpose_idx"),
            models.Index(fields=["service_client", "-at"], name="tokens_servicecall_client_idx"),
            models.Index(fields=["portal_user", "-at"], name="tokens_servicecall_user_idx"),
            models.Index(fields=["installation", "-at"], name="tokens_servicecall_inst_idx"),
            models.Index(fields=["oauth_token", "-at"], name="tokens_servicecall_token_idx"),
            models.Index(fields=["api_key", "-at"], name="tokens_servicecall_key_idx"),
            models.Index(fields=["at"], name="tokens_servicecall_at_idx"),
        ]

    def __str__(self) -> str:
        return said("service call #%(pk)s", pk=self.pk)
