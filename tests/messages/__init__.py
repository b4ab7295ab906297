"""Messages: files by name beside this module, and small ones made from parts."""

import base64

from hl7ingest.hl7v2 import parse

NHS = "9990000018"  # valid, of the test range


def basic(username: str, secret: str) -> str:
    """Return an Authorization header."""
    return "Basic " + base64.b64encode(f"{username}:{secret}".encode()).decode()


def msh(
    kind: str,
    *,
    facility: str = "trustalias{trustalias}",
    control_id: str = "m-1",
    sent: str = "20260101120000+0000",
) -> str:
    """Return an MSH segment."""
    return f"MSH|^~\\&|App|{facility}|HL7API|PKB|{sent}||{kind}|{control_id}|P|2.4\r"


def pid(
    identifiers: str = f"{NHS}^^^NHS^NH",
    name: str = "Smith^John",
    born: str = "19700101",
    rest: str = "|M",
) -> str:
    """Return a PID segment: PID-3, PID-5, PID-7 and `rest` from PID-8."""
    return f"PID|||{identifiers}||{name}||{born}{rest}\r"


def a28(control_id: str = "a28-1", **given: str) -> str:
    """Return an A28; `identifiers`, `name`, `born`, `rest` are PID's, the others MSH's."""
    person = {
        key: given.pop(key) for key in ("identifiers", "name", "born", "rest") if key in given
    }
    return msh(given.pop("kind", "ADT^A28"), control_id=control_id, **given) + pid(**person)


def siu(
    event: str = "S12",
    placer: str = "appt-1",
    control_id: str = "siu-1",
    sch: str = "||||||^Check-up||||^^^20260301093000+0000^20260301100000+0000",
    location: str = "Clinic 1",
    more: str = "",
    **given: str,
) -> str:
    """Return an SIU; `sch` is what follows SCH-1, `more` further segments after PV1."""
    person = {
        key: given.pop(key) for key in ("identifiers", "name", "born", "rest") if key in given
    }
    pv1 = f"PV1|||^^^^^^^^{location}\r" if location else ""
    header = msh(f"SIU^{event}", control_id=control_id, **given)
    return f"{header}{pid(**person)}SCH|{placer}{sch}\r{pv1}{more}"


def mdm(
    event: str = "T02",
    number: str = "doc-1",
    control_id: str = "mdm-1",
    kind: str = "DL",
    obx: str = "OBX|1|TX|||Dear patient\r",
    more: str = "",
    **given: str,
) -> str:
    """Return an MDM; `obx` are its OBX segments, `more` what stands between TXA and OBX."""
    person = {
        key: given.pop(key) for key in ("identifiers", "name", "born", "rest") if key in given
    }
    header = msh(f"MDM^{event}", control_id=control_id, **given)
    if event == "T11":
        return f"{header}{pid(**person)}TXA||||||||||||{number}\r"
    txa = f"TXA|1|{kind}||20260102090000+0000||||||||{number}||||letter.txt|AU\r"
    return f"{header}{pid(**person)}{txa}{more}{obx}"


def verdict(ack: str) -> str:
    """Return MSA-1 of an acknowledgement."""
    return parse(ack).find("MSA").get(1)


def told(ack: str) -> str:
    """Return MSA-3 of an acknowledgement, its escapes read."""
    return parse(ack).find("MSA").get(3)
