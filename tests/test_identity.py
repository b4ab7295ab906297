"""Identifiers say whose record a message is for, and never leave it in doubt."""

import uuid
from typing import Any

import pytest
from django.utils import timezone

from hl7ingest.models import InboundMessage, Outcome
from pkb.models import Organisation
from records.models import Appointment, IdentifierType, Patient, PatientEmail
from tests import factories
from tests.conftest import Sender
from tests.messages import NHS, a28, siu, told, verdict

OTHER = "9990000026"


def nhs(value: str, status: str = "") -> str:
    return f"{value}^^^NHS^NH" + (f"{{status:{status}}}" if status else "")


@pytest.fixture
def hospital_number(royal: Organisation) -> IdentifierType:
    """The Royal's hospital number, HOSP/MR."""
    return factories.LocalIdentifierTypeFactory(organisation=royal)


@pytest.mark.spec("hl7-api", "identifiers")
def test_the_same_national_number_from_two_customers_is_one_record(
    pas: Sender, riverside_pas: Sender
) -> None:
    pas.send(a28())
    riverside_pas.send(a28())
    riverside_pas.send(siu())
    assert Patient.objects.count() == 1
    appointment = Appointment.objects.get()
    assert str(appointment.source) == "Riverside Demonstration Hospital"


@pytest.mark.spec("hl7-api", "identifiers")
def test_a_data_message_never_changes_the_patient(mailco: Sender) -> None:
    mailco.send(a28())
    before = Patient.objects.values().get()
    mailco.send(siu(name="Jones^Ann", rest="|F|||1 New Street"))
    assert Patient.objects.values().get() == before
    assert Appointment.objects.exists()


@pytest.mark.spec("hl7-api", "identifiers")
@pytest.mark.parametrize("position", ["first", "last"])
def test_the_position_of_an_identifier_is_irrelevant(
    mailco: Sender, hospital_number: IdentifierType, position: str
) -> None:
    parts = [nhs(NHS), "A1^^^HOSP^MR", "77^^^XYZ^QQ"]
    if position == "first":
        parts.reverse()
    mailco.send(a28(identifiers="~".join(parts)))
    assert Patient.objects.get().identifiers.count() == 2
    assert verdict(mailco.send(siu(identifiers="A1^^^HOSP^MR"))) == "AA"


@pytest.mark.spec("hl7-api", "identifiers")
def test_only_components_1_4_and_5_count(mailco: Sender) -> None:
    mailco.send(a28(identifiers=f"{NHS}^7^M11^NHS^NH^SITE^20200101"))
    assert Patient.objects.get().identifiers.get().value == NHS


@pytest.mark.spec("decisions", "identity: an unknown authority")
def test_an_unknown_authority_is_ignored_and_reported(mailco: Sender) -> None:
    assert verdict(mailco.send(a28(identifiers=f"77^^^XYZ^QQ~{nhs(NHS)}~A1^^^HOSP^MR"))) == "AA"
    assert InboundMessage.objects.get().ignored == ["HOSP/MR", "XYZ/QQ"]
    assert Patient.objects.get().identifiers.count() == 1


@pytest.mark.spec("decisions", "identity: an unknown authority")
def test_the_report_of_ignored_identifiers_names_no_value(mailco: Sender) -> None:
    mailco.send(a28(identifiers=f"4711^^^XYZ^QQ~{nhs(NHS)}"))
    assert "4711" not in str(InboundMessage.objects.values().get())


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_only_unknown_identifiers_are_no_identifier(mailco: Sender) -> None:
    ack = mailco.send(siu(identifiers="77^^^XYZ^QQ"))
    assert told(ack) == "Lookup single patient must be provided with at least one identifier"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_nobody_known_is_no_patient(mailco: Sender) -> None:
    ack = mailco.send(siu())
    assert verdict(ack) == "AR"
    assert told(ack) == "No patient found for PID segment"
    assert not Patient.objects.exists()


