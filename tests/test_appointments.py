"""S12 books or replaces, S13 and S14 update, S15 cancels, S26 notes an absence."""

from datetime import UTC, datetime
from typing import Any

import pytest

from hl7ingest.models import InboundMessage, Outcome, Refusal
from partners.models import Grant
from pkb.models import Organisation
from records.models import Appointment
from tests import factories
from tests.conftest import Sender
from tests.messages import NHS, a28, siu, told, verdict

OTHER = "9990000026"
START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
BARE: dict[str, Any] = {"sch": "", "location": ""}
AIP = "RGS|1\rAIP|||^Jones^Stuart^James^^Dr|^Doctor\r"
NULL = '""'
FULL = siu(
    sch="||||||^Check-up^|REVIEW^Review^LOCAL|||^^^20260301093000+0000^20260301100000+0000",
    more="NTE|1||Bring your letter\r" + AIP + "ZAP|https://example.com/manage?id=1\r",
).replace("Clinic 1\r", "Clinic 1|||||||300\r")


@pytest.fixture
def patient(mailco: Sender) -> None:
    """A patient of the Royal."""
    mailco.send(a28())


@pytest.fixture
def booked(mailco: Sender, patient: None) -> Appointment:
    """An appointment of which everything is given."""
    assert verdict(mailco.send(FULL)) == "AA"
    return Appointment.objects.get()


def values() -> dict[str, Any]:
    """Return what the appointment says, without what changes with every message."""
    found = dict[str, Any](Appointment.objects.values().get())
    for name in ("message_id", "updated_at", "entered_at", "source_id"):
        del found[name]
    return found


@pytest.mark.spec("hl7-api", "SIU appointments: S12")
def test_s12_for_an_unknown_id_creates(booked: Appointment) -> None:
    assert booked.external_id == "appt-1"
    assert booked.status == "ACTIVE"
    assert booked.subject == "Check-up"
    assert (booked.type_code, booked.type_system) == ("REVIEW", "LOCAL")
    assert booked.starts_at == START
    assert booked.ends_at == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    assert booked.description == "Bring your letter"
    assert booked.location == "Clinic 1"
    assert booked.specialty == "300"
    assert booked.management_url == "https://example.com/manage?id=1"
    assert booked.participants == [
        {
            "family_name": "Jones",
            "given_name": "Stuart",
            "middle_names": "James",
            "title": "Dr",
            "role": "Doctor",
        }
    ]
    assert booked.entered_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    assert str(booked.source) == "MailCo on behalf of Royal Example NHS Trust"


@pytest.mark.spec("hl7-api", "SIU appointments: S12")
def test_s12_for_a_known_id_replaces_entirely(mailco: Sender, booked: Appointment) -> None:
    sch = "||||||||||^^^20260401"
    assert verdict(mailco.send(siu(control_id="2", sch=sch, location="Clinic 2"))) == "AA"
    found = Appointment.objects.get()
    assert found.pk == booked.pk
    assert found.starts_at == datetime(2026, 3, 31, 23, 0, tzinfo=UTC)
    assert (found.ends_at, found.ends_precision) == (None, "")
    assert (found.subject, found.location) == ("Appointment", "Clinic 2")
    assert [found.description, found.type_code, found.type_system, found.specialty] == [""] * 4
    assert (found.participants, found.management_url) == ([], "")


@pytest.mark.spec("hl7-api", "SIU appointments: S12")
@pytest.mark.parametrize("event", ["S15", "S26"])
def test_s12_revives(mailco: Sender, booked: Appointment, event: str) -> None:
    mailco.send(siu(event, control_id="2", **BARE))
    mailco.send(siu(control_id="3"))
    assert Appointment.objects.get().status == "ACTIVE"


