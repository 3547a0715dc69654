"""What an API key looks like: clients, scanners and every version rely on it."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from taskmill.contracts.key_text import new_key, read_key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = "tm_mwtz6nk0abcdefgh_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg_0WfSLH"


def test_a_key_is_three_words_and_a_check() -> None:
    """A double click selects all of it, and scanners know it by its form."""
    assert re.fullmatch(r"tm_[0-9a-z]{16}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", new_key(NOW))


def test_what_is_kept_of_a_key_stays_the_same_in_every_version() -> None:
    """A key that was made once must be known for as long as it is kept."""
    parts = read_key(KEY)
    assert parts is not None
    assert parts.id == "mwtz6nk0abcdefgh"
    assert parts.digest == "165b8fc5a7a54ad5e313bbbb45ce437d7a58b4bf5dc5534ab0261db64f5b4f83"


def test_no_two_keys_are_the_same_and_later_ones_sort_behind() -> None:
    """Lists are sorted by id, which means by age."""
    keys = [new_key(NOW + timedelta(milliseconds=number)) for number in range(100)]
    ids = [parts.id for parts in map(read_key, keys) if parts is not None]
    assert ids == sorted(ids)
    assert len({key.split("_")[2] for key in keys}) == len({*ids}) == 100


@pytest.mark.parametrize("position", range(len(KEY)))
def test_a_key_that_was_mistyped_is_none(position: int) -> None:
    """Whichever character is another, the check tells."""
    other = "x" if KEY[position] != "x" else "y"
    assert read_key(KEY[:position] + other + KEY[position + 1 :]) is None


@pytest.mark.parametrize("text", ["", "tm_", KEY + "\n", KEY + "x", KEY[:-1], f" {KEY}", KEY.upper(), "tm_ä_ö_ü"])
def test_what_is_no_key_is_none(text: str) -> None:
    """Neither more nor less than a key is one."""
    assert read_key(text) is None
