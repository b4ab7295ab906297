"""Third parties, how senders prove who they are, and who lets them in."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from pkb.models import ALIAS, Configured, Organisation, Team, User


def _pair(at: str, by: str) -> Q:
    """Both or neither of two columns that say when and by whom."""
    return Q(**{at: None, by: None}) | Q(**{f"{at}__isnull": False, f"{by}__isnull": False})


class Partner(Configured):
    """A company that sends data on behalf of Customers."""

    name = models.CharField(max_length=200, unique=True)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Credential(Configured):
    """A username of the HL7 API. It is a Partner's, or an Organisation's, or a Team's."""

    username = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"^[A-Za-z0-9._@-]+\Z", "No colon, no spaces.")],
    )
    partner = models.ForeignKey(
        Partner, models.PROTECT, null=True, blank=True, related_name="credentials"
    )
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, null=True, blank=True, related_name="credentials"
    )
    team = models.ForeignKey(
        Team, models.PROTECT, null=True, blank=True, related_name="credentials"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.ForeignKey(
        User, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["username"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(partner__isnull=False, organisation=None, team=None)
                | Q(partner=None, organisation__isnull=False, team=None)
                | Q(partner=None, organisation=None, team__isnull=False),
                name="partners_credential_one_holder",
                violation_error_message="Choose a partner, or an organisation, or a team.",
            ),
            models.CheckConstraint(
                condition=_pair("revoked_at", "revoked_by"),
                name="partners_credential_revoked_at_and_by",
            ),
        ]

    def __str__(self) -> str:
        return self.username

    @property
    def holder(self) -> Partner | Organisation | Team:
        """Whose it is."""
        found = self.partner or self.organisation or self.team
        assert found is not None
        return found


class Secret(Configured):
    """A password of a credential, kept only as a keyed digest. Several may be live at once."""

    credential = models.ForeignKey(Credential, models.PROTECT, related_name="secrets")
    digest = models.CharField(max_length=64, editable=False)
    hint = models.CharField("begins", max_length=12, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        User, models.PROTECT, null=True, editable=False, related_name="+"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.ForeignKey(
        User, models.PROTECT, null=True, editable=False, related_name="+"
    )
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_from = models.GenericIPAddressField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=_pair("revoked_at", "revoked_by"),
                name="partners_secret_revoked_at_and_by",
            )
        ]

    def __str__(self) -> str:
        return f"{self.hint}…"


class Network(Configured):
    """Addresses from which a credential, or anyone of an organisation or partner, may call.

    Where a credential, and where its holder, has networks at all, the address must be in one.
    """

    credential = models.ForeignKey(
        Credential, models.PROTECT, null=True, blank=True, related_name="networks"
    )
    organisation = models.ForeignKey(
        Organisation, models.PROTECT, null=True, blank=True, related_name="networks"
    )
    partner = models.ForeignKey(
        Partner, models.PROTECT, null=True, blank=True, related_name="networks"
    )
    cidr = models.CharField("network", max_length=50, help_text="192.0.2.0/24, 2001:db8::/32")
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(credential__isnull=False, organisation=None, partner=None)
                | Q(credential=None, organisation__isnull=False, partner=None)
                | Q(credential=None, organisation=None, partner__isnull=False),
                name="partners_network_one_holder",
                violation_error_message="Choose a credential, an organisation or a partner.",
            )
        ]

    def __str__(self) -> str:
        return self.cidr

    def clean(self) -> None:
        try:
            self.cidr = str(ip_network(self.cidr.strip()))
        except ValueError as error:
            raise ValidationError({"cidr": str(error)}) from None


class Alias(Configured):
    """The name by which a partner refers to a Customer in MSH-4."""

    partner = models.ForeignKey(Partner, models.PROTECT, related_name="aliases")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="aliases")
    value = models.CharField("alias", max_length=60, validators=[ALIAS])

    class Meta:
        verbose_name_plural = "aliases"
        ordering: ClassVar = ["partner__name", "value"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["partner", "value"], name="partners_alias_value")
        ]

    def __str__(self) -> str:
        return self.value