@pytest.mark.spec("hl7-api", "SIU appointments: S13, S14")
@pytest.mark.parametrize("event", ["S13", "S14"])
def test_an_update_changes_only_what_it_gives(
    mailco: Sender, booked: Appointment, event: str
) -> None:
    before = values()
    assert verdict(mailco.send(siu(event, control_id="2", sch="", location="Clinic 9"))) == "AA"
    assert values() == before | {"location": "Clinic 9"}


@pytest.mark.spec("hl7-api", "SIU appointments: S13, S14")
@pytest.mark.parametrize("event", ["S13", "S14"])
@pytest.mark.parametrize("ended", ["S15", "S26"])
def test_an_update_makes_a_cancelled_or_missed_appointment_active_again(
    mailco: Sender, booked: Appointment, event: str, ended: str
) -> None:
    before = values()
    mailco.send(siu(ended, control_id="2", **BARE))
    mailco.send(siu(event, control_id="3", **BARE))
    assert values() == before


@pytest.mark.spec("hl7-api", "SIU appointments: S13, S14")
@pytest.mark.parametrize("event", ["S13", "S14"])
def test_an_update_of_an_unknown_id_creates(mailco: Sender, patient: None, event: str) -> None:
    assert verdict(mailco.send(siu(event))) == "AA"
    found = Appointment.objects.get()
    assert (found.status, found.starts_at) == ("ACTIVE", START)


@pytest.mark.spec("hl7-api", "SIU appointments: S15, S26")
@pytest.mark.parametrize(("event", "status"), [("S15", "CANCELLED"), ("S26", "DNA")])
def test_a_cancellation_or_absence_changes_the_status_and_nothing_else(
    mailco: Sender, booked: Appointment, event: str, status: str
) -> None:
    before = values()
    message = siu(
        event,
        control_id="2",
        sch="||||||^Other||||^^^20270101^20270102",
        location="Elsewhere",
        more="NTE|||Other\rRGS|1\rAIP|||^Else\rZAP|https://example.org/\r",
    )
    assert verdict(mailco.send(message)) == "AA"
    assert values() == before | {"status": status}


@pytest.mark.spec("hl7-api", "SIU appointments: S15, S26")
@pytest.mark.parametrize(("event", "status"), [("S15", "CANCELLED"), ("S26", "DNA")])
def test_a_cancellation_or_absence_of_an_unknown_id_creates_first(
    mailco: Sender, patient: None, event: str, status: str
) -> None:
    assert verdict(mailco.send(siu(event))) == "AA"
    found = Appointment.objects.get()
    assert (found.status, found.starts_at, found.location) == (status, START, "Clinic 1")


@pytest.mark.spec("hl7-api", "SIU appointments: unknown id")
@pytest.mark.parametrize("event", ["S12", "S13", "S14", "S15", "S26"])
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"sch": ""}, "SCH-11.4 (start)"),
        ({"location": ""}, "PV1-3.9 (location)"),
        ({"sch": "||||||||||^^^^20260301"}, "SCH-11.4 (start)"),
        (BARE, "SCH-11.4 (start)"),
    ],
)
def test_an_unknown_id_needs_start_and_location(
    mailco: Sender, patient: None, event: str, given: dict[str, str], place: str
) -> None:
    ack = mailco.send(siu(event, **given))
    assert verdict(ack) == "AR"
    assert told(ack) == (f"Parsing or validation error: {place} must be provided. You provided []")
    assert not Appointment.objects.exists()


@pytest.mark.spec("hl7-api", "SIU appointments: S12")
@pytest.mark.parametrize("given", [{"sch": ""}, {"location": ""}])
def test_s12_needs_start_and_location_even_for_a_known_id(
    mailco: Sender, booked: Appointment, given: dict[str, str]
) -> None:
    before = values()
    assert verdict(mailco.send(siu(control_id="2", **given))) == "AR"
    assert values() == before


