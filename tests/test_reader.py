"""A message is read whatever its delimiters, line ends, escapes and character set; or refused."""

import codecs
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl7ingest.hl7v2 import Hl7Error, acknowledge, decode, parse
from hl7ingest.hl7v2.message import Delimiters
from records.models import Patient
from tests.conftest import Sender
from tests.messages import NHS, a28, msh, pid, siu, told, verdict

HEADER = "MSH|^~\\&|App|Site|HL7API|PKB|20260101120000||ADT^A28|m-1|P|2.4"


@pytest.mark.spec("hl7-api", "message format")
def test_fields_repetitions_components_and_subcomponents_are_addressed_from_one() -> None:
    found = parse(f"{HEADER}\rPID|||919^^^NHS&x^NH~44^^^HOSP^MR||Smith^John").find("PID")
    assert found.get(3) == "919"
    assert found.get(3, 4) == "NHS"
    assert found.repetitions(3) == ["919^^^NHS&x^NH", "44^^^HOSP^MR"]
    assert found.components(found.repetitions(3)[1]) == ["44", "", "", "HOSP", "MR"]
    assert found.get(5, 2) == "John"
    assert (found.get(5, 3), found.get(99)) == ("", "")


@pytest.mark.spec("hl7-api", "message format")
def test_the_header_counts_its_separator_as_its_first_field() -> None:
    header = parse(HEADER).msh
    assert header.get(1) == "|"
    assert header.get(2) == "^~\\&"
    assert (header.get(3), header.get(9, 2), header.get(10)) == ("App", "A28", "m-1")


@pytest.mark.spec("decisions", "ways in: delimiters")
@pytest.mark.parametrize("marks", ["|^~\\&", "|^~\\&#", "$%*!@", "*:+?=", "#^~\\&"])
def test_delimiters_are_those_that_the_header_names(marks: str) -> None:
    field, component, repetition, escape, sub, *_ = list(marks)
    text = field.join(["MSH", marks[1:], "App", "", "", "", "", "", f"ADT{component}A28", "m"])
    text += "\r" + field.join(
        ["PID", "", "", f"1{component}{component}2{repetition}3", "", f"A{escape}F{escape}B{sub}x"]
    )
    message = parse(text)
    assert message.type == "ADT^A28"
    assert message.find("PID").repetitions(3) == [f"1{component}{component}2", "3"]
    assert message.find("PID").get(5) == f"A{field}B"


@pytest.mark.spec("decisions", "ways in: delimiters")
def test_the_truncation_character_is_no_delimiter_of_values() -> None:
    message = parse("MSH|^~\\&#|App\rPID|||1#2^^^NHS||Sm\\P\\ith")
    assert message.find("PID").get(3) == "1#2"
    assert message.find("PID").get(5) == "Sm#ith"


@pytest.mark.spec("decisions", "ways in: delimiters")
@pytest.mark.django_db
def test_a_whole_message_in_other_delimiters_is_applied(mailco: Sender) -> None:
    table = str.maketrans("|^~\\&", "$%*!@")
    assert verdict(mailco.send(a28(name="Smith^John").translate(table))) == "AA"
    assert Patient.objects.get().given_name == "John"


@pytest.mark.spec("decisions", "ways in: delimiters")
@pytest.mark.parametrize(
    "header",
    [
        "MSH",
        "MSH|",
        "MSH|^~",
        "MSH|^~\\",
        "MSH|^^\\&|",
        "MSH|^~|&|",
        "MSHA^~\\&A",
        "MSH|aB~\\|",
        "MSH|^~\\&#!|",
    ],
)
def test_a_header_without_its_delimiters_is_refused(header: str) -> None:
    with pytest.raises(Hl7Error):
        parse(header)


@pytest.mark.spec("decisions", "ways in: segment ends")
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_segments_end_with_cr_lf_or_both(end: str) -> None:
    message = parse(end.join([HEADER, "PID|||1", "PV1|||Ward"]) + end)
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "PV1"]
    assert message.find("PV1").get(3) == "Ward"


@pytest.mark.spec("decisions", "ways in: segment ends")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\x0b", "\x1c\r"),
        ("\ufeff", ""),
        ("\r\n\r\n", "\r\n\r\n"),
        ("  \n", " \n"),
        ("\ufeff\x0b", "\r\x1c\r"),
    ],
    ids=["mllp", "bom", "blank lines", "spaces", "bom and mllp"],
)
def test_what_surrounds_a_message_is_tolerated(before: str, after: str) -> None:
    message = parse(f"{before}{HEADER}\rPID|||1\r{after}")
    assert [segment.name for segment in message.segments] == ["MSH", "PID"]


