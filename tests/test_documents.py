"""T02 puts a document or replaces it in full, T11 takes it back."""

import base64
from datetime import UTC, date, datetime
from typing import Any

import pytest

from hl7ingest.models import InboundMessage, Outcome, Refusal
from partners.models import Grant
from records import attachments
from records.models import Document
from tests.conftest import Sender
from tests.messages import a28, mdm, siu, told, verdict

PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\nbody\x00\xff"
OTHER = "9990000026"
NULL = '""'


def ed(
    content: bytes | str, kind: str = "APPLICATION", subtype: str = "PDF", title: str = ""
) -> str:
    """Return an OBX with an attachment in base64, or as it stands where it is text."""
    if isinstance(content, str):
        return f"OBX|1|ED|{title}||^{kind}^{subtype}^A^{content}\r"
    encoded = base64.b64encode(content).decode()
    return f"OBX|1|ED|{title}||^{kind}^{subtype}^Base64^{encoded}\r"


def txa(**fields: str) -> str:
    """Return a T02 whose TXA has these fields (`txa_4="2026"`) and the required ones."""
    parts = {2: "DL", 12: "doc-1", 17: "AU"}
    parts |= {int(name.removeprefix("txa_")): value for name, value in fields.items()}
    segment = "TXA" + "".join("|" + parts.get(number, "") for number in range(1, 18))
    return "".join(
        segment + "\r" if line.startswith("TXA") else line
        for line in mdm().splitlines(keepends=True)
    )


@pytest.fixture(autouse=True)
def patient(mailco: Sender) -> None:
    """A patient of the Royal."""
    mailco.send(a28())


@pytest.mark.spec("hl7-api", "MDM documents")
def test_t02_for_an_unknown_id_creates(mailco: Sender) -> None:
    message = mdm(more="PV1||I||||||||300\r", obx="OBX|1|TX|C^Letter||Dear patient~\\.br\\Yours\r")
    stamp = "20260102090000+0000|"
    message = message.replace(stamp, stamp + "x^Jones^Stuart^James^^Dr")
    assert verdict(mailco.send(message)) == "AA"
    document = Document.objects.get()
    assert (document.external_id, document.type_code) == ("doc-1", "DL")
    assert document.type_name == "Discharge letter"
    assert document.written_at == datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
    assert document.author == "Dr Stuart James Jones"
    assert document.file_name == "letter.txt"
    assert (document.patient_class, document.specialty) == ("I", "300")
    assert (document.delay_days, document.planned_postal_date) == (0, None)
    assert document.withdrawn_at is None
    assert document.parts == [
        {"media_type": "text/plain", "title": "Letter", "text": "Dear patient\n\nYours"}
    ]
    assert str(document.source) == "MailCo on behalf of Royal Example NHS Trust"


@pytest.mark.spec("hl7-api", "MDM documents: time")
@pytest.mark.parametrize(
    ("given", "year"),
    [
        ({"txa_8": "2008", "txa_7": "2007", "txa_6": "2006", "txa_4": "2004"}, 2008),
        ({"txa_7": "2007", "txa_6": "2006", "txa_4": "2004"}, 2007),
        ({"txa_6": "2006", "txa_4": "2004"}, 2006),
        ({"txa_4": "2004"}, 2004),
        ({"txa_8": NULL, "txa_4": "2004"}, 2004),
        ({}, 2026),
    ],
)
def test_the_document_time_is_the_first_of_txa_8_7_6_4_else_of_the_message(
    mailco: Sender, given: dict[str, str], year: int
) -> None:
    assert verdict(mailco.send(txa(**given))) == "AA"
    assert Document.objects.get().written_at.year == year


@pytest.mark.spec("hl7-api", "code sets: document type")
@pytest.mark.parametrize("code", ["AL", "AN", "BR", "CL", "DL", "DS", "MDT", "RL", "TCI"])
def test_the_published_types_have_a_name(mailco: Sender, code: str) -> None:
    mailco.send(txa(txa_2=code))
    document = Document.objects.get()
    assert document.type_code == code
    assert document.type_name not in {"", code}


@pytest.mark.spec("hl7-api", "code sets: document type")
def test_another_type_is_kept_as_it_came(mailco: Sender) -> None:
    assert verdict(mailco.send(txa(txa_2="OP9^Operation note"))) == "AA"
    assert Document.objects.get().type_name == "OP9"


