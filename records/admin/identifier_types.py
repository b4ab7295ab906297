"""Identifier types: configuration, which staff set and nobody deletes."""

from __future__ import annotations

from django.contrib import admin

from pkb.scoped_admin import ScopedAdmin
from records.models import IdentifierType


@admin.register(IdentifierType)
class IdentifierTypeAdmin(ScopedAdmin[IdentifierType]):
    """The agreed pairs of assigning authority and type code."""

    staff_may_add = True
    staff_may_change = True
    list_display = (
        "name",
        "authority",
        "type_code",
        "scope",
        "country",
        "check_digit",
        "organisation",
        "team",
    )
    list_filter = ("scope",)
    list_select_related = ("organisation", "team__organisation")
    search_fields = ("name", "authority", "type_code")
    actions = None
