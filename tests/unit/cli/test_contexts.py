"""Which gateway is meant, and where contexts are kept."""

import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from taskmill.cli.connecting import find_target
from taskmill.cli.contexts import (
    Context,
    ContextFileError,
    Contexts,
    NoSuchContextError,
    changed_contexts,
    contexts_file,
    is_name,
    read_contexts,
    write_contexts,
)

CONTEXTS = Contexts(
    in_use="used",
    contexts={
        "used": Context(url="http://used"),
        "named": Context(url="http://named", api_key=SecretStr("k1")),
        "set": Context(url="http://set"),
    },
)


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a user who has none yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return contexts_file()


def test_what_says_where_the_gateway_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, then TASKMILL_URL, TASKMILL_CONTEXT, the context in use, and the default."""
    assert find_target(None).url == "http://127.0.0.1:8000"
    write_contexts(path, CONTEXTS)
    assert find_target(None).url == "http://used"
    monkeypatch.setenv("TASKMILL_CONTEXT", "set")
    assert find_target(None).url == "http://set"
    monkeypatch.setenv("TASKMILL_URL", "http://by-url")
    target = find_target(None)
    assert (target.url, target.origin, target.api_key) == ("http://by-url", "TASKMILL_URL", None)
    target = find_target("named")
    assert (target.url, target.origin, target.api_key) == ("http://named", "context named", "k1")
    assert "k1" not in repr(target)


def test_a_name_of_no_context(path: Path) -> None:
    """It is an error that says which there are."""
    with pytest.raises(NoSuchContextError, match="taskmill context add"):
        find_target("nope")
    write_contexts(path, CONTEXTS)
    with pytest.raises(NoSuchContextError, match="named, set, used"):
        find_target("nope")


def test_only_this_user_reads_them(path: Path) -> None:
    """File and directory are private, and come back as they were."""
    write_contexts(path, CONTEXTS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_contexts(path) == CONTEXTS


@pytest.mark.parametrize("text", ["", "{", "[]", '{"contexts": {"a": {"url": 1, "api_key": "hidden"}}}', "\xff"])
def test_a_file_that_is_none(path: Path, text: str) -> None:
    """It is named, and what it holds is not repeated."""
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ContextFileError, match=r"contexts\.json") as raised:
        read_contexts(path)
    assert "hidden" not in str(raised.value)


def test_names() -> None:
    """A name is one word."""
    assert is_name("a.b-c_1")
    assert not any(map(is_name, ["", "a b", "-a", "a" * 65, "a\n"]))


def test_changes_at_the_same_moment_are_all_kept(path: Path) -> None:
    """Each begins with what the one before has left; one that fails changes nothing."""

    def add(number: int) -> None:
        with changed_contexts(path) as contexts:
            contexts.contexts[f"c{number}"] = Context(url="http://c")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(40)))
    with suppress(NoSuchContextError), changed_contexts(path) as contexts:
        contexts.in_use = "c0"
        contexts.named("nope")
    assert (len(read_contexts(path).contexts), read_contexts(path).in_use) == (40, None)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """No draft of it, which could hold keys."""
    in_the_way = tmp_path / "contexts.json"
    in_the_way.mkdir()
    with pytest.raises(IsADirectoryError):
        write_contexts(in_the_way, CONTEXTS)
    assert list(tmp_path.iterdir()) == [in_the_way]
