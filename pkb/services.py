"""What people do to memberships and team aliases. Each is one transaction and one audit event."""

from django.db import transaction

from pkb import audit
from pkb.models import Membership, TeamAlias, User


@transaction.atomic
def give_membership(*, membership: Membership, by: User) -> Membership:
    """Let a person administer an organisation."""
    membership.full_clean()
    membership.save()
    audit.record(
        "membership.given",
        membership,
        by=by,
        organisation=membership.organisation,
        user=membership.user_id,
        role=membership.role,
    )
    return membership


@transaction.atomic
def end_membership(*, membership: Membership, by: User) -> None:
    """Take a person's part in an organisation away; the audit trail keeps that she had it."""
    audit.record(
        "membership.ended",
        membership,
        by=by,
        organisation=membership.organisation,
        user=membership.user_id,
        role=membership.role,
    )
    membership.delete()


@transaction.atomic
def assign_team_alias(*, alias: TeamAlias, by: User) -> TeamAlias:
    """Give a team a name to send under in MSH-4."""
    alias.save()
    organisation = alias.team.organisation
    audit.record("teamalias.assigned", alias, by=by, organisation=organisation, value=alias.value)
    return alias


@transaction.atomic
def remove_team_alias(*, alias: TeamAlias, by: User) -> None:
    """Take a team's name away: what is sent under it is the organisation's again."""
    organisation = alias.team.organisation
    audit.record("teamalias.removed", alias, by=by, organisation=organisation, value=alias.value)
    alias.delete()
