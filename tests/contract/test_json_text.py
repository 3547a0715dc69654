"""What JSON is taken from strangers: exactly what can be kept."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, TypeAdapter, field_validator

from taskmill.contracts.errors import InvalidJsonError, RequestError
from taskmill.contracts.json_text import check_json, is_nested_within, is_same_json, read_json
from taskmill.contracts.limits import MAX_BODY_BYTES, MAX_DOCUMENT_DEPTH, MAX_INTEGER, MIN_INTEGER
from taskmill.contracts.requests import NewTask
from tests.support.bad_bodies import BAD_BODIES, SECRET, BadBody, nested

NEW_TASK = TypeAdapter(NewTask)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(MIN_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_can_be_kept_is_kept(value: object, ensure_ascii: bool) -> None:
    """Any such value is read as it was written, escaped or not."""
    body = json.dumps({"title": "t", "payload": value}, ensure_ascii=ensure_ascii).encode()
    assert json.dumps(read_json(NEW_TASK, body).payload) == json.dumps(value)


@given(values, st.sampled_from([2**63, -(2**63) - 1, 10**30, math.inf, -math.inf, math.nan, "\x00", "a\x00b"]))
def test_what_cannot_be_kept_is_refused_wherever_it_stands(value: object, bad: object) -> None:
    """Beside anything, in an array or an object."""
    for document in ([value, bad], {"a": value, "b": bad}, [[{"x": [bad, value]}]]):
        with pytest.raises(InvalidJsonError):
            check_json(json.dumps(document).encode())


@given(st.binary(max_size=40))
def test_garbage_is_refused_in_our_words(data: bytes) -> None:
    """Whatever bytes come, the outcome is a model or one of our errors."""
    code = None
    try:
        read_json(NEW_TASK, data)
    except RequestError as error:
        code = error.problem().code
    assert code in {None, "invalid_json", "invalid_request"}


@pytest.mark.parametrize(
    "bad", [bad for bad in BAD_BODIES if len(bad.body) <= MAX_BODY_BYTES], ids=lambda bad: bad.name
)
def test_a_bad_body_is_told_without_its_values(bad: BadBody) -> None:
    """No detail, no pointer and no code repeats what was sent."""
    with pytest.raises(RequestError) as caught:
        read_json(NEW_TASK, bad.body)
    assert SECRET not in caught.value.problem().model_dump_json()


def test_a_document_may_nest_so_deep_and_no_deeper() -> None:
    """The limit counts arrays and objects."""
    check_json(json.dumps(nested(MAX_DOCUMENT_DEPTH)).encode())
    with pytest.raises(InvalidJsonError):
        check_json(json.dumps(nested(MAX_DOCUMENT_DEPTH + 1)).encode())
    with pytest.raises(InvalidJsonError):
        check_json(json.dumps(nested(33)).encode(), max_depth=32)


def test_nesting_is_counted_in_levels() -> None:
    """A scalar has none, an array or an object has one more than what it holds."""
    assert is_nested_within(5, 0)
    assert not is_nested_within([], 0)
    assert is_nested_within({"a": [1]}, 2)
    assert not is_nested_within({"a": [1], "b": [[]]}, 2)


def test_problems_are_not_counted_for_ever() -> None:
    """A thousand faults are told as twenty."""
    with pytest.raises(RequestError) as caught:
        read_json(NEW_TASK, json.dumps({"title": "t", **{f"f{number}": 1 for number in range(1_000)}}).encode())
    assert len(caught.value.errors) == 20


class Window(BaseModel):
    """What a validator of a user's looks at."""

    size: int

    @field_validator("size")
    @classmethod
    def check(cls, size: int) -> int:
        """Refuse some sizes, in words or without any."""
        if size == 0:
            raise ValueError("A window has a size.")
        if size < 0:
            raise AssertionError("No window is negative.")
        if size > 9:
            raise ValueError
        return size


@pytest.mark.parametrize(
    ("size", "detail"), [(0, "A window has a size."), (-1, "No window is negative."), (10, "The value is not valid")]
)
def test_the_words_of_a_validator_are_told_as_they_are(size: int, detail: str) -> None:
    """Without what pydantic puts before them."""
    with pytest.raises(RequestError) as caught:
        read_json(TypeAdapter(Window), json.dumps({"size": size}).encode())
    assert [problem.detail for problem in caught.value.problem().errors] == [detail]


@given(values, values)
def test_values_are_the_same_that_are_written_the_same(one: JsonValue, other: JsonValue) -> None:
    """Whatever order the names of objects have."""
    assert is_same_json(one, json.loads(json.dumps(one, sort_keys=True)))
    assert one == other or not is_same_json(one, other)


@pytest.mark.parametrize("value", [1, [1], {"a": [0, {"b": 1}]}])
def test_true_is_not_1(value: JsonValue) -> None:
    """Nor false 0, however deep, although Python takes them for equal."""
    other = json.loads(json.dumps(value).replace("1", "true").replace("0", "false"))
    assert value == other
    assert not is_same_json(value, other)
    assert not is_same_json(value, json.loads(json.dumps(value).replace("1", "1.0")))