@pytest.mark.spec("decisions", "ways in: segment ends")
def test_blank_lines_between_segments_are_tolerated() -> None:
    assert len(parse(f"{HEADER}\r\r\n \rPID|||1").segments) == 2


@pytest.mark.spec("decisions", "ways in: segment ends")
@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\x0c", "\x1e"])
def test_nothing_but_cr_and_lf_ends_a_segment(mark: str) -> None:
    message = parse(f"{HEADER}\rPID|||1||Smi{mark}th")
    assert len(message.segments) == 2
    assert message.find("PID").get(5) == f"Smi{mark}th"


@pytest.mark.spec("hl7-api", "message format: escapes")
@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"A\F\B", "A|B"),
        (r"A\S\B", "A^B"),
        (r"A\T\B", "A&B"),
        (r"A\R\B", "A~B"),
        (r"A\E\B", r"A\B"),
        (r"A\.br\B", "A\nB"),
        (r"A\X42\C", "ABC"),
        (r"A\XC3A9\C", "AéC"),
        (r"A\Xc3a9\C", "AéC"),
        (r"\H\bold\N\ text", "bold text"),
        (r"A\Zx\B", r"A\Zx\B"),
        (r"A\.sp3\B", r"A\.sp3\B"),
        (r"A\X4\B", r"A\X4\B"),
        (r"A\XZZ\B", r"A\XZZ\B"),
        (r"A\X00\B", r"A\X00\B"),
        (r"A\B", r"A\B"),
        (r"A\E\F\E\B", r"A\F\B"),
        (r"\T\\T\\T\ "[:-1], "&&&"),
        ("A\\", "A\\"),
        ("\\\\", "\\\\"),
    ],
)
def test_escapes_are_read_once_and_unknown_ones_kept(sent: str, read: str) -> None:
    assert Delimiters().unescape(sent) == read


@pytest.mark.spec("hl7-api", "message format: escapes")
def test_an_escaped_delimiter_does_not_cut_the_field() -> None:
    found = parse(HEADER + r"||PID" + "\r" + r"PID|||1||O\T\Neill\S\Smith^Jo\R\hn").find("PID")
    assert found.get(5) == "O&Neill^Smith"
    assert found.get(5, 2) == "Jo~hn"


@pytest.mark.spec("hl7-api", "message format: escapes")
@settings(max_examples=100, deadline=None, database=None)
@given(st.text(alphabet="FSTREHNX.br0A\\", max_size=300))
def test_any_text_of_escape_characters_is_read(text: str) -> None:
    Delimiters().unescape(text)


@pytest.mark.spec("decisions", "ways in: charset")
@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-8", ""),
        ("utf-8", "UNICODE UTF-8"),
        ("utf-8-sig", ""),
        ("utf-8-sig", "UNICODE UTF-8"),
        ("iso-8859-1", "8859/1"),
        ("iso-8859-1", "ISO-8859-1"),
        ("iso-8859-15", "8859/15"),
        ("windows-1252", "windows-1252"),
        ("utf-16", ""),
    ],
)
def test_the_character_set_of_the_header_reads_the_message(codec: str, named: str) -> None:
    header = f"{HEADER}||||||{named}"
    body = f"{header}\rPID|||1||Müller".encode(codec)
    text, read_by = decode(body)
    message = parse(text)
    assert message.find("PID").get(5) == "Müller"
    assert body.decode(read_by).endswith("Müller")


@pytest.mark.spec("decisions", "ways in: charset")
@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_the_mark_of_utf_16_decides_before_all_else(mark: bytes) -> None:
    codec = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    text, _ = decode(mark + HEADER.encode(codec), "iso-8859-1")
    assert parse(text).control_id == "m-1"


@pytest.mark.spec("decisions", "ways in: charset")
def test_the_content_type_wins_over_the_header() -> None:
    body = f"{HEADER}||||||8859/1\rPID|||1||Müller".encode()
    assert parse(decode(body, "utf-8")[0]).find("PID").get(5) == "Müller"
    assert parse(decode(body)[0]).find("PID").get(5) == "MÃ¼ller"


@pytest.mark.spec("decisions", "ways in: charset")
def test_the_euro_sign_tells_8859_15_from_8859_1() -> None:
    body = f"{HEADER}||||||8859/15\rPID|||1||".encode() + b"\xa4"
    assert parse(decode(body)[0]).find("PID").get(5) == "€"


@pytest.mark.spec("decisions", "ways in: charset")
@pytest.mark.parametrize("charset", ["utf8", "UTF-8", " utf-8 ", "Latin1", "CP1252", "us-ascii"])
def test_other_names_of_a_character_set_are_understood(charset: str) -> None:
    assert decode(HEADER.encode(), charset)[0] == HEADER