@pytest.mark.spec("hl7-api", "MDM documents")
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"txa_2": ""}, "TXA-2.1 (document type) must be provided. You provided []"),
        ({"txa_12": ""}, "TXA-12.1 (unique document number) must be provided. You provided []"),
        ({"txa_17": ""}, "TXA-17.1 (document completion status) must be provided. You provided []"),
        ({"txa_17": "DI"}, "TXA-17.1 (document completion status) must be AU. You provided [DI]"),
        ({"txa_17": "au"}, "TXA-17.1 (document completion status) must be AU. You provided [au]"),
        ({"txa_12": NULL}, "TXA-12.1 (unique document number) must not be cleared"),
        ({"txa_12": "x" * 201}, "TXA-12.1 ("),
        ({"txa_2": "CP"}, "TXA-2.1 (document type) CP, a care plan, is not supported yet"),
    ],
)
def test_what_a_document_needs(mailco: Sender, given: dict[str, str], place: str) -> None:
    ack = mailco.send(txa(**given))
    assert verdict(ack) == "AR"
    assert told(ack).startswith(f"Parsing or validation error: {place}")
    assert not Document.objects.exists()


@pytest.mark.spec("hl7-api", "MDM documents")
@pytest.mark.parametrize("name", ["TXA", "OBX"])
def test_a_document_needs_its_segments(mailco: Sender, name: str) -> None:
    ack = mailco.send(mdm().replace(f"{name}|", "ZZZ|"))
    assert told(ack) == f"Parsing or validation error: {name} segment must be provided"


@pytest.mark.spec("hl7-api", "MDM documents: attachments")
@pytest.mark.parametrize(
    ("kind", "subtype", "content", "media_type"),
    [
        ("APPLICATION", "PDF", PDF, "application/pdf"),
        ("TEXT", "PDF", PDF, "application/pdf"),
        ("application", "pdf", PDF, "application/pdf"),
        ("TEXT", "HTML", b"<p>Hello</p>", "text/html"),
        ("TEXT", "PLAIN", "Grüße".encode(), "text/plain"),
        ("TEXT", "RTF", b"{\\rtf1 x}", "application/rtf"),
        ("APPLICATION", "MSWORD", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "application/msword"),
        ("IMAGE", "PNG", b"\x89PNG\r\n\x1a\nrest", "image/png"),
        ("IMAGE", "JPEG", b"\xff\xd8\xff\xe0rest", "image/jpeg"),
    ],
)
def test_an_attachment_is_kept_byte_for_byte(
    mailco: Sender, kind: str, subtype: str, content: bytes, media_type: str
) -> None:
    assert verdict(mailco.send(mdm(obx=ed(content, kind, subtype, "C^Scan")))) == "AA"
    (part,) = Document.objects.get().parts
    assert (part["media_type"], part["title"]) == (media_type, "Scan")
    assert part["size"] == len(content)
    assert attachments.content(part["digest"]) == content