@pytest.mark.spec("hl7-api", "acknowledgement: error texts")
@pytest.mark.parametrize("event", ["S12", "S13", "S14", "S15", "S26"])
def test_the_placer_id_must_be_provided(mailco: Sender, patient: None, event: str) -> None:
    ack = mailco.send(siu(event, placer=""))
    assert verdict(ack) == "AR"
    assert told(ack) == (
        "Parsing or validation error: SCH-1.1 (placer ID) must be provided. You provided []"
    )


@pytest.mark.spec("decisions", "before the answer")
@pytest.mark.parametrize("event", ["S13", "S14", "S15", "S26"])
def test_a_bare_message_is_accepted_where_the_booking_is_accepted_but_not_applied_yet(
    mailco: Sender, patient: None, event: str
) -> None:
    assert verdict(mailco.send(FULL, process=False)) == "AA"
    assert verdict(mailco.send(siu(event, control_id="2", **BARE))) == "AA"
    assert set(Outcome.objects.values_list("state", flat=True)) == {"applied"}
    status = {"S15": "CANCELLED", "S26": "DNA"}.get(event, "ACTIVE")
    found = Appointment.objects.get()
    assert (found.status, found.subject, found.location) == (status, "Check-up", "Clinic 1")


@pytest.mark.spec("decisions", "before the answer")
def test_a_bare_message_of_another_customer_does_not_lean_on_a_waiting_booking(
    mailco: Sender, riverside_pas: Sender, patient: None
) -> None:
    mailco.send(FULL, process=False)
    assert verdict(riverside_pas.send(siu("S15", **BARE))) == "AR"


@pytest.mark.spec("hl7-api", "SIU appointments: SCH-7.2")
def test_the_subject_is_appointment_where_none_is_given(mailco: Sender, patient: None) -> None:
    mailco.send(siu(sch="||||||||||^^^20260301"))
    assert Appointment.objects.get().subject == "Appointment"


@pytest.mark.spec("hl7-api", "SIU appointments: participants")
@pytest.mark.parametrize("event", ["S13", "S14"])
def test_participants_are_purged_and_replaced(
    mailco: Sender, booked: Appointment, event: str
) -> None:
    people = "RGS|1\rAIP|||^Smith^William^^^Mr~^Foster^Terry|^Nurse\rAIP|||^Lone\r"
    mailco.send(siu(event, control_id="2", **BARE, more=people))
    found = Appointment.objects.get().participants
    assert [(p["family_name"], p["given_name"], p["role"]) for p in found] == [
        ("Smith", "William", "Nurse"),
        ("Foster", "Terry", "Nurse"),
        ("Lone", "", ""),
    ]


@pytest.mark.spec("hl7-api", "SIU appointments: participants")
def test_a_resource_group_without_anybody_purges(mailco: Sender, booked: Appointment) -> None:
    mailco.send(siu("S13", control_id="2", **BARE, more="RGS|1\r"))
    assert Appointment.objects.get().participants == []


@pytest.mark.spec("hl7-api", "SIU appointments: participants")
def test_without_a_resource_group_participants_are_left_alone(
    mailco: Sender, booked: Appointment
) -> None:
    mailco.send(siu("S13", control_id="2", **BARE, more="NTE|||New\r"))
    found = Appointment.objects.get()
    assert (found.description, len(found.participants)) == ("New", 1)


@pytest.mark.spec("hl7-api", "SIU appointments: NTE")
def test_only_the_notes_of_the_appointment_itself_describe_it(
    mailco: Sender, patient: None
) -> None:
    more = "NTE|1||First line\rNTE|2||Second~Third\rRGS|1\rAIP|||^Jones\rNTE|1||Of the doctor\r"
    mailco.send(siu(more=more))
    assert Appointment.objects.get().description == "First line\nSecond\nThird"


@pytest.mark.spec("hl7-api", "SIU appointments: NTE")
def test_notes_before_the_visit_segment_are_read_too(mailco: Sender, patient: None) -> None:
    mailco.send(siu().replace("PV1|", "NTE|||My comment|\rPV1|"))
    assert Appointment.objects.get().description == "My comment"


