"""Credentials: issued, rotated and revoked. A secret is on one page, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from partners import services
from partners.admin import wording
from partners.admin.holders import HolderField, network_holders, sender_holders
from partners.models import Credential, Network, Secret
from pkb.configured_admin import ConfiguredAdmin, moment, page_of, pill
from pkb.deeds import Choose, Deed
from pkb.models import AuditEvent
from pkb.scoped_admin import signed_in

OVERLAPS = {
    "0": (timedelta(), "Not at all: the old secret stops now"),
    "1h": (timedelta(hours=1), "1 hour"),
    "24h": (timedelta(hours=24), "24 hours"),
    "7d": (timedelta(days=7), "7 days"),
    "30d": (timedelta(days=30), "30 days"),
}


class IssueForm(forms.ModelForm[Credential]):
    """A username, and whose it is."""

    holder = HolderField(
        sender_holders,
        label="Whose it is",
        help_text="A partner sends for Customers that granted it; the others send for themselves.",
    )

    class Meta:
        model = Credential
        fields = ("username",)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if holder := given.get("holder"):
            setattr(self.instance, holder._meta.model_name, holder)
        return given


class RotateForm(forms.Form):
    """How long the old secret goes on working beside the new one."""

    overlap = forms.ChoiceField(
        label="How long the old secret keeps working",
        choices=[(key, label) for key, (_, label) in OVERLAPS.items()],
        initial="24h",
        widget=forms.RadioSelect,
    )

    def __init__(self, credential: Credential, *args: Any, **kwargs: Any) -> None:
        del credential
        kwargs["initial"] = {"overlap": "24h"} | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)


def _is_live(credential: Credential) -> bool:
    return credential.revoked_at is None


def _live_secrets(credential: Credential) -> QuerySet[Secret]:
    now = timezone.now()
    return credential.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


def _in_use(credential: Credential) -> list[str]:
    return [f"Secret {wording.secret_line(secret)}." for secret in _live_secrets(credential)]


@sensitive_variables("secret")
def _rotate(request: HttpRequest, credential: Credential, given: dict[str, Any]) -> HttpResponse:
    overlap, label = OVERLAPS[given["overlap"]]
    secret = services.rotate_secret(credential=credential, overlap=overlap, by=signed_in(request))
    old = f"The old secret keeps working for {label}." if overlap else "The old secret has stopped."
    return _shown_once(request, credential, secret, old)


def _revoke_secret(request: HttpRequest, _: Credential, given: dict[str, Any]) -> str:
    services.revoke_secret(secret=given["chosen"], by=signed_in(request))
    return f"Secret {given['chosen']} is revoked."


def _revoke(request: HttpRequest, credential: Credential, _: dict[str, Any]) -> str:
    services.revoke_credential(credential=credential, by=signed_in(request))
    return f"Credential {credential} is revoked."


@sensitive_variables("secret")
def _shown_once(
    request: HttpRequest, credential: Credential, secret: str, note: str = ""
) -> HttpResponse:
    """Show a secret in this response, and nowhere else, ever."""
    context = {
        **admin.site.each_context(request),
        "title": "The secret, shown once",
        "opts": Credential._meta,
        "credential": credential,
        "credential_url": page_of(credential),
        "secret": secret,
        "note": note,
        "endpoint": request.build_absolute_uri("/hl7"),
    }
    return TemplateResponse(
        request,
        "admin/partners/credential/secret.html",
        context,
        headers={"Cache-Control": "no-store"},
    )


class StateFilter(admin.SimpleListFilter):
    """Live or revoked."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "not revoked"), ("expiring", "expire soon"), ("revoked", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Credential]) -> Any:
        if self.value() == "expiring":
            return expiring(queryset)
        if self.value() in {"live", "revoked"}:
            return queryset.filter(revoked_at__isnull=self.value() == "live")
        return queryset


def expiring(credentials: QuerySet[Credential], days: int = 30) -> QuerySet[Credential]:
    """Return those that work today and, as things stand, will not in `days`."""
    now = timezone.now()
    live = Secret.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)
    lasting = live.filter(Q(expires_at=None) | Q(expires_at__gt=now + timedelta(days=days)))
    return credentials.filter(pk__in=live.values("credential"), revoked_at=None).exclude(
        pk__in=lasting.values("credential")
    )