@pytest.mark.spec("hl7-api", "MDM documents: attachments")
@pytest.mark.parametrize(
    ("kind", "subtype", "content"),
    [
        ("APPLICATION", "PDF", b"no pdf at all"),
        ("TEXT", "PDF", b"<html>"),
        ("TEXT", "HTML", PDF),
        ("TEXT", "PLAIN", b"PK\x03\x04zip"),
        ("TEXT", "PLAIN", b"nul\x00"),
        ("IMAGE", "PNG", b"\xff\xd8\xff\xe0rest"),
        ("IMAGE", "JPEG", b"MZ program"),
        ("APPLICATION", "MSWORD", b"%PDF-1.4"),
        ("APPLICATION", "DOCX", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("TEXT", "RTF", b"<html>"),
        ("IMAGE", "TIFF", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_bytes_that_are_not_of_the_declared_type_are_refused(
    mailco: Sender, kind: str, subtype: str, content: bytes
) -> None:
    ack = mailco.send(mdm(obx=ed(content, kind, subtype)))
    assert verdict(ack) == "AR"
    assert "OBX[1]: OBX-5.3 (data subtype) must be what the content is" in told(ack)


@pytest.mark.spec("hl7-api", "MDM documents: attachments")
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("APPLICATION", "EXE"),
        ("APPLICATION", "JAVASCRIPT"),
        ("IMAGE", "SVG"),
        ("", ""),
        ("", "PDF"),
    ],
)
def test_a_type_that_is_not_known_is_refused(mailco: Sender, kind: str, subtype: str) -> None:
    ack = mailco.send(mdm(obx=ed(PDF, kind, subtype)))
    assert verdict(ack) == "AR"
    assert "OBX-5.3 (data subtype) must be one of TEXT/PLAIN" in told(ack)


@pytest.mark.spec("hl7-api", "MDM documents: attachments")
def test_text_may_stand_in_the_message_as_it_is(mailco: Sender) -> None:
    content = "<p>Fish \\T\\ chips\\.br\\</p>"
    assert verdict(mailco.send(mdm(obx=ed(content, "TEXT", "HTML")))) == "AA"
    (part,) = Document.objects.get().parts
    assert attachments.content(part["digest"]) == b"<p>Fish & chips\n</p>"


@pytest.mark.spec("decisions", "everything can be seen: every byte")
def test_text_that_stands_in_the_message_is_never_cut_at_an_ampersand(mailco: Sender) -> None:
    content = "<p>Fish & chips&nbsp;every Friday</p>"
    ack = mailco.send(mdm(obx=ed(content, "TEXT", "HTML")))
    if verdict(ack) == "AA":  # kept whole, or refused; never half
        (part,) = Document.objects.get().parts
        assert attachments.content(part["digest"]).decode() == content


@pytest.mark.spec("hl7-api", "MDM documents: attachments")
@pytest.mark.parametrize("breaks", ["\\.br\\", " ", "\t"])
def test_line_breaks_inside_base64_are_taken_out(mailco: Sender, breaks: str) -> None:
    encoded = base64.b64encode(PDF * 3).decode()
    lines = breaks.join(encoded[i : i + 20] for i in range(0, len(encoded), 20))
    obx = f"OBX|1|ED|||^APPLICATION^PDF^Base64^{lines}\r"
    assert verdict(mailco.send(mdm(obx=obx))) == "AA"
    assert Document.objects.get().parts[0]["size"] == len(PDF * 3)


@pytest.mark.spec("decisions", "smaller points: attachment")
@pytest.mark.parametrize(
    "encoded",
    ["JVBERi0xLjQ", "JVBERi0!", "%PDF-1.4", "JVBERi0xLjQ===", "=", "JVBE\\F\\Ri0=", "JVBERi0x_-=="],
)
def test_base64_that_does_not_decode_is_refused(mailco: Sender, encoded: str) -> None:
    ack = mailco.send(mdm(obx=f"OBX|1|ED|||^APPLICATION^PDF^Base64^{encoded}\r"))
    assert verdict(ack) == "AR"
    assert told(ack).endswith("OBX-5.5 (data) must be base64 that decodes")


@pytest.mark.spec("decisions", "smaller points: attachment")
@pytest.mark.parametrize(
    ("obx", "place"),
    [
        ("OBX|1|ED|||^APPLICATION^PDF^Base64^\r", "OBX-5.5 (data) must be provided"),
        ("OBX|1|ED|||^TEXT^HTML^A^\r", "OBX-5.5 (data) must be provided"),
        ("OBX|1|ED|||^TEXT^HTML^Hex^AA\r", "OBX-5.4 (encoding) must be Base64 or A"),
        ("OBX|1|ED|||^TEXT^HTML^^AA\r", "OBX-5.4 (encoding) must be Base64 or A"),
        ("OBX|1|NM|||7\r", "OBX-2.1 (value type) must be ED, TX, FT or ST"),
        ("OBX|1||||x\r", "OBX-2.1 (value type) must be provided"),
        ("OBX|1|TX|||\r", "OBX-5.1 (content) must be provided"),
        ("OBX|1|ED\r", "OBX-5.3 (data subtype) must be one of"),
    ],
)
def test_each_part_of_a_document_must_be_whole(mailco: Sender, obx: str, place: str) -> None:
    ack = mailco.send(mdm(obx=obx))
    assert verdict(ack) == "AR"
    assert place in told(ack)


@pytest.mark.spec("hl7-api", "acknowledgement: error texts")
def test_the_obx_at_fault_is_named_by_its_place(mailco: Sender) -> None:
    ack = mailco.send(mdm(obx="OBX|1|TX|||ok\rOBX|2|TX|||\r"))
    assert "OBX[2]: OBX-5.1 (content) must be provided" in told(ack)
    assert "|OBX^2^5^1^1|" in ack


@pytest.mark.spec("hl7-api", "MDM documents")
@pytest.mark.parametrize("value_type", ["TX", "FT", "ST"])
def test_several_parts_are_kept_in_their_order(mailco: Sender, value_type: str) -> None:
    obx = f"OBX|1|{value_type}|a^One||<b>1</b> & ^2\r" + ed(PDF) + "OBX|3|TX|^^^^Three||3\r"
    assert verdict(mailco.send(mdm(obx=obx))) == "AA"
    one, two, three = Document.objects.get().parts
    assert (one["title"], one["text"]) == ("One", "<b>1</b> & ^2")
    assert two["size"] == len(PDF)
    assert (three["title"], three["text"]) == ("Three", "3")


@pytest.mark.spec("decisions", "smaller points: attachment")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("letter.pdf", "letter.pdf"),
        ("/etc/passwd", "passwd"),
        ("../../etc/passwd.pdf", "passwd.pdf"),
        ("C:\\E\\docs\\E\\letter.pdf", "letter.pdf"),
        ("C:\\docs\\letter.pdf", "letter.pdf"),
        ("\\E\\\\E\\server\\E\\share\\E\\a.pdf", "a.pdf"),
        ("..", ""),
        ("a.pdf/", ""),
        ('le"t<t>er:?*\\F\\.pdf', "letter.pdf"),
        ("a\\X0D0A\\b.pdf", "ab.pdf"),
        ("evil\u202efdp.exe", "evilfdp.exe"),
        ("brief für Müller.pdf", "brief für Müller.pdf"),
        ("", ""),
        (NULL, ""),
    ],
)
def test_a_file_name_loses_any_path(mailco: Sender, sent: str, kept: str) -> None:
    assert verdict(mailco.send(txa(txa_16=sent))) == "AA"
    assert Document.objects.get().file_name == kept


