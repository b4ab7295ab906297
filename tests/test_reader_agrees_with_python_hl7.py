"""Our reader cuts every message as python-hl7 does: the same segments, fields and parts of fields."""

import string
from typing import Any

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hl7ingest.hl7v2 import Hl7Error, Message, parse

_PUNCTUATION = "!#$%&()*,/:;<=>?@[]^`{|}~"
_TEXT = string.ascii_letters + string.digits + " '\"._-+éßŁ中𝄞"
_NAMES = ["PID", "PV1", "OBX", "NTE", "ZAP", "SCH", "AIP", "ZZ9"]


@st.composite
def messages(draw: st.DrawFn, escapes: tuple[str, ...] = ()) -> tuple[str, list[str]]:
    """Draw a message of any shape in any delimiters; return it with its five delimiters."""
    marks = draw(
        st.one_of(
            st.just(["|", "^", "~", "\\", "&"]),
            st.lists(st.sampled_from(_PUNCTUATION), min_size=5, max_size=5, unique=True),
        )
    )
    field, component, repetition, escape, subcomponent = marks
    letters = st.sampled_from([c for c in _TEXT if c not in marks])
    pieces = (
        letters
        if not escapes
        else st.one_of(
            letters, st.sampled_from(escapes).map(lambda name: f"{escape}{name}{escape}")
        )
    )
    leaf = st.lists(pieces, max_size=6).map("".join)
    part = leaf
    for mark in (subcomponent, component, repetition):
        part = st.lists(part, min_size=1, max_size=3).map(mark.join)
    segment = st.builds(
        lambda name, fields: field.join([name, *fields]),
        st.sampled_from(_NAMES),
        st.lists(part, max_size=6),
    )
    # python-hl7 misreads a header that ends with MSH-2: MSH-3 is always there
    more = draw(st.lists(part, max_size=6))
    header = field.join(["MSH", component + repetition + escape + subcomponent, "App", *more])
    # python-hl7 strips whitespace around the whole message: a last segment protects the others
    lines = [header, *draw(st.lists(segment, max_size=5)), f"ZZZ{field}1"]
    return "\r".join(lines), marks


def oracle_parts(field: Any) -> list[list[list[str]]]:
    """Return repetitions of components of subcomponents as python-hl7 cut them."""
    return [
        [
            [str(sub) for sub in component] if isinstance(component, hl7.Component) else [component]
            for component in (
                repetition if isinstance(repetition, hl7.Repetition) else [repetition]
            )
        ]
        for repetition in field
    ]


def fields_of(message: Message) -> list[list[str]]:
    return [segment.fields for segment in message.segments]


@pytest.mark.spec("hl7-api", "message format")
@settings(max_examples=50, deadline=None, database=None)
@given(messages())
def test_segments_and_fields_are_those_of_python_hl7(drawn: tuple[str, list[str]]) -> None:
    text, _ = drawn
    oracle = hl7.parse(text)
    assert fields_of(parse(text)) == [[str(field) for field in segment] for segment in oracle]


@pytest.mark.spec("hl7-api", "message format")
@settings(max_examples=50, deadline=None, database=None)
@given(messages())
def test_repetitions_components_and_subcomponents_are_those_of_python_hl7(
    drawn: tuple[str, list[str]],
) -> None:
    text, (_, component_mark, _, _, subcomponent_mark) = drawn
    for ours, theirs in zip(parse(text).segments, hl7.parse(text), strict=True):
        first = 3 if ours.name == "MSH" else 1  # MSH-1 and MSH-2 are not cut
        for number in range(first, len(theirs)):
            parts = oracle_parts(theirs[number])
            if not str(theirs[number]).strip():
                assert ours.repetitions(number) == []
                continue
            cut = [
                [part.split(subcomponent_mark) for part in repetition.split(component_mark)]
                for repetition in ours.repetitions(number)
            ]
            assert cut == parts
            for repetition, expected in zip(ours.repetitions(number), parts, strict=True):
                assert ours.components(repetition) == [subs[0].strip() for subs in expected]
            for place, subs in enumerate(parts[0], 1):
                assert ours.get(number, place) == subs[0].strip()
            assert ours.get(number, len(parts[0]) + 1) == ""
        assert ours.get(len(theirs)) == ""


@pytest.mark.spec("hl7-api", "message format")
@settings(max_examples=50, deadline=None, database=None)
@given(messages(escapes=("F", "S", "T", "R", "E")))
def test_escaped_delimiters_are_read_as_by_python_hl7(drawn: tuple[str, list[str]]) -> None:
    text, _ = drawn
    ours, theirs = parse(text), hl7.parse(text)
    for place, segment in enumerate(ours.segments):
        for number in range(3 if segment.name == "MSH" else 1, len(theirs[place])):
            expected = theirs[place].extract_field(1, number, 1, 1, 1)
            assert segment.get(number) == expected.strip()


@pytest.mark.spec("hl7-api", "message format")
@settings(max_examples=30, deadline=None, database=None)
@given(messages(), st.sampled_from(["\r", "\n", "\r\n"]), st.sampled_from(["", "\r", "\n\n", " "]))
def test_line_ends_and_surroundings_change_nothing(
    drawn: tuple[str, list[str]], end: str, after: str
) -> None:
    text, _ = drawn
    assert fields_of(parse(text.replace("\r", end) + after)) == fields_of(parse(text))


@pytest.mark.spec("hl7-api", "message format")
@settings(max_examples=300, deadline=None, database=None)
@given(st.one_of(st.text(max_size=80), st.text(max_size=80).map(lambda text: "MSH" + text)))
def test_whatever_comes_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        message = parse(text)
    except Hl7Error:
        return
    for segment in message.segments:
        for number in range(len(segment.fields) + 1):
            segment.get(number)
            segment.text(number)
            segment.repetitions(number)
