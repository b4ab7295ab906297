"""What people do to senders. Each function is one transaction and one audit event."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from partners import secrets
from partners.models import (
    Alias,
    Credential,
    Delegation,
    Grant,
    Network,
    Partner,
    Secret,
    every_kind,
)
from pkb import audit
from pkb.models import Organisation, Team, User


@transaction.atomic
def issue_credential(
    *,
    username: str,
    by: User,
    partner: Partner | None = None,
    organisation: Organisation | None = None,
    team: Team | None = None,
) -> tuple[Credential, str]:
    """Make a credential with its first secret, which is returned and never shown again."""
    credential = Credential(
        username=username, partner=partner, organisation=organisation, team=team
    )
    credential.full_clean()
    credential.save()
    audit.record(
        "credential.issued",
        credential,
        by=by,
        organisation=_sender(credential),
    )
    return credential, _add_secret(credential, by=by)


@transaction.atomic
def rotate_secret(*, credential: Credential, overlap: timedelta, by: User) -> str:
    """Add a secret, which is returned once; the others expire after `overlap`."""
    if credential.revoked_at:
        raise ValidationError("This credential is revoked. Issue a new one.")
    until = timezone.now() + overlap
    for secret in Secret.objects.select_for_update().filter(credential=credential, revoked_at=None):
        if secret.expires_at is None or secret.expires_at > until:
            secret.expires_at = until
            secret.save(update_fields=["expires_at"])
    return _add_secret(credential, by=by)


def _add_secret(credential: Credential, *, by: User | None) -> str:
    secret = secrets.make()
    kept = Secret.objects.create(
        credential=credential,
        digest=secrets.digest(secret),
        hint=secret[: len(secrets.PREFIX) + 4],
        created_by=by,
    )
    audit.record(
        "secret.issued", kept, by=by, organisation=_sender(credential), credential=credential.pk
    )
    return secret


@transaction.atomic
def revoke_secret(*, secret: Secret, by: User) -> Secret:
    """Stop a secret from proving anything; revoking twice changes nothing."""
    secret = Secret.objects.select_for_update().get(pk=secret.pk)
    if secret.revoked_at is None:
        secret.revoked_at, secret.revoked_by = timezone.now(), by
        secret.save(update_fields=["revoked_at", "revoked_by"])
        audit.record(
            "secret.revoked",
            secret,
            by=by,
            organisation=_sender(secret.credential),
            credential=secret.credential_id,
        )
    return secret


@transaction.atomic
def revoke_credential(*, credential: Credential, by: User) -> Credential:
    """Stop a credential and all its secrets for good."""
    credential = Credential.objects.select_for_update().get(pk=credential.pk)
    if credential.revoked_at is None:
        credential.revoked_at, credential.revoked_by = timezone.now(), by
        credential.save(update_fields=["revoked_at", "revoked_by"])
        audit.record("credential.revoked", credential, by=by, organisation=_sender(credential))
    return credential


@transaction.atomic
def assign_alias(*, partner: Partner, organisation: Organisation, value: str, by: User) -> Alias:
    """Give `partner` a name for `organisation` to send in MSH-4."""
    alias = Alias(partner=partner, organisation=organisation, value=value)
    alias.full_clean()
    alias.save()
    audit.record("alias.assigned", alias, by=by, organisation=organisation)
    return alias


@transaction.atomic
def allow_network(
    *,
    cidr: str,
    by: User,
    credential: Credential | None = None,
    organisation: Organisation | None = None,
    partner: Partner | None = None,
    note: str = "",
) -> Network:
    """Let calls come from `cidr`; the first such rule closes every other address."""
    network = Network(
        cidr=cidr, credential=credential, organisation=organisation, partner=partner, note=note
    )
    network.full_clean()
    network.save()
    audit.record("network.allowed", network, by=by, organisation=_owner(network), cidr=network.cidr)
    return network


@transaction.atomic
def remove_alias(*, alias: Alias, by: User) -> None:
    """Take a partner's name for an organisation away; what was sent under it stays."""
    audit.record(
        "alias.removed",
        alias,
        by=by,
        organisation=alias.organisation,
        partner=alias.partner_id,
        value=alias.value,
    )
    alias.delete()


