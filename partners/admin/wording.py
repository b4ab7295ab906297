"""Grants, secrets and networks in words, as people read them in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone
from django.utils.formats import date_format

from partners.models import Credential, Grant, Kind, Network, Secret

State = tuple[str, str]  # what it is, and how it looks: good, attention, off


def secret_state(secret: Secret, now: datetime) -> State:
    """Return whether a secret still proves anything, and until when."""
    if secret.revoked_at:
        return "revoked", "off"
    if secret.expires_at is None:
        return "live", "good"
    if secret.expires_at <= now:
        return "expired", "off"
    return f"retiring until {_moment(secret.expires_at)}", "attention"


def last_use(secret: Secret) -> str:
    """Return when and from where a secret was used last."""
    if secret.last_used_at is None:
        return "never used"
    return f"last used {naturaltime(secret.last_used_at)} from {secret.last_used_from or '?'}"


def secret_line(secret: Secret) -> str:
    """Return one line that tells a secret from the others."""
    return f"{secret} {secret_state(secret, timezone.now())[0]}, {last_use(secret)}"


def credential_state(credential: Credential) -> State:
    """Return whether anybody can call with a credential."""
    now = timezone.now()
    if credential.revoked_at:
        return "revoked", "off"
    if credential.partner and not credential.partner.is_active:
        return "partner not active", "off"
    states = [secret_state(secret, now)[1] for secret in credential.secrets.all()]
    if "good" in states:
        return "live", "good"
    if "attention" in states:
        return "expiring", "attention"
    return "no live secret", "off"


def grant_state(grant: Grant) -> State:
    """Return whether a grant authorises today, in the Customer's time zone."""
    today = timezone.now().astimezone(grant.organisation.zone).date()
    if grant.revoked_at:
        return "revoked", "off"
    if grant.suspended_at:
        return "suspended", "attention"
    if grant.starts_on and today < grant.starts_on:
        return f"starts {_day(grant.starts_on)}", "attention"
    if grant.ends_on and today > grant.ends_on:
        return "ended", "off"
    return "live", "good"


def grant_sentence(grant: Grant) -> str:
    """Return what a grant allows, in words that a person can answer for.

    It says what was granted, whatever its state is now.
    """
    kinds = _listed([Kind(kind).label.split(" (")[0].lower() for kind in grant.kinds])
    whom = f"{grant.team.name} of {grant.organisation}" if grant.team else str(grant.organisation)
    parts = [
        f"{grant.partner} may send {kinds} for {whom}{_when(grant)}",
        f"it may amend {grant.get_data_scope_display()}",
        f"its allergies, diagnoses and medications {grant.get_clinical_guard_display()}",
    ]
    if team := grant.default_team or grant.team or grant.organisation.default_team:
        parts.append(f"records that it creates belong to {team.name}")
    return "; ".join(parts) + "."


def network_holder(network: Network) -> str:
    """Return for whom a network is allowed."""
    return str(network.credential or network.organisation or network.partner)


def networks_line(networks: Iterable[Network]) -> str:
    """Return from where calls may come."""
    return ", ".join(network.cidr for network in networks) or "any address"


def _when(grant: Grant) -> str:
    first = f" from {_day(grant.starts_on)}" if grant.starts_on else ""
    last = f" until {_day(grant.ends_on)}" if grant.ends_on else ""
    return first + last


def _listed(words: list[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]


def _day(day: date) -> str:
    return date_format(day, "j F Y")


def _moment(at: datetime) -> str:
    return date_format(timezone.localtime(at), "j F Y, H:i")
