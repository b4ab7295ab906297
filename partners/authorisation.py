"""May this caller send this for that Customer? One question, one function, no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from partners.aliases import AliasPair
from partners.authentication import Caller
from partners.registry import CredentialEntry, GrantEntry, OrganisationEntry, Registry


class NotAuthorised(Exception):
    """The caller may not send for the Customer it named.

    `rule` is the true reason, for staff and for the Customer; the sender reads one text for all.
    """

    def __init__(self, rule: str, controller_id: int | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.controller_id = controller_id


@dataclass(frozen=True, slots=True)
class Authority:
    """On whose behalf a message was accepted, and how far that reaches."""

    partner_id: int | None
    connecting: OrganisationEntry
    controller: OrganisationEntry
    team_id: int | None  # the source team
    zone: ZoneInfo
    creating_team_id: int | None  # the team that a record created by this message belongs to
    grant_id: int | None = None
    reach: frozenset[int] | None = None  # the teams whose patients may be touched; None: all
    amends_customer_data: bool = True

    @property
    def teams(self) -> frozenset[int]:
        """The teams whose own identifier types count."""
        return (self.reach or frozenset()) | ({self.team_id} if self.team_id else frozenset())


def authorise(registry: Registry, caller: Caller, msh_4: str, kind: str, today: date) -> Authority:
    """Return the authority of `caller` to send a message of `kind` with this MSH-4.

    A partner's MSH-4 must be an alias pair, or `BadAliasPair` is raised.
    """
    credential = caller.credential
    if credential.partner_id is not None:
        return _partner(registry, credential.partner_id, AliasPair.parse(msh_4), kind, today)
    return _organisation(registry, credential, msh_4)


def _organisation(registry: Registry, credential: CredentialEntry, msh_4: str) -> Authority:
    organisation = registry.organisations[credential.organisation_id or 0]
    if not organisation.is_active:
        raise NotAuthorised("organisation not active", organisation.id)
    team_id = credential.team_id or organisation.team_aliases.get(msh_4)
    return Authority(
        partner_id=None,
        connecting=organisation,
        controller=organisation,
        team_id=team_id,
        zone=registry.teams[team_id].zone if team_id else organisation.zone,
        creating_team_id=team_id or organisation.default_team_id,
    )


def _partner(
    registry: Registry, partner_id: int, pair: AliasPair, kind: str, today: date
) -> Authority:
    connecting = _named(registry, partner_id, pair.connecting, "connecting")
    controller = _named(registry, partner_id, pair.controller, "controller")
    for organisation in (connecting, controller):
        if not organisation.is_active:
            raise NotAuthorised("organisation not active", controller.id)
    if connecting.id != controller.id:
        if (controller.id, connecting.id) not in registry.delegations:
            raise NotAuthorised("no delegation", controller.id)
    grants = _live_grants(registry, partner_id, connecting, controller, kind, today)
    whole = next((grant for grant in grants if grant.team_id is None), None)
    grant = whole or grants[0]
    return Authority(
        partner_id=partner_id,
        connecting=connecting,
        controller=controller,
        team_id=None,
        zone=controller.zone,
        creating_team_id=grant.default_team_id or controller.default_team_id,
        grant_id=grant.id,
        reach=None if whole else frozenset(one.team_id for one in grants if one.team_id),
        amends_customer_data=all(  # several teams' grants give what each of them gives
            one.data_scope == "customer" for one in ([whole] if whole else grants)
        ),
    )


def _named(registry: Registry, partner_id: int, alias: str, role: str) -> OrganisationEntry:
    if not (found := registry.aliases.get((partner_id, alias))):
        raise NotAuthorised(f"no such {role} alias")
    return registry.organisations[found]


def _live_grants(
    registry: Registry,
    partner_id: int,
    connecting: OrganisationEntry,
    controller: OrganisationEntry,
    kind: str,
    today: date,
) -> list[GrantEntry]:
    key = partner_id, connecting.id
    grants = registry.grants.get(key, ())
    if not grants:
        revoked = key in registry.once_granted
        raise NotAuthorised("grant revoked" if revoked else "no grant", controller.id)
    rules = [_why_not(grant, kind, today) for grant in grants]
    if live := [grant for grant, rule in zip(grants, rules, strict=True) if rule is None]:
        return live
    raise NotAuthorised(rules[0] or "", controller.id)


def _why_not(grant: GrantEntry, kind: str, today: date) -> str | None:
    """Return the rule by which `grant` does not allow this, or None."""
    if grant.is_suspended:
        return "grant suspended"
    if grant.starts_on and today < grant.starts_on:
        return "grant not started"
    if grant.ends_on and today > grant.ends_on:
        return "grant ended"
    if kind not in grant.kinds:
        return "kind not granted"
    return None
