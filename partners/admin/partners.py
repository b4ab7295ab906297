"""Partners, their names for Customers, delegations and networks, and what expires soon."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from partners import services
from partners.admin import credentials as credentials_admin
from partners.admin import grants as grants_admin
from partners.admin import wording
from partners.admin.holders import HolderField, network_holders
from partners.models import Alias, Credential, Delegation, Grant, Network, Partner
from pkb.configured_admin import ConfiguredAdmin, WholeForm, linked, moment, pill, whose
from pkb.deeds import Deed
from pkb.permissions import administers, is_platform_staff
from pkb.scoped_admin import signed_in
from pkb.site import Figure, add_figure


@admin.register(Partner)
class PartnerAdmin(ConfiguredAdmin[Partner]):
    purpose = "Companies that send data on behalf of Customers."
    empty = "There is no partner yet."
    staff_may_add = staff_may_change = True
    list_display = ("name", "state")
    list_filter = ("is_active",)
    search_fields = ("name", "aliases__value", "credentials__username")
    readonly_fields = ("its_credentials", "its_aliases", "its_grants", "its_networks")

    def get_fieldsets(self, request: HttpRequest, obj: Partner | None = None) -> Any:
        own = (None, {"fields": ("name", "is_active")})
        return (own, ("What it has", {"fields": self.readonly_fields})) if obj else (own,)

    @admin.display(description="state", ordering="is_active")
    def state(self, row: Partner) -> str:
        return pill("active", "good") if row.is_active else pill("not active", "off")

    @admin.display(description="credentials")
    def its_credentials(self, row: Partner) -> str:
        found = row.credentials.prefetch_related("secrets").select_related("partner")
        lines = [(linked(one), pill(*wording.credential_state(one))) for one in found]
        return _lines(lines, Credential, "Issue a credential", f"holder=partner:{row.pk}")

    @admin.display(description="aliases")
    def its_aliases(self, row: Partner) -> str:
        found = row.aliases.select_related("organisation")
        lines = [(linked(one), str(one.organisation)) for one in found]
        return _lines(lines, Alias, "Assign an alias", f"partner={row.pk}")

    @admin.display(description="grants")
    def its_grants(self, row: Partner) -> str:
        found = row.grants.select_related("partner", "organisation", "team__organisation")
        lines = [(linked(one), pill(*wording.grant_state(one))) for one in found]
        return _lines(lines, Grant, "Let it send for an organisation", f"partner={row.pk}")

    @admin.display(description="networks")
    def its_networks(self, row: Partner) -> str:
        lines = [(linked(one), one.note) for one in row.networks.all()]
        choice = f"holder={network_holders.key(row)}"
        return _lines(lines or [("any address", "")], Network, "Allow a network", choice)


def _lines(lines: list[tuple[str, str]], kind: type[Any], add: str, choice: str) -> str:
    url = reverse(f"admin:partners_{kind._meta.model_name}_add")
    link = format_html('<a href="{}?{}" class="addlink">{}</a>', url, choice, add)
    return format_html_join("", "{} {}<br>", [*lines, (link, "")])


def _remove_alias(request: HttpRequest, alias: Alias, _: dict[str, Any]) -> str:
    services.remove_alias(alias=alias, by=signed_in(request))
    return f"The alias “{alias}” is removed."


@admin.register(Alias)
class AliasAdmin(ConfiguredAdmin[Alias]):
    is_audited_below = True
    purpose = (
        "The names by which a partner refers to Customers in MSH-4: connecting{controller}. "
        "Each partner has its own."
    )
    empty = "No alias has been assigned yet."
    organisation_paths = ("organisation",)
    staff_may_add = True
    fields = ("partner", "organisation", "value")
    list_display = ("value", "for_partner", "for_organisation")
    list_select_related = ("partner", "organisation")
    search_fields = ("value", "partner__name", "organisation__name")
    for_partner = whose("partner", "partner")
    for_organisation = whose("organisation", "organisation")
    deeds = (
        Deed[Alias](
            "remove",
            "Remove",
            tells=lambda alias: [
                f"What {alias.partner} sends with “{alias}” in MSH-4 is refused from now on.",
                "What has arrived stays.",
            ],
            do=_remove_alias,
            is_grave=True,
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Alias | None = None) -> tuple[str, ...]:
        return ("value", "for_partner", "for_organisation") if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("for_partner", "for_organisation")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        made = services.assign_alias(
            partner=obj.partner,
            organisation=obj.organisation,
            value=obj.value,
            by=signed_in(request),
        )
        obj.pk = made.pk


class NetworkForm(forms.ModelForm[Network]):
    """A block of addresses, and for whom."""

    holder = HolderField(
        network_holders,
        label="For",
        help_text="Calls must come from one of its networks, and from one of its holder's.",
    )

    class Meta:
        model = Network
        fields = ("cidr", "note")
        help_texts: ClassVar = {"cidr": "For example 192.0.2.0/24 or 2001:db8::/32."}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if holder := given.get("holder"):
            setattr(self.instance, holder._meta.model_name, holder)
        return given


def _remove_network(request: HttpRequest, network: Network, _: dict[str, Any]) -> str:
    services.remove_network(network=network, by=signed_in(request))
    return f"The network {network} is removed."


def _without_network(network: Network) -> list[str]:
    holder = network.credential or network.organisation or network.partner
    assert holder is not None
    others = [one for one in holder.networks.all() if one.pk != network.pk]
    told = f"Calls of {holder} are let in from {wording.networks_line(others)}."
    warning = [] if others else ["This is its last network: every address will be allowed."]
    return [told, *warning]


@admin.register(Network)
class NetworkAdmin(ConfiguredAdmin[Network]):
    is_audited_below = True
    purpose = (
        "Addresses from which calls may come. Without any, a credential works from everywhere; "
        "the first one closes all the others."
    )
    empty = "No network: credentials work from any address."
    organisation_paths = (
        "organisation",
        "credential__organisation",
        "credential__team__organisation",
    )
    staff_may_add = True
    form = NetworkForm
    list_display = ("cidr", "holder_name", "note")
    list_select_related = ("credential", "organisation", "partner")
    search_fields = ("cidr", "note", "credential__username", "organisation__name", "partner__name")
    deeds = (Deed[Network]("remove", "Remove", _without_network, _remove_network, is_grave=True),)

    def get_fields(self, request: HttpRequest, obj: Network | None = None) -> tuple[str, ...]:
        return ("cidr", "holder_name", "note") if obj else ("holder", "cidr", "note")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("holder_name",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        made = services.allow_network(
            cidr=obj.cidr,
            credential=obj.credential,
            organisation=obj.organisation,
            partner=obj.partner,
            note=obj.note,
            by=signed_in(request),
        )
        obj.pk = made.pk

    @admin.display(description="for")
    def holder_name(self, row: Network) -> str:
        return wording.network_holder(row)


class DelegationForm(WholeForm):
    """Who lets whom."""

    class Meta:
        model = Delegation
        fields = ("controller", "connecting")


def _gave(request: HttpRequest, delegation: Delegation) -> bool:
    mine = administers(request.user, delegation.controller_id)
    return mine or is_platform_staff(request.user)


def _revoke_delegation(request: HttpRequest, delegation: Delegation, _: dict[str, Any]) -> str:
    services.revoke_delegation(delegation=delegation, by=signed_in(request))
    return f"The delegation of {delegation} is revoked."


@admin.register(Delegation)
class DelegationAdmin(ConfiguredAdmin[Delegation]):
    is_audited_below = True
    purpose = (
        "A controller's word that another Customer may connect its partners for the "
        "controller's data: connecting{controller} in MSH-4."
    )
    empty = "Nobody connects partners for another's data."
    organisation_paths = ("controller",)
    staff_may_add = True
    form = DelegationForm
    list_display = ("for_controller", "for_connecting", "state", "made_at")
    list_select_related = ("controller", "connecting", "made_by", "revoked_by")
    search_fields = ("controller__name", "connecting__name")
    for_controller = whose("data controller", "controller")
    for_connecting = whose("may be connected by", "connecting")
    by = whose("by", "made_by")
    deeds = (
        Deed[Delegation](
            "revoke",
            "Revoke",
            tells=lambda one: [
                f"No partner of {one.connecting} can send for {one.controller} any more.",
                "What has arrived stays.",
            ],
            do=_revoke_delegation,
            may=_gave,
            when=lambda one: one.revoked_at is None,
            is_grave=True,
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        facts = ("for_controller", "for_connecting", "state", "made_at", "by")
        return facts if obj else ("controller", "connecting")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("for_controller", "for_connecting", "state", "made_at", "by")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        made = services.delegate(
            controller=obj.controller, connecting=obj.connecting, by=signed_in(request)
        )
        obj.pk = made.pk

    @admin.display(description="state")
    def state(self, row: Delegation) -> str:
        if row.revoked_at is None:
            return pill("live", "good")
        return pill(f"revoked {moment(row.revoked_at)} by {row.revoked_by}", "off")


def _seen(kind: type[Any], request: HttpRequest) -> QuerySet[Any]:
    return admin.site.get_model_admin(kind).get_queryset(request)


def expiring_soon(request: HttpRequest) -> Figure:
    """Count the grants and credentials that stop working within 30 days."""
    grants = grants_admin.ending(_seen(Grant, request)).count()
    credentials = credentials_admin.expiring(_seen(Credential, request)).count()
    kind, state = ("credential", "expiring") if credentials and not grants else ("grant", "ending")
    return Figure(
        label="Expire within 30 days",
        value=str(grants + credentials),
        link=reverse(f"admin:partners_{kind}_changelist") + f"?state={state}",
        tone="attention" if grants or credentials else "calm",
        hint=f"grants {grants}, credentials {credentials}"
        if is_platform_staff(request.user)
        else "grants of yours",
    )


add_figure(expiring_soon, last=True)
