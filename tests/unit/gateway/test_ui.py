"""What pages of the dashboard are made of."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.contracts.errors import InvalidRequestError
from taskmill.contracts.events import EventType, TaskEvent
from taskmill.gateway.ui.json_fields import labels_of, parse_json, typed_labels
from taskmill.gateway.ui.new_task import fields_of
from taskmill.gateway.ui.rendering import count, duration, pretty, shown
from taskmill.gateway.ui.task import timeline, trace_address

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "—"),
        (0.0, "0 ms"),
        (0.0214, "21 ms"),
        (3.14, "3.1 s"),
        (42.0, "42 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7_199.0, "119 min"),
        (7_200.0, "2 h"),
        (172_800.0, "2 d"),
    ],
)
def test_spans_are_told_in_two_figures(seconds: float | None, said: str) -> None:
    """In the largest unit of which there are two."""
    assert duration(seconds) == said


def test_counts_say_when_they_stopped() -> None:
    """And when nothing is known."""
    assert [count(None), count(7), count(1_234_567), count(10_000, 10_000)] == ["…", "7", "1,234,567", "10,000+"]


def test_integers_are_told_exactly() -> None:
    """However large, as JSON has them; letters as they are."""
    assert pretty({"n": 2**63 - 1, "ö": 1}) == '{\n  "n": 9223372036854775807,\n  "ö": 1\n}'


def test_a_value_is_indented_while_that_is_small() -> None:
    """Else it stands on one line, of which the beginning is shown."""
    assert shown([1, 2], 12) == ("[\n  1,\n  2\n]", False)
    assert shown([1, 2], 11) == ("[1,2]", False)
    assert shown([1, 2], 4) == ("[1,2", True)


def test_a_timeline_has_what_matters_with_the_time_between() -> None:
    """Progress and lines stand elsewhere; a second queueing is told as such."""
    types = ["created", "queued", "started", "progressed", "logged", "scheduled", "queued", "started", "completed"]
    events = [
        TaskEvent(
            id=f"x.{number}",
            type=EventType(name).cloud_event_type,
            subject="01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42",
            time=NOW + timedelta(seconds=number),
            sequence=number + 1,
            data={"attempt": 1},
        )
        for number, name in enumerate(types)
    ]
    told = timeline(events)
    assert [(milestone.what, milestone.seconds) for milestone in told] == [
        ("created", None),
        ("queued", 1.0),
        ("started", 1.0),
        ("scheduled", 3.0),
        ("queued again", 1.0),
        ("started", 1.0),
        ("completed", 1.0),
    ]


def test_a_trace_is_where_the_operator_says() -> None:
    """Where nobody says, or nothing is traced, there is no link."""
    url = "https://traces.example.org/?id={trace_id}&x=1"
    assert trace_address(url, "4bf9") == "https://traces.example.org/?id=4bf9&x=1"
    assert trace_address(None, "4bf9") is trace_address(url, None) is None


def test_a_schema_makes_fields() -> None:
    """Of what it names; what is no plain value is typed as JSON, and what is no schema makes none."""
    schema = {
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {"type": "string", "description": "Where to."},
            "fit": {"enum": ["cover", "contain"], "default": "cover"},
            "width": {"type": "integer"},
            "is_fast": {"type": "boolean"},
            "tags": {"type": "array"},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "odd": True,
        },
    }
    told = [(field.name, field.type, field.choices, field.is_required, field.default) for field in fields_of(schema)]
    assert told == [
        ("url", "string", (), True, ""),
        ("fit", "string", ("cover", "contain"), False, '"cover"'),
        ("width", "integer", (), False, ""),
        ("is_fast", "boolean", (), False, ""),
        ("tags", "json", (), False, ""),
        ("either", "json", (), False, ""),
        ("odd", "json", (), False, ""),
    ]
    assert fields_of(None) == fields_of({"type": "array"}) == fields_of({"type": "object", "properties": 7}) == ()


def test_labels_are_typed_one_a_line() -> None:
    """A value may have colons; a line without one is no label."""
    assert labels_of("a: b\n\n at : 12:30 \n") == {"a": "b", "at": "12:30"}
    for wrong in ("a: b\nc", "a: b\na: c", 'a: "b', 'a: "b" c', 'a: "\\ud800"'):
        with pytest.raises(InvalidRequestError) as refused:
            labels_of(wrong)
        assert [problem.pointer for problem in refused.value.problem().errors] == ["/labels"], wrong


@given(
    st.dictionaries(
        st.sampled_from(["a", "b/c", "d.e"]), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
    )
)
def test_labels_in_a_form_are_read_as_they_are(labels: dict[str, str]) -> None:
    """Whatever their values are: lines, quotes, spaces around them."""
    assert labels_of(typed_labels(labels)) == labels


@pytest.mark.parametrize("text", ["{", "NaN", '"\\u0000"', "1e999", '{"a":1,"a":', "[" * 33 + "]" * 33])
def test_what_is_no_json_is_refused_where_it_stands(text: str) -> None:
    """With the place of its field."""
    with pytest.raises(InvalidRequestError) as refused:
        parse_json(text, "/payload")
    assert [problem.pointer for problem in refused.value.problem().errors] == ["/payload"]
