"""Staff of one organisation see nothing of another's: lists, filters, search, pages, deeds."""

from __future__ import annotations

import pytest
from django.test import Client

from partners import services
from partners.models import Alias, Credential, Delegation, Grant, Network, Partner
from pkb import audit
from pkb.models import AuditEvent, Organisation, User
from tests import factories

STAFF_ONLY = (
    "pkb/organisation",
    "pkb/team",
    "pkb/user",
    "partners/partner",
    "partners/credential",
)
SHARED = (
    "pkb/auditevent",
    "partners/grant",
    "partners/delegation",
    "partners/alias",
    "partners/network",
)


@pytest.fixture
def as_royal(client: Client, royal_admin: User) -> Client:
    client.force_login(royal_admin)
    return client


@pytest.fixture
def theirs(riverside: Organisation, royal: Organisation, staff: User) -> dict[str, int]:
    """One of everything that is the other organisation's; returns the row of each page."""
    secretive = Partner.objects.create(name="SecretCo")
    grant = services.grant_access(partner=secretive, organisation=riverside, by=staff)
    alias = services.assign_alias(
        partner=secretive, organisation=riverside, value="riversidealias", by=staff
    )
    network = services.allow_network(cidr="198.51.100.0/24", organisation=riverside, by=staff)
    delegation = services.delegate(controller=riverside, connecting=royal, by=staff)
    credential = factories.CredentialFactory(username="org_riverside", organisation=riverside)
    return {
        "partners/grant": grant.pk,
        "partners/alias": alias.pk,
        "partners/network": network.pk,
        "partners/delegation": delegation.pk,
        "partners/credential": credential.pk,
        "partners/partner": secretive.pk,
        "pkb/organisation": riverside.pk,
        "pkb/team": riverside.default_team_id or 0,
        "pkb/auditevent": AuditEvent.objects.get(target=f"partners.Grant:{grant.pk}").pk,
        "pkb/user": staff.pk,
    }


@pytest.fixture
def mine(grant: Grant, royal: Organisation, staff: User) -> Grant:
    services.assign_alias(partner=grant.partner, organisation=royal, value="trustalias", by=staff)
    services.allow_network(cidr="192.0.2.0/24", organisation=royal, by=staff)
    audit.record("grant.made", grant, by=staff, organisation=royal)
    return grant


LEAKS = ("Riverside", "SecretCo", "riversidealias", "198.51.100")


@pytest.mark.parametrize("page", SHARED)
def test_lists_filters_and_search_show_ones_own_alone(
    as_royal: Client, mine: Grant, theirs: dict[str, int], page: str
) -> None:
    for query in ({}, {"q": "Riverside"}, {"q": "SecretCo"}, {"q": "198.51"}, {"_facets": "True"}):
        answer = as_royal.get(f"/admin/{page}/", query)
        assert answer.status_code == 200
        text = answer.content.decode()
        for term in query.values():
            text = text.replace(f'value="{term}"', "").replace(f"q={term}", "")
        assert [leak for leak in LEAKS if leak in text] == []


@pytest.mark.parametrize("page", STAFF_ONLY)
def test_pages_of_platform_staff_are_closed(
    as_royal: Client, mine: Grant, theirs: dict[str, int], page: str
) -> None:
    assert as_royal.get(f"/admin/{page}/").status_code == 403
    assert as_royal.get(f"/admin/{page}/add/").status_code == 403
    for path in ("change", "history", "delete"):
        answer = as_royal.get(f"/admin/{page}/{theirs[page]}/{path}/", follow=True)
        assert [leak for leak in LEAKS if leak in answer.content.decode()] == []
        assert answer.status_code == 403 or answer.redirect_chain


@pytest.mark.parametrize("page", SHARED)
def test_a_guessed_number_finds_nothing(
    as_royal: Client, mine: Grant, theirs: dict[str, int], page: str
) -> None:
    for path in ("change", "history"):
        answer = as_royal.get(f"/admin/{page}/{theirs[page]}/{path}/", follow=True)
        assert answer.redirect_chain == [("/admin/", 302)]
        assert [leak for leak in LEAKS if leak in answer.content.decode()] == []
    assert as_royal.post(f"/admin/{page}/{theirs[page]}/change/", {}).status_code in {302, 403}


@pytest.mark.parametrize(
    ("page", "slug"),
    [
        ("partners/grant", "suspend"),
        ("partners/grant", "revoke"),
        ("partners/delegation", "revoke"),
        ("partners/alias", "remove"),
        ("partners/network", "remove"),
        ("partners/credential", "revoke"),
        ("partners/credential", "rotate"),
        ("pkb/user", "end-membership"),
    ],
)
def test_nothing_is_done_to_what_is_anothers(
    as_royal: Client, theirs: dict[str, int], page: str, slug: str
) -> None:
    before = AuditEvent.objects.count()
    url = f"/admin/{page}/{theirs[page]}/do/{slug}/"
    assert as_royal.get(url).status_code == 404
    assert as_royal.post(url, {"overlap": "0"}).status_code == 404
    assert AuditEvent.objects.count() == before