class Delegation(Configured):
    """A controller's word that another Customer may connect partners for its data."""

    controller = models.ForeignKey(Organisation, models.PROTECT, related_name="delegations_given")
    connecting = models.ForeignKey(Organisation, models.PROTECT, related_name="delegations_held")
    made_at = models.DateTimeField(auto_now_add=True)
    made_by = models.ForeignKey(User, models.PROTECT, editable=False, related_name="+")
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.ForeignKey(
        User, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["controller", "connecting"],
                condition=Q(revoked_at=None),
                name="partners_delegation_one_live",
                violation_error_message="There is a live delegation between these two already.",
            ),
            models.CheckConstraint(
                condition=_pair("revoked_at", "revoked_by"),
                name="partners_delegation_revoked_at_and_by",
            ),
            models.CheckConstraint(
                condition=~Q(controller=models.F("connecting")),
                name="partners_delegation_of_two",
                violation_error_message="An organisation needs no delegation to itself.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.connecting} for {self.controller}"


class Kind(models.TextChoices):
    """What kinds of message a grant may allow."""

    DEMOGRAPHICS = "demographics", "Demographics (A28, A31)"
    APPOINTMENTS = "appointments", "Appointments (SIU)"
    DOCUMENTS = "documents", "Documents (MDM)"


def every_kind() -> list[str]:
    """All kinds of message."""
    return list(Kind.values)


class Grant(Configured):
    """A Customer's permission, or one team's, for a partner to send on its behalf.

    Suspended or revoked, never deleted: what is in a record must still be able to name the
    permission it arrived under.
    """

    class DataScope(models.TextChoices):
        """Whose data points the partner may amend and take back."""

        OWN = "own", "its own data points only"
        CUSTOMER = "customer", "its own and the Customer's data points"

    class ClinicalGuard(models.TextChoices):
        """What becomes of a partner's allergies, diagnoses and medications."""

        HOLD = "hold", "wait for the Organisation Administrator"
        ALLOW = "allow", "replace the set"
        REFUSE = "refuse", "are refused"

    partner = models.ForeignKey(Partner, models.PROTECT, related_name="grants")
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="grants")
    team = models.ForeignKey(
        Team,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="grants",
        help_text="Empty: the whole organisation. Else that team's patients only.",
    )
    kinds = models.JSONField("kinds of message", default=every_kind)
    data_scope = models.CharField(max_length=10, choices=DataScope, default=DataScope.OWN)
    clinical_guard = models.CharField(
        max_length=10, choices=ClinicalGuard, default=ClinicalGuard.HOLD
    )
    default_team = models.ForeignKey(
        Team,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The team that records the partner creates belong to.",
    )
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True, help_text="The last day it holds.")
    granted_at = models.DateTimeField(auto_now_add=True)
    granted_by = models.ForeignKey(User, models.PROTECT, editable=False, related_name="+")
    suspended_at = models.DateTimeField(null=True, editable=False)
    suspended_by = models.ForeignKey(
        User, models.PROTECT, null=True, editable=False, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.ForeignKey(
        User, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["partner__name", "organisation__name", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["partner", "organisation"],
                condition=Q(revoked_at=None, team=None),
                name="partners_grant_one_for_organisation",
                violation_error_message="This organisation has a grant for the partner already.",
            ),
            models.UniqueConstraint(
                fields=["partner", "team"],
                condition=Q(revoked_at=None, team__isnull=False),
                name="partners_grant_one_for_team",
                violation_error_message="This team has a grant for the partner already.",
            ),
            models.CheckConstraint(
                condition=_pair("revoked_at", "revoked_by"), name="partners_grant_revoked_at_and_by"
            ),
            models.CheckConstraint(
                condition=_pair("suspended_at", "suspended_by"),
                name="partners_grant_suspended_at_and_by",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.partner} for {self.team or self.organisation}"

    def clean(self) -> None:
        wrong: dict[str, Any] = {}
        if self.team and self.team.organisation_id != self.organisation_id:
            wrong["team"] = "This team is of another organisation."
        if self.default_team and self.default_team.organisation_id != self.organisation_id:
            wrong["default_team"] = "This team is of another organisation."
        if self.team and self.default_team and self.team != self.default_team:
            wrong["default_team"] = "A team's grant reaches that team only."
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            wrong["ends_on"] = "It would end before it starts."
        if not set(self.kinds or []) <= set(Kind.values) or not self.kinds:
            wrong["kinds"] = "Choose at least one kind of message."
        if wrong:
            raise ValidationError(wrong)
