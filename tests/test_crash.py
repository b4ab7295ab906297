"""Nothing that was answered AA is lost, applied twice or out of order, whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import requests

from tests.messages import msh, pid, siu
from tests.server import MAILCO, ROOT, Server, free_port, running, wait_for

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]
SENDERS, ROUNDS = 4, 25
PATIENTS = [  # demonstration patients with a hospital number too
    ("9990000018^^^NHS^NH", "19700101"),
    ("9990000026^^^NHS^NH", "19710202"),
    ("9990000034^^^NHS^NH", "19810703"),
    ("9990000042^^^NHS^NH", "19650512"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, "web", "worker", "worker-2", "beat") as server:
        yield server


def send_rounds(server: Server, number: int) -> list[tuple[str, str]]:
    """Book and re-book one appointment again and again; return what was answered AA, in order."""
    identifiers, born = PATIENTS[number]
    accepted = []
    with requests.Session() as session:
        session.auth = MAILCO
        for turn in range(ROUNDS):
            control_id = f"crash-{number}-{turn}"
            body = siu(
                "S12" if turn % 3 == 0 else "S13",
                placer=f"crash-{number}",
                control_id=control_id,
                sch=f"||||||^Turn {turn}||||^^^20260301093000+0000",
                identifiers=identifiers,
                born=born,
            )
            for _ in range(200):  # no answer, or 503: the same bytes again
                try:
                    answer = session.post(f"{server.url}/hl7", data=body, timeout=30)
                except requests.ConnectionError:
                    time.sleep(0.1)
                    continue
                if answer.status_code == 503:
                    time.sleep(0.1)
                    continue
                assert f"MSA|AA|{control_id}" in answer.text
                accepted.append((control_id, f"Turn {turn}"))
                break
    return accepted


def check(server: Server, accepted: list[list[tuple[str, str]]]) -> None:
    """Hold the database against what the senders were told."""
    wait_for(lambda: server.ask("QueueEntry.objects.count()") == 0, 90)
    outcomes = dict(server.ask("list(Outcome.objects.values_list('message__control_id', 'state'))"))
    effects = server.ask(
        "[(m, [e['action'] for e in effect]) for m, effect in "
        "Outcome.objects.filter(message__control_id__startswith='crash-')"
        ".order_by('message_id').values_list('message__control_id', 'effect')]"
    )
    for number, sent in enumerate(accepted):
        assert [control_id for control_id, _ in sent if outcomes.get(control_id) != "applied"] == []
        mine = [
            actions for control_id, actions in effects if control_id.startswith(f"crash-{number}-")
        ]
        assert len(mine) == len(sent) == ROUNDS
        assert [actions.count("created") for actions in mine] == [1] + [0] * (ROUNDS - 1)
        subjects = server.ask(
            f"list(Appointment.objects.filter(external_id='crash-{number}')"
            ".values_list('subject', flat=True))"
        )
        assert subjects == [sent[-1][1]]


@pytest.mark.spec("decisions", "safe against a crash")
@pytest.mark.parametrize("victims", [("worker", "worker-2"), ("web",), ("beat", "worker", "web")])
def test_killed_processes_lose_nothing_and_repeat_nothing(
    server: Server, victims: tuple[str, ...]
) -> None:
    with ThreadPoolExecutor(SENDERS) as pool:
        sending = [pool.submit(send_rounds, server, number) for number in range(SENDERS)]
        for victim in victims * 2:
            time.sleep(random.uniform(0.05, 0.3))
            server.kill(victim)
            time.sleep(random.uniform(0.05, 0.3))
            server.start(victim)
        accepted = [future.result() for future in sending]
    check(server, accepted)


def flush_broker(server: Server) -> None:
    """Throw away everything that the broker holds."""
    if url := os.environ.get("REDIS_URL"):
        redis.Redis.from_url(url).flushdb()
        return
    for file in (server.var / "broker" / "queue").iterdir():
        file.unlink(missing_ok=True)


def test_a_flushed_broker_loses_nothing(server: Server) -> None:
    with ThreadPoolExecutor(SENDERS) as pool:
        sending = [pool.submit(send_rounds, server, number) for number in range(SENDERS)]
        for _ in range(20):
            flush_broker(server)
            time.sleep(0.05)
        accepted = [future.result() for future in sending]
    check(server, accepted)


def test_messages_wait_for_a_worker_and_then_take_effect_in_order(server: Server) -> None:
    for name in ("worker", "worker-2", "beat"):
        server.kill(name)
    new = "9990000344"  # nobody's yet
    header = msh("ADT^A28", control_id="new-1")
    local = f"{new}^^^NHS^NH~L77^^^ROYAL^MR"
    bodies = [
        header + pid(local, born="19900101"),
        siu(placer="p-1", control_id="new-2", identifiers="L77^^^ROYAL^MR", born="19900101"),
        siu(
            "S15",
            "p-1",
            "new-3",
            sch="",
            location="",
            identifiers=f"{new}^^^NHS^NH",
            born="19900101",
        ),
    ]

    answers = [server.post(body).text for body in bodies]
    server.start("worker")
    server.start("beat")

    assert [answer.split("MSA|")[1][:2] for answer in answers] == ["AA", "AA", "AA"]
    assert [server.settled(f"new-{n}") for n in (1, 2, 3)] == ["applied"] * 3
    assert server.ask("Appointment.objects.get(external_id='p-1').status") == "CANCELLED"


@contextmanager
def serving(var: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run `manage.py serve` on the embedded default."""
    embedded = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(port)],
        env=embedded | {"VAR_DIR": str(var)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return what the process prints, up to the line with `text`."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(seen)


def test_serve_prepares_tells_stops_and_keeps_its_data(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port) as first:
        told = read_until(first, "curl")
        curl = next(line for line in told.splitlines() if "curl" in line)
        answer = subprocess.run(
            ["sh", "-c", curl], capture_output=True, text=True, cwd=ROOT, check=True
        )
        with serving(tmp_path, port) as second:
            complaint, _ = second.communicate(timeout=30)

    assert "MSA|AA|f691896e" in answer.stdout
    assert "royal.admin" in told
    assert second.returncode != 0
    assert f"Port {port} of 127.0.0.1 cannot be used" in complaint
    assert "Traceback" not in complaint
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)

    with serving(tmp_path, port) as third:
        read_until(third, "curl")
        status = requests.get(
            f"http://127.0.0.1:{port}/hl7/messages/f691896e-977f-4f06-91ee-625155ca71f8",
            auth=MAILCO,
            timeout=10,
        )
    assert status.json()["state"] == "applied"