@admin.register(Credential)
class CredentialAdmin(ConfiguredAdmin[Credential]):
    purpose = (
        "Usernames of the HL7 API. Each has one or more secrets, which we keep only as a digest: "
        "whoever has lost one is given a new one."
    )
    empty = "No credential has been issued yet."
    is_audited_below = True
    staff_may_add = True
    form = IssueForm
    list_display = ("username", "its_holder", "state", "last_used", "created")
    list_filter = (StateFilter,)
    search_fields = ("username", "partner__name", "organisation__name", "team__name")
    deeds = (
        Deed[Credential](
            "rotate",
            "Rotate secret",
            tells=lambda one: [
                "A new secret is made and shown once, on the next page.",
                *_in_use(one),
            ],
            do=_rotate,
            when=_is_live,
            form=RotateForm,
        ),
        Deed[Credential](
            "revoke-secret",
            "Revoke a secret",
            tells=lambda _: [
                "The chosen secret stops proving anything within one second, for good."
            ],
            do=_revoke_secret,
            when=_is_live,
            form=lambda one, *args, **kwargs: Choose(
                _live_secrets(one), "Secret", wording.secret_line, *args, **kwargs
            ),
            is_grave=True,
            has_button=False,
        ),
        Deed[Credential](
            "revoke",
            "Revoke credential",
            tells=lambda one: [
                f"{one} and all its secrets stop within one second, for good.",
                *_in_use(one),
                "What it has sent stays. The username cannot be issued again.",
            ],
            do=_revoke,
            when=_is_live,
            is_grave=True,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Credential]:
        return (
            super()
            .get_queryset(request)
            .select_related("partner", "organisation", "team__organisation", "revoked_by")
            .prefetch_related("secrets__created_by", "secrets__revoked_by")
        )

    def get_fieldsets(self, request: HttpRequest, obj: Credential | None = None) -> Any:
        shown = ("its_holder", "state", "created") if obj else ("holder", "username")
        return ((None, {"fields": shown}),)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Credential | None = None
    ) -> tuple[str, ...]:
        return ("its_holder", "state", "created") if obj else ()

    @sensitive_variables("secret")
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        made, secret = services.issue_credential(
            username=obj.username,
            partner=obj.partner,
            organisation=obj.organisation,
            team=obj.team,
            by=signed_in(request),
        )
        obj.pk, obj.created_at = made.pk, made.created_at
        obj.shown_once = secret

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return _shown_once(request, obj, obj.__dict__.pop("shown_once"))

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if isinstance(one := kwargs.get("obj"), Credential):
            context |= _page(one)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="whose it is")
    def its_holder(self, row: Credential) -> str:
        return f"{row.holder} ({row.holder._meta.verbose_name})"

    @admin.display(description="state")
    def state(self, row: Credential) -> str:
        return pill(*wording.credential_state(row))

    @admin.display(description="created", ordering="created_at")
    def created(self, row: Credential) -> str:
        return moment(row.created_at)

    @admin.display(description="last used")
    def last_used(self, row: Credential) -> str:
        used = [one for one in row.secrets.all() if one.last_used_at]
        latest = max(used, key=lambda one: one.last_used_at or one.created_at, default=None)
        return wording.last_use(latest).removeprefix("last used ") if latest else "never"


def _page(one: Credential) -> dict[str, Any]:
    """Return what a credential's page shows besides its fields."""
    now = timezone.now()
    organisation = one.organisation or (one.team.organisation if one.team else None)
    secrets = list(one.secrets.all())
    targets = [f"partners.Credential:{one.pk}", *(f"partners.Secret:{s.pk}" for s in secrets)]
    rules: list[tuple[str, list[Network]]] = [(f"Only {one}", list(one.networks.all()))]
    if one.partner:
        rules.append((f"Everyone of {one.partner}", list(one.partner.networks.all())))
    if organisation:
        rules.append((f"Everyone of {organisation}", list(organisation.networks.all())))
    return {
        "secrets": [(secret, *wording.secret_state(secret, now)) for secret in secrets],
        "rules": rules,
        "aliases": one.partner.aliases.select_related("organisation") if one.partner else [],
        "events": AuditEvent.objects.filter(target__in=targets)[:10],
        "network_choice": network_holders.key(one),
    }
