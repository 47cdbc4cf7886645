"""State of the lower app: portals, applications, installations, approved permissions and their evidence.

Truth that a database can hold is a constraint here; everything that writes more than one row is a verb in
`services`. The audit trail has a module of its own, `audit_models`.
"""

from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from installations import scopes
from installations.audit_models import AuditCheckpoint, AuditEvent, AuditHead, RefusedAttempts
from installations.scopes import Approval, Level

__all__ = [
    "Application",
    "ApprovedPermission",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditHead",
    "Evidence",
    "Installation",
    "Manifest",
    "Portal",
    "PortalUser",
    "RefusedAttempts",
    "Review",
    "ScopeUsage",
]


class Portal(models.Model):
    """A Flowlu customer workspace, addressed by its domain."""

    domain = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text="While set, nothing that belongs to this portal can be used."
    )

    class Meta:
        permissions: ClassVar = [("lock_portal", "Can lock and unlock portals, applications and users")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(domain__regex=r"\A[a-z0-9_.-]+\Z"), name="installations_portal_domain_is_plain"
            )
        ]

    def __str__(self) -> str:
        return self.domain


class Application(models.Model):
    """A registered custom application: the OAuth client (RFC 6749 §1.1), identified by the manifest's appId."""

    class Kind(models.TextChoices):
        PRIVATE = "private", "private"
        PUBLIC = "public", "public"

    class ApprovalPolicy(models.TextChoices):
        MANUAL = "manual", "an operator approves every scope"

    class RefreshedBy(models.TextChoices):
        FRONTEND = "frontend", "the frontend, through the JS SDK"
        SERVER = "server", "this service, at the token endpoint"

    app_id = models.CharField("appId", max_length=200, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PRIVATE)
    approval_policy = models.CharField(max_length=20, choices=ApprovalPolicy.choices, default=ApprovalPolicy.MANUAL)
    stores_refresh_tokens = models.BooleanField(
        default=False,
        help_text="Keep the refresh token of a pair that the frontend hands over. Off: it is never stored.",
    )
    refreshed_by = models.CharField(max_length=10, choices=RefreshedBy.choices, default=RefreshedBy.FRONTEND)
    allowed_origins = models.JSONField(default=list, blank=True)
    allowed_portals = models.JSONField(
        default=list,
        blank=True,
        help_text="Portal domains that may use the application; empty means any portal.",
    )
    current_manifest = models.ForeignKey(
        "Manifest", null=True, blank=True, on_delete=models.PROTECT, related_name="current_for"
    )
    created_at = models.DateTimeField(default=timezone.now)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text="While set, no installation of this application can be used."
    )

    class Meta:
        permissions: ClassVar = [
            ("import_manifest", "Can register applications and import manifests"),
            ("configure_application", "Can change the settings of applications"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind__in=["private", "public"]), name="installations_application_kind_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.app_id})"


class Manifest(models.Model):
    """One snapshot of an application's manifest. Never changed: other content is another row."""

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="manifests")
    version = models.CharField(max_length=50)
    sha256 = models.CharField("SHA-256", max_length=64, help_text="of the canonical JSON")
    document = models.JSONField()
    requested_scopes = models.JSONField(default=list, help_text="As declared, in the declared order.")
    imported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["application", "sha256"], name="installations_manifest_content_once"),
            models.CheckConstraint(
                condition=Q(sha256__regex=r"\A[0-9a-f]{64}\Z"), name="installations_manifest_sha256_is_hex"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} ({self.sha256[:8]})"


class PortalUser(models.Model):
    """A portal's user as Flowlu named them to the user's own token. Never a row of `auth_user`."""

    portal = models.ForeignKey(Portal, on_delete=models.PROTECT, related_name="users")
    flowlu_user_id = models.CharField("Flowlu user id", max_length=32)
    name = models.CharField(max_length=200, blank=True)
    is_portal_admin = models.BooleanField("portal administrator", default=False)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text="While set, nothing can be done in this user's name."
    )
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="When the name was removed. A later visit names the person anew and clears it."
    )

    class Meta:
        permissions: ClassVar = [("erase_portaluser", "Can remove the names of portal users")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["portal", "flowlu_user_id"], name="installations_portaluser_once_per_portal"
            ),
            models.CheckConstraint(
                condition=Q(flowlu_user_id__regex=r"\A[0-9]+\Z"), name="installations_portaluser_id_is_digits"
            ),
            models.CheckConstraint(
                condition=Q(erased_at__isnull=True) | Q(name=""), name="installations_portaluser_erased_has_no_name"
            ),
        ]

    def __str__(self) -> str:
        return f"user {self.flowlu_user_id} of {self.portal}"