@pytest.mark.spec("hl7-api", "matching outcomes")
@pytest.mark.parametrize("make", [a28, siu])
def test_identifiers_of_two_records_are_ambiguous(
    mailco: Sender, hospital_number: IdentifierType, make: Any
) -> None:
    mailco.send(a28(identifiers=nhs(NHS)))
    mailco.send(a28(control_id="2", identifiers="A1^^^HOSP^MR", name="Jones^Ann"))
    ack = mailco.send(make(control_id="3", identifiers=f"{nhs(NHS)}~A1^^^HOSP^MR"))
    assert verdict(ack) == "AR"
    assert told(ack) == "Ambiguous patient IDs provided"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_two_national_numbers_of_two_records_are_ambiguous(mailco: Sender) -> None:
    mailco.send(a28())
    mailco.send(a28(control_id="2", identifiers=nhs(OTHER)))
    ack = mailco.send(siu(identifiers=f"{nhs(NHS)}~{nhs(OTHER)}"))
    assert told(ack) == "Ambiguous patient IDs provided"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_identifiers_of_a_record_and_of_one_that_waits_are_ambiguous(
    mailco: Sender, hospital_number: IdentifierType
) -> None:
    mailco.send(a28())
    mailco.send(a28(control_id="2", identifiers="A1^^^HOSP^MR"), process=False)
    ack = mailco.send(siu(identifiers=f"{nhs(NHS)}~A1^^^HOSP^MR"), process=False)
    assert told(ack) == "Ambiguous patient IDs provided"


@pytest.mark.spec("hl7-api", "matching outcomes")
def test_an_appointment_with_an_unknown_national_number_matches_on_the_local_one(
    mailco: Sender, hospital_number: IdentifierType
) -> None:
    mailco.send(a28(identifiers="A1^^^HOSP^MR"))
    assert verdict(mailco.send(siu(identifiers=f"{nhs(NHS, '03')}~A1^^^HOSP^MR"))) == "AA"
    assert Appointment.objects.exists()
    assert Patient.objects.get().identifiers.get().value == "A1"  # only A28 and A31 add one


@pytest.mark.spec("hl7-api", "identifiers: local")
def test_the_same_local_number_of_two_customers_is_two_patients(
    pas: Sender, riverside_pas: Sender, royal: Organisation, riverside: Organisation
) -> None:
    for organisation in (royal, riverside):
        factories.LocalIdentifierTypeFactory(organisation=organisation)
    pas.send(a28(identifiers="A1^^^HOSP^MR"))
    riverside_pas.send(a28(identifiers="A1^^^HOSP^MR", name="Jones^Ann"))
    assert Patient.objects.count() == 2


@pytest.mark.spec("hl7-api", "identifiers: local")
def test_another_customers_local_type_is_unknown(
    riverside_pas: Sender, pas: Sender, hospital_number: IdentifierType
) -> None:
    pas.send(a28(identifiers=f"A1^^^HOSP^MR~{nhs(NHS)}"))
    ack = riverside_pas.send(siu(identifiers="A1^^^HOSP^MR"))
    assert told(ack) == "Lookup single patient must be provided with at least one identifier"


@pytest.mark.spec("hl7-api", "identifiers: local")
def test_a_wildcard_authority_takes_any(mailco: Sender, royal: Organisation) -> None:
    factories.LocalIdentifierTypeFactory(organisation=royal, authority="*", type_code="PAS")
    mailco.send(a28(identifiers="A1^^^SITE1^PAS"))
    assert verdict(mailco.send(siu(identifiers="A1^^^SITE2^PAS"))) == "AA"
    assert verdict(mailco.send(siu(control_id="2", identifiers="A1^^^^PAS"))) == "AA"
    assert verdict(mailco.send(siu(control_id="3", identifiers="A1^^^SITE1^MR"))) == "AR"


@pytest.mark.spec("hl7-api", "identifiers: local")
def test_an_exact_authority_goes_before_the_wildcard(mailco: Sender, royal: Organisation) -> None:
    wild = factories.LocalIdentifierTypeFactory(organisation=royal, authority="*")
    exact = factories.LocalIdentifierTypeFactory(organisation=royal, authority="HOSP")
    mailco.send(a28(identifiers="A1^^^HOSP^MR~A1^^^OTHER^MR"))
    types = Patient.objects.get().identifiers.values_list("type", flat=True)
    assert set(types) == {wild.pk, exact.pk}