@pytest.mark.spec("hl7-api", "MDM documents: T02")
def test_t02_for_a_known_id_replaces_in_full(mailco: Sender) -> None:
    more = "PV1||I||||||||300\rZPM|20260201\r"
    mailco.send(mdm(more=more, obx="OBX|1|TX|||One||||||||5\rOBX|2|TX|||Two\r"))
    first = Document.objects.get()
    assert (first.delay_days, first.planned_postal_date) == (5, date(2026, 2, 1))
    assert verdict(mailco.send(txa(txa_2="CL").replace("Dear patient", "Other"))) == "AA"
    found = Document.objects.get()
    assert found.pk == first.pk
    assert (found.type_code, found.delay_days, found.planned_postal_date) == ("CL", 0, None)
    assert [found.author, found.file_name, found.patient_class, found.specialty] == [""] * 4
    assert [part["text"] for part in found.parts] == ["Other"]


@pytest.mark.spec("hl7-api", "MDM documents: T11")
def test_t11_for_a_known_id_takes_the_document_back(mailco: Sender) -> None:
    mailco.send(mdm())
    assert verdict(mailco.send(mdm("T11", control_id="2"))) == "AA"
    document = Document.objects.get()
    assert document.withdrawn_at is not None
    assert document.parts  # what it held is kept, to be brought back
    (entry,) = InboundMessage.objects.get(control_id="2").outcome.effect
    assert entry["action"] == "withdrawn"


@pytest.mark.spec("hl7-api", "MDM documents: T11")
def test_t11_for_an_unknown_id_is_no_error(mailco: Sender) -> None:
    assert verdict(mailco.send(mdm("T11"))) == "AA"
    outcome = Outcome.objects.get(message__type="MDM^T11")
    assert (outcome.state, outcome.effect) == ("applied", [])
    assert not Document.objects.exists()


@pytest.mark.spec("hl7-api", "MDM documents: T11")
def test_t11_needs_nothing_of_the_document_but_its_id(mailco: Sender) -> None:
    ack = mailco.send(mdm("T11", number=""))
    assert verdict(ack) == "AR"
    assert "TXA-12.1 (unique document number) must be provided. You provided []" in told(ack)


@pytest.mark.spec("hl7-api", "MDM documents: T11")
def test_t11_twice_withdraws_once(mailco: Sender) -> None:
    mailco.send(mdm())
    mailco.send(mdm("T11", control_id="2"))
    at = Document.objects.get().withdrawn_at
    mailco.send(mdm("T11", control_id="3"))
    assert Document.objects.get().withdrawn_at == at


@pytest.mark.spec("hl7-api", "MDM documents: T02")
def test_t02_after_t11_brings_the_document_back(mailco: Sender) -> None:
    mailco.send(mdm())
    mailco.send(mdm("T11", control_id="2"))
    mailco.send(mdm(control_id="3", obx="OBX|1|TX|||New\r"))
    document = Document.objects.get()
    assert document.withdrawn_at is None
    assert document.parts[0]["text"] == "New"


