"""What the pages of the configuration share: their fields, and what can be done to a row."""

# ruff: noqa: ARG002  -- the signatures are Django's

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html

from pkb import audit
from pkb.deeds import Deed
from pkb.models import Organisation, SoftMatchField
from pkb.permissions import is_platform_staff
from pkb.scoped_admin import ScopedAdmin, signed_in
from pkb.zones import ZONES

Row = TypeVar("Row", bound=models.Model)
CHANGED_MEANWHILE = "This was changed by someone else meanwhile. Look at it again."
VERSION = "_version"  # the hidden field with what the row was when its form was shown
UNEDITED = {"last_login", "password"}  # not in these forms


def zone_choices(empty: str = "") -> list[Any]:
    """Return the time zones, those of one continent together."""
    regions: dict[str, list[tuple[str, str]]] = {}
    for zone in sorted(ZONES):
        region, slash, place = zone.partition("/")
        regions.setdefault(region if slash else "Other", []).append(
            (zone, place.replace("_", " ") or zone)
        )
    first: list[Any] = [("", empty)] if empty else []
    return [*first, ("United Kingdom", [("Europe/London", "London")]), *regions.items()]


def whose(label: str, name: str) -> Any:
    """Return a column that names what `name` leads to, without a link to its page."""

    @admin.display(description=label, ordering=name)
    def show(_: Any, row: Any) -> str:
        return str(getattr(row, name) or "")

    return show


def _without_windows(field: Any) -> Any:
    """Take the icons away that open another page in a window of its own."""
    for icon in ("add", "change", "view", "delete"):
        if field and hasattr(field.widget, f"can_{icon}_related"):
            setattr(field.widget, f"can_{icon}_related", False)
    return field


class WholeForm(forms.ModelForm[Any]):
    """Checks constraints that look at columns nobody types, such as when it was revoked."""

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        fields = self._meta.model._meta.concrete_fields
        return excluded - {field.name for field in fields if not field.editable}


class Stale:
    """Refuses a form whose row was changed after it was shown."""

    def clean(self) -> Any:
        given = super().clean()  # type: ignore[misc]
        self.add_error(None, CHANGED_MEANWHILE)  # type: ignore[attr-defined]
        return given


def version_of(row: models.Model) -> str:
    """Return a mark that differs as soon as a value differs that people edit."""
    values = [
        (field.name, field.value_from_object(row))
        for field in row._meta.concrete_fields
        if field.editable and field.name not in UNEDITED
    ]
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


