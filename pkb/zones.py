"""The names of the time zones that this machine knows."""

from zoneinfo import available_timezones

ZONES = frozenset(available_timezones())
