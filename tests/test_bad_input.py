"""What a careless, broken or hostile sender sends is refused in words, and does nothing."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hl7ingest.models import InboundMessage, Refusal
from partners.models import Grant, Partner
from partners.services import (
    delegate,
    resume_access,
    revoke_access,
    revoke_delegation,
    suspend_access,
)
from pkb.models import Organisation, Team
from records import attachments
from records.models import Appointment, Document, Patient, PatientTeam
from tests import factories
from tests.conftest import Sender
from tests.messages import NHS, a28, mdm, msh, pid, siu, told, verdict

OTHER = "9990000026"
NOT_AUTHORISED = "Not authorised to send for [trustalias{trustalias}]"


def nothing_was_kept() -> bool:
    """Return whether neither message nor record was kept."""
    return not InboundMessage.objects.exists() and not Patient.objects.exists()


# What is hardly a message


@pytest.mark.spec("decisions", "ways in")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b" ",
        b"\x0b\x1c\r",
        b"\xef\xbb\xbf",
        b"hello",
        b"<html></html>",
        b"{}",
        b"MSH",
        b"MSH|",
        b"MSH\r",
        b"MSH|^~\\&",
        b"PID|||1\r",
        pid().encode(),
        b"\x00",
        b"\xff\xfe",
        b"M",
        b"msh|^~\\&|a\r",
        b"FHS|^~\\&|a\r",
        "ＭＳＨ|^~\\&|a\r".encode(),
        b"MSHX^~\\&X",
        b"MSH\xc3\xa9^~\\&",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_message_is_refused(mailco: Sender, raw: bytes) -> None:
    ack = mailco.send(raw)
    assert verdict(ack) == "AR"
    assert ack.startswith("MSH|^~\\&|HL7API|PKB|")
    assert told(ack)
    assert nothing_was_kept()
    assert Refusal.objects.count() == 1


@pytest.mark.spec("hl7-api", "MSH")
@pytest.mark.parametrize(
    ("number", "name"),
    [
        (7, "message timestamp"),
        (9, "message type"),
        (10, "message control ID"),
        (11, "processing ID"),
    ],
)
@pytest.mark.parametrize("value", ["", " ", '""'])
def test_a_required_field_of_the_header_is_named(
    mailco: Sender, number: int, name: str, value: str
) -> None:
    fields = a28().split("\r")[0].split("|")
    fields[number - 1] = value
    ack = mailco.send("|".join(fields) + "\r" + pid())
    assert verdict(ack) == "AR"
    assert f"MSH-{number}.1 ({name}) must" in told(ack)
    assert nothing_was_kept()


@pytest.mark.spec("hl7-api", "MSH")
@pytest.mark.parametrize(
    "kind",
    [
        "ADT",
        "ADT^",
        "^A28",
        "ADT^A99",
        "adt^a28",
        "ADT^A28x",
        "ACK^A28",
        "ADT&A28",
        "ORU^R01",
        "A28",
    ],
)
def test_an_unknown_type_is_refused(mailco: Sender, kind: str) -> None:
    ack = mailco.send(msh(kind) + pid())
    assert verdict(ack) == "AR"
    if kind != "ADT" and "^" in kind and not kind.startswith("^") and not kind.endswith("^"):
        assert told(ack) == "Unknown messageType received from HL7"
    assert nothing_was_kept()


@pytest.mark.spec("decisions", "smaller points: MSH-11")
@pytest.mark.parametrize(
    ("value", "production", "sandbox"),
    [
        ("P", "AA", "AA"),
        ("T", "AR", "AA"),
        ("D", "AR", "AA"),
        ("X", "AR", "AR"),
        ("p", "AR", "AR"),
        ("PTD", "AR", "AR"),
    ],
)
def test_the_processing_id(
    mailco: Sender, settings: Any, value: str, production: str, sandbox: str
) -> None:
    for is_sandbox, expected in ((False, production), (True, sandbox)):
        settings.SANDBOX = is_sandbox
        message = a28(control_id=str(is_sandbox)).replace("|P|2.4", f"|{value}|2.4")
        assert verdict(mailco.send(message)) == expected


@pytest.mark.spec("hl7-api", "MSH")
def test_the_version_is_ignored(mailco: Sender) -> None:
    for version in ("", "2.3", "2.8.2", "nonsense", "x" * 300):
        assert verdict(mailco.send(a28().replace("|2.4", f"|{version}"))) == "AA"


@pytest.mark.spec("decisions", "ways in: charset")
@pytest.mark.parametrize("place", ["header", "body", "end"])
def test_a_nul_is_refused(mailco: Sender, place: str) -> None:
    message = {
        "header": a28(control_id="a\0b"),
        "body": a28(name="Smi\0th^John"),
        "end": a28() + "\0",
    }[place]
    ack = mailco.send(message)
    assert verdict(ack) == "AR"
    assert "NUL character at position" in told(ack)
    assert nothing_was_kept()


@pytest.mark.spec("decisions", "ways in: charset")
def test_what_is_not_utf_8_is_refused(mailco: Sender) -> None:
    ack = mailco.send(a28(name="M\udcfcller^Jo").encode(errors="surrogateescape"))
    assert verdict(ack) == "AR"
    assert told(ack).startswith("The message is not UTF-8: byte ")
    assert nothing_was_kept()


@pytest.mark.spec("decisions", "ways in")
def test_two_headers_are_refused_and_nothing_of_either_is_applied(mailco: Sender) -> None:
    ack = mailco.send(
        a28(control_id="one") + a28(control_id="two", identifiers=f"{OTHER}^^^NHS^NH")
    )
    assert verdict(ack) == "AR"
    assert told(ack).endswith("One request carries one message: a second MSH")
    assert "\rMSA|AR|one|" in ack
    assert nothing_was_kept()


@pytest.mark.spec("hl7-api", "acknowledgement")
@pytest.mark.parametrize("odd", ["\x85", "\x0c", "\u2028", "\x1d"])
def test_a_broken_message_is_answered_by_its_control_id_whatever_stands_before_it(
    mailco: Sender, odd: str
) -> None:
    message = (a28(control_id="one") + "nonsense\r").replace("|App|", f"|A{odd}pp|")
    ack = mailco.send(message)
    assert verdict(ack) == "AR"
    assert "\rMSA|AR|one|" in ack


@pytest.mark.spec("decisions", "ways in")
@pytest.mark.parametrize("line", ["nonsense", "pid|||1", "1|2", "P|x", "PIDX|1", "^~\\&", "|||"])
def test_a_line_that_is_no_segment_is_refused(mailco: Sender, line: str) -> None:
    ack = mailco.send(a28() + line + "\r")
    assert verdict(ack) == "AR"
    assert "Line 3 does not begin with a segment name" in told(ack)
    assert "\rMSA|AR|a28-1|" in ack


@pytest.mark.spec("decisions", "ways in")
def test_ten_thousand_segments_are_read(mailco: Sender) -> None:
    mailco.send(a28())
    notes = "".join(f"NTE|{n}||line {n}\r" for n in range(10_000))
    assert verdict(mailco.send(siu(more=notes))) == "AA"
    assert Appointment.objects.get().description.count("\n") == 9_999


@pytest.mark.spec("decisions", "ways in")
@pytest.mark.parametrize("mark", ["|", "^", "~", "&", "\\"])
def test_a_hundred_thousand_delimiters_are_read(mailco: Sender, mark: str) -> None:
    assert verdict(mailco.send(a28() + "ZZZ" + "|" + mark * 100_000 + "\r")) == "AA"
    message = a28(control_id="2").replace("Smith^John", "Smith^John" + mark * 100_000)
    assert verdict(mailco.send(message)) in {"AA", "AR"}


@pytest.mark.spec("decisions", "ways in: size")
def test_a_document_of_20_mb_is_kept_whole(mailco: Sender) -> None:
    mailco.send(a28())
    content = b"%PDF-1.4\n" + bytes(range(1, 256)) * 61_000
    encoded = base64.b64encode(content).decode()
    ack = mailco.send(mdm(obx=f"OBX|1|ED|||^APPLICATION^PDF^Base64^{encoded}\r"))
    assert verdict(ack) == "AA"
    (part,) = Document.objects.get().parts
    assert part["size"] == len(content)
    assert attachments.content(part["digest"]) == content


# Who may not


@pytest.mark.spec("decisions", "MSH-4 of a partner")
@pytest.mark.parametrize(
    "facility",
    [
        "trustalias",
        "trustalias{}",
        "{trustalias}",
        "trustalias{trustalias",
        "trustalias}trustalias{",
        "trustalias{trustalias}x",
        "trustalias{{trustalias}}",
        "trust alias{trustalias}",
        "trustalias {trustalias}",
        "trustalias{trustalias}{trustalias}",
    ],
)
def test_a_partners_facility_must_be_a_pair_of_aliases(mailco: Sender, facility: str) -> None:
    ack = mailco.send(a28(facility=facility))
    assert verdict(ack) == "AR"
    assert told(ack) == (
        "MSH-4.1 (sending facility) must be connecting-alias{data-controller-alias}. "
        f"You provided [{facility}]"
    )
    assert nothing_was_kept()


@pytest.mark.spec("decisions", "MSH-4 of a partner")
def test_a_partners_facility_must_be_provided(mailco: Sender) -> None:
    ack = mailco.send(a28(facility=""))
    assert told(ack) == "MSH-4.1 (sending facility) must be provided. You provided []"


def suspend(grant: Grant) -> None:
    suspend_access(grant=grant, by=grant.granted_by)


def revoke(grant: Grant) -> None:
    revoke_access(grant=grant, by=grant.granted_by)


def expire(grant: Grant) -> None:
    grant.ends_on = timezone.localdate() - timedelta(days=1)
    grant.save()


def postpone(grant: Grant) -> None:
    grant.starts_on = timezone.localdate() + timedelta(days=1)
    grant.save()


def narrow(grant: Grant) -> None:
    grant.kinds = ["appointments", "documents"]
    grant.save()


def remove(grant: Grant) -> None:
    grant.delete()


def deactivate(grant: Grant) -> None:
    grant.organisation.is_active = False
    grant.organisation.save()


RULES: list[tuple[Callable[[Grant], None], str]] = [
    (suspend, "grant suspended"),
    (revoke, "grant revoked"),
    (expire, "grant ended"),
    (postpone, "grant not started"),
    (narrow, "kind not granted"),
    (remove, "no grant"),
    (deactivate, "organisation not active"),
]


@pytest.mark.spec("decisions", "one refusal text")
@pytest.mark.parametrize(("change", "rule"), RULES)
def test_the_sender_reads_one_text_and_staff_the_rule(
    mailco: Sender, grant: Grant, royal: Organisation, change: Callable[[Grant], None], rule: str
) -> None:
    change(grant)
    ack = mailco.send(a28())
    assert verdict(ack) == "AR"
    assert told(ack) == NOT_AUTHORISED
    refusal = Refusal.objects.get()
    assert (refusal.rule, refusal.code) == (rule, "not-authorised")
    assert (refusal.controller, refusal.partner) == (royal, grant.partner)
    assert nothing_was_kept()


@pytest.mark.spec("decisions", "one refusal text")
def test_every_rule_gives_the_same_bytes(mailco: Sender, grant: Grant) -> None:
    facilities = ["trustalias{trustalias}", "nobody{nobody}"]
    suspend(grant)
    acks = [mailco.send(a28(facility=facility)).split("\r")[1:] for facility in facilities]
    same = [[line.replace(f, "X") for line in ack] for ack, f in zip(acks, facilities, strict=True)]
    assert same[0] == same[1]


@pytest.mark.spec("decisions", "one refusal text")
@pytest.mark.parametrize(
    ("facility", "rule"),
    [
        ("nobody{nobody}", "no such connecting alias"),
        ("nobody{trustalias}", "no such connecting alias"),
        ("trustalias{nobody}", "no such controller alias"),
        ("TRUSTALIAS{TRUSTALIAS}", "no such connecting alias"),
        ("riversidealias{riversidealias}", "no grant"),
        ("riversidealias{trustalias}", "no delegation"),
        ("trustalias{riversidealias}", "no delegation"),
    ],
)
def test_an_alias_that_is_not_the_partners_to_use(mailco: Sender, facility: str, rule: str) -> None:
    ack = mailco.send(a28(facility=facility))
    assert verdict(ack) == "AR"
    assert told(ack) == f"Not authorised to send for [{facility}]"
    assert Refusal.objects.get().rule == rule
    assert nothing_was_kept()


@pytest.mark.spec("decisions", "who sends: aliases")
def test_an_alias_of_another_partner_is_no_alias(
    mailco: Sender, royal: Organisation, riverside: Organisation
) -> None:
    other = factories.PartnerFactory()
    factories.AliasFactory(partner=other, organisation=royal, value="theirs")
    assert verdict(mailco.send(a28(facility="theirs{theirs}"))) == "AR"
    factories.AliasFactory(partner=other, organisation=riverside, value="trustalias")
    mailco.send(a28())
    assert PatientTeam.objects.get().organisation == royal


@pytest.mark.spec("decisions", "grants")
def test_a_resumed_grant_authorises_again(mailco: Sender, grant: Grant) -> None:
    suspend(grant)
    assert verdict(mailco.send(a28())) == "AR"
    resume_access(grant=grant, by=grant.granted_by)
    assert verdict(mailco.send(a28())) == "AA"


@pytest.mark.spec("decisions", "grants")
def test_a_grant_holds_on_its_first_and_last_day(mailco: Sender, grant: Grant) -> None:
    grant.starts_on = grant.ends_on = timezone.localdate()
    grant.save()
    assert verdict(mailco.send(a28())) == "AA"


@pytest.mark.spec("decisions", "grants")
@pytest.mark.parametrize(
    ("kind", "message"),
    [("demographics", a28(control_id="2")), ("appointments", siu()), ("documents", mdm())],
)
def test_a_grant_allows_the_kinds_that_it_names(
    mailco: Sender, grant: Grant, kind: str, message: str
) -> None:
    mailco.send(a28())
    grant.kinds = [kind]
    grant.save()
    assert verdict(mailco.send(message)) == "AA"
    grant.kinds = sorted({"demographics", "appointments", "documents"} - {kind})
    grant.save()
    ack = mailco.send(message + "ZZZ|1\r")
    assert told(ack) == NOT_AUTHORISED
    assert Refusal.objects.get().rule == "kind not granted"


@pytest.mark.spec("decisions", "grants")
def test_what_was_accepted_before_a_revocation_is_applied(mailco: Sender, grant: Grant) -> None:
    mailco.send(a28(), process=False)
    revoke(grant)
    mailco.send(siu())
    assert Patient.objects.exists()
    assert not Appointment.objects.exists()


@pytest.mark.spec("decisions", "delegation")
def test_another_controller_needs_its_delegation(
    mailco: Sender, grant: Grant, royal: Organisation, riverside: Organisation
) -> None:
    message = a28(facility="trustalias{riversidealias}")
    assert verdict(mailco.send(message)) == "AR"
    assert Refusal.objects.get().controller == riverside
    delegation = delegate(controller=riverside, connecting=royal, by=grant.granted_by)
    assert verdict(mailco.send(message)) == "AA"
    assert InboundMessage.objects.get().controller == riverside
    revoke_delegation(delegation=delegation, by=grant.granted_by)
    assert verdict(mailco.send(siu(facility="trustalias{riversidealias}"))) == "AR"


@pytest.mark.spec("decisions", "delegation")
def test_a_delegation_goes_one_way(
    mailco: Sender, grant: Grant, royal: Organisation, riverside: Organisation
) -> None:
    delegate(controller=royal, connecting=riverside, by=grant.granted_by)
    assert verdict(mailco.send(a28(facility="trustalias{riversidealias}"))) == "AR"


@pytest.mark.spec("decisions", "delegation")
def test_delegated_data_are_the_controllers(
    mailco: Sender, grant: Grant, royal: Organisation, riverside: Organisation
) -> None:
    delegate(controller=riverside, connecting=royal, by=grant.granted_by)
    mailco.send(a28())
    mailco.send(siu(facility="trustalias{riversidealias}"))
    mailco.send(siu())
    assert set(Appointment.objects.values_list("controller__name", flat=True)) == {
        "Royal Example NHS Trust",
        "Riverside Demonstration Hospital",
    }


@pytest.mark.spec("decisions", "source line")
def test_the_source_of_delegated_data_is_the_connecting_customer(
    mailco: Sender, grant: Grant, royal: Organisation, riverside: Organisation
) -> None:
    delegate(controller=riverside, connecting=royal, by=grant.granted_by)
    mailco.send(a28())
    mailco.send(siu(facility="trustalias{riversidealias}"))
    line = "Royal Example NHS Trust on behalf of Riverside Demonstration Hospital"
    assert str(Appointment.objects.get().source) == line
    assert InboundMessage.objects.get(type="SIU^S12").source_line == line


@pytest.mark.spec("decisions", "source line")
def test_the_source_of_a_customer_alone_is_its_name(pas: Sender) -> None:
    pas.send(a28())
    assert str(Patient.objects.get().source) == "Royal Example NHS Trust"


@pytest.mark.spec("decisions", "who sends: Customer")
@pytest.mark.parametrize("facility", ["", "anything", "x{y}", "riversidealias{riversidealias}"])
def test_a_customers_facility_is_free(pas: Sender, royal: Organisation, facility: str) -> None:
    assert verdict(pas.send(a28(facility=facility))) == "AA"
    assert InboundMessage.objects.get().controller == royal


@pytest.mark.spec("decisions", "who sends: Customer")
def test_a_team_alias_of_another_customer_is_nobodys(pas: Sender, riverside: Organisation) -> None:
    factories.TeamAliasFactory(team=factories.TeamFactory(organisation=riverside), value="theirs")
    pas.send(a28(facility="theirs"))
    assert InboundMessage.objects.get().team is None


@pytest.mark.spec("decisions", "who sends: Team")
def test_a_team_sends_as_itself(royal: Organisation) -> None:
    team = factories.TeamFactory(organisation=royal, name="Renal")
    other = factories.TeamFactory(organisation=royal, name="Eyes")
    factories.TeamAliasFactory(team=other, value="eyes")
    sender = Sender(factories.CredentialFactory(team=team))
    assert verdict(sender.send(a28(facility="eyes"))) == "AA"
    message = InboundMessage.objects.get()
    assert (message.team, message.controller, message.partner) == (team, royal, None)
    assert PatientTeam.objects.get().team == team


@pytest.fixture
def no_access(db: None) -> Sender:
    """A sender that adds to records and manages no patients."""
    organisation = factories.OrganisationFactory(name="Wearable Ltd", has_access=False)
    return Sender(factories.CredentialFactory(organisation=organisation))


@pytest.mark.spec("decisions", "no access organisation")
def test_a_no_access_organisation_adds_to_records_as_itself(no_access: Sender, pas: Sender) -> None:
    pas.send(a28())
    assert verdict(no_access.send(siu())) == "AA"
    assert str(Appointment.objects.get().source) == "Wearable Ltd"


@pytest.mark.spec("decisions", "no access organisation")
def test_a_no_access_organisation_manages_no_patients(no_access: Sender, pas: Sender) -> None:
    ack = no_access.send(a28())
    assert verdict(ack) == "AR"
    assert told(ack) == "Cannot create patient: no team to create the record in"
    pas.send(a28())
    no_access.send(a28(control_id="2"))
    assert PatientTeam.objects.get().organisation.name == "Royal Example NHS Trust"


@pytest.fixture
def renal(royal: Organisation) -> Team:
    """A team of the Royal."""
    return factories.TeamFactory(organisation=royal, name="Renal")


@pytest.fixture
def renal_partner(royal: Organisation, renal: Team) -> Sender:
    """A partner that the renal team alone has let in."""
    partner: Partner = factories.PartnerFactory(name="RenalCo")
    factories.GrantFactory(partner=partner, organisation=royal, team=renal)
    factories.AliasFactory(partner=partner, organisation=royal, value="trustalias")
    return Sender(factories.CredentialFactory(partner=partner))


@pytest.mark.spec("decisions", "grants: of a team")
def test_a_teams_grant_reaches_that_teams_patients(
    renal_partner: Sender, pas: Sender, renal: Team
) -> None:
    factories.TeamAliasFactory(team=renal, value="renal")
    pas.send(a28(facility="renal"))
    assert verdict(renal_partner.send(siu())) == "AA"
    assert verdict(renal_partner.send(mdm())) == "AA"


@pytest.mark.spec("decisions", "grants: of a team")
@pytest.mark.parametrize("make", [siu, mdm])
@pytest.mark.parametrize("waits", [True, False])
def test_a_teams_grant_reaches_nobody_else_and_does_not_say_who_there_is(
    renal_partner: Sender, pas: Sender, make: Callable[..., str], waits: bool
) -> None:
    pas.send(a28(), process=not waits)
    known = renal_partner.send(make(), process=False)
    unknown = renal_partner.send(make(identifiers=f"{OTHER}^^^NHS^NH"), process=False)
    assert told(known) == "No patient found for PID segment"
    assert known.split("\r")[1:] == unknown.split("\r")[1:]


@pytest.mark.spec("decisions", "grants: of a team")
@pytest.mark.parametrize("waits", [True, False])
def test_a_record_that_a_teams_grant_starts_is_that_teams(
    renal_partner: Sender, renal: Team, waits: bool
) -> None:
    assert verdict(renal_partner.send(a28(), process=not waits)) == "AA"
    assert verdict(renal_partner.send(siu())) == "AA"
    assert PatientTeam.objects.get().team == renal


@pytest.mark.spec("decisions", "grants: of a team")
def test_grants_of_several_teams_reach_the_patients_of_all_of_them(
    renal_partner: Sender, pas: Sender, royal: Organisation
) -> None:
    eyes = factories.TeamFactory(organisation=royal, name="Eyes")
    factories.TeamAliasFactory(team=eyes, value="eyes")
    pas.send(a28(facility="eyes"))
    assert verdict(renal_partner.send(siu())) == "AR"
    partner = renal_partner.credential.partner
    factories.GrantFactory(partner=partner, organisation=royal, team=eyes)
    assert verdict(renal_partner.send(siu())) == "AA"


# What stands in fields


@pytest.mark.spec("decisions", "identity: check digit")
def test_a_bad_check_digit_is_refused(mailco: Sender) -> None:
    ack = mailco.send(a28(identifiers="9990000019^^^NHS^NH"))
    assert told(ack).endswith("PID-3.1 (NHS number) must be valid. You provided [9990000019]")
    assert nothing_was_kept()


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_a_bad_number_beside_a_good_one_refuses_the_message(mailco: Sender) -> None:
    ack = mailco.send(a28(identifiers=f"{NHS}^^^NHS^NH~123^^^CHI^NH"))
    assert verdict(ack) == "AR"
    assert nothing_was_kept()


@pytest.mark.spec("hl7-api", "time stamps")
@pytest.mark.parametrize("value", ["20260231", "20261345", "2026022"])
def test_a_day_that_no_calendar_has_is_refused(mailco: Sender, value: str) -> None:
    assert verdict(mailco.send(a28(born=value))) == "AR"
    assert verdict(mailco.send(a28(sent=value))) == "AR"
    assert nothing_was_kept()


@pytest.mark.spec("decisions", "smaller points: HTML from senders")
def test_html_and_sql_in_text_fields_are_kept_as_text(mailco: Sender) -> None:
    family, given = "<script>alert(1)</script>", "Robert'); DROP TABLE records_patient;--"
    assert verdict(mailco.send(a28(name=f"{family}^{given}"))) == "AA"
    patient = Patient.objects.get()
    assert (patient.family_name, patient.given_name) == (family, given)


@pytest.mark.spec("decisions", "smaller points: HTML from senders")
@pytest.mark.parametrize(
    "text", ["%s%n{0}{x.__class__}${jndi:ldap://x}", "Ω≈ç√∫˜µ≤≥÷", "👩‍👩‍👧‍👦", "\u202etxet", "a\tb"]
)
def test_any_text_is_kept_as_it_was_sent(mailco: Sender, text: str) -> None:
    assert verdict(mailco.send(a28(name=f"Smith^{text}"))) == "AA"
    assert Patient.objects.get().given_name == text


@pytest.mark.spec("decisions", "ways in")
@pytest.mark.parametrize("value", ["x" * 199, "x" * 200, "x" * 5000])
def test_a_control_id_has_its_length(mailco: Sender, value: str) -> None:
    ack = mailco.send(a28(control_id=value))
    assert verdict(ack) == ("AA" if len(value) < 200 else "AR")
    assert ack.split("\r")[1].split("|")[2] == value


@pytest.mark.spec("decisions", "before the answer")
@pytest.mark.parametrize("event", ["A28", "A31"])
@pytest.mark.parametrize("repeat", [2, 3])
def test_two_pid_segments_never_mix_two_patients(mailco: Sender, event: str, repeat: int) -> None:
    message = a28(kind=f"ADT^{event}") + pid(f"{OTHER}^^^NHS^NH", name="Jones^Ann") * (repeat - 1)
    ack = mailco.send(message)
    if verdict(ack) == "AA":
        patient = Patient.objects.get()
        assert patient.family_name == "Smith"
        assert [one.value for one in patient.identifiers.all()] == [NHS]
    else:
        assert nothing_was_kept()


@pytest.mark.spec("decisions", "everything can be seen: every byte")
@pytest.mark.parametrize("repeated", ["PID", "SCH"])
def test_a_second_segment_that_would_be_passed_over_is_refused(
    mailco: Sender, repeated: str
) -> None:
    """Two appointments in one message: AA would promise both, and one would be lost."""
    mailco.send(a28())
    more = {
        "PID": pid(f"{OTHER}^^^NHS^NH", name="Jones^Ann"),
        "SCH": "SCH|appt-2||||||^Second||||^^^20270101\r",
    }[repeated]
    assert verdict(mailco.send(siu(more=more))) == "AR"
