"""The people who sign in, and what they administer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import admin as auth
from django.contrib.auth.forms import AdminPasswordChangeForm, BaseUserCreationForm
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from pkb import services
from pkb.configured_admin import ConfiguredAdmin, ScopedInline, line_link, moment, pill
from pkb.deeds import Choose, Deed
from pkb.models import Membership, User
from pkb.scoped_admin import signed_in

admin.site.unregister(Group)  # who may do what follows from memberships alone


class MembershipInline(ScopedInline):
    model = Membership
    fk_name = "user"
    fields = ("organisation", "role", "end")
    readonly_fields = ("end",)
    verbose_name_plural = (
        "Memberships: the organisations whose held messages and grants she decides"
    )

    @admin.display(description="")
    def end(self, membership: Membership) -> str:
        return line_link(membership, "user", "end-membership", "End…")


def _end_membership(request: HttpRequest, user: User, given: dict[str, Any]) -> str:
    services.end_membership(membership=given["chosen"], by=signed_in(request))
    return f"{user} no longer administers {given['chosen'].organisation}."


SIGN_IN = {"is_staff": "May sign in here"}
SIGN_IN_HELP = {"is_staff": "Needed by platform staff and administrators of organisations alike."}


def _check_sign_in(form: forms.ModelForm[User], given: dict[str, Any]) -> None:
    """Refuse platform staff who could not enter."""
    if "is_staff" in form.fields and given.get("is_platform_staff") and not given.get("is_staff"):
        form.add_error("is_staff", "Platform staff work here: they must be able to sign in.")


class PersonAddForm(BaseUserCreationForm[User]):
    """A new person, with a password to change at the first visit."""

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "is_staff", "is_platform_staff")
        labels = SIGN_IN
        help_texts = SIGN_IN_HELP

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["is_staff"].initial = True

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        _check_sign_in(self, given)
        return given


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]
    """A new password: there is no other way to sign in, so none cannot be chosen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
        for name in ("password1", "password2"):
            self.fields[name].required = True


class PersonForm(forms.ModelForm[User]):
    """A person, without anything of her password."""

    class Meta:
        model = User
        labels = SIGN_IN
        help_texts = SIGN_IN_HELP
        fields = (
            "username",
            "first_name",
            "last_name",
            "email",
            "is_active",
            "is_staff",
            "is_platform_staff",
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        _check_sign_in(self, given)
        return given


@admin.register(User)
class PersonAdmin(ConfiguredAdmin[User], auth.UserAdmin):  # type: ignore[type-arg]
    purpose = (
        "People who sign in here. Platform staff see everything; an Organisation Administrator "
        "sees what belongs to her organisations, and nothing else."
    )
    staff_may_add = staff_may_change = True
    form = PersonForm
    add_form = PersonAddForm
    change_password_form = PasswordForm
    add_form_template = "admin/pkb/user/add_form.html"
    list_display = ("username", "name", "state", "role", "last_seen")
    list_filter = ("is_active", "is_platform_staff")
    search_fields = ("username", "first_name", "last_name", "email")
    filter_horizontal = ()
    inlines = (MembershipInline,)
    fieldsets = (
        (None, {"fields": ("username", "first_name", "last_name", "email")}),
        ("May", {"fields": ("is_active", "is_staff", "is_platform_staff")}),
        ("Visits", {"fields": ("last_seen", "joined", "new_password")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "first_name", "last_name", "email")}),
        ("May", {"fields": ("is_staff", "is_platform_staff")}),
        ("Password", {"fields": ("password1", "password2")}),
    )
    deeds = (
        Deed[User](
            "end-membership",
            "End a membership",
            tells=lambda user: [
                f"{user} loses sight of all that is that organisation's, at once.",
                "What she decided stays decided, under her name.",
            ],
            do=_end_membership,
            form=lambda user, *args, **kwargs: Choose(
                user.memberships.select_related("organisation"),
                "Membership",
                lambda one: f"{one.get_role_display()} of {one.organisation}",
                *args,
                **kwargs,
            ),
            has_button=False,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("memberships__organisation")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        told = ("last_seen", "joined", "new_password")
        if obj and obj.pk == request.user.pk:  # nobody locks herself out
            return (*told, "is_active", "is_staff", "is_platform_staff")
        return told

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: Any) -> None:
        for membership in formset.save(commit=False):
            services.give_membership(membership=membership, by=signed_in(request))
            if not membership.user.is_staff or not membership.user.is_active:
                told = (
                    f"{membership.user} cannot sign in yet: tick “active” and “May sign in here”."
                )
                messages.warning(request, told)

    @admin.display(description="name", ordering="last_name")
    def name(self, row: User) -> str:
        return row.get_full_name()

    @admin.display(description="state", ordering="is_active")
    def state(self, row: User) -> str:
        return pill("active", "good") if row.is_active else pill("deactivated", "off")

    @admin.display(description="last visit", ordering="last_login")
    def last_seen(self, row: User) -> str:
        return moment(row.last_login)

    @admin.display(description="joined")
    def joined(self, row: User) -> str:
        return moment(row.date_joined)

    @admin.display(description="password")
    def new_password(self, row: User) -> str:
        url = reverse("admin:auth_user_password_change", args=[row.pk])
        return format_html('<a href="{}">Set a new one</a>', url)

    @admin.display(description="role")
    def role(self, row: User) -> str:
        if row.is_platform_staff:
            return "platform staff"
        names = [str(one.organisation) for one in row.memberships.all()]
        return "administers " + ", ".join(names) if names else "none"