@pytest.mark.spec("decisions", "smaller points: HTML from senders")
def test_html_is_kept_as_it_was_sent(mailco: Sender, patient: None) -> None:
    html = "<b>Heading & more</b></p><script>alert('^1~')</script>"
    sent = html.replace("&", "\\T\\").replace("^", "\\S\\").replace("~", "\\R\\")
    mailco.send(siu(more=f"NTE|||{sent}\r", location="<i>Ward</i>"))
    found = Appointment.objects.get()
    assert found.description == html
    assert found.location == "<i>Ward</i>"


@pytest.mark.spec("decisions", "smaller points: HTML from senders")
def test_unescaped_separators_in_a_note_are_kept(mailco: Sender, patient: None) -> None:
    mailco.send(siu(more="NTE|||Fish & chips ^ peas&nbsp;\r"))
    assert Appointment.objects.get().description == "Fish & chips ^ peas&nbsp;"


@pytest.mark.spec("hl7-api", "ZAP")
def test_a_management_url_is_added_and_the_rest_left_alone(mailco: Sender, patient: None) -> None:
    mailco.send(siu(more="NTE|||Note\r" + AIP))
    before = values()
    url = "https://book.example.com/a/b?id=1\\T\\x=2#top"
    assert verdict(mailco.send(siu("S13", control_id="2", **BARE, more=f"ZAP|{url}\r"))) == "AA"
    assert values() == before | {"management_url": "https://book.example.com/a/b?id=1&x=2#top"}


@pytest.mark.spec("hl7-api", "ZAP")
@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//example.com/x",
        "https:///x",
        "https://",
        "nonsense",
        "data:text/html,x",
        "https://[::1",
        "https://[x]/",
        "ftp://example.com/",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_what_is_no_web_address_is_refused(mailco: Sender, patient: None, url: str) -> None:
    ack = mailco.send(siu(more=f"ZAP|{url}\r"))
    assert verdict(ack) == "AR"
    assert "ZAP-1.1 (" in told(ack)


@pytest.mark.spec("decisions", 'smaller points: ""')
@pytest.mark.parametrize(
    ("given", "cleared"),
    [
        ({"sch": f"||||||^{NULL}"}, {"subject": "Appointment"}),
        ({"sch": f"|||||||{NULL}^^{NULL}"}, {"type_code": "", "type_system": ""}),
        ({"sch": f"||||||||||^^^^{NULL}"}, {"ends_at": None, "ends_precision": ""}),
        ({"more": f"NTE|||{NULL}\r"}, {"description": ""}),
        (
            {"more": f"PV1|||||||||||{NULL}\r".replace("|||||||||||", "||||||||||")},
            {"specialty": ""},
        ),
        ({"more": f"ZAP|{NULL}\r"}, {"management_url": ""}),
    ],
)
def test_two_quotes_clear_an_optional_field(
    mailco: Sender, booked: Appointment, given: dict[str, str], cleared: dict[str, Any]
) -> None:
    before = values()
    assert verdict(mailco.send(siu("S13", control_id="2", **(BARE | given)))) == "AA"
    assert values() == before | cleared


@pytest.mark.spec("decisions", 'smaller points: ""')
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"sch": f"||||||||||^^^{NULL}"}, "SCH-11.4"),
        ({"location": NULL}, "PV1-3.9"),
        ({"placer": NULL}, "SCH-1.1"),
    ],
)
@pytest.mark.parametrize("event", ["S12", "S13", "S15"])
def test_two_quotes_never_clear_a_mandatory_field(
    mailco: Sender, booked: Appointment, event: str, given: dict[str, str], place: str
) -> None:
    before = values()
    ack = mailco.send(siu(event, control_id="2", **given))
    assert verdict(ack) == "AR"
    assert f"{place} (" in told(ack)
    assert values() == before


