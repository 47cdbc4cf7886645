"""State of the lower app: portals, applications, installations, approved permissions and their evidence.

Truth that a database can hold is a constraint here; everything that writes more than one row is a verb in
`services`. The audit trail has a module of its own, `audit_models`, and so have requests for approvals,
`approval_models`, the catalogue, `catalogue_models`, and filters that operators keep, `filter_models`.
"""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from installations import liveness, scopes
from installations.approval_models import ApprovalRequest, ApprovalRequestItem, BreakGlass
from installations.audit_models import AuditCheckpoint, AuditEvent, AuditHead, RefusedAttempts
from installations.catalogue_models import CatalogueEdition
from installations.filter_models import SavedFilter
from installations.said import said
from installations.scopes import Approval, Level

__all__ = [
    "Application",
    "ApprovalRequest",
    "ApprovalRequestItem",
    "ApprovedPermission",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditHead",
    "BreakGlass",
    "CatalogueEdition",
    "Evidence",
    "Installation",
    "Liveness",
    "Manifest",
    "Portal",
    "PortalUser",
    "RefusedAttempts",
    "Review",
    "SavedFilter",
    "ScopeUsage",
]


def _locked_index(name: str) -> models.Index:
    """Return the index of the few rows that are locked, for the lists' filter."""
    return models.Index(fields=["locked_at"], condition=Q(locked_at__isnull=False), name=name)


class Portal(models.Model):
    """A Flowlu customer workspace, addressed by its domain."""

    domain = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text=_("While set, nothing that belongs to this portal can be used.")
    )

    class Meta:
        permissions: ClassVar = [("lock_portal", "Can lock and unlock portals, applications and users")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(domain__regex=r"\A[a-z0-9_.-]+\Z"), name="installations_portal_domain_is_plain"
            )
        ]
        indexes: ClassVar = [_locked_index("installations_portal_locked")]

    def __str__(self) -> str:
        return self.domain


class Application(models.Model):
    """A registered custom application: the OAuth client (RFC 6749 §1.1), identified by the manifest's appId."""

    class Kind(models.TextChoices):
        PRIVATE = "private", _("private")
        PUBLIC = "public", _("public")

    class ApprovalPolicy(models.TextChoices):
        MANUAL = "manual", _("an operator approves every scope")
        TRUST_LOW = "trust_low", _("the portal's administrator is trusted for scopes of low risk")
        TRUST_MEDIUM = "trust_medium", _("the portal's administrator is trusted for scopes of low and medium risk")
        TRUST_HIGH = "trust_high", _("the portal's administrator is trusted for every scope")

    class RefreshedBy(models.TextChoices):
        FRONTEND = "frontend", _("the frontend, through the JS SDK")
        SERVER = "server", _("this service, at the token endpoint")

    app_id = models.CharField("appId", max_length=200, unique=True)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PRIVATE)
    approval_policy = models.CharField(max_length=20, choices=ApprovalPolicy.choices, default=ApprovalPolicy.MANUAL)
    stores_refresh_tokens = models.BooleanField(
        default=False,
        help_text=_("Keep the refresh token of a pair that the frontend hands over. Off: it is never stored."),
    )
    refreshed_by = models.CharField(max_length=10, choices=RefreshedBy.choices, default=RefreshedBy.FRONTEND)
    allowed_origins = models.JSONField(default=list, blank=True)
    allowed_portals = models.JSONField(
        default=list,
        blank=True,
        help_text=_("Portal domains that may use the application; empty means any portal."),
    )
    current_manifest = models.ForeignKey(
        "Manifest", null=True, blank=True, on_delete=models.PROTECT, related_name="current_for"
    )
    created_at = models.DateTimeField(default=timezone.now)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text=_("While set, no installation of this application can be used.")
    )

    class Meta:
        permissions: ClassVar = [
            ("import_manifest", "Can register applications and import manifests"),
            ("configure_application", "Can change the settings of applications"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(kind__in=["private", "public"]), name="installations_application_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(approval_policy__in=["manual", "trust_low", "trust_medium", "trust_high"]),
                name="installations_application_policy_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.app_id})"


class Manifest(models.Model):
    """One snapshot of an application's manifest. Never changed: other content is another row."""

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="manifests")
    version = models.CharField(max_length=50)
    sha256 = models.CharField("SHA-256", max_length=64, help_text=_("of the canonical JSON"))
    document = models.JSONField()
    requested_scopes = models.JSONField(default=list, help_text=_("As declared, in the declared order."))
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
    flowlu_user_id = models.CharField(_("Flowlu user id"), max_length=32)
    name = models.CharField(max_length=200, blank=True)
    is_portal_admin = models.BooleanField(_("portal administrator"), default=False)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text=_("While set, nothing can be done in this user's name.")
    )
    erased_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("When the name was removed. A later visit names the person anew and clears it."),
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
        # Of names there is one by their words, on PostgreSQL (migration 0023).
        indexes: ClassVar = [
            # With the key: many portals have a user of a small number, and their rows need not be read.
            models.Index(fields=["flowlu_user_id", "id"], name="installations_user_number"),
            # The list as it opens.
            models.Index(fields=["-last_seen_at", "-id"], name="installations_user_list"),
            _locked_index("installations_user_locked"),
        ]

    def __str__(self) -> str:
        return said("user %(flowlu_user_id)s of %(portal)s", flowlu_user_id=self.flowlu_user_id, portal=self.portal)