def test_the_autocomplete_gives_nothing_away(as_royal: Client, theirs: dict[str, int]) -> None:
    for field in ("partner", "organisation", "team"):
        answer = as_royal.get(
            "/admin/autocomplete/",
            {"app_label": "partners", "model_name": "grant", "field_name": field, "term": ""},
        )
        assert answer.status_code in {403, 404}


@pytest.mark.parametrize(
    "lookup",
    ["partner__name__startswith", "granted_by__password__startswith", "organisation__name"],
)
def test_a_list_answers_no_questions_about_what_lies_behind(
    as_royal: Client, mine: Grant, theirs: dict[str, int], lookup: str
) -> None:
    answer = as_royal.get("/admin/partners/grant/", {lookup: "S"})
    assert answer.status_code in {302, 400}


@pytest.mark.spec("Partner connections", "Authorisation")
def test_an_administrator_suspends_resumes_and_revokes_her_own_grants(
    as_royal: Client, mine: Grant
) -> None:
    page = as_royal.get(f"/admin/partners/grant/{mine.pk}/change/").content.decode()
    assert "MailCo may send" in page
    assert 'name="_save"' not in page
    for slug in ("suspend", "resume", "revoke"):
        assert as_royal.post(f"/admin/partners/grant/{mine.pk}/do/{slug}/").status_code == 302
    mine.refresh_from_db()
    assert str(mine.revoked_by) == "royal.admin"


def test_an_administrator_makes_and_changes_no_grant(as_royal: Client, mine: Grant) -> None:
    assert as_royal.get("/admin/partners/grant/add/").status_code == 403
    answer = as_royal.post(f"/admin/partners/grant/{mine.pk}/change/", {"data_scope": "own"})
    assert answer.status_code == 403
    mine.refresh_from_db()
    assert mine.data_scope == Grant.DataScope.CUSTOMER


def test_an_administrator_reads_aliases_and_networks_and_removes_none(
    as_royal: Client, mine: Grant
) -> None:
    alias, network = Alias.objects.get(), Network.objects.get()
    for row in (alias, network):
        url = f"/admin/partners/{row._meta.model_name}/{row.pk}"
        assert "Remove" not in as_royal.get(f"{url}/change/").content.decode()
        assert as_royal.post(f"{url}/do/remove/").status_code == 403
    assert Alias.objects.exists()
    assert Network.objects.exists()


def test_an_administrator_revokes_the_delegations_her_organisation_gave(
    as_royal: Client, royal: Organisation, riverside: Organisation, staff: User
) -> None:
    given = services.delegate(controller=royal, connecting=riverside, by=staff)
    answer = as_royal.post(f"/admin/partners/delegation/{given.pk}/do/revoke/")
    assert answer.status_code == 302
    assert Delegation.objects.get().revoked_by is not None


def test_an_administrator_reads_her_organisations_audit_trail(
    as_royal: Client, mine: Grant, theirs: dict[str, int]
) -> None:
    page = as_royal.get("/admin/pkb/auditevent/").content.decode()
    assert f"partners.Grant:{mine.pk}" in page
    assert f"partners.Alias:{theirs['partners/alias']}<" not in page
    home = as_royal.get("/admin/").content.decode()
    assert [leak for leak in LEAKS if leak in home] == []


def test_the_home_page_counts_ones_own_grants(
    as_royal: Client, mine: Grant, theirs: dict[str, int]
) -> None:
    page = as_royal.get("/admin/").content.decode()
    assert "grants of yours" in page
    assert "credentials" not in page.split("Expire within 30 days")[1].split("</li>")[0]


def test_an_administrator_of_two_sees_both(
    as_royal: Client,
    royal_admin: User,
    mine: Grant,
    theirs: dict[str, int],
    riverside: Organisation,
) -> None:
    factories.MembershipFactory(user=royal_admin, organisation=riverside)
    page = as_royal.get("/admin/partners/grant/").content.decode()
    assert "SecretCo" in page
    assert "MailCo" in page


def test_a_credential_shows_a_team_of_nobody_else(
    as_royal: Client, royal: Organisation, theirs: dict[str, int]
) -> None:
    network = Network(credential=Credential.objects.get(), cidr="203.0.113.0/24")
    network.save()
    assert "203.0.113" not in as_royal.get("/admin/partners/network/").content.decode()