@pytest.mark.spec("decisions", "smaller points: delay")
@pytest.mark.parametrize(
    ("given", "days"), [("", 0), ("0", 0), ("1", 1), ("007", 7), ("366", 366), (NULL, 0)]
)
def test_a_delay_is_whole_days(mailco: Sender, given: str, days: int) -> None:
    assert verdict(mailco.send(mdm(obx=f"OBX|1|TX|||Text||||||||{given}\r"))) == "AA"
    assert Document.objects.get().delay_days == days


@pytest.mark.spec("decisions", "smaller points: delay")
@pytest.mark.parametrize(
    "given", ["367", "-1", "1.5", "1000", "two", "1e2", "٣", "+3", "99999999999999999999"]
)
def test_any_other_delay_is_refused(mailco: Sender, given: str) -> None:
    ack = mailco.send(mdm(obx=f"OBX|1|TX|||Text||||||||{given}\r"))
    assert verdict(ack) == "AR"
    assert f"OBX-13.1 (delay) must be whole days, 0 to 366. You provided [{given}]" in told(ack)


@pytest.mark.spec("hl7-api", "MDM documents: ZPM")
@pytest.mark.parametrize(
    ("given", "read"), [("20260201", date(2026, 2, 1)), ("", None), (NULL, None)]
)
def test_a_planned_postal_date_is_kept(mailco: Sender, given: str, read: Any) -> None:
    assert verdict(mailco.send(mdm(more=f"ZPM|{given}\r"))) == "AA"
    assert Document.objects.get().planned_postal_date == read


@pytest.mark.spec("hl7-api", "MDM documents: ZPM")
@pytest.mark.parametrize("given", ["20260231", "2026", "tomorrow"])
def test_a_planned_postal_date_must_be_a_date(mailco: Sender, given: str) -> None:
    ack = mailco.send(mdm(more=f"ZPM|{given}\r"))
    assert verdict(ack) == "AR"
    assert "ZPM-1.1 (planned postal date) must be a date YYYYMMDD" in told(ack)


@pytest.mark.spec("decisions", "grants: data scope")
@pytest.mark.parametrize("event", ["T02", "T11"])
def test_the_customers_documents_are_amended_only_where_the_grant_lets_it(
    mailco: Sender, pas: Sender, grant: Grant, event: str
) -> None:
    pas.send(mdm())
    grant.data_scope = Grant.DataScope.OWN
    grant.save()
    ack = mailco.send(mdm(event, control_id="2"))
    assert told(ack) == "Not authorised to send for [trustalias{trustalias}]"
    assert Refusal.objects.get().rule == "data point of another sender"
    grant.data_scope = Grant.DataScope.CUSTOMER
    grant.save()
    assert verdict(mailco.send(mdm(event, control_id="3"))) == "AA"


@pytest.mark.spec("decisions", "identity: another patient")
@pytest.mark.parametrize("event", ["T02", "T11"])
def test_another_patients_document_is_never_touched(mailco: Sender, event: str) -> None:
    mailco.send(a28(control_id="2", identifiers=f"{OTHER}^^^NHS^NH"))
    mailco.send(mdm())
    before = Document.objects.values().get()
    ack = mailco.send(mdm(event, control_id="3", identifiers=f"{OTHER}^^^NHS^NH"))
    assert verdict(ack) == "AR"
    assert told(ack).endswith("TXA-12.1 names a data point of another patient")
    assert Document.objects.values().get() == before


@pytest.mark.spec("hl7-api", "one-page summary")
def test_documents_and_appointments_have_ids_of_their_own(mailco: Sender) -> None:
    mailco.send(siu(placer="same"))
    assert verdict(mailco.send(mdm(number="same"))) == "AA"
    assert verdict(mailco.send(mdm("T11", number="same", control_id="2"))) == "AA"
    assert Document.objects.get().withdrawn_at is not None


@pytest.mark.spec("hl7-api", "MDM documents")
def test_the_same_content_twice_is_one_file(mailco: Sender) -> None:
    mailco.send(mdm(obx=ed(PDF)))
    mailco.send(mdm(control_id="2", number="doc-2", obx=ed(PDF)))
    digests = {document.parts[0]["digest"] for document in Document.objects.all()}
    assert len(digests) == 1
    assert attachments.content(digests.pop()) == PDF