@transaction.atomic
def remove_network(*, network: Network, by: User) -> None:
    """Let no more calls come from a network; with the last one gone, any address is let in."""
    audit.record("network.removed", network, by=by, organisation=_owner(network), cidr=network.cidr)
    network.delete()


def _owner(network: Network) -> Organisation | None:
    """Return the organisation whose calls a network concerns; none for a partner's."""
    return _sender(network.credential) if network.credential else network.organisation


def _sender(credential: Credential) -> Organisation | None:
    """Return the organisation whose feed a credential is; none for a partner's."""
    return credential.team.organisation if credential.team else credential.organisation


@transaction.atomic
def delegate(*, controller: Organisation, connecting: Organisation, by: User) -> Delegation:
    """Record that `connecting` may connect its partners for the data of `controller`."""
    delegation = Delegation(controller=controller, connecting=connecting, made_by=by)
    delegation.full_clean()
    delegation.save()
    audit.record("delegation.made", delegation, by=by, organisation=controller)
    return delegation


@transaction.atomic
def revoke_delegation(*, delegation: Delegation, by: User) -> Delegation:
    """End a delegation; what arrived under it stays."""
    delegation = Delegation.objects.select_for_update().get(pk=delegation.pk)
    if delegation.revoked_at is None:
        delegation.revoked_at, delegation.revoked_by = timezone.now(), by
        delegation.save(update_fields=["revoked_at", "revoked_by"])
        audit.record("delegation.revoked", delegation, by=by, organisation=delegation.controller)
    return delegation


@transaction.atomic
def grant_access(
    *,
    partner: Partner,
    organisation: Organisation,
    by: User,
    team: Team | None = None,
    kinds: list[str] | None = None,
    data_scope: str = Grant.DataScope.OWN,
    clinical_guard: str = Grant.ClinicalGuard.HOLD,
    default_team: Team | None = None,
    starts_on: date | None = None,
    ends_on: date | None = None,
) -> Grant:
    """Let `partner` send on behalf of `organisation`, or of one team of it."""
    grant = Grant(
        partner=partner,
        organisation=organisation,
        team=team,
        kinds=kinds if kinds is not None else every_kind(),
        data_scope=data_scope,
        clinical_guard=clinical_guard,
        default_team=default_team,
        starts_on=starts_on,
        ends_on=ends_on,
        granted_by=by,
    )
    return keep_grant(grant=grant, by=by)


@transaction.atomic
def keep_grant(*, grant: Grant, by: User) -> Grant:
    """Save a new or changed grant, if it holds together."""
    action = "grant.changed" if grant.pk else "grant.made"
    grant.full_clean()
    grant.save()
    audit.record(action, grant, by=by, organisation=grant.organisation, partner=grant.partner_id)
    return grant


def suspend_access(*, grant: Grant, by: User) -> Grant:
    """Stop `grant` until it is resumed."""
    return _set_grant(grant, "suspended", timezone.now(), by)


def resume_access(*, grant: Grant, by: User) -> Grant:
    """Let a suspended grant authorise again."""
    return _set_grant(grant, "suspended", None, by)


def revoke_access(*, grant: Grant, by: User) -> Grant:
    """Stop `grant` for good; what it let in stays. The first revocation is remembered."""
    return _set_grant(grant, "revoked", timezone.now(), by)


@transaction.atomic
def _set_grant(grant: Grant, what: str, at: datetime | None, by: User) -> Grant:
    grant = Grant.objects.select_for_update().get(pk=grant.pk)
    if (getattr(grant, f"{what}_at") is None) == (at is None) or grant.revoked_at:
        return grant
    setattr(grant, f"{what}_at", at)
    setattr(grant, f"{what}_by", by if at else None)
    grant.save(update_fields=[f"{what}_at", f"{what}_by"])
    action = f"grant.{what}" if at else "grant.resumed"
    audit.record(action, grant, by=by, organisation=grant.organisation, partner=grant.partner_id)
    return grant
