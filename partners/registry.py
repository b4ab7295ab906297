"""Credentials, networks, aliases, delegations and grants as the door remembers them.

A snapshot of plain values: nothing of it touches the database when a message is judged.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from zoneinfo import ZoneInfo

from partners.models import Alias, Credential, Delegation, Grant, Network, Secret
from pkb.configuration import Remembered
from pkb.models import Organisation, Team, TeamAlias

Block = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """A secret that has not been revoked."""

    id: int
    digest: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class CredentialEntry:
    """A credential, whose it is, and from where it may be used."""

    id: int
    username: str
    partner_id: int | None
    organisation_id: int | None
    team_id: int | None
    is_live: bool
    secrets: tuple[SecretEntry, ...]
    networks: tuple[tuple[Block, ...], ...]

    @property
    def sender(self) -> str:
        """Who sends, whichever of its credentials is used."""
        if self.partner_id:
            return f"partner:{self.partner_id}"
        if self.team_id:
            return f"team:{self.team_id}"
        return f"organisation:{self.organisation_id}"


@dataclass(frozen=True, slots=True)
class OrganisationEntry:
    """What the door and the worker ask of an organisation."""

    id: int
    zone: ZoneInfo
    is_active: bool
    has_access: bool
    default_team_id: int | None
    soft_match_fields: frozenset[str]
    checks_status: bool
    auto_create: bool
    team_aliases: dict[str, int]


@dataclass(frozen=True, slots=True)
class TeamEntry:
    """What the door asks of a team."""

    id: int
    organisation_id: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class GrantEntry:
    """A grant that has not been revoked."""

    id: int
    team_id: int | None
    kinds: frozenset[str]
    data_scope: str
    default_team_id: int | None
    starts_on: date | None
    ends_on: date | None
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that decides who may send for whom."""

    credentials: dict[str, CredentialEntry]
    organisations: dict[int, OrganisationEntry]
    teams: dict[int, TeamEntry]
    aliases: dict[tuple[int, str], int] = field(default_factory=dict)
    delegations: frozenset[tuple[int, int]] = frozenset()
    grants: dict[tuple[int, int], tuple[GrantEntry, ...]] = field(default_factory=dict)
    once_granted: frozenset[tuple[int, int]] = frozenset()


def read() -> Registry:
    """Read the registry from the database."""
    grants: dict[tuple[int, int], list[GrantEntry]] = defaultdict(list)
    once_granted = set()
    for grant in Grant.objects.filter(partner__is_active=True):
        key = grant.partner_id, grant.organisation_id
        if grant.revoked_at:
            once_granted.add(key)
        else:
            grants[key].append(_grant(grant))
    return Registry(
        credentials=_credentials(),
        organisations=_organisations(),
        teams={
            team.pk: TeamEntry(team.pk, team.organisation_id, team.zone)
            for team in Team.objects.select_related("organisation")
        },
        aliases={
            (alias.partner_id, alias.value): alias.organisation_id for alias in Alias.objects.all()
        },
        delegations=frozenset(
            Delegation.objects.filter(revoked_at=None).values_list("controller", "connecting")
        ),
        grants={key: tuple(found) for key, found in grants.items()},
        once_granted=frozenset(once_granted),
    )


registry = Remembered(read)


def _grant(grant: Grant) -> GrantEntry:
    return GrantEntry(
        id=grant.pk,
        team_id=grant.team_id,
        kinds=frozenset(grant.kinds),
        data_scope=grant.data_scope,
        default_team_id=grant.default_team_id or grant.team_id,
        starts_on=grant.starts_on,
        ends_on=grant.ends_on,
        is_suspended=grant.suspended_at is not None,
    )


def _organisations() -> dict[int, OrganisationEntry]:
    aliases: dict[int, dict[str, int]] = defaultdict(dict)
    for alias in TeamAlias.objects.all():
        aliases[alias.organisation_id][alias.value] = alias.team_id
    return {
        one.pk: OrganisationEntry(
            id=one.pk,
            zone=one.zone,
            is_active=one.is_active,
            has_access=one.has_access,
            default_team_id=one.default_team_id,
            soft_match_fields=frozenset(one.soft_match_fields),
            checks_status=one.checks_status,
            auto_create=one.auto_create,
            team_aliases=aliases[one.pk],
        )
        for one in Organisation.objects.all()
    }


def _credentials() -> dict[str, CredentialEntry]:
    secrets: dict[int, list[SecretEntry]] = defaultdict(list)
    for secret in Secret.objects.filter(revoked_at=None):
        secrets[secret.credential_id].append(
            SecretEntry(secret.pk, secret.digest, secret.expires_at)
        )
    networks: dict[tuple[str, int], list[Block]] = defaultdict(list)
    for network in Network.objects.all():
        for holder in ("credential", "organisation", "partner"):
            if pk := getattr(network, f"{holder}_id"):
                networks[holder, pk].append(ip_network(network.cidr))
    return {
        one.username: _credential(one, secrets, networks)
        for one in Credential.objects.select_related("partner", "organisation", "team")
    }


def _credential(
    one: Credential,
    secrets: dict[int, list[SecretEntry]],
    networks: dict[tuple[str, int], list[Block]],
) -> CredentialEntry:
    organisation_id = one.team.organisation_id if one.team else one.organisation_id
    holders = [
        ("credential", one.pk),
        ("organisation", organisation_id or 0),
        ("partner", one.partner_id or 0),
    ]
    return CredentialEntry(
        id=one.pk,
        username=one.username,
        partner_id=one.partner_id,
        organisation_id=organisation_id,
        team_id=one.team_id,
        is_live=one.revoked_at is None and (one.partner is None or one.partner.is_active),
        secrets=tuple(secrets[one.pk]),
        networks=tuple(tuple(networks[key]) for key in holders if networks.get(key)),
    )