# What waits for a decision comes first in lists.
PENDING_FIRST = Case(When(status="pending_approval", then=Value(0)), default=Value(1))
_ASKS_ANEW = Q(decided_manifest__isnull=False) & ~Q(decided_manifest=F("manifest"))
_LEFT = Q(left_to_operator=True)


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
        PENDING_APPROVAL = "pending_approval", _("pending approval")
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")
        UNINSTALLED = "uninstalled", _("uninstalled")

    portal = models.ForeignKey(Portal, on_delete=models.PROTECT, related_name="installations")
    application = models.ForeignKey(
        Application, on_delete=models.PROTECT, related_name="installations", db_index=False
    )  # there is one with the key
    generation = models.PositiveIntegerField(default=1)
    manifest = models.ForeignKey(
        Manifest,
        on_delete=models.PROTECT,
        related_name="installations",
        help_text=_("What the application asks for on this portal now."),
    )
    decided_manifest = models.ForeignKey(
        Manifest,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("What the application asked for when an operator last decided about its scopes."),
    )
    left_to_operator = models.BooleanField(
        default=False, help_text=_("The application's policy approved a part; about the rest no operator decided yet.")
    )
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.PENDING_APPROVAL)
    reported_version = models.CharField(
        max_length=50, blank=True, help_text=_("As the last launch said; private applications always say 1.0.0.")
    )
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    uninstalled_at = models.DateTimeField(null=True, blank=True)
    locked_at = models.DateTimeField(
        null=True, blank=True, help_text=_("While set, nothing of this installation can be used.")
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
            # Of an application there are very many: what belongs to them is found without reading them.
            models.Index(fields=["application", "id"], name="installations_inst_app"),
            # The list of what waits for a decision, newest first.
            models.Index(fields=["status", "-first_seen_at"], name="installations_inst_status_idx"),
            # The list of all, as it opens: sorting a million rows takes most of a second.
            models.Index(PENDING_FIRST, F("first_seen_at").desc(), F("id").desc(), name="installations_inst_list_idx"),
            # The few that may have to be decided about anew, counted by what was and what is asked for.
            models.Index(
                fields=["decided_manifest", "manifest"],
                condition=~Q(status="uninstalled") & _ASKS_ANEW,
                name="installations_inst_anew_idx",
            ),
            models.Index(fields=["id"], condition=~Q(status="uninstalled") & _LEFT, name="installations_inst_left_idx"),
            _locked_index("installations_inst_locked"),
        ]

    def __str__(self) -> str:
        return said(
            "%(app_id)s on %(portal)s (generation %(generation)s)",
            app_id=self.application.app_id,
            portal=self.portal,
            generation=self.generation,
        )


class ApprovedPermissionQuerySet(models.QuerySet["ApprovedPermission"]):
    def in_force(self) -> Self:
        return self.filter(withdrawn_at__isnull=True)


