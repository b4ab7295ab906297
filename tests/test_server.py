"""The product as a sender meets it: real server, real worker, stock clients."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import zeep
from django.conf import settings
from zeep.transports import Transport

from tests.messages import a28, basic, mdm, siu
from tests.server import MAILCO, ROOT, Server, running, wait_for

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
EXAMPLE = ROOT / "docs" / "examples" / "a28-partner.hl7"
PUBLISHED_ID = "f691896e-977f-4f06-91ee-625155ca71f8"
SOAP = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:wss="http://wsssl.hl7api.patientsknowbest.com/"><soapenv:Header/><soapenv:Body>'
    "<wss:acceptMessage><arg0>{}</arg0></wss:acceptMessage></soapenv:Body></soapenv:Envelope>"
)
XML = {"Content-Type": "text/xml"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("var"), HL7_IDLE_SECONDS="2") as server:
        yield server


def fresh(name: str) -> str:
    """Return a control id that no other test uses."""
    return f"{name}-{time.monotonic_ns()}"


def demonstration_patient(given: str = "Plain", born: str = "19700101") -> dict[str, str]:
    """Return the PID of the first demonstration patient."""
    return {"identifiers": "9990000018^^^NHS^NH", "name": f"Match^{given}", "born": born}


def signed_in(server: Server, username: str) -> requests.Session:
    """Return a browser's session of a demonstration user."""
    session = requests.Session()
    page = session.get(f"{server.url}/admin/login/", timeout=10).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    done = session.post(
        f"{server.url}/admin/login/",
        {
            "username": username,
            "password": "demonstration-only",
            "csrfmiddlewaretoken": token[1],
            "next": "/admin/",
        },
        timeout=10,
    )
    assert (done.status_code, done.url) == (200, f"{server.url}/admin/")
    return session


@pytest.mark.spec("Partner connections", "Authorisation")
def test_the_published_message_reaches_the_record_within_a_second(server: Server) -> None:
    done = subprocess.run(
        ["curl", "-s", "-u", ":".join(MAILCO), "--data-binary", f"@{EXAMPLE}", f"{server.url}/hl7"],
        capture_output=True,
        check=True,
        text=True,
    )
    answered = time.monotonic()
    session = signed_in(server, "staff")

    assert f"MSA|AA|{PUBLISHED_ID}" in done.stdout
    assert server.settled(PUBLISHED_ID, 10) == "applied"
    told = server.status(PUBLISHED_ID).json()
    assert told["applied_at"] >= told["received_at"]
    page = session.get(f"{server.url}/admin/records/patient/", timeout=10).text
    assert "20191029" in page
    assert "MailCo on behalf of Royal Example NHS Trust" in page
    assert time.monotonic() - answered < 10


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.spec("hl7-api", "message format: segment ends")
def test_curl_may_end_its_lines_in_any_way(server: Server, tmp_path: Path, end: str) -> None:
    control_id = fresh("curl")
    file = tmp_path / "message.hl7"
    body = a28(control_id, **demonstration_patient()).replace("\r", end)
    file.write_bytes(body.encode())

    done = subprocess.run(
        ["curl", "-s", "-u", ":".join(MAILCO), "--data-binary", f"@{file}", f"{server.url}/hl7"],
        capture_output=True,
        check=True,
        text=True,
    )

    assert f"MSA|AA|{control_id}" in done.stdout


@pytest.mark.spec("hl7-api", "connecting: SOAP envelope")
def test_a_stock_soap_client_works_from_the_wsdl(server: Server) -> None:
    session = requests.Session()
    session.auth = MAILCO
    client = zeep.Client(
        f"{server.url}/services/hl7?wsdl", transport=Transport(session=session, timeout=10)
    )
    control_id = fresh("zeep")

    answer = client.service.acceptMessage(a28(control_id, **demonstration_patient()))

    assert answer.startswith("MSH|^~\\&|HL7API|PKB|")
    assert answer.split("\r")[1] == f"MSA|AA|{control_id}"


