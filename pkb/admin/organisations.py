"""Organisations and their teams; people and the audit trail have modules of their own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from pkb import services
from pkb.configured_admin import ConfiguredAdmin, ScopedInline, line_link, linked, pill
from pkb.deeds import Choose, Deed
from pkb.models import Organisation, Team, TeamAlias
from pkb.scoped_admin import signed_in


class TeamAliasForms(forms.BaseInlineFormSet[TeamAlias, Team, forms.ModelForm[TeamAlias]]):
    """Team aliases are unique within the organisation."""

    def clean(self) -> None:
        super().clean()
        taken = set(
            TeamAlias.objects.filter(organisation=self.instance.organisation_id).values_list(
                "value", flat=True
            )
        )
        for form in self.extra_forms:
            if value := form.cleaned_data.get("value"):
                if value in taken:
                    form.add_error("value", "The organisation has a team with this alias already.")
                taken.add(value)


class TeamAliasInline(ScopedInline):
    model = TeamAlias
    formset = TeamAliasForms
    fields = ("value", "remove")
    readonly_fields = ("remove",)
    verbose_name_plural = "Aliases: the names by which the organisation sends as this team in MSH-4"

    @admin.display(description="")
    def remove(self, alias: TeamAlias) -> str:
        return line_link(alias, "team", "remove-alias", "Remove…")


def _remove_alias(request: HttpRequest, _: Team, given: dict[str, Any]) -> str:
    services.remove_team_alias(alias=given["chosen"], by=signed_in(request))
    return f"The alias “{given['chosen']}” is removed."


class OrganisationForm(forms.ModelForm[Organisation]):
    """An organisation, whose default team is one of its own."""

    class Meta:
        model = Organisation
        fields = "__all__"  # noqa: DJ007  (the page's fieldsets say which)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if team := self.fields.get("default_team"):
            assert isinstance(team, forms.ModelChoiceField)
            team.queryset = self.instance.teams.all()


@admin.register(Organisation)
class OrganisationAdmin(ConfiguredAdmin[Organisation]):
    form = OrganisationForm
    purpose = (
        "Customers, who are the data controllers of what is sent under their name, "
        "and “no access” senders, who add to records and see nothing."
    )
    staff_may_add = staff_may_change = True
    list_display = ("name", "state", "kind", "time_zone", "its_default_team")
    list_select_related = ("default_team",)
    list_filter = ("is_active", "has_access")
    search_fields = ("name",)
    readonly_fields = ("public_id", "its_teams")
    fieldsets = (
        (None, {"fields": ("name", "public_id", "time_zone", "is_active", "has_access")}),
        ("Teams", {"fields": ("its_teams", "default_team")}),
        (
            "When a message matches a record",
            {"fields": ("soft_match_fields", "checks_status", "auto_create")},
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Organisation | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if obj else (fieldsets[0], fieldsets[2])

    def organisation_of(self, row: Any) -> Organisation | None:
        found: Organisation = row
        return found

    @admin.display(description="state", ordering="is_active")
    def state(self, row: Organisation) -> str:
        return pill("active", "good") if row.is_active else pill("not active", "off")

    @admin.display(description="kind", ordering="has_access")
    def kind(self, row: Organisation) -> str:
        return "Customer" if row.has_access else "no-access sender"

    @admin.display(description="default team", ordering="default_team__name")
    def its_default_team(self, row: Organisation) -> str:
        return row.default_team.name if row.default_team else ""

    @admin.display(description="teams")
    def its_teams(self, row: Organisation) -> str:
        add = format_html(
            '<a href="{}?organisation={}">Add a team</a>', reverse("admin:pkb_team_add"), row.pk
        )
        lines = [(linked(team),) for team in row.teams.select_related("organisation")]
        return format_html_join("", "{}<br>", [*lines, (add,)])


@admin.register(Team)
class TeamAdmin(ConfiguredAdmin[Team]):
    purpose = "Teams of organisations. A team alias lets an organisation's own feed send as a team."
    staff_may_add = staff_may_change = True
    list_display = ("name", "organisation", "aliases", "time_zone")
    list_select_related = ("organisation",)
    search_fields = ("name", "organisation__name", "aliases__value")
    fields = ("organisation", "name", "time_zone", "public_id")
    inlines = (TeamAliasInline,)
    deeds = (
        Deed[Team](
            "remove-alias",
            "Remove an alias",
            tells=lambda team: [
                f"What {team.organisation} sends under it is the organisation's, not the team's.",
                "Messages received so far keep their source.",
            ],
            do=_remove_alias,
            form=lambda team, *args, **kwargs: Choose(
                team.aliases.all(), "Alias", str, *args, **kwargs
            ),
            has_button=False,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        return super().get_queryset(request).prefetch_related("aliases")

    def get_readonly_fields(self, request: HttpRequest, obj: Team | None = None) -> tuple[str, ...]:
        return ("public_id", "organisation") if obj else ("public_id",)

    def get_inlines(self, request: HttpRequest, obj: Team | None) -> Any:
        return self.inlines if obj else ()

    def organisation_of(self, row: Any) -> Organisation | None:
        found: Organisation = row.organisation
        return found

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: Any) -> None:
        for alias in formset.save(commit=False):
            services.assign_team_alias(alias=alias, by=signed_in(request))

    @admin.display(description="aliases")
    def aliases(self, row: Team) -> str:
        return ", ".join(alias.value for alias in row.aliases.all())