class ApprovedPermission(models.Model):
    """One approved scope of an installation. Withdrawing sets a time; the row stays as history."""

    class Source(models.TextChoices):
        OPERATOR = "operator", _("approved by an operator")
        ALONE = "alone", _("approved by one operator alone (break-glass)")
        PORTAL_ADMIN = "portal_admin", _("by policy: Flowlu's administrator of the portal is trusted")

    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="approved_permissions")
    code = models.CharField(max_length=200)
    level = models.CharField(max_length=4, choices=[(level.value, level.value) for level in Level])
    catalogue_entry = models.JSONField(
        help_text=_("What the code covered when it was approved: a later, wider entry does not widen this.")
    )
    source = models.CharField(max_length=20, choices=Source.choices, default=Source.OPERATOR)
    manifest = models.ForeignKey(Manifest, on_delete=models.PROTECT, related_name="+")
    approved_by = models.CharField(max_length=150, blank=True, help_text=_("Empty where no operator decided."))
    confirmed_by = models.CharField(
        max_length=150, blank=True, help_text=_("The second operator, where one was asked.")
    )
    approved_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=1000)
    review_by = models.DateField(
        null=True,
        blank=True,
        help_text=_("By when an operator is to look at it again; of what is over, by when it was."),
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.CharField(max_length=150, blank=True)
    reviewed_why = models.CharField(max_length=1000, blank=True)
    active_on = models.DateField(
        help_text=_(
            "A day of a decision about it or of a call that it let through; a later call may not be noted yet."
        ),
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
                condition=Q(source="portal_admin", approved_by="") | (~Q(source="portal_admin") & ~Q(approved_by="")),
                name="installations_approvedpermission_operator_named",
            ),
            models.CheckConstraint(
                condition=Q(source__in=["operator", "alone", "portal_admin"]),
                name="installations_approvedpermission_source_known",
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
                fields=["review_by", "id"], condition=Q(withdrawn_at__isnull=True), name="installations_approved_day"
            ),
            # The list as it opens, and by its filter: what one operator alone approved is rare.
            models.Index(fields=["-approved_at", "-id"], name="installations_approved_list"),
            models.Index(fields=["source", "-approved_at", "-id"], name="installations_approved_source"),
            # The few that may be unused, the longest first: the use of all others need not be looked for.
            models.Index(
                fields=["active_on", "id"], condition=Q(withdrawn_at__isnull=True), name="installations_approved_use"
            ),
            # The same of one application: of a scope that few have, all others would be passed by.
            models.Index(
                fields=["code", "active_on", "id"],
                condition=Q(withdrawn_at__isnull=True),
                name="installations_approved_code",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code}.{self.level}"

    @property
    def decided_in_words(self) -> str:
        """Say who approved it: one operator, two of them, one alone, or no operator but a policy."""
        if self.source == self.Source.PORTAL_ADMIN:
            return gettext("by policy, no operator: the portal's administrator is trusted")
        if self.source == self.Source.ALONE:
            return gettext("by %(operator)s alone (break-glass)") % {"operator": self.approved_by}
        if self.confirmed_by:
            words = gettext("by %(operator)s, confirmed by %(second)s")
            return words % {"operator": self.approved_by, "second": self.confirmed_by}
        return gettext("by %(operator)s") % {"operator": self.approved_by}

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
    """One observation that tells whether an installation lives. Flowlu sends no lifecycle events.

    What happens often, launches, hand-overs and calls, is kept once for some hours: the row says when that was last.
    """

    class Kind(models.TextChoices):
        LAUNCH = liveness.Kind.LAUNCH.value, _("launched")
        HAND_OVER = liveness.Kind.HAND_OVER.value, _("token handed over")
        CALL_ACCEPTED = liveness.Kind.CALL_ACCEPTED.value, _("call accepted")
        CALL_DENIED = liveness.Kind.CALL_DENIED.value, _("call denied to its user")
        TOKEN_REFUSED = liveness.Kind.TOKEN_REFUSED.value, _("unexpired token refused")
        PROBE_ACCEPTED = liveness.Kind.PROBE_ACCEPTED.value, _("probe: token taken")
        PROBE_REFUSED = liveness.Kind.PROBE_REFUSED.value, _("probe: unexpired token refused")
        PROBE_UNREACHED = liveness.Kind.PROBE_UNREACHED.value, _("probe: portal not reached")
        PROBE_UNCLEAR = liveness.Kind.PROBE_UNCLEAR.value, _("probe: answer says neither")
        STATED_PRESENT = liveness.Kind.STATED_PRESENT.value, _("stated by an operator: still there")
        OPERATOR_STATEMENT = liveness.Kind.STATED_REMOVED.value, _("stated by an operator: gone")

    installation = models.ForeignKey(Installation, on_delete=models.PROTECT, related_name="evidence")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    integration_point = models.CharField(max_length=200, blank=True)
    detail = models.CharField(max_length=100, blank=True, help_text=_("What Flowlu answered, as far as it was read."))
    observed_at = models.DateTimeField(default=timezone.now)
    period_start = models.DateTimeField(
        null=True, blank=True, help_text=_("Of a kind that is kept once for some hours: when these began.")
    )

    class Meta:
        verbose_name_plural = _("evidence")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["installation", "kind", "period_start"],
                condition=Q(period_start__isnull=False),
                name="installations_evidence_once_a_period",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["installation", "-observed_at"], name="installations_evidence_idx"),
            models.Index(fields=["observed_at"], name="installations_evidence_age_idx"),
            # The list by its filter: some kinds are rare.
            models.Index(fields=["kind", "-observed_at", "-id"], name="installations_evidence_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class Liveness(models.Model):
    """The verdict of `installations.liveness` on an installation's evidence, kept for lists, and when to probe it.

    It holds until `judge_again_at`; whatever writes evidence that could change it judges anew in the same transaction.
    """

    class State(models.TextChoices):
        SEEN = liveness.State.SEEN.value, _("seen")
        ACTIVE = liveness.State.ACTIVE.value, _("active")
        QUIET = liveness.State.QUIET.value, _("quiet")
        SUSPECTED = liveness.State.SUSPECTED.value, _("suspected removed")
        CONFIRMED = liveness.State.CONFIRMED.value, _("confirmed removed")

    class Confidence(models.TextChoices):
        LOW = liveness.Confidence.LOW.value, _("low")
        MEDIUM = liveness.Confidence.MEDIUM.value, _("medium")
        HIGH = liveness.Confidence.HIGH.value, _("high")

    installation = models.OneToOneField(
        Installation, primary_key=True, on_delete=models.PROTECT, related_name="liveness"
    )
    state = models.CharField(max_length=20, choices=State.choices, default=State.QUIET)
    confidence = models.CharField(max_length=10, choices=Confidence.choices, default=Confidence.LOW)
    since = models.DateTimeField(
        null=True, blank=True, help_text=_("When it was first judged so; empty where that was not noted.")
    )
    judged_at = models.DateTimeField(null=True, blank=True)
    judge_again_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    probe_after = models.DateTimeField(null=True, blank=True, help_text=_("No probe before; none at all when empty."))
    probed_at = models.DateTimeField(null=True, blank=True)
    probes_in_vain = models.PositiveSmallIntegerField(default=0)
    probe_outcome = models.CharField(
        max_length=40, blank=True, help_text=_("Of the last probe, as in the row of its call.")
    )

    class Meta:
        verbose_name_plural = _("liveness")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["seen", "active", "quiet", "suspected_removed", "confirmed_removed"]),
                name="installations_liveness_state_known",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["state"], name="installations_liveness_state"),
            # What operators are told of: which came under suspicion in the last minute.
            models.Index(fields=["since"], condition=Q(state="suspected_removed"), name="installations_liveness_susp"),
            models.Index(
                fields=["judge_again_at"],
                condition=Q(judge_again_at__isnull=False),
                name="installations_liveness_due",
            ),
            models.Index(
                fields=["probe_after"], condition=Q(probe_after__isnull=False), name="installations_liveness_probe"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} #{self.pk}"


class ScopeUsageQuerySet(models.QuerySet["ScopeUsage"]):
    def by_callers(self) -> Self:
        """Return what counts as use: a probe of the sweep, which looks whether the installation is there, does not."""
        return self.exclude(purpose=liveness.PURPOSE)


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

    objects = ScopeUsageQuerySet.as_manager()

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
        return said("%(code)s.%(level)s on %(day)s", code=self.code, level=self.level, day=self.day)