def test_our_sender_sends_many_files_and_tells_by_its_exit_status(
    server: Server, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.hl7", tmp_path / "bad.hl7"
    ids = [fresh("send") for _ in range(6)]
    good.write_text("".join(a28(one, **demonstration_patient()) for one in ids))
    bad.write_text(a28(fresh("bad"), kind="ADT^A40"))
    command = [
        sys.executable,
        str(ROOT / "manage.py"),
        "send",
        "--url",
        f"{server.url}/hl7",
        "--concurrency",
        "3",
    ]
    environment = server.environment | {"HL7_USER": ":".join(MAILCO), "COLUMNS": "200"}

    all_good = subprocess.run(
        [*command, str(good)], env=environment, capture_output=True, text=True, check=False
    )
    with_bad = subprocess.run(
        [*command, str(good), str(bad)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (all_good.returncode, with_bad.returncode) == (0, 1), all_good.stderr
    assert "6 AA" in all_good.stdout
    assert "1 AR" in with_bad.stdout
    assert "Unknown messageType received from HL7" in with_bad.stdout


@pytest.mark.spec("decisions", "the same bytes again")
def test_the_same_bytes_again_get_the_same_answer(server: Server) -> None:
    body = a28(fresh("again"), **demonstration_patient())

    first, second = server.post(body), server.post(body)

    assert first.content == second.content
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


def test_a_document_of_five_megabytes_arrives_whole(server: Server) -> None:
    content = b"%PDF-1.7\n" + bytes(range(256)) * 20_000
    data = base64.b64encode(content).decode()
    control_id = fresh("large")
    body = mdm(
        number=control_id,
        control_id=control_id,
        obx=f"OBX|1|ED|||^APPLICATION^PDF^Base64^{data}\r",
        **demonstration_patient(),
    )

    assert f"MSA|AA|{control_id}" in server.post(body).text
    assert server.settled(control_id) == "applied"
    parts = server.ask(f"Document.objects.get(external_id='{control_id}').parts")
    assert parts[0]["size"] == len(content)


def test_held_rejected_and_unknown_messages_are_told_apart(server: Server) -> None:
    held, other = fresh("held"), fresh("other")
    server.post(siu(placer=held, control_id=held, **demonstration_patient(born="19700110")))
    server.post(siu(placer=other, control_id=other, **demonstration_patient()))

    assert server.settled(held) == "held"
    told = server.status(held).json()
    assert (told["reason"], told["control_id"]) == ("soft-match", held)
    assert "19700110" not in server.status(held).text
    assert server.settled(other) == "applied"
    assert server.status("never-sent").status_code == 404


def test_nobody_else_can_ask_about_a_message(server: Server) -> None:
    control_id = fresh("mine")
    server.post(a28(control_id, **demonstration_patient()))
    secret = server.ask(
        "services.rotate_secret(credential=Credential.objects.get(username='org_riverside'), "
        "overlap=__import__('datetime').timedelta(), by=User.objects.get(username='staff'))"
    )

    wait_for(lambda: server.status(control_id, ("org_riverside", secret)).status_code == 404, 3)
    assert server.status(control_id).status_code == 200
    assert server.status(control_id, ("partner_mailco", "wrong")).status_code == 401


def test_the_newest_of_two_messages_with_one_control_id_is_told_with_the_other(
    server: Server,
) -> None:
    control_id = fresh("twice")
    server.post(a28(control_id, **demonstration_patient()))
    server.post(siu(placer=control_id, control_id=control_id, **demonstration_patient()))

    told = server.status(control_id).json()

    assert told["type"] == "SIU^S12"
    assert [other["type"] for other in told["others"]] == ["ADT^A28"]


@pytest.mark.spec("decisions", "ways in")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 401),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Bearer x"}, 401),
        ({"Authorization": "Basic " + base64.b64encode(b"nocolon").decode()}, 401),
        ({"Authorization": basic("partner_mailco", "wrong")}, 401),
        ({"Authorization": basic("nobody", "testing")}, 401),
        ({"Authorization": basic(*MAILCO), "Content-Type": "application/json"}, 415),
        ({"Authorization": basic(*MAILCO), "Content-Encoding": "gzip"}, 415),
        ({"Authorization": basic(*MAILCO), "Content-Length": "20971521"}, 413),
    ],
)
def test_a_call_that_may_not_come_in_is_turned_away(
    server: Server, headers: dict[str, str], expected: int
) -> None:
    request = requests.Request("POST", f"{server.url}/hl7", data=b"MSH|").prepare()
    request.headers.update(headers)

    response = requests.Session().send(request, timeout=10)

    assert response.status_code == expected
    assert b"Traceback" not in response.content
    if expected == 401:
        assert response.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_get_is_told_to_post(server: Server) -> None:
    response = requests.get(f"{server.url}/hl7", auth=MAILCO, timeout=10)

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


def test_a_body_that_grows_past_the_limit_is_cut_off(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(21):
            yield b"x" * 1024 * 1024

    try:
        response = server.post(chunks())  # type: ignore[arg-type]
    except requests.ConnectionError:
        return  # the server closed the connection while we were still sending
    assert response.status_code == 413


def test_the_largest_message_is_read_and_one_byte_more_is_not(server: Server) -> None:
    head = a28(fresh("largest"), **demonstration_patient()).encode() + b"NTE|1||"
    body = head + b"x" * (settings.HL7_MAX_BYTES - len(head))

    assert "MSA|AA" in server.post(body).text
    assert server.post(body + b"x").status_code == 413


@pytest.mark.parametrize(
    "envelope",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]>' + SOAP.format("&b;"),
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x">' + SOAP.format("MSH|"),
        SOAP.format("MSH|")[:120],
        "<a/>",
        "not xml",
        "",
    ],
)
def test_a_broken_envelope_is_a_soap_fault(server: Server, envelope: str) -> None:
    response = server.post(envelope, url=f"{server.url}/services/hl7", headers=XML)

    assert response.status_code == 500
    assert "soap:Client" in response.text
    assert "Fault" in response.text


