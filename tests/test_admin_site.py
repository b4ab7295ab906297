"""The admin site: who may enter, its home page, people, organisations and the audit trail."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from partners import services
from partners.models import Grant, Partner
from pkb import audit
from pkb.configured_admin import version_of
from pkb.models import AuditEvent, Membership, Organisation, Team, TeamAlias, User
from tests import factories

HOME = "/admin/"


@pytest.fixture
def as_staff(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def test_platform_staff_enter(as_staff: Client) -> None:
    assert as_staff.get(HOME).status_code == 200


def test_an_organisation_administrator_enters(client: Client, royal_admin: User) -> None:
    client.force_login(royal_admin)
    page = client.get(HOME)
    assert page.status_code == 200
    assert "Royal Example NHS Trust" in page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "flags",
    [
        {"is_staff": True},
        {"is_staff": True, "is_superuser": True},
        {"is_staff": False, "is_platform_staff": True},
        {"is_staff": True, "is_platform_staff": True, "is_active": False},
    ],
    ids=str,
)
def test_nobody_else_enters(client: Client, flags: dict[str, bool]) -> None:
    client.force_login(factories.UserFactory(**flags))
    assert client.get(HOME).status_code == 302
    assert client.get("/admin/partners/grant/").status_code == 302


def test_the_administrator_of_a_closed_organisation_does_not_enter(
    client: Client, royal: Organisation, royal_admin: User
) -> None:
    royal.is_active = False
    royal.save()
    client.force_login(royal_admin)
    assert client.get(HOME).status_code == 302


def test_the_home_page_leads_to_what_expires(as_staff: Client, grant: Grant) -> None:
    page = as_staff.get(HOME).content.decode()
    assert "Expire within 30 days" in page
    assert "/admin/partners/" in page


def test_no_page_needs_inline_scripts_or_styles(as_staff: Client, grant: Grant) -> None:
    for path in (HOME, "/admin/partners/grant/", f"/admin/partners/grant/{grant.pk}/change/"):
        page = as_staff.get(path)
        assert "'unsafe-inline'" not in page["Content-Security-Policy"]
        text = page.content.decode()
        assert " style=" not in text
        assert "<style" not in text
        assert "<script>" not in text


@pytest.mark.parametrize("model", ["organisation", "team", "user", "auditevent"], ids=str)
def test_an_empty_list_and_a_fruitless_search_say_so(as_staff: Client, model: str) -> None:
    page = as_staff.get(reverse(f"admin:pkb_{model}_changelist"), {"q": "no such thing"})
    assert "Nothing matches" in page.content.decode()


def test_a_person_is_added_with_a_password_that_nobody_reads(as_staff: Client) -> None:
    page = as_staff.post(
        "/admin/pkb/user/add/",
        {
            "username": "new.person",
            "is_staff": "on",
            "password1": "a long enough phrase",
            "password2": "a long enough phrase",
        },
    )
    user = User.objects.get(username="new.person")
    assert page.status_code == 302
    assert user.check_password("a long enough phrase")
    assert not user.is_superuser
    shown = as_staff.get(f"/admin/pkb/user/{user.pk}/change/").content.decode()
    assert user.password not in shown
    assert "pbkdf2" not in shown
    assert AuditEvent.objects.filter(action="user.added", target=f"pkb.User:{user.pk}").exists()


def test_a_new_person_may_sign_in_unless_that_is_unticked(as_staff: Client) -> None:
    shown = as_staff.get("/admin/pkb/user/add/")
    field = shown.context["adminform"].form["is_staff"]
    assert (field.value(), field.label) == (True, "May sign in here")
    phrase = "a long enough phrase"
    given = {"username": "new", "password1": phrase, "password2": phrase}
    page = as_staff.post("/admin/pkb/user/add/", given | {"is_platform_staff": "on"})
    assert "they must be able to sign in" in page.content.decode()
    assert not User.objects.filter(username="new").exists()


def test_a_membership_of_one_who_cannot_sign_in_is_warned_of(
    as_staff: Client, royal: Organisation
) -> None:
    user = User.objects.create_user("outside")
    lines = _no_lines("memberships", 0) | {"memberships-TOTAL_FORMS": "1"}
    page = as_staff.post(
        f"/admin/pkb/user/{user.pk}/change/",
        {
            "username": "outside",
            "is_active": "on",
            "memberships-0-organisation": royal.pk,
            "memberships-0-role": "administrator",
            "memberships-0-user": user.pk,
            **lines,
        },
        follow=True,
    )
    assert "Outside cannot sign in yet" in page.content.decode()


def test_a_deactivated_person_is_out_at_once(
    as_staff: Client, royal_admin: User, staff: User
) -> None:
    hers = Client()
    hers.force_login(royal_admin)
    assert hers.get(HOME).status_code == 200
    as_staff.post(
        f"/admin/pkb/user/{royal_admin.pk}/change/",
        {"username": "royal.admin", "is_staff": "on", **_no_lines("memberships", 1, royal_admin)},
    )
    royal_admin.refresh_from_db()
    assert not royal_admin.is_active
    assert hers.get(HOME).status_code == 302
    event = AuditEvent.objects.get(action="user.changed")
    assert (event.actor, event.detail) == ("staff", {"fields": "Active"})


def _no_lines(prefix: str, initial: int, user: User | None = None) -> dict[str, str]:
    lines = {
        f"{prefix}-TOTAL_FORMS": str(initial),
        f"{prefix}-INITIAL_FORMS": str(initial),
        f"{prefix}-MIN_NUM_FORMS": "0",
        f"{prefix}-MAX_NUM_FORMS": "1000",
    }
    for number, one in enumerate(Membership.objects.filter(user=user) if user else ()):
        lines |= {f"{prefix}-{number}-id": str(one.pk), f"{prefix}-{number}-user": str(one.user_id)}
    return lines


def test_staff_set_a_new_password_for_another(
    as_staff: Client, royal_admin: User, riverside_admin: User
) -> None:
    url = f"/admin/pkb/user/{royal_admin.pk}/password/"
    assert "usable_password" not in as_staff.get(url).context["form"].fields
    phrase = "another long phrase"
    as_staff.post(url, {"usable_password": "true", "password1": phrase, "password2": phrase})
    royal_admin.refresh_from_db()
    assert royal_admin.check_password(phrase)
    assert AuditEvent.objects.get(action="user.changed").target == f"pkb.User:{royal_admin.pk}"
    hers = Client()
    hers.force_login(riverside_admin)
    assert hers.get(url).status_code == 403


def test_nobody_makes_a_superuser_in_the_admin(as_staff: Client, royal_admin: User) -> None:
    as_staff.post(
        f"/admin/pkb/user/{royal_admin.pk}/change/",
        {
            "username": "royal.admin",
            "is_active": "on",
            "is_staff": "on",
            "is_superuser": "on",
            **_no_lines("memberships", 1, royal_admin),
        },
    )
    royal_admin.refresh_from_db()
    assert not royal_admin.is_superuser


def test_staff_cannot_lock_themselves_out(as_staff: Client, staff: User) -> None:
    as_staff.post(
        f"/admin/pkb/user/{staff.pk}/change/",
        {"username": "staff", "first_name": "S", **_no_lines("memberships", 0)},
    )
    staff.refresh_from_db()
    assert (staff.is_active, staff.is_platform_staff, staff.first_name) == (True, True, "S")


def test_a_membership_is_given_and_ended_with_a_trace(
    as_staff: Client, royal_admin: User, riverside: Organisation
) -> None:
    lines = _no_lines("memberships", 1, royal_admin) | {"memberships-TOTAL_FORMS": "2"}
    as_staff.post(
        f"/admin/pkb/user/{royal_admin.pk}/change/",
        {
            "username": "royal.admin",
            "is_active": "on",
            "is_staff": "on",
            "memberships-1-organisation": riverside.pk,
            "memberships-1-role": "administrator",
            "memberships-1-user": royal_admin.pk,
            **lines,
        },
    )
    given = Membership.objects.get(user=royal_admin, organisation=riverside)
    url = f"/admin/pkb/user/{royal_admin.pk}/do/end-membership/"
    assert "loses sight" in as_staff.get(url).content.decode()
    assert Membership.objects.filter(pk=given.pk).exists()  # only asked so far
    as_staff.post(url, {"chosen": given.pk})
    assert not Membership.objects.filter(pk=given.pk).exists()
    actions = AuditEvent.objects.filter(organisation=riverside.pk).values_list("action", flat=True)
    assert list(actions) == ["membership.ended", "membership.given"]


def test_an_organisation_is_added_with_its_choices(as_staff: Client) -> None:
    page = as_staff.post(
        "/admin/pkb/organisation/add/",
        {
            "name": "New Trust",
            "time_zone": "Europe/Dublin",
            "is_active": "on",
            "has_access": "on",
            "soft_match_fields": ["date_of_birth", "postcode"],
        },
    )
    assert page.status_code == 302
    made = Organisation.objects.get(name="New Trust")
    assert made.soft_match_fields == ["date_of_birth", "postcode"]
    assert AuditEvent.objects.get(action="organisation.added").organisation == made.pk


def test_a_time_zone_is_chosen_from_the_list(as_staff: Client) -> None:
    page = as_staff.post(
        "/admin/pkb/organisation/add/", {"name": "New Trust", "time_zone": "Mars/Olympus"}
    )
    assert "Mars/Olympus is not one of the available choices" in page.content.decode()
    assert not Organisation.objects.filter(name="New Trust").exists()


def test_the_default_team_is_one_of_the_organisation(
    as_staff: Client, royal: Organisation, riverside: Organisation
) -> None:
    page = as_staff.post(
        f"/admin/pkb/organisation/{royal.pk}/change/",
        {
            "name": royal.name,
            "time_zone": royal.time_zone,
            "default_team": riverside.default_team_id,
        },
    )
    assert page.status_code == 200
    royal.refresh_from_db()
    assert royal.default_team_id != riverside.default_team_id


def test_team_aliases_are_unique_in_the_organisation(as_staff: Client, royal: Organisation) -> None:
    team = Team.objects.create(organisation=royal, name="Cardiology")
    factories.TeamAliasFactory(team=royal.default_team, value="heart")
    form = {"name": "Cardiology", **_no_lines("aliases", 0), "aliases-TOTAL_FORMS": "2"}
    url = f"/admin/pkb/team/{team.pk}/change/"
    page = as_staff.post(url, form | {"aliases-0-value": "heart", "aliases-1-value": "x"})
    assert "has a team with this alias already" in page.content.decode()
    page = as_staff.post(url, form | {"aliases-0-value": "same", "aliases-1-value": "same"})
    assert "has a team with this alias already" in page.content.decode()
    assert as_staff.post(url, form | {"aliases-0-value": "card"}).status_code == 302
    alias = TeamAlias.objects.get(value="card")
    as_staff.post(f"/admin/pkb/team/{team.pk}/do/remove-alias/", {"chosen": alias.pk})
    assert not TeamAlias.objects.filter(value="card").exists()
    assert AuditEvent.objects.get(action="teamalias.removed").detail == {"value": "card"}


def test_the_audit_trail_is_found_by_action_target_and_actor(
    as_staff: Client, grant: Grant, staff: User
) -> None:
    services.suspend_access(grant=grant, by=staff)
    audit.record("partner.looked", Partner(pk=grant.pk * 10 + 1), by=None)
    for term in ("grant.susp", f"partners.Grant:{grant.pk}", "staff"):
        page = as_staff.get("/admin/pkb/auditevent/", {"q": term}).content.decode()
        assert "grant.suspended" in page
        assert "partner.looked" not in page


def test_the_audit_trail_is_read_only(as_staff: Client, royal: Organisation) -> None:
    event = audit.record("grant.made", royal, by=None, organisation=royal)
    page = as_staff.get(f"/admin/pkb/auditevent/{event.pk}/change/")
    assert 'name="_save"' not in page.content.decode()
    assert (
        as_staff.post(f"/admin/pkb/auditevent/{event.pk}/change/", {"action": "x"}).status_code
        == 403
    )
    assert as_staff.get("/admin/pkb/auditevent/add/").status_code == 403


def test_nothing_can_be_deleted(as_staff: Client, grant: Grant, royal: Organisation) -> None:
    assert (
        as_staff.post(f"/admin/partners/grant/{grant.pk}/delete/", {"post": "yes"}).status_code
        == 403
    )
    page = as_staff.post(
        "/admin/pkb/organisation/",
        {"action": "delete_selected", "_selected_action": [royal.pk], "post": "yes"},
    )
    assert Organisation.objects.filter(pk=royal.pk).exists()
    assert page.status_code in {200, 302, 403}


def test_a_form_of_an_older_version_is_refused(as_staff: Client, royal: Organisation) -> None:
    url = f"/admin/pkb/organisation/{royal.pk}/change/"
    page = as_staff.get(url)
    seen = page.context["version"]
    assert f'name="_version" value="{seen}"' in page.content.decode()
    Organisation.objects.filter(pk=royal.pk).update(name="Changed by a colleague")
    given = {"name": "Mine", "time_zone": "Europe/London", "is_active": "on", "has_access": "on"}
    answer = as_staff.post(url, given | {"_version": seen})
    assert "changed by someone else meanwhile" in answer.content.decode()
    royal.refresh_from_db()
    assert royal.name == "Changed by a colleague"
    given |= {"default_team": str(royal.default_team_id or ""), "_version": version_of(royal)}
    assert as_staff.post(url, given).status_code == 302
    royal.refresh_from_db()
    assert royal.name == "Mine"


def test_what_is_not_there_leads_home(as_staff: Client, royal_admin: User) -> None:
    page = as_staff.get("/admin/pkb/user/999999/do/nothing/")
    assert page.status_code == 404
    assert f'<a href="{HOME}">To the home page</a>' in page.content.decode()
    hers = Client(enforce_csrf_checks=True)
    hers.force_login(royal_admin)
    assert "Not allowed" in hers.get("/admin/pkb/user/").content.decode()
    assert "load the page anew" in hers.post("/admin/logout/").content.decode()


def test_the_audit_trail_links_to_no_page_she_may_not_open(
    client: Client, staff: User, royal_admin: User, royal: Organisation, grant: Grant
) -> None:
    audit.record("organisation.changed", royal, by=staff, organisation=royal)
    audit.record("grant.changed", grant, by=staff, organisation=royal)
    client.force_login(royal_admin)
    shown = client.get("/admin/pkb/auditevent/").content.decode()
    assert f"pkb.Organisation:{royal.pk}" in shown
    assert f"/admin/pkb/organisation/{royal.pk}/change/" not in shown
    assert f"/admin/partners/grant/{grant.pk}/change/" in shown
