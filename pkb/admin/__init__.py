"""Who exists, in the admin: organisations and teams, people, the audit trail."""

from pkb.admin import organisations, people, trail

__all__ = ["organisations", "people", "trail"]
