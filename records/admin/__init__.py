"""The record in the admin: for platform staff, to read; identifier types are theirs to set."""

from records.admin import identifier_types, patients

__all__ = ["identifier_types", "patients"]