@pytest.mark.spec("hl7-api", "identifiers: local")
def test_a_teams_type_counts_for_that_team_only(pas: Sender, royal: Organisation) -> None:
    renal, eyes = (factories.TeamFactory(organisation=royal) for _ in range(2))
    for team, alias in ((renal, "renal"), (eyes, "eyes")):
        factories.TeamAliasFactory(team=team, value=alias)
    factories.LocalIdentifierTypeFactory(
        organisation=royal, team=renal, authority="RENAL", scope=IdentifierType.Scope.TEAM
    )
    number = "R1^^^RENAL^MR"
    assert verdict(pas.send(a28(identifiers=number, facility="renal"))) == "AA"
    assert verdict(pas.send(siu(identifiers=number, facility="renal"))) == "AA"
    ack = pas.send(siu(control_id="2", identifiers=number, facility="eyes"))
    assert told(ack) == "Lookup single patient must be provided with at least one identifier"


@pytest.mark.spec("hl7-api", "identifiers")
def test_the_public_id_matches(mailco: Sender) -> None:
    mailco.send(a28())
    public_id = str(Patient.objects.get().pk)
    assert verdict(mailco.send(siu(identifiers=f"{public_id.upper()}^^^PKB^PI"))) == "AA"
    assert Appointment.objects.exists()


@pytest.mark.spec("hl7-api", "identifiers")
def test_a_public_id_of_nobody_starts_no_record(mailco: Sender) -> None:
    for message in (a28, siu):
        ack = mailco.send(message(identifiers=f"{uuid.uuid4()}^^^PKB^PI"))
        assert told(ack) == "No patient found for PID segment"
    assert verdict(mailco.send(a28(identifiers="4711^^^PKB^PI"))) == "AR"


@pytest.mark.spec("hl7-api", "identifiers")
def test_an_email_address_matches_where_it_is_primary_or_confirmed(mailco: Sender) -> None:
    contacts = "|M|||||first@example.com^NET|second@example.com^NET"
    mailco.send(a28(rest=contacts))
    assert verdict(mailco.send(siu(identifiers="First@Example.com^^^EMAIL^EMAIL"))) == "AA"
    second = siu(control_id="2", identifiers="second@example.com^^^EMAIL^EMAIL")
    assert told(mailco.send(second)) == "No patient found for PID segment"
    PatientEmail.objects.filter(is_primary=False).update(confirmed_at=timezone.now())
    assert verdict(mailco.send(second)) == "AA"


@pytest.mark.spec("hl7-api", "identifiers")
def test_an_email_address_in_pid_13_matches_nobody(mailco: Sender) -> None:
    contacts = "|M|||||first@example.com^NET"
    mailco.send(a28(rest=contacts))
    ack = mailco.send(siu(identifiers="", rest=contacts))
    assert verdict(ack) == "AR"


@pytest.mark.spec("hl7-api", "identifiers")
def test_an_email_address_of_a_record_that_waits_matches_too(mailco: Sender) -> None:
    mailco.send(a28(rest="|M|||||first@example.com^NET"), process=False)
    ack = mailco.send(siu(identifiers="first@example.com^^^EMAIL^EMAIL"))
    assert verdict(ack) == "AA"


@pytest.mark.spec("decisions", "identity: check digit")
@pytest.mark.parametrize(
    "value",
    ["9990000019", "999000001", "99900000180", "999000001X", "９９９0000018", "0", "523456789"],
)
def test_a_national_number_that_fails_its_check_digit_is_refused(
    mailco: Sender, value: str
) -> None:
    for message in (a28, siu):
        ack = mailco.send(message(identifiers=nhs(value)))
        assert verdict(ack) == "AR"
        assert f"PID-3.1 (NHS number) must be valid. You provided [{value}]" in told(ack)
    assert not Patient.objects.exists()


@pytest.mark.spec("decisions", "identity: check digit")
@pytest.mark.parametrize("value", ["999 000 0018", "999-000-0018"])
def test_a_number_written_in_groups_is_the_same_number(mailco: Sender, value: str) -> None:
    mailco.send(a28(identifiers=nhs(value)))
    assert Patient.objects.get().identifiers.get().value == NHS
    assert verdict(mailco.send(siu())) == "AA"