@pytest.mark.spec("decisions", "ways in: charset")
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "charset", "code"),
    [
        (a28(name="Müller^Jo").encode("iso-8859-1"), "", "undecodable"),
        (a28(name="Müller^Jo").encode(), "us-ascii", "undecodable"),
        (a28(name="M^J").encode().replace(b"M^J", b"\x81^J"), "windows-1252", "undecodable"),
        (b"\xff\xfe" + a28().encode("utf-16-le") + b"\x00", "", "undecodable"),
        (a28().encode("utf-16-le"), "utf-16", "unsupported-charset"),
        (a28().encode(), "ebcdic", "unsupported-charset"),
        (a28().replace("|P|2.4\r", "|P|2.4||||||KLINGON\r").encode(), "", "unsupported-charset"),
    ],
    ids=[
        "latin as utf-8",
        "not ascii",
        "hole of 1252",
        "half a unit",
        "utf-16 unmarked",
        "unknown",
        "unknown MSH-18",
    ],
)
def test_undecodable_bytes_are_refused_and_never_replaced(
    mailco: Sender, raw: bytes, charset: str, code: str
) -> None:
    answered = mailco.answer(raw, charset=charset)
    assert answered.ack.verdict == "AR"
    assert parse(answered.ack.text).find("ERR").get(7) == code
    assert not Patient.objects.exists()


@pytest.mark.spec("decisions", "ways in: charset")
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("codec", "named"),
    [("utf-8", ""), ("iso-8859-1", "8859/1"), ("windows-1252", "windows-1252"), ("utf-16", "")],
)
def test_the_worker_reads_the_bytes_as_the_door_did(mailco: Sender, codec: str, named: str) -> None:
    text = a28(name="Müller-Lüdenscheid^Zoë").replace("|P|2.4\r", f"|P|2.4||||||{named}\r")
    answered = mailco.answer(text.encode(codec))
    assert answered.ack.verdict == "AA"
    patient = Patient.objects.get()
    assert (patient.family_name, patient.given_name) == ("Müller-Lüdenscheid", "Zoë")


@pytest.mark.spec("hl7-api", "message format")
@pytest.mark.parametrize(
    "marks", ["|^~\\&", "|^~\\&#", "$%*!@", "*:?;=", "|^~.&", "|+-\\&", "-^~\\&"]
)
def test_an_acknowledgement_is_read_back_whole_in_the_senders_delimiters(marks: str) -> None:
    parts = ["MSH", marks[1:], "App", "", "", "", "", "", f"ADT{marks[1]}A28", "id7"]
    error = Hl7Error("A^B|C&D~E\\F-G+H.I [x]", code="some-code", hint="10 - 3 + 1 = 8.")
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    ack = parse(acknowledge(parse(marks[0].join(parts)), at, error).text)
    assert ack.find("MSA").get(2) == "id7"
    assert ack.find("MSA").get(3) == "A^B|C&D~E\\F-G+H.I [x]"
    assert ack.find("ERR").get(7) == "some-code"
    assert ack.find("ERR").get(8) == "10 - 3 + 1 = 8."
    assert ack.msh.get(7) == "20260102030405+0000"
    assert ack.control_id == "PKB-20260102030405+0000"


@pytest.mark.spec("decisions", "ways in: segment ends")
@pytest.mark.django_db
def test_a_framed_message_with_line_feeds_is_applied(mailco: Sender) -> None:
    raw = b"\x0b" + a28().replace("\r", "\n").encode() + b"\x1c\r"
    assert verdict(mailco.send(raw)) == "AA"
    assert Patient.objects.count() == 1


@pytest.mark.spec("hl7-api", "message format")
@pytest.mark.django_db
def test_segments_and_fields_that_are_not_needed_are_ignored(mailco: Sender) -> None:
    more = "EVN|A28|20260101\rZZZ|whatever|\rPD1|||Practice\r"
    assert verdict(mailco.send(a28() + more)) == "AA"
    assert verdict(mailco.send(siu(more=more).replace("|2.4\r", "|9.9||x^y~z\r"))) == "AA"


@pytest.mark.spec("hl7-api", "PID")
@pytest.mark.django_db
def test_identifiers_are_read_from_the_deprecated_pid_2_too(mailco: Sender) -> None:
    message = msh("ADT^A28") + pid(identifiers="").replace("PID|||", f"PID||{NHS}^^^NHS^NH|")
    assert verdict(mailco.send(message)) == "AA", told(mailco.send(message))
    assert Patient.objects.get().identifiers.get().value == NHS
