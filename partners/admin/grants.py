"""Grants: what a Customer lets a partner send, in a sentence, with its brakes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from partners import services
from partners.admin import wording
from partners.models import Grant, Kind
from pkb.configured_admin import ConfiguredAdmin, WholeForm, moment, pill, whose
from pkb.deeds import Deed
from pkb.models import Team
from pkb.permissions import administers, is_platform_staff
from pkb.scoped_admin import signed_in

EDITABLE = ("kinds", "data_scope", "clinical_guard", "default_team", "starts_on", "ends_on")


def _answers_for(request: HttpRequest, grant: Grant) -> bool:
    """Platform staff, and the administrators of the Customer that gave it."""
    return is_platform_staff(request.user) or administers(request.user, grant.organisation_id)


def _suspend(request: HttpRequest, grant: Grant, _: dict[str, Any]) -> str:
    services.suspend_access(grant=grant, by=signed_in(request))
    return f"Suspended: {grant}."


def _resume(request: HttpRequest, grant: Grant, _: dict[str, Any]) -> str:
    services.resume_access(grant=grant, by=signed_in(request))
    return f"Resumed: {grant}."


def _revoke(request: HttpRequest, grant: Grant, _: dict[str, Any]) -> str:
    services.revoke_access(grant=grant, by=signed_in(request))
    return f"Revoked: {grant}."


class GrantForm(WholeForm):
    """A grant, with the teams of its organisation."""

    class Meta:
        model = Grant
        fields = ("partner", "organisation", "team", *EDITABLE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self.instance.organisation_id or self.initial.get("organisation")
        teams = Team.objects.select_related("organisation")
        if chosen and str(chosen).isdigit():
            teams = teams.filter(organisation=chosen)
        for name in ("team", "default_team"):
            if field := self.fields.get(name):
                assert isinstance(field, forms.ModelChoiceField)
                field.queryset = teams


class StateFilter(admin.SimpleListFilter):
    """What a grant does today."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("live", "not suspended or revoked"),
            ("ending", "end within 30 days"),
            ("suspended", "suspended"),
            ("revoked", "revoked"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Grant]) -> QuerySet[Grant]:
        match self.value():
            case "live":
                return queryset.filter(revoked_at=None, suspended_at=None)
            case "ending":
                return ending(queryset)
            case "suspended":
                return queryset.filter(revoked_at=None, suspended_at__isnull=False)
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
        return queryset


def ending(grants: QuerySet[Grant], days: int = 30) -> QuerySet[Grant]:
    """Return the grants that hold today and end within `days`."""
    today = timezone.localdate()
    return grants.filter(
        Q(starts_on=None) | Q(starts_on__lte=today),
        revoked_at=None,
        suspended_at=None,
        ends_on__range=(today, today + timedelta(days=days)),
    )


@admin.register(Grant)
class GrantAdmin(ConfiguredAdmin[Grant]):
    purpose = (
        "A Customer's permission for a partner to send on its behalf. It can be suspended and "
        "revoked, and takes effect within one second; what arrived under it stays."
    )
    empty = "No partner has been let in yet."
    organisation_paths = ("organisation",)
    is_audited_below = True
    staff_may_add = staff_may_change = True
    checkboxes = ConfiguredAdmin.checkboxes | {"kinds": Kind}
    form = GrantForm
    list_display = ("grant", "for_organisation", "for_team", "state", "its_kinds", "ends_on")
    list_select_related = ("partner", "organisation", "team__organisation", "default_team")
    list_filter = (
        StateFilter,
        ("partner", admin.RelatedOnlyFieldListFilter),
        ("organisation", admin.RelatedOnlyFieldListFilter),
    )
    search_fields = ("partner__name", "organisation__name", "team__name")
    radio_fields = {"data_scope": admin.VERTICAL, "clinical_guard": admin.VERTICAL}
    for_organisation = whose("organisation", "organisation")
    for_partner = whose("partner", "partner")
    given_by = whose("by", "granted_by")
    deeds = (
        Deed[Grant](
            "suspend",
            "Suspend",
            tells=lambda grant: [
                f"{grant.partner} can send nothing for {grant.team or grant.organisation}.",
                "It takes effect within one second, and lasts until the grant is resumed.",
            ],
            do=_suspend,
            may=_answers_for,
            when=lambda grant: not grant.suspended_at and not grant.revoked_at,
        ),
        Deed[Grant](
            "resume",
            "Resume",
            tells=lambda grant: [wording.grant_sentence(grant)],
            do=_resume,
            may=_answers_for,
            when=lambda grant: bool(grant.suspended_at) and not grant.revoked_at,
        ),
        Deed[Grant](
            "revoke",
            "Revoke",
            tells=lambda grant: [
                f"{grant.partner} can send nothing for {grant.team or grant.organisation}.",
                "It takes effect within one second, for good: to let it in again takes a new one.",
                "What has arrived under this grant stays in the records, and says so.",
            ],
            do=_revoke,
            may=_answers_for,
            when=lambda grant: not grant.revoked_at,
            is_grave=True,
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: Grant | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.revoked_at)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Grant | None = None
    ) -> tuple[str, ...]:
        return ("for_partner", "for_organisation", "for_team", "state", "what", "given", "history")

    def get_fieldsets(self, request: HttpRequest, obj: Grant | None = None) -> Any:
        if obj is None:
            whom = ("partner", "organisation", "team")
            return (("Who may send, for whom", {"fields": whom}), ("What", {"fields": EDITABLE}))
        facts = (None, {"fields": ("what", "state", "given", "history")})
        if self.has_change_permission(request, obj):
            return (facts, ("Change what it allows", {"fields": EDITABLE}))
        return (facts,)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Keep what was typed; a suspension that came in between stays."""
        grant = obj
        if change:
            grant = Grant.objects.select_for_update().get(pk=obj.pk)
            for name in form.changed_data:
                setattr(grant, name, form.cleaned_data[name])
        else:
            grant.granted_by = signed_in(request)
        services.keep_grant(grant=grant, by=signed_in(request))

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if kwargs.get("obj") is None:
            context["title"] = "Let a partner send for an organisation"
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="partner", ordering="partner__name")
    def grant(self, row: Grant) -> str:
        return str(row.partner)

    @admin.display(description="for")
    def for_team(self, row: Grant) -> str:
        return row.team.name if row.team else "the whole organisation"

    @admin.display(description="state")
    def state(self, row: Grant) -> str:
        return pill(*wording.grant_state(row))

    @admin.display(description="what it allows")
    def what(self, row: Grant) -> str:
        return wording.grant_sentence(row)

    @admin.display(description="kinds of message")
    def its_kinds(self, row: Grant) -> str:
        return ", ".join(row.kinds)

    @admin.display(description="given")
    def given(self, row: Grant) -> str:
        return f"{moment(row.granted_at)} by {row.granted_by}"

    @admin.display(description="since then")
    def history(self, row: Grant) -> str:
        told = [
            f"{what} {moment(at)} by {by}"
            for what, at, by in (
                ("suspended", row.suspended_at, row.suspended_by),
                ("revoked", row.revoked_at, row.revoked_by),
            )
            if at
        ]
        return "; ".join(told) or "neither suspended nor revoked"
