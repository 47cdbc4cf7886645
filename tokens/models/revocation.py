"""The ledger of revocations, what is still to be told to Flowlu, and the deny list."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from installations.models import Installation
from installations.said import said
from tokens.models.credentials import OAuthToken
from tokens.models.digests import HEX_DIGEST


class Revocation(models.Model):
    """One act of revoking, in the ledger: what was cut here, the proof of it, and what is known about Flowlu's side.

    Each fact has columns of its own, and none implies another. Flowlu documents no endpoint that revokes a token
    (flowlu-platform §10.1), so `upstream` says so. What it was aimed at is kept by value, so that it stays named.
    """

    class Scope(models.TextChoices):
        TOKEN = "token", _("one token")
        PORTAL_USER = "portal_user", _("all tokens of one portal user")
        INSTALLATION = "installation", _("all tokens of one installation")
        PORTAL = "portal", _("all tokens of one portal")
        APPLICATION = "application", _("all tokens of one application")
        STORED_BEFORE = "stored_before", _("tokens stored before a time")
        FINGERPRINTS = "fingerprints", _("tokens with listed fingerprints")

    class State(models.TextChoices):
        RUNNING = "running", _("not finished")
        STOPPED = "stopped", _("stopped by an operator")
        DONE = "done", _("done")

    class Upstream(models.TextChoices):
        NOT_POSSIBLE = "not_possible", _("not possible: Flowlu documents no way to revoke a token")
        PENDING = "pending", _("under way: Flowlu is being told")
        CONFIRMED = "confirmed", _("confirmed: Flowlu took back all that it was told of")
        IRREVOCABLE = "irrevocable", _("irrevocable: Flowlu did not take at least one back")
        CLOSED = "closed", _("closed by an operator; at least one was not confirmed")

    class Probe(models.TextChoices):
        REFUSED = "refused", _("refused")
        NO_SESSION = "no_session", _("no open session lived on what was cut")
        LET_IN = "let_in", _("let in")

    class PortalStep(models.TextChoices):
        OPEN = "open", _("open")
        DONE = "done", _("done")
        NOT_ASKED = "not_asked", _("not asked for")

    scope = models.CharField(max_length=20, choices=Scope.choices)
    target = models.JSONField(default=dict, help_text=_("What was aimed at, as a run that is resumed reads it."))
    target_id = models.CharField(max_length=250, blank=True)
    target_label = models.CharField(max_length=500, blank=True)
    installation = models.ForeignKey(
        Installation, null=True, blank=True, on_delete=models.PROTECT, related_name="revocations"
    )  # None: more than one was aimed at
    actor_name = models.CharField(max_length=250)
    reason = models.CharField(max_length=1000)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DONE)
    in_background = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("A periodic job cuts what is left, batch by batch (docs/adr/0036)."),
    )
    cursor = models.BigIntegerField(default=0, help_text=_("Tokens up to this number were looked at."))
    until = models.BigIntegerField(default=0, help_text=_("The newest token when it began; later ones are left alone."))
    tokens_expected = models.PositiveIntegerField(default=0, help_text=_("As counted when it began."))
    asked_at = models.DateTimeField(null=True, blank=True, help_text=_("When the operator confirmed."))
    cut_at = models.DateTimeField(default=timezone.now, help_text=_("No call through here starts after it."))
    tokens_cut = models.PositiveIntegerField()
    first_refused_at = models.DateTimeField(
        null=True, blank=True, help_text=_("The first call that was refused because of it.")
    )
    probe = models.CharField(max_length=10, choices=Probe.choices, blank=True)
    probed_at = models.DateTimeField(null=True, blank=True)
    upstream = models.CharField(max_length=20, choices=Upstream.choices, default=Upstream.NOT_POSSIBLE)
    possibly_alive_until = models.DateTimeField(
        null=True, blank=True, help_text=_("The latest expiry of what was cut, where it is known.")
    )
    without_expiry = models.PositiveIntegerField(default=0, help_text=_("How many were cut whose expiry is unknown."))
    portal_step = models.CharField(
        _("administrator's step at the portal"), max_length=10, choices=PortalStep.choices, default=PortalStep.OPEN
    )
    portal_step_at = models.DateTimeField(null=True, blank=True)
    portal_step_by = models.CharField(max_length=250, blank=True)
    portal_step_note = models.CharField(max_length=1000, blank=True)
    handed_in_again = models.PositiveIntegerField(default=0)
    handed_in_again_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(scope__in=[
                    "token", "portal_user", "installation", "portal", "application", "stored_before", "fingerprints",
                ]),
                name="tokens_revocation_scope_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["running", "stopped", "done"]), name="tokens_revocation_state_known"
            ),
            models.CheckConstraint(
                condition=Q(in_background=False) | Q(state="running"), name="tokens_revocation_background_runs"
            ),
            models.CheckConstraint(
                condition=Q(probe="", probed_at__isnull=True)
                | Q(probe__in=["refused", "no_session", "let_in"], probed_at__isnull=False),
                name="tokens_revocation_probe_has_time",
            ),
            models.CheckConstraint(
                condition=Q(portal_step="done", portal_step_at__isnull=False)
                | (Q(portal_step__in=["open", "not_asked"]) & Q(portal_step_at__isnull=True)),
                name="tokens_revocation_portal_step_done_has_time",
            ),
            models.CheckConstraint(
                condition=Q(handed_in_again=0, handed_in_again_at__isnull=True)
                | Q(handed_in_again__gt=0, handed_in_again_at__isnull=False),
                name="tokens_revocation_handed_in_again_has_time",
            ),
        ]  # fmt: skip
        indexes: ClassVar = [
            # What was cut on a day, for the charts.
            models.Index(fields=["cut_at"], name="tokens_revocation_cut_idx"),
            models.Index(fields=["state"], condition=Q(state="running"), name="tokens_revocation_running_idx"),
            # What the overview counts: what a user revoked of their own is not among them.
            models.Index(fields=["cut_at"], condition=Q(portal_step="open"), name="tokens_revocation_step_idx"),
            models.Index(fields=["probed_at"], condition=Q(probe="let_in"), name="tokens_revocation_let_in_idx"),
        ]

    def __str__(self) -> str:
        return said("revocation #%(pk)s", pk=self.pk)


class RevokedFingerprint(models.Model):
    """The deny list: a revoked token that is handed in again is refused, on every portal."""

    fingerprint = models.CharField(max_length=64, unique=True)
    fingerprint_key_id = models.CharField(max_length=32)
    revocation = models.ForeignKey(Revocation, on_delete=models.PROTECT, related_name="fingerprints")
    revoked_at = models.DateTimeField(default=timezone.now)
    reported_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the audit trail last said that it was handed in again.")
    )

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(fingerprint__regex=HEX_DIGEST), name="tokens_revokedfingerprint_is_hex")
        ]
        indexes: ClassVar = [
            # Which fingerprint keys the list needs, for /readyz.
            models.Index(fields=["fingerprint_key_id"], name="tokens_revokedprint_key_idx")
        ]

    def __str__(self) -> str:
        return said("revoked fingerprint #%(pk)s", pk=self.pk)


class UpstreamRevocationQuerySet(models.QuerySet["UpstreamRevocation"]):
    def due(self) -> Self:
        return self.filter(state=UpstreamRevocation.State.PENDING, next_try_at__lte=timezone.now())


class UpstreamRevocation(models.Model):
    """One pair that Flowlu is to take back (RFC 7009): kept sealed until that is confirmed or the case is closed.

    The sealed values were moved here from the token's row and unseal with that row's context.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        CONFIRMED = "confirmed", _("confirmed")
        IRREVOCABLE = "irrevocable", _("irrevocable")
        CLOSED = "closed", _("closed anyway")

    revocation = models.ForeignKey(Revocation, on_delete=models.PROTECT, related_name="upstream_revocations")
    oauth_token = models.ForeignKey(OAuthToken, on_delete=models.PROTECT, related_name="upstream_revocations")
    sealed_access_token = models.BinaryField(null=True)
    sealed_refresh_token = models.BinaryField(null=True)
    seal_key_id = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    error = models.CharField(max_length=40, blank=True, help_text=_("A fixed code of ours; never Flowlu's text."))
    created_at = models.DateTimeField(default=timezone.now)
    last_tried_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=250, blank=True)
    closed_reason = models.CharField(max_length=1000, blank=True)

    objects = UpstreamRevocationQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [("close_upstream", "Can close upstream revocations that Flowlu did not confirm")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    state__in=["confirmed", "closed"],
                    sealed_access_token__isnull=True,
                    sealed_refresh_token__isnull=True,
                )
                | (
                    Q(state__in=["pending", "irrevocable"])
                    & (Q(sealed_access_token__isnull=False) | Q(sealed_refresh_token__isnull=False))
                ),
                name="tokens_upstreamrevocation_wiped_iff_over",
            ),
            models.CheckConstraint(
                condition=Q(state="closed", closed_at__isnull=False) | (~Q(state="closed") & Q(closed_at__isnull=True)),
                name="tokens_upstreamrevocation_closed_has_time",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", next_try_at__isnull=False)
                | (~Q(state="pending") & Q(next_try_at__isnull=True)),
                name="tokens_upstreamrevocation_pending_has_next",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_try_at"], condition=Q(state="pending"), name="tokens_upstreamrevocation_due"),
            models.Index(
                fields=["seal_key_id"],
                condition=Q(sealed_access_token__isnull=False) | Q(sealed_refresh_token__isnull=False),
                name="tokens_upstreamrevoc_sealed",
            ),
            models.Index(fields=["-created_at", "-id"], name="tokens_upstreamrevoc_list"),
            # What the first page counts: few among all that was ever told.
            models.Index(fields=["created_at"], condition=Q(state="irrevocable"), name="tokens_upstreamrevoc_open"),
        ]

    def __str__(self) -> str:
        return said("upstream revocation #%(pk)s", pk=self.pk)


class ReplacedFingerprint(models.Model):
    """A fingerprint of a pair that a newer one of its lineage replaced. Flowlu may still take it.

    Revoking the lineage denies it too. Forgotten `REPLACED_FINGERPRINT_DAYS` after it was replaced.
    """

    oauth_token = models.ForeignKey(OAuthToken, on_delete=models.CASCADE, related_name="replaced_fingerprints")
    fingerprint = models.CharField(max_length=64)
    fingerprint_key_id = models.CharField(max_length=32)
    replaced_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["oauth_token", "fingerprint"], name="tokens_replacedfingerprint_once_per_lineage"
            ),
            models.CheckConstraint(
                condition=Q(fingerprint__regex=HEX_DIGEST), name="tokens_replacedfingerprint_is_hex"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["fingerprint"], name="tokens_replacedfp_print_idx"),
            models.Index(fields=["replaced_at"], name="tokens_replacedfp_at_idx"),
            # Which fingerprint keys rows need, for /readyz.
            models.Index(fields=["fingerprint_key_id"], name="tokens_replacedfp_key_idx"),
        ]

    def __str__(self) -> str:
        return said("replaced fingerprint #%(pk)s", pk=self.pk)