@pytest.mark.spec("decisions", "identity: check digit")
@pytest.mark.parametrize("digit", "0123456789")
def test_ten_equal_digits_are_a_number_in_a_sandbox_only(
    mailco: Sender, settings: Any, digit: str
) -> None:
    settings.SANDBOX = False
    ack = mailco.send(a28(identifiers=nhs(digit * 10)))
    assert verdict(ack) == "AR"
    assert "(NHS number) must be valid" in told(ack)
    settings.SANDBOX = True
    assert verdict(mailco.send(a28(identifiers=nhs("9" * 10)))) == "AA"


@pytest.mark.spec("decisions", "identity: types are rows")
@pytest.mark.parametrize("authority", ["NHS", "CHI", "HCN"])
def test_the_national_types_come_with_the_installation(mailco: Sender, authority: str) -> None:
    assert verdict(mailco.send(a28(identifiers=f"{NHS}^^^{authority}^NH"))) == "AA"
    assert verdict(mailco.send(a28(control_id="2", identifiers=f"123^^^{authority}^NH"))) == "AR"


@pytest.mark.spec("decisions", "identity: types are rows")
def test_the_same_number_of_two_national_types_is_two_identifiers(mailco: Sender) -> None:
    mailco.send(a28())
    mailco.send(a28(control_id="2", identifiers=f"{NHS}^^^CHI^NH"))
    assert Patient.objects.count() == 2


@pytest.mark.spec("decisions", "identity: types are rows")
def test_a_national_type_that_staff_add_is_known(mailco: Sender) -> None:
    IdentifierType.objects.create(
        name="PPS number", authority="PPS", type_code="PPSN", scope="national", country="IE"
    )
    assert verdict(mailco.send(a28(identifiers="1234567T^^^PPS^PPSN"))) == "AA"
    assert Patient.objects.get().identifiers.get().is_national


@pytest.fixture
def auto_creating(royal: Organisation) -> Organisation:
    """The Royal, with auto create."""
    royal.auto_create = True
    royal.save()
    return royal


@pytest.mark.spec("hl7-api", "auto create")
def test_with_auto_create_a_verified_number_starts_a_record(
    mailco: Sender, auto_creating: Organisation
) -> None:
    assert verdict(mailco.send(siu(identifiers=nhs(NHS, "01")))) == "AA"
    assert Patient.objects.get().teams.get().team == auto_creating.default_team
    assert Appointment.objects.get().patient == Patient.objects.get()


@pytest.mark.spec("hl7-api", "auto create")
@pytest.mark.parametrize("status", ["", "02"])
def test_with_auto_create_an_unverified_number_starts_none(
    mailco: Sender, auto_creating: Organisation, status: str
) -> None:
    ack = mailco.send(siu(identifiers=nhs(NHS, status)))
    assert told(ack) == "No patient found for PID segment"


@pytest.mark.spec("hl7-api", "auto create")
def test_with_auto_create_the_names_are_needed(mailco: Sender, auto_creating: Organisation) -> None:
    ack = mailco.send(siu(identifiers=nhs(NHS, "01"), name="Smith"))
    assert told(ack) == "Cannot create patient missing these fields: givenName"


@pytest.mark.spec("hl7-api", "auto create")
def test_with_auto_create_a_data_message_makes_a_known_patient_known_to_the_organisation(
    mailco: Sender, riverside_pas: Sender, auto_creating: Organisation
) -> None:
    riverside_pas.send(a28())
    mailco.send(siu(identifiers=nhs(NHS, "01")))
    teams = Patient.objects.get().teams.values_list("organisation__name", flat=True)
    assert set(teams) == {"Riverside Demonstration Hospital", "Royal Example NHS Trust"}


@pytest.mark.spec("hl7-api", "auto create")
def test_auto_create_is_of_the_organisation_that_switched_it_on(
    riverside_pas: Sender, auto_creating: Organisation
) -> None:
    assert verdict(riverside_pas.send(siu(identifiers=nhs(NHS, "01")))) == "AR"


@pytest.mark.spec("hl7-api", "connecting")
def test_data_are_accepted_about_a_patient_whom_the_sender_does_not_manage(
    pas: Sender, riverside_pas: Sender
) -> None:
    pas.send(a28())
    assert verdict(riverside_pas.send(siu())) == "AA"
    assert Outcome.objects.filter(state="applied").count() == 2
    assert Patient.objects.get().teams.count() == 1