@pytest.mark.spec("hl7-api", "SIU appointments")
def test_an_end_before_the_start_is_refused(mailco: Sender, patient: None) -> None:
    ack = mailco.send(siu(sch="||||||||||^^^20260301093000^20260301092959"))
    assert verdict(ack) == "AR"
    assert "SCH-11.5 (end) must not be before the start" in told(ack)


@pytest.mark.spec("hl7-api", "SIU appointments")
def test_a_message_without_sch_is_refused(mailco: Sender, patient: None) -> None:
    message = siu().replace("SCH|", "ZCH|")
    assert told(mailco.send(message)).endswith("SCH segment must be provided")


@pytest.mark.spec("hl7-api", "who is sending: shared namespace")
def test_the_customer_and_its_partner_share_one_namespace_of_ids(
    mailco: Sender, pas: Sender, patient: None
) -> None:
    pas.send(siu())
    assert verdict(mailco.send(siu("S13", control_id="2", sch="", location="Clinic 2"))) == "AA"
    assert Appointment.objects.get().location == "Clinic 2"
    assert verdict(pas.send(siu("S15", control_id="3", **BARE))) == "AA"
    assert Appointment.objects.get().status == "CANCELLED"


@pytest.mark.spec("decisions", "grants: data scope")
@pytest.mark.parametrize("event", ["S12", "S13", "S14", "S15", "S26"])
def test_where_the_grant_lets_it_the_partner_amends_the_customers_own(
    mailco: Sender, pas: Sender, patient: None, event: str
) -> None:
    pas.send(siu())
    assert verdict(mailco.send(siu(event, control_id="2", location="Clinic 2"))) == "AA"
    found = Appointment.objects.get()
    assert str(found.origin) == "Royal Example NHS Trust"
    assert str(found.source) == "MailCo on behalf of Royal Example NHS Trust"


@pytest.mark.spec("decisions", "grants: data scope")
@pytest.mark.parametrize("event", ["S12", "S13", "S14", "S15", "S26"])
def test_where_the_grant_does_not_let_it_the_customers_own_is_left_alone(
    mailco: Sender, pas: Sender, patient: None, grant: Grant, event: str
) -> None:
    grant.data_scope = Grant.DataScope.OWN
    grant.save()
    pas.send(siu())
    before = Appointment.objects.values().get()
    ack = mailco.send(siu(event, control_id="2", location="Clinic 2"))
    assert verdict(ack) == "AR"
    assert told(ack) == "Not authorised to send for [trustalias{trustalias}]"
    assert Refusal.objects.get().rule == "data point of another sender"
    assert Appointment.objects.values().get() == before


@pytest.mark.spec("decisions", "grants: data scope")
def test_a_partner_amends_its_own_whatever_the_scope(
    mailco: Sender, patient: None, grant: Grant
) -> None:
    grant.data_scope = Grant.DataScope.OWN
    grant.save()
    mailco.send(siu())
    assert verdict(mailco.send(siu("S15", control_id="2", **BARE))) == "AA"
    assert Appointment.objects.get().status == "CANCELLED"


@pytest.mark.spec("decisions", "grants: data scope")
def test_what_the_customer_amended_is_still_the_partners_own(
    mailco: Sender, pas: Sender, patient: None, grant: Grant
) -> None:
    grant.data_scope = Grant.DataScope.OWN
    grant.save()
    mailco.send(siu())
    pas.send(siu("S13", control_id="2", sch="", location="Clinic 2"))
    assert verdict(mailco.send(siu("S15", control_id="3", **BARE))) == "AA"


@pytest.fixture
def bookco(royal: Organisation) -> Sender:
    """Another partner of the Royal, whose grant reaches the Customer's own data."""
    partner = factories.PartnerFactory(name="BookCo")
    factories.GrantFactory(partner=partner, organisation=royal, data_scope=Grant.DataScope.CUSTOMER)
    factories.AliasFactory(partner=partner, organisation=royal, value="trustalias")
    return Sender(factories.CredentialFactory(username="partner_bookco", partner=partner))


