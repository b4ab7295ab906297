"""The parts of the bench that can be wrong without a server: arithmetic, messages, the table."""

import os

from hypothesis import given
from hypothesis import strategies as st

from config.bench import client, processes
from config.bench.messages import Maker, people, requests
from config.bench.table import Step, median, percentile, table, troubles
from hl7ingest.handlers import understand
from hl7ingest.hl7v2 import parse
from records.changes import PutAppointment, PutDocument, UpdatePatient
from records.identification import is_nhs_number


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


def test_of_nothing_the_percentile_is_nought() -> None:
    assert percentile([], 0.99) == 0


def test_every_patient_has_a_valid_number_of_her_own() -> None:
    first, later = people(300), people(100, start=200)
    assert len({one.number for one in first}) == 300
    assert all(is_nhs_number(one.number) for one in first)
    assert first[200:] == later


def test_messages_are_fresh_small_and_understood() -> None:
    maker = Maker(people(50))
    messages = [*maker.a28s(50), *maker.first_a28s(50, start=50), *maker.mixed(2000)]
    assert len(set(messages)) == len(messages)
    changes = [understand(parse(message.decode())) for message in messages]
    assert all(400 < len(message) < 900 for message in messages)
    mixed = [type(change) for change in changes[100:]]
    assert 0.35 < mixed.count(UpdatePatient) / 2000 < 0.45
    assert 0.30 < mixed.count(PutAppointment) / 2000 < 0.40
    assert 0.20 < mixed.count(PutDocument) / 2000 < 0.30
    assert not any(change.lacking for change in changes if isinstance(change, PutAppointment))


def test_a_request_carries_its_message_whole() -> None:
    message = Maker(people(1)).a28s(1)[0]
    head, _, body = requests([message], 80, "name", "secret")[0].partition(b"\r\n\r\n")
    assert body == message
    assert client.content_length(head) == len(message)
    assert b"Authorization: Basic bmFtZTpzZWNyZXQ=" in head


def test_of_rounds_the_median_is_told_and_all_their_trouble() -> None:
    steps = [
        Step("A28", 8, rate, 1.0, other={"AE": 1}, deadlocks=1, beside=beside)
        for rate, beside in ((100.0, 1000.0), (300.0, 1000.0), (200.0, 1000.0))
    ]
    (told,) = median(steps)
    assert told.rate == 200
    assert told.rate / told.beside == 0.2
    assert troubles([told]) == ["A28, 8 connections: 3 answered AE; 3 deadlocks"]


def test_the_table_has_a_line_for_each_step() -> None:
    steps = [
        Step("pgbench", 8, 9000.0, 0.8),
        Step("A28", 8, 1234.5, 6.5, 20.25, applied=1000.0, cpu={"web": 0.5}, beside=9000.0),
    ]
    lines = table(steps).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[3].split("|")][1:8] == [
        "A28", "8", "1,234", "6.50", "20.2", "1,000", "0.14",
    ]  # fmt: skip


def test_web_worker_and_beat_run_as_the_procfile_says() -> None:
    commands = processes.procfile({"PORT": "8123", "WORKER_CONCURRENCY": "3"})
    assert {"web", "worker", "beat"} <= set(commands)
    assert commands["web"][commands["web"].index("--port") + 1] == "8123"
    assert commands["web"][commands["web"].index("--host") + 1] == "127.0.0.1"
    assert commands["worker"][commands["worker"].index("--concurrency") + 1] == "3"


def test_the_processor_time_of_this_process_is_counted() -> None:
    mine = processes.tree(os.getpid())
    assert processes.cpu(mine) > 0
    assert processes.peak_memory(mine) > 1
