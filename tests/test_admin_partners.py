"""Credentials, networks, aliases, delegations and grants in the admin."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from partners import services
from partners.admin import wording
from partners.models import Alias, Credential, Delegation, Grant, Network, Partner, Secret
from partners.secrets import digest
from pkb.models import AuditEvent, Organisation, Team, User
from tests import factories


@pytest.fixture
def as_staff(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


@pytest.fixture
def credential(partner: Partner) -> Credential:
    return factories.CredentialFactory(username="partner_mailco", partner=partner)


def deed(credential: Credential | Grant | Network | Alias | Delegation, slug: str) -> str:
    kind = credential._meta.model_name
    return f"/admin/partners/{kind}/{credential.pk}/do/{slug}/"


def shown_secret(page: Any) -> str:
    found = re.findall(r"pkbs_[\w-]{20,}", html.unescape(page.content.decode()))
    assert len(set(found)) == 1
    return str(found[0])


def issue(client: Client, partner: Partner) -> Any:
    return client.post(
        "/admin/partners/credential/add/",
        {"username": "partner_new", "holder": f"partner:{partner.pk}"},
    )


@pytest.mark.spec("Partner connections", "Authentication")
def test_an_issued_secret_is_shown_once_and_kept_nowhere(
    as_staff: Client, partner: Partner, caplog: pytest.LogCaptureFixture
) -> None:
    page = issue(as_staff, partner)
    secret = shown_secret(page)
    made = Credential.objects.get(username="partner_new")
    assert made.secrets.get().digest == digest(secret)
    assert "no-store" in page["Cache-Control"]
    assert secret not in str(page.headers)
    assert secret not in str(page.cookies)
    assert secret not in caplog.text
    for session in Session.objects.all():
        assert secret not in str(session.get_decoded())
    for event in AuditEvent.objects.all():
        assert secret not in f"{event.action}{event.target}{event.detail}"
    for path in (f"/admin/partners/credential/{made.pk}/change/", "/admin/"):
        assert secret not in as_staff.get(path).content.decode()


def test_a_secret_cannot_be_searched_for(as_staff: Client, partner: Partner) -> None:
    secret = shown_secret(issue(as_staff, partner))
    for term in (secret, secret[:9], digest(secret)):
        page = as_staff.get("/admin/partners/credential/", {"q": term}).content.decode()
        assert "Nothing matches" in page
    guess = {"secrets__digest__startswith": digest(secret)[:2]}
    assert as_staff.get("/admin/partners/credential/", guess).status_code == 400


@pytest.mark.parametrize("kind", ["partner", "organisation", "team"])
def test_a_credential_belongs_to_a_partner_an_organisation_or_a_team(
    as_staff: Client, partner: Partner, royal: Organisation, kind: str
) -> None:
    holder = {"partner": partner, "organisation": royal, "team": royal.default_team}[kind]
    assert holder is not None
    as_staff.post(
        "/admin/partners/credential/add/",
        {"username": "one", "holder": f"{kind}:{holder.pk}"},
    )
    assert Credential.objects.get(username="one").holder == holder


def test_a_credential_needs_a_holder_and_a_new_username(
    as_staff: Client, credential: Credential
) -> None:
    page = as_staff.post(
        "/admin/partners/credential/add/",
        {"username": credential.username, "holder": "partner:99999"},
    ).content.decode()
    assert "Choose one of the list" in page or "Select a valid choice" in page
    assert "already exists" in page


@pytest.mark.parametrize(
    ("overlap", "lasts"),
    [
        ("0", timedelta()),
        ("1h", timedelta(hours=1)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("30d", timedelta(days=30)),
    ],
)
def test_rotation_shows_the_new_secret_and_retires_the_old(
    as_staff: Client, credential: Credential, overlap: str, lasts: timedelta
) -> None:
    old = credential.secrets.get()
    page = as_staff.post(deed(credential, "rotate"), {"overlap": overlap})
    new = shown_secret(page)
    assert "no-store" in page["Cache-Control"]
    assert credential.secrets.exclude(pk=old.pk).get().digest == digest(new)
    old.refresh_from_db()
    assert old.expires_at is not None
    assert abs(old.expires_at - timezone.now() - lasts) < timedelta(minutes=1)


def test_asking_changes_nothing(as_staff: Client, credential: Credential) -> None:
    for slug in ("rotate", "revoke", "revoke-secret"):
        assert as_staff.get(deed(credential, slug)).status_code == 200
    credential.refresh_from_db()
    assert credential.revoked_at is None
    assert credential.secrets.filter(revoked_at=None, expires_at=None).count() == 1


def test_the_confirmation_says_who_would_notice(as_staff: Client, credential: Credential) -> None:
    secret = credential.secrets.get()
    secret.last_used_at = timezone.now() - timedelta(seconds=12)
    secret.last_used_from = "192.0.2.7"
    secret.save()
    page = as_staff.get(deed(credential, "revoke")).content.decode().replace("\xa0", " ")
    assert re.search(r"last used 1\d seconds ago from 192\.0\.2\.7", page)


def test_one_secret_is_revoked(as_staff: Client, credential: Credential) -> None:
    secret = credential.secrets.get()
    other = Secret.objects.create(credential=credential, digest=digest("other"), hint="oth")
    as_staff.post(deed(credential, "revoke-secret"), {"chosen": secret.pk})
    secret.refresh_from_db()
    other.refresh_from_db()
    assert secret.revoked_by is not None
    assert other.revoked_at is None


def test_a_secret_of_another_credential_is_not_revoked_here(
    as_staff: Client, credential: Credential, royal: Organisation
) -> None:
    other = factories.CredentialFactory(organisation=royal).secrets.get()
    page = as_staff.post(deed(credential, "revoke-secret"), {"chosen": other.pk})
    assert "Select a valid choice" in page.content.decode()
    other.refresh_from_db()
    assert other.revoked_at is None


def test_a_revoked_credential_stays_revoked(as_staff: Client, credential: Credential) -> None:
    as_staff.post(deed(credential, "revoke"))
    credential.refresh_from_db()
    assert credential.revoked_by is not None
    page = as_staff.post(deed(credential, "rotate"), {"overlap": "0"}, follow=True)
    assert "Nothing was done" in page.content.decode()
    assert credential.secrets.count() == 1
    assert "Rotate secret" not in page.content.decode()


def test_the_credential_page_tells_the_state_of_each_secret(
    as_staff: Client, credential: Credential, staff: User
) -> None:
    services.rotate_secret(credential=credential, overlap=timedelta(hours=1), by=staff)
    services.allow_network(cidr="192.0.2.0/24", partner=credential.partner, by=staff)
    page = as_staff.get(f"/admin/partners/credential/{credential.pk}/change/").content.decode()
    for told in ("retiring until", "live", "192.0.2.0/24", "MailCo", "secret.issued"):
        assert told in page


def test_a_network_is_allowed_and_removed_with_a_trace(
    as_staff: Client, credential: Credential
) -> None:
    as_staff.post(
        "/admin/partners/network/add/",
        {"holder": f"credential:{credential.pk}", "cidr": "192.0.2.0/24", "note": "office"},
    )
    network = credential.networks.get()
    assert "every address will be allowed" in as_staff.get(deed(network, "remove")).content.decode()
    page = as_staff.post(deed(network, "remove"), follow=True)
    assert page.status_code == 200
    assert not Network.objects.exists()
    event = AuditEvent.objects.get(action="network.removed")
    assert (event.actor, event.detail["cidr"]) == ("staff", "192.0.2.0/24")


def test_a_wrong_network_says_what_is_wrong_with_it(
    as_staff: Client, credential: Credential
) -> None:
    page = as_staff.post(
        "/admin/partners/network/add/",
        {"holder": f"credential:{credential.pk}", "cidr": "192.0.2.1/24"},
    ).content.decode()
    assert "192.0.2.1/24 has host bits set" in page


def test_an_alias_is_assigned_and_removed_with_a_trace(
    as_staff: Client, partner: Partner, royal: Organisation
) -> None:
    form = {"partner": partner.pk, "organisation": royal.pk, "value": "trustalias"}
    as_staff.post("/admin/partners/alias/add/", form)
    assert "already exists" in as_staff.post("/admin/partners/alias/add/", form).content.decode()
    as_staff.post(deed(Alias.objects.get(), "remove"))
    assert not Alias.objects.exists()
    events = AuditEvent.objects.filter(organisation=royal.pk)
    assert [event.action for event in events] == ["alias.removed", "alias.assigned"]


def test_a_delegation_is_made_once_and_revoked(
    as_staff: Client, royal: Organisation, riverside: Organisation
) -> None:
    form = {"controller": royal.pk, "connecting": riverside.pk}
    url = "/admin/partners/delegation/add/"
    assert as_staff.post(url, form).status_code == 302
    assert "a live delegation between these two" in as_staff.post(url, form).content.decode()
    delegation = Delegation.objects.get()
    as_staff.post(deed(delegation, "revoke"))
    delegation.refresh_from_db()
    assert delegation.revoked_by is not None
    assert AuditEvent.objects.filter(action__startswith="delegation.").count() == 2


def grant_form(partner: Partner, organisation: Organisation, **rest: object) -> dict[str, object]:
    return {
        "partner": partner.pk,
        "organisation": organisation.pk,
        "kinds": ["demographics", "documents"],
        "data_scope": "own",
        "clinical_guard": "hold",
        **rest,
    }


def test_a_grant_is_made_by_whoever_is_signed_in(
    as_staff: Client, partner: Partner, royal: Organisation, staff: User
) -> None:
    as_staff.post("/admin/partners/grant/add/", grant_form(partner, royal))
    made = Grant.objects.get()
    assert (made.granted_by, made.kinds) == (staff, ["demographics", "documents"])
    assert [event.action for event in AuditEvent.objects.all()] == ["grant.made"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kinds": []}, "This field is required"),
        ({"starts_on": "2026-02-02", "ends_on": "2026-02-01"}, "It would end before it starts"),
    ],
    ids=["no kinds", "ends before it starts"],
)
def test_a_wrong_grant_says_where(
    as_staff: Client, partner: Partner, royal: Organisation, wrong: dict[str, object], told: str
) -> None:
    page = as_staff.post("/admin/partners/grant/add/", grant_form(partner, royal, **wrong))
    assert told in page.content.decode()
    assert not Grant.objects.exists()


def test_a_second_grant_for_the_same_is_refused_in_words(
    as_staff: Client, grant: Grant, partner: Partner, royal: Organisation
) -> None:
    page = as_staff.post("/admin/partners/grant/add/", grant_form(partner, royal))
    assert "has a grant for the partner already" in page.content.decode()


def test_a_grant_of_another_organisations_team_is_refused(
    as_staff: Client, partner: Partner, royal: Organisation, riverside: Organisation
) -> None:
    form = grant_form(partner, royal, team=riverside.default_team_id)
    page = as_staff.post("/admin/partners/grant/add/", form)
    assert "This team is of another organisation" in page.content.decode()


def test_changing_a_grant_leaves_its_suspension(
    as_staff: Client, grant: Grant, staff: User
) -> None:
    services.suspend_access(grant=grant, by=staff)
    as_staff.post(
        f"/admin/partners/grant/{grant.pk}/change/",
        {"kinds": ["documents"], "data_scope": "own", "clinical_guard": "refuse"},
    )
    grant.refresh_from_db()
    assert (grant.kinds, grant.clinical_guard) == (["documents"], "refuse")
    assert grant.suspended_at is not None


def test_a_grants_default_team_is_one_of_the_organisation(
    as_staff: Client, grant: Grant, riverside: Organisation
) -> None:
    page = as_staff.get(f"/admin/partners/grant/{grant.pk}/change/").content.decode()
    assert "Riverside" not in page


@pytest.mark.spec("Partner connections", "Authorisation")
def test_a_grant_is_suspended_resumed_and_revoked(as_staff: Client, grant: Grant) -> None:
    for slug, action in (
        ("suspend", "grant.suspended"),
        ("resume", "grant.resumed"),
        ("revoke", "grant.revoked"),
    ):
        assert as_staff.get(deed(grant, slug)).status_code == 200
        assert not AuditEvent.objects.filter(action=action).exists()
        as_staff.post(deed(grant, slug))
        assert AuditEvent.objects.filter(action=action).count() == 1
    page = as_staff.get(f"/admin/partners/grant/{grant.pk}/change/").content.decode()
    assert 'name="_save"' not in page
    assert Grant.objects.filter(pk=grant.pk).exists()


def test_a_grant_is_told_in_a_sentence(grant: Grant) -> None:
    assert wording.grant_sentence(grant) == (
        "MailCo may send demographics, appointments and documents for Royal Example NHS Trust; "
        "it may amend its own and the Customer's data points; its allergies, diagnoses and "
        "medications wait for the Organisation Administrator; records that it creates belong to "
        "Patient Record Team."
    )


def test_a_teams_grant_names_the_team_and_its_days(grant: Grant, royal: Organisation) -> None:
    grant.team = Team.objects.create(organisation=royal, name="Cardiology")
    grant.kinds = ["documents"]
    grant.starts_on, grant.ends_on = timezone.localdate().replace(2026, 1, 2), None
    assert wording.grant_sentence(grant).startswith(
        "MailCo may send documents for Cardiology of Royal Example NHS Trust from 2 January 2026;"
    )


def test_what_ends_soon_is_counted_on_the_home_page(
    as_staff: Client, grant: Grant, credential: Credential
) -> None:
    grant.ends_on = timezone.localdate() + timedelta(days=29)
    grant.save()
    secret = credential.secrets.get()
    secret.expires_at = timezone.now() + timedelta(days=2)
    secret.save()
    page = as_staff.get("/admin/").content.decode()
    assert "grants 1, credentials 1" in page
    listed = as_staff.get("/admin/partners/grant/", {"state": "ending"}).content.decode()
    assert "Royal Example NHS Trust" in listed
    listed = as_staff.get("/admin/partners/credential/", {"state": "expiring"}).content.decode()
    assert "partner_mailco" in listed


def test_a_retiring_secret_beside_a_live_one_expires_nothing(
    as_staff: Client, credential: Credential, staff: User
) -> None:
    services.rotate_secret(credential=credential, overlap=timedelta(days=7), by=staff)
    assert "grants 0, credentials 0" in as_staff.get("/admin/").content.decode()


def test_a_post_without_a_token_is_refused(staff: User, credential: Credential) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert client.post(deed(credential, "revoke")).status_code == 403
    credential.refresh_from_db()
    assert credential.revoked_at is None