_ASKS_ANEW = Q(decided_manifest__isnull=False) & ~Q(decided_manifest=F("manifest"))


class InstallationQuerySet(models.QuerySet["Installation"]):
    def live(self) -> Self:
        return self.exclude(status=Installation.Status.UNINSTALLED)

    def pending(self) -> Self:
        return self.filter(status=Installation.Status.PENDING_APPROVAL)

    def asking_anew(self) -> Self:
        """Return those whose application asks for something else than when it was last decided about."""
        return self.live().filter(_ASKS_ANEW)


class Installation(models.Model):
    """An application on a portal. A reinstall is a new row with the next generation and no approvals."""

    class Status(models.TextChoices):
        PENDING_APPROVAL = "pending_approval", "pending approval"
        ACTIVE = "active", "active"
        SUSPENDED = "suspended", "suspended"
        UNINSTALLED = "uninstalled", "uninstalled"

    portal = models.ForeignKey(Portal, on_delete=models.PROTECT, related_name="installations")
    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="installations")
    generation = models.PositiveIntegerField(default=1)
    manifest = models.ForeignKey(
        Manifest,
        on_delete=models.PROTECT,
        related_name="installations",
        help_text="What the application asks for on this portal now.",
    )
    decided_manifest = models.ForeignKey(
        Manifest,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What the application asked for when an operator last decided about its scopes.",
    )
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING_APPROVAL)
    reported_version = models.CharField(
        max_length=50, blank=True, help_text="As the last launch said; private applications always say 1.0.0."
    )
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    uninstalled_at = models.DateTimeField(null=True, blank=True)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text="While set, nothing of this installation can be used."
    )

    objects = InstallationQuerySet.as_manager()

    class Meta:
        permissions: ClassVar = [
            ("approve_scopes", "Can approve scopes"),
            ("withdraw_scopes", "Can withdraw approved scopes"),
            ("suspend_installation", "Can suspend and resume installations"),
            ("uninstall_installation", "Can mark installations as uninstalled"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["portal", "application"],
                condition=~Q(status="uninstalled"),
                name="installations_installation_one_live",
            ),
            models.UniqueConstraint(
                fields=["portal", "application", "generation"], name="installations_installation_generation"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["pending_approval", "active", "suspended", "uninstalled"]),
                name="installations_installation_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status="uninstalled", uninstalled_at__isnull=False)
                | (~Q(status="uninstalled") & Q(uninstalled_at__isnull=True)),
                name="installations_installation_uninstalled_has_time",
            ),
        ]
        indexes: ClassVar = [
            # The list of what waits for a decision, newest first.
            models.Index(fields=["status", "-first_seen_at"], name="installations_inst_status_idx"),
            # The few that may have to be decided about anew, counted by what was and what is asked for.
            models.Index(
                fields=["decided_manifest", "manifest"],
                condition=~Q(status="uninstalled") & _ASKS_ANEW,
                name="installations_inst_anew_idx",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application.app_id} on {self.portal} (generation {self.generation})"


class ApprovedPermissionQuerySet(models.QuerySet["ApprovedPermission"]):
    def in_force(self) -> Self:
        return self.filter(withdrawn_at__isnull=True)


class ApprovedPermission(models.Model):
    """One approved scope of an installation. Withdrawing sets a time; the row stays as history."""

    class Source(models.TextChoices):
        OPERATOR = "operator", "approved by an operator"

    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="approved_permissions")
    code = models.CharField(max_length=200)
    level = models.CharField(max_length=4, choices=[(level.value, level.value) for level in Level])
    catalogue_entry = models.JSONField(
        help_text="What the code covered when it was approved: a later, wider entry does not widen this."
    )
    source = models.CharField(max_length=20, choices=Source.choices, default=Source.OPERATOR)
    manifest = models.ForeignKey(Manifest, on_delete=models.PROTECT, related_name="+")
    approved_by = models.CharField(max_length=150)
    approved_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=1000)
    review_by = models.DateField(
        null=True, blank=True, help_text="By when an operator is to look at it again; of what is over, by when it was."
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.CharField(max_length=150, blank=True)
    reviewed_why = models.CharField(max_length=1000, blank=True)
    active_on = models.DateField(
        null=True,
        blank=True,
        help_text="A day of a decision about it or of a call that it let through; a later call may not be noted yet.",
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.CharField(max_length=150, blank=True)
    withdrawn_why = models.CharField(max_length=1000, blank=True)

    objects = ApprovedPermissionQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["installation", "code"],
                condition=Q(withdrawn_at__isnull=True),
                name="installations_approvedpermission_one_in_force",
            ),
            models.CheckConstraint(
                condition=Q(level__in=["read", "full"]), name="installations_approvedpermission_level_known"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True, withdrawn_why="")
                | (Q(withdrawn_at__isnull=False) & ~Q(withdrawn_why="")),
                name="installations_approvedpermission_withdrawn_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=False) | Q(review_by__isnull=False),
                name="installations_approvedpermission_has_review_by",
            ),
            models.CheckConstraint(
                condition=Q(reviewed_at__isnull=True, reviewed_why="")
                | (Q(reviewed_at__isnull=False) & ~Q(reviewed_why="")),
                name="installations_approvedpermission_reviewed_has_reason",
            ),
        ]
        indexes: ClassVar = [
            # The reviews that are due, the oldest first.
            models.Index(
                fields=["review_by"], condition=Q(withdrawn_at__isnull=True), name="installations_approved_due_idx"
            ),
            # The few that may be unused: the use of all others need not be looked for.
            models.Index(
                fields=["active_on"], condition=Q(withdrawn_at__isnull=True), name="installations_approved_act_idx"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code}.{self.level}"

    def as_approval(self) -> Approval:
        """Return what the row approves. One that is damaged covers nothing, and can be looked at and withdrawn."""
        entry = self.catalogue_entry
        try:
            covers = scopes.from_json(entry.get("covers") if isinstance(entry, dict) else None)
        except ValueError:
            covers = ()
        return Approval(self.code, Level(self.level), covers)


class Review(ApprovedPermission):
    """An approval as something to look at again: the same rows under a name of their own, for the console's queue."""

    class Meta:
        proxy = True
        default_permissions = ()  # whoever may see approvals may see which of them wait for a review


class Evidence(models.Model):
    """One observation that tells whether an installation lives. Flowlu sends no lifecycle events."""

    class Kind(models.TextChoices):
        LAUNCH = "launch", "launched"
        HAND_OVER = "hand_over", "token handed over"
        OPERATOR_STATEMENT = "operator_statement", "stated by an operator"

    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="evidence")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    integration_point = models.CharField(max_length=200, blank=True)
    observed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "evidence"
        indexes: ClassVar = [
            models.Index(fields=["installation", "-observed_at"], name="installations_evidence_idx"),
            models.Index(fields=["observed_at"], name="installations_evidence_age_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class ScopeUsage(models.Model):
    """Calls of one day under one scope: how many Flowlu accepted and denied."""

    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="scope_usage")
    portal_user = models.ForeignKey(PortalUser, null=True, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=100, blank=True)
    code = models.CharField(max_length=200)
    level = models.CharField(max_length=4, choices=[(level.value, level.value) for level in Level])
    day = models.DateField()
    accepted = models.PositiveIntegerField(default=0)
    denied = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["installation", "portal_user", "purpose", "code", "level", "day"],
                name="installations_scopeusage_user_day",
            ),
            # NULLs never equal each other: use without a user needs a constraint of its own.
            models.UniqueConstraint(
                fields=["installation", "purpose", "code", "level", "day"],
                condition=Q(portal_user__isnull=True),
                name="installations_scopeusage_system_day",
            ),
        ]
        indexes: ClassVar = [
            # For what is older than anybody wants to know.
            models.Index(fields=["day"], name="installations_scopeusage_day"),
            # Whether and when last a scope was used, by whomever: asked for every approval.
            models.Index(fields=["installation", "code", "level", "day"], name="installations_scopeusage_last"),
        ]

    def __str__(self) -> str:
        return f"{self.code}.{self.level} on {self.day}"