class ScopedInline(admin.TabularInline[Any, Any]):
    """Lines within a page of platform staff; none is changed or deleted in place."""

    extra = 1
    can_delete = False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return _without_windows(super().formfield_for_dbfield(db_field, request, **kwargs))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_platform_staff(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ConfiguredAdmin(ScopedAdmin[Row]):
    """A page of the configuration.

    `purpose` is told above the list, `empty` where the list has nothing; `deeds` are the buttons.
    `is_audited_below`: the service that writes the row has the audit event inside.
    """

    purpose: ClassVar[str] = ""
    empty: ClassVar[str] = "Nothing here yet."
    deeds: ClassVar[tuple[Deed[Any], ...]] = ()
    is_audited_below: ClassVar[bool] = False
    checkboxes: ClassVar[dict[str, type[models.TextChoices]]] = {
        "soft_match_fields": SoftMatchField
    }

    def organisation_of(self, row: Any) -> Organisation | None:
        """Return the organisation in whose audit trail a change of `row` belongs."""
        return None

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        if self.is_audited_below:
            return
        audit.record(
            f"{obj._meta.model_name}.added",
            obj,
            by=signed_in(request),
            organisation=self.organisation_of(obj),
        )

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        fields = [
            str(field)
            for part in message
            if "name" not in part.get("changed", {"name": ""})
            for field in part["changed"]["fields"]
        ]
        if fields and not self.is_audited_below:
            audit.record(
                f"{obj._meta.model_name}.changed",
                obj,
                by=signed_in(request),
                organisation=self.organisation_of(obj),
                fields=", ".join(fields),
            )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer time zones as a list and lists of words as checkboxes; no pop-up windows."""
        name = db_field.name
        if name == "time_zone":
            return forms.ChoiceField(
                choices=zone_choices("the organisation's" if db_field.blank else ""),
                required=not db_field.blank,
                help_text=db_field.help_text,
                initial=db_field.get_default(),
            )
        if choices := self.checkboxes.get(name):
            return forms.MultipleChoiceField(
                choices=choices.choices,
                widget=forms.CheckboxSelectMultiple,
                required=not db_field.blank,
                label=db_field.verbose_name.capitalize(),
                help_text=db_field.help_text,
                initial=db_field.get_default,
            )
        return _without_windows(super().formfield_for_dbfield(db_field, request, **kwargs))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: Any = None, **kwargs: Any
    ) -> Any:
        """Refuse what was typed into a form of an older version of the row."""
        form = super().get_form(request, obj, change=bool(change), **kwargs)
        seen = request.POST.get(VERSION)
        if obj is None or not seen:
            return form
        row = self.model._base_manager.select_for_update().get(pk=obj.pk)
        return form if seen == version_of(row) else type(form.__name__, (Stale, form), {})

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.deed_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_deed"
        return [path("<path:object_id>/do/<slug:slug>/", view, name=name), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        context["show_save_and_add_another"] = False
        context["show_save_and_continue"] = False
        if obj is not None:
            context["version"] = request.POST.get(VERSION) or version_of(obj)
            context["deeds"] = [
                (deed, deed_url(obj, deed.slug))
                for deed in self.deeds
                if deed.has_button and deed.may(request, obj) and deed.when(obj)
            ]
        return super().render_change_form(request, context, *args, **kwargs)

    def deed_view(self, request: HttpRequest, object_id: str, slug: str) -> HttpResponse:
        """Tell what a deed will do; do it when that is confirmed."""
        row = self.get_object(request, unquote(object_id))
        deed = next((one for one in self.deeds if one.slug == slug), None)
        if row is None or deed is None:
            raise Http404
        if not self.has_view_permission(request, row) or not deed.may(request, row):
            raise PermissionDenied
        if not deed.when(row):
            messages.warning(request, "Nothing was done: somebody did it already.")
            return HttpResponseRedirect(page_of(row))
        form = deed.form(
            row, request.POST if request.method == "POST" else None, initial=request.GET.dict()
        )
        if form.is_bound and form.is_valid():
            try:
                return self._done(request, row, deed.do(request, row, form.cleaned_data))
            except ValidationError as error:
                form.add_error(None, error)
        return self._ask(request, row, deed, form)

    def _done(self, request: HttpRequest, row: Row, outcome: str | HttpResponse) -> HttpResponse:
        if isinstance(outcome, HttpResponse):
            return outcome
        messages.success(request, outcome)
        opts = self.opts
        if row.pk and self.get_object(request, str(row.pk)):
            return HttpResponseRedirect(page_of(row))
        return HttpResponseRedirect(reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist"))

    def _ask(
        self, request: HttpRequest, row: Row, deed: Deed[Any], form: forms.Form
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": deed.label,
            "opts": self.opts,
            "row": row,
            "row_url": page_of(row),
            "deed": deed,
            "consequences": deed.tells(row),
            "form": form,
        }
        return TemplateResponse(request, "admin/deed.html", context)


def page_of(row: models.Model) -> str:
    """Return the address of a row's page."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def deed_url(row: models.Model, slug: str) -> str:
    """Return the address at which a deed is confirmed."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_deed", args=[row.pk, slug])


def moment(at: datetime | None) -> str:
    """Return a time as it is read here, to the second; nothing for none."""
    return date_format(timezone.localtime(at), "j M Y, H:i:s") if at else ""


def line_link(row: Any, parent: str, slug: str, label: str) -> str:
    """Return a link from a line of a table to a deed of the page it stands on."""
    if not row.pk:
        return ""
    url = deed_url(getattr(row, parent), slug)
    return format_html('<a href="{}?chosen={}">{}</a>', url, row.pk, label)


def linked(row: models.Model) -> str:
    """Return a link to a row's page."""
    return format_html('<a href="{}">{}</a>', page_of(row), row)


def pill(text: str, tone: str) -> str:
    """Return a state as a small label: its words tell it, its colour only helps."""
    return format_html('<span class="pill {}">{}</span>', tone, text)
