"""Who may send, in the admin: partners, credentials, networks, aliases, delegations, grants."""

from partners.admin import credentials, grants, partners

__all__ = ["credentials", "grants", "partners"]