@pytest.mark.spec("decisions", "grants: data scope")
@pytest.mark.parametrize("event", ["S12", "S13", "S14", "S15", "S26"])
def test_another_partners_appointment_is_never_touched(
    mailco: Sender, bookco: Sender, patient: None, event: str
) -> None:
    mailco.send(siu())
    before = Appointment.objects.values().get()
    ack = bookco.send(siu(event, control_id="2", location="Clinic 2"))
    assert told(ack) == "Not authorised to send for [trustalias{trustalias}]"
    assert Refusal.objects.get().rule == "data point of another sender"
    assert Appointment.objects.values().get() == before


@pytest.mark.spec("decisions", "grants: data scope")
def test_another_partners_appointment_that_waits_is_never_touched(
    mailco: Sender, bookco: Sender, patient: None
) -> None:
    mailco.send(siu(), process=False)
    bookco.send(siu("S15", control_id="2", **BARE))
    assert Appointment.objects.get().status == "ACTIVE"


@pytest.mark.spec("decisions", "identity: another patient")
@pytest.mark.parametrize("event", ["S12", "S13", "S14", "S15", "S26"])
@pytest.mark.parametrize("waits", [True, False])
def test_another_patients_appointment_is_never_touched(
    mailco: Sender, patient: None, event: str, waits: bool
) -> None:
    mailco.send(a28(control_id="2", identifiers=f"{OTHER}^^^NHS^NH"))
    mailco.send(siu(), process=not waits)
    ack = mailco.send(
        siu(event, control_id="3", identifiers=f"{OTHER}^^^NHS^NH", location="Clinic 2")
    )
    assert verdict(ack) == "AR"
    assert told(ack).endswith("SCH-1.1 names a data point of another patient")
    found = Appointment.objects.get()
    assert (found.status, found.location) == ("ACTIVE", "Clinic 1")
    assert found.patient.identifiers.get().value == NHS


@pytest.mark.spec("hl7-api", "who is sending: shared namespace")
def test_two_customers_may_use_the_same_id(
    pas: Sender, riverside_pas: Sender, patient: None
) -> None:
    pas.send(siu())
    riverside_pas.send(siu(location="Elsewhere"))
    riverside_pas.send(siu("S15", control_id="2", **BARE))
    statuses = dict(Appointment.objects.values_list("controller__name", "status"))
    assert statuses == {
        "Royal Example NHS Trust": "ACTIVE",
        "Riverside Demonstration Hospital": "CANCELLED",
    }


@pytest.mark.spec("hl7-api", "ordering: appointments")
def test_appointments_do_not_go_by_the_age_of_the_message(
    mailco: Sender, booked: Appointment
) -> None:
    mailco.send(siu("S13", control_id="2", sch="", location="Clinic 2", sent="20200101"))
    assert Appointment.objects.get().location == "Clinic 2"


@pytest.mark.spec("hl7-api", "SIU appointments")
def test_the_placer_id_is_compared_exactly(mailco: Sender, booked: Appointment) -> None:
    mailco.send(siu(control_id="2", placer="APPT-1"))
    assert Appointment.objects.count() == 2
    assert verdict(mailco.send(siu(control_id="3", placer="x" * 200))) == "AA"
    assert verdict(mailco.send(siu(control_id="4", placer="x" * 201))) == "AR"


@pytest.mark.spec("decisions", "effects")
def test_the_effect_says_what_was_before_and_after(mailco: Sender, booked: Appointment) -> None:
    mailco.send(siu("S15", control_id="2", **BARE))
    (entry,) = InboundMessage.objects.get(control_id="2").outcome.effect
    assert (entry["kind"], entry["action"]) == ("appointment", "changed")
    assert (entry["before"]["status"], entry["after"]["status"]) == ("ACTIVE", "CANCELLED")
