"""What every page of the admin is built on: who sees which rows, and that nothing is deleted."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from pkb import audit
from pkb.models import User
from pkb.permissions import administered_organisations, is_platform_staff

Row = TypeVar("Row", bound=models.Model)


def signed_in(request: HttpRequest) -> User:
    """Return who is signed in."""
    assert isinstance(request.user, User)
    return request.user


class ScopedAdmin(admin.ModelAdmin[Row]):
    """Platform staff see every row; an Organisation Administrator those of her organisations.

    `organisation_paths` are the look-ups from a row to the organisations it belongs to; with none
    the page is for staff alone. Nobody deletes: evidence would vanish. Every addition and change
    is put in the audit trail.
    """

    organisation_paths: ClassVar[tuple[str, ...]] = ()
    staff_may_add: ClassVar[bool] = False
    staff_may_change: ClassVar[bool] = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Row]:
        rows = super().get_queryset(request)
        if is_platform_staff(request.user):
            return rows
        mine = administered_organisations(request.user)
        if not self.organisation_paths or not mine:
            return rows.none()
        wanted = Q()
        for path in self.organisation_paths:
            wanted |= Q(**{f"{path}__in": mine})
        return rows.filter(wanted)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        if is_platform_staff(request.user):
            return True
        return bool(self.organisation_paths and administered_organisations(request.user))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.staff_may_add and is_platform_staff(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return self.staff_may_change and is_platform_staff(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        audit.record(f"{obj._meta.model_name}.added", obj, by=signed_in(request))

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        audit.record(f"{obj._meta.model_name}.changed", obj, by=signed_in(request))
