"""Sealed credentials: portal users' token pairs with what refreshes them, and portals' API keys."""

import uuid
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from installations.models import Installation, PortalUser
from installations.said import said
from tokens.models.digests import HEX_DIGEST


class OAuthTokenQuerySet(models.QuerySet["OAuthToken"]):
    def live(self) -> Self:
        """Rows that a revocation has something to cut on."""
        return self.exclude(state=OAuthToken.State.REVOKED)

    def active(self) -> Self:
        return self.filter(state=OAuthToken.State.ACTIVE)


class OAuthToken(models.Model):
    """A portal user's token pair, as one lineage: handing over a refreshed pair replaces it in place.

    `generation` counts the pairs of the lineage; a writer that read an older one changes nothing.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        STALE = "stale", _("stale")
        REVOKED = "revoked", _("revoked")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="tokens")
    portal_user = models.ForeignKey(
        PortalUser, on_delete=models.PROTECT, related_name="tokens", db_index=False
    )  # there is one with the key
    sealed_access_token = models.BinaryField(null=True)
    sealed_refresh_token = models.BinaryField(null=True)
    access_fingerprint = models.CharField(max_length=64)
    refresh_fingerprint = models.CharField(max_length=64, blank=True)
    fingerprint_key_id = models.CharField(max_length=32)
    seal_key_id = models.CharField(
        max_length=32, blank=True, help_text=_("The key that the sealed values of this row are under.")
    )
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("As the frontend said; may be unknown."))
    generation = models.PositiveIntegerField(default=1)
    needs_proof = models.BooleanField(
        default=False, help_text=_("Refreshed here, and Flowlu has yet to say whose it is: not used until then.")
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(default=timezone.now)
    stored_at = models.DateTimeField(default=timezone.now, help_text=_("When the present pair was sealed."))
    stale_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revocation = models.ForeignKey(
        "tokens.Revocation", null=True, blank=True, on_delete=models.PROTECT, related_name="tokens"
    )

    objects = OAuthTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("token")
        permissions: ClassVar = [
            ("revoke_oauthtoken", "Can revoke tokens"),
            ("import_oauthtoken", "Can move tokens in from another store"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["installation", "portal_user", "access_fingerprint"],
                condition=~Q(state="revoked"),
                name="tokens_oauthtoken_one_live",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["active", "stale", "revoked"]), name="tokens_oauthtoken_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state="active") | Q(sealed_access_token__isnull=False),
                name="tokens_oauthtoken_active_has_secret",
            ),
            models.CheckConstraint(
                condition=~Q(state="revoked")
                | Q(
                    sealed_access_token__isnull=True,
                    sealed_refresh_token__isnull=True,
                    revoked_at__isnull=False,
                    revocation__isnull=False,
                ),
                name="tokens_oauthtoken_revoked_is_wiped",
            ),
            models.CheckConstraint(
                condition=Q(state="revoked") | Q(revoked_at__isnull=True),
                name="tokens_oauthtoken_only_revoked_has_time",
            ),
            models.CheckConstraint(
                condition=Q(access_fingerprint__regex=HEX_DIGEST), name="tokens_oauthtoken_fingerprint_is_hex"
            ),
            models.CheckConstraint(
                condition=Q(needs_proof=False) | ~Q(state="active"), name="tokens_oauthtoken_unproven_unused"
            ),
        ]
        indexes: ClassVar = [
            # What belongs to the tokens of many users is found without reading those.
            models.Index(fields=["portal_user", "id"], name="tokens_oauthtoken_user_idx"),
            # The list as it opens, and by its filter.
            models.Index(fields=["-stored_at", "-id"], name="tokens_oauthtoken_list_idx"),
            models.Index(fields=["state", "-stored_at", "-id"], name="tokens_oauthtoken_state_idx"),
            # Counting rows by sealing key, for /readyz and key rotation.
            models.Index(
                fields=["seal_key_id"],
                condition=Q(sealed_access_token__isnull=False) | Q(sealed_refresh_token__isnull=False),
                name="tokens_oauthtoken_sealed_idx",
            ),
            models.Index(fields=["access_fingerprint"], name="tokens_oauthtoken_print_idx"),
            # Looking a leaked token up.
            models.Index(fields=["refresh_fingerprint"], name="tokens_oauthtoken_refresh_idx"),
            # Which fingerprint keys rows need, for /readyz.
            models.Index(
                fields=["fingerprint_key_id"], condition=~Q(state="revoked"), name="tokens_oauthtoken_printkey_idx"
            ),
            models.Index(fields=["stored_at"], condition=~Q(state="revoked"), name="tokens_oauthtoken_stored_idx"),
            # How many are stale, and since when, for the first page.
            models.Index(fields=["stale_at"], condition=Q(state="stale"), name="tokens_oauthtoken_stale_idx"),
        ]

    def __str__(self) -> str:
        return said("token #%(pk)s", pk=self.pk)


class RefreshAttempt(models.Model):
    """Written before a refresh token is redeemed, so that a worker's death in between leaves a trace.

    `refresh_fingerprint` is what was redeemed. A refresh token that may be spent is never sent a second time, from
    whichever row: the database holds one attempt for it at most, failures that certainly did not redeem it aside.
    Attempts of pairs that newer ones replaced are removed after `REFRESH_ATTEMPT_DAYS`.
    """

    class Outcome(models.TextChoices):
        STARTED = "started", _("under way")
        FRESH = "fresh", _("fresh pair")
        PERMANENT = "permanent", _("no further try")
        TRANSIENT = "transient", _("failed for now")
        UNKNOWN = "unknown", _("outcome unknown")
        DISCARDED = "discarded", _("too late, not stored")

    class Trigger(models.TextChoices):
        CALL = "call", _("a call, shortly before the expiry")
        REFUSED = "refused", _("Flowlu refused the access token")
        SWEEP = "sweep", _("the sweep")

    oauth_token = models.ForeignKey(OAuthToken, on_delete=models.PROTECT, related_name="refresh_attempts")
    generation = models.PositiveIntegerField(help_text=_("The generation of the pair that is redeemed."))
    refresh_fingerprint = models.CharField(
        max_length=64, blank=True, help_text=_("Keyed hash of the refresh token; empty when it stays good.")
    )
    trigger = models.CharField(max_length=10, choices=Trigger.choices, default=Trigger.CALL)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.STARTED)
    error = models.CharField(max_length=40, blank=True, help_text=_("A fixed code of ours; never Flowlu's text."))
    tries = models.PositiveSmallIntegerField(default=1, help_text=_("Tries of this pair so far, this one included."))
    retry_at = models.DateTimeField(null=True, blank=True, help_text=_("Not tried again before."))
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["oauth_token", "generation"],
                condition=Q(outcome="started"),
                name="tokens_refreshattempt_one_at_a_time",
            ),
            models.UniqueConstraint(
                fields=["refresh_fingerprint"],
                condition=~Q(outcome="transient") & ~Q(refresh_fingerprint=""),
                name="tokens_refreshattempt_sent_once",
            ),
            models.CheckConstraint(
                condition=Q(outcome="started", finished_at__isnull=True)
                | (~Q(outcome="started") & Q(finished_at__isnull=False)),
                name="tokens_refreshattempt_finished_has_time",
            ),
            models.CheckConstraint(
                condition=Q(retry_at__isnull=True) | Q(outcome="transient"),
                name="tokens_refreshattempt_only_transient_retries",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["started_at"], condition=Q(outcome="started"), name="tokens_refreshattempt_open_idx"),
            models.Index(fields=["-started_at"], name="tokens_refreshattempt_at_idx"),
        ]

    def __str__(self) -> str:
        return said("refresh attempt #%(pk)s", pk=self.pk)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def active(self) -> Self:
        """Rows that hold a key, also one whose time is over and that is not wiped yet."""
        return self.filter(state=ApiKey.State.ACTIVE)

    def expired(self) -> Self:
        """Rows that still hold a key whose time is over: refused already, to be wiped."""
        return self.active().filter(expires_at__lte=timezone.now())


class ApiKey(models.Model):
    """A portal's API key: system access without a user, for declared backend purposes only.

    A key is stored once, whatever became of it: a second row would let it live on under another name.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        REVOKED = "revoked", _("revoked")

    class Ending(models.TextChoices):
        REVOKED = "revoked", _("revoked by an operator")
        REPLACED = "replaced", _("replaced by another key")
        EXPIRED = "expired", _("expired")
        UNINSTALLED = "uninstalled", _("the installation is gone")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="api_keys")
    label = models.CharField(max_length=100)
    sealed_key = models.BinaryField(null=True)
    fingerprint = models.CharField(max_length=64, unique=True)
    fingerprint_key_id = models.CharField(max_length=32)
    seal_key_id = models.CharField(max_length=32, blank=True)
    scopes = models.JSONField(default=list)
    covers = models.JSONField(
        default=dict,
        help_text=_("What each scope covered when it was named: a later, wider entry does not widen this."),
    )
    purposes: "models.ManyToManyField[Any, Any]" = models.ManyToManyField(
        "tokens.Purpose", blank=True, related_name="api_keys"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    added_by = models.CharField(max_length=250, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)
    ending = models.CharField(
        max_length=12, choices=Ending.choices, blank=True, help_text=_("Why it is not used any more.")
    )
    replaced_by = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaces")
    deletion_confirmed_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When somebody stated that the key is deleted at Flowlu.")
    )
    deletion_confirmed_by = models.CharField(max_length=250, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        permissions: ClassVar = [
            ("manage_apikey", "Can add and replace API keys"),
            ("revoke_apikey", "Can revoke API keys and record that they are deleted at Flowlu"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="active", sealed_key__isnull=False, revoked_at__isnull=True, ending="")
                | (Q(state="revoked", sealed_key__isnull=True, revoked_at__isnull=False) & ~Q(ending="")),
                name="tokens_apikey_wiped_iff_revoked",
            ),
            models.CheckConstraint(
                condition=Q(deletion_confirmed_at__isnull=True) | Q(state="revoked"),
                name="tokens_apikey_deletion_is_of_a_revoked_one",
            ),
            models.CheckConstraint(condition=Q(fingerprint__regex=HEX_DIGEST), name="tokens_apikey_fingerprint_is_hex"),
        ]
        indexes: ClassVar = [
            # What a call looks for, and what is to be wiped.
            models.Index(
                fields=["installation", "expires_at"], condition=Q(state="active"), name="tokens_apikey_active_idx"
            ),
            # The list as it opens.
            models.Index(fields=["-created_at", "-id"], name="tokens_apikey_list_idx"),
        ]

    def __str__(self) -> str:
        return said("API key #%(pk)s", pk=self.pk)