def test_a_message_in_cdata_is_answered_in_an_envelope(server: Server) -> None:
    control_id = fresh("cdata")
    message = a28(control_id, **demonstration_patient())
    envelope = SOAP.format(f"<![CDATA[{message}]]>")

    response = server.post(envelope, url=f"{server.url}/services/hl7", headers=XML)

    assert response.status_code == 200
    assert f"MSA|AA|{control_id}" in response.text
    assert "&#13;" in response.text


def slow_client(server: Server) -> socket.socket:
    """Return a connection that has promised a message and sends ten bytes of it."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    credential = basic(*MAILCO)
    connection.sendall(
        f"POST /hl7 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {credential}\r\n"
        "Content-Length: 1000\r\n\r\nMSH|^~\\&|A".encode()
    )
    return connection


def test_slow_clients_hold_nobody_up_and_are_told(server: Server) -> None:
    slow = [slow_client(server) for _ in range(200)]
    begun = time.monotonic()

    answers = [server.post(a28(fresh("quick"), **demonstration_patient())) for _ in range(5)]

    assert all("MSA|AA" in answer.text for answer in answers)
    assert time.monotonic() - begun < 5
    assert slow[0].recv(100).startswith(b"HTTP/1.1 408")
    for connection in slow:
        connection.close()


@pytest.mark.spec("hl7-api", "connecting: IP allow-list")
def test_an_address_outside_the_networks_is_refused_whatever_it_claims(server: Server) -> None:
    server.ask(
        "services.allow_network(cidr='192.0.2.0/24', credential=Credential.objects.get("
        "username='partner_mailco'), by=User.objects.get(username='staff')).pk"
    )
    body = a28(fresh("address"), **demonstration_patient())
    try:
        wait_for(lambda: server.post(body).status_code == 403, 3)
        forged = {
            "X-Forwarded-For": "192.0.2.1",
            "X_Forwarded_For": "192.0.2.1",
            "X-Real-IP": "192.0.2.1",
            "Forwarded": "for=192.0.2.1",
        }
        response = server.post(body, headers=forged)
        assert response.status_code == 403
        assert response.text == "This request is not allowed.\n"
    finally:
        server.ask("[network.delete() for network in Network.objects.all()]")
        wait_for(lambda: server.post(body).status_code == 200, 3)


@pytest.mark.parametrize(
    ("stop", "undo", "expected"),
    [
        ("services.suspend_access", "services.resume_access", "MSA|AR"),
        ("services.revoke_secret", "", "401"),
    ],
)
def test_what_is_stopped_stops_within_a_second(
    server: Server, stop: str, undo: str, expected: str
) -> None:
    by = "by=User.objects.get(username='staff')"
    if "secret" in stop:
        secret = server.ask(
            f"services.issue_credential(username='{fresh('s')}', "
            f"partner=Partner.objects.get(), {by})[1]"
        )
        target = "secret=Secret.objects.first()"
        username = server.ask("Credential.objects.order_by('pk').last().username")
        auth = (username, secret)
    else:
        target, auth = "grant=Grant.objects.get()", MAILCO

    def answer() -> str:
        response = server.post(a28(fresh("stop"), **demonstration_patient()), auth)
        return f"{response.status_code} {response.text}"

    wait_for(lambda: "MSA|AA" in answer(), 3)
    server.ask(f"{stop}({target}, {by}).pk")  # returns when the change is committed
    time.sleep(1)
    assert expected in answer()
    if undo:
        server.ask(f"{undo}({target}, {by}).pk")
        wait_for(lambda: "MSA|AA" in answer(), 3)


def test_health_and_readiness_are_told(server: Server) -> None:
    assert requests.get(f"{server.url}/healthz", timeout=10).json() == {"status": "ok"}
    told = requests.get(f"{server.url}/readyz", timeout=10).json()
    assert told["ready"]
    assert set(told) == {"ready", "database", "migrations", "broker", "oldest_waiting_seconds"}


def test_ten_thousand_segments_are_answered(server: Server) -> None:
    body = a28(fresh("many"), **demonstration_patient()) + "NTE|1||x\r" * 10_000

    assert "MSA|AA" in server.post(body).text


def test_nobody_is_told_more_than_that_something_failed(server: Server) -> None:
    response: Any = server.post(b"\xff\xfe\x00garbage" * 10)

    assert response.status_code == 200
    assert "MSA|AR" in response.content.decode("utf-16", "replace") + response.text
