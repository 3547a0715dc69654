"""What is wrong with a command is said before anybody is asked; and how each is to be written."""

import re

import pytest
from typer.testing import CliRunner

from taskmill.cli import reference
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.main import app

ID = "01920f3e-8c2b-7c4e-9d51-3b1f0c6a7d42"
NAME = "1 to 64 of a-z"
KEY = "1 to 64 letters"
HUGE = "99999999999999999999"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "echo", "-d", "hello"], "double quotes"),
        (["submit", "echo", "-d", "@nowhere"], "nowhere: No such file"),
        (["submit", "echo", "--label", "x"], "KEY=VALUE"),
        (["submit", "echo", "--run-at", "tomorrow"], "+5m"),
        (["submit", "echo", "--wait", "--no-process"], "exclude"),
        (["submit", "echo", "--follow", "-o", "json"], "jsonl"),
        (["get", "123"], "UUID"),
        (["watch"], "--all"),
        (["watch", ID, "--kind", "echo"], "--all"),
        (["watch", "--all", "-o", "json"], "jsonl"),
        (["events", "--follow", "-o", "json"], "jsonl"),
        (["migrate", "status"], "TASKMILL_DATABASE_URL"),
        (["context", "add", "a b", "http://x"], "NAME"),
        (["context", "add", "a", "x"], "http://"),
        (["context", "add", "a", "http://[::1"], "http://"),
        (["context", "add", "a", "http://[x"], "http://"),
        (["processor", "run", "--queues", "good,B@d", "a:b"], "'B@d'"),
        (["submit", "echo", "--debounce", "5"], "--unique-key"),
        (["submit", "echo", "--unique-key", "a/b"], "200 visible"),
        (["nope"], "No such command"),
        (["queue", "pause"], "QUEUE"),
        (["queue", "pause", "bad name"], NAME),
        (["queue", "resume", ".."], NAME),
        (["queue", "show", "A"], NAME),
        (["processor", "drain", "a/b"], NAME),
        (["submit", "No Kind"], NAME),
        (["submit", "echo", "-q", "a?b"], NAME),
        (["submit", "echo", "--key", "a b"], "visible ASCII"),
        (["list", "-k", "a\n"], NAME),
        (["watch", "--all", "-q", "ü"], NAME),
        (["check", "-q", "default", "-q", "no name"], NAME),
        (["replay", "subject", "a.b", "--after", "0"], NAME),
        (["list", "-l", "a b=1"], KEY),
        (["submit", "echo", "-l", "a b=1"], KEY),
        (["submit", "echo", "-l", "a"], "KEY=VALUE"),
        (["submit", "echo", "-l", "a=1", "-l", "a=2"], "once"),
        (["events", *(part for number in range(9) for part in ("-l", f"k{number}"))], "8 at most"),
        (["list", "-n", HUGE], "at most"),
        (["events", "--after", HUGE], "at most"),
        (["events", "--last", "0"], "--last"),
        (["events", "--last", "3", "--after", "1"], "exclude"),
        (["watch", "--all", "--within", "inf"], "at most"),
        (["watch", "--all", "--reconnect-within", "0"], "--reconnect-within"),
        (["top", "-i", "nan"], "--interval"),
        (["submit", "echo", "--timeout", "nan"], "--timeout"),
        (["submit", "echo", "--max-attempts", "101"], "--max-attempts"),
        (["submit", "echo", "--priority", "urgent"], "'urgent' is not one of 'critical'"),
        (["list", "--status", "lost"], "'lost' is not one of 'pending'"),
        (["bulk", "delete"], "say which tasks"),
        (["bulk", "process", ID, "--status", "failed"], "say which tasks"),
        (["bulk", "cancel", ID, ID], "each once"),
        (["bulk", "cancel", "--created-after", "yesterday"], "-1d"),
        (["bulk", "show", "1"], "UUID"),
        (["webhook", "update", ID], "say what to change"),
        (["webhook", "update", ID, "--kind", "echo", "--clear", "kind"], "kind: either a new one, or none"),
        (["webhook", "replay", ID], "--after"),
    ],
)
def test_a_command_that_is_wrong(arguments: list[str], said: str) -> None:
    """It ends with 2, and says what would be right, in words of its own."""
    # Where nobody is: who asked first would end with another code.
    ran = CliRunner().invoke(app, arguments, env={"TASKMILL_URL": "http://127.0.0.1:1"})
    assert (ran.exit_code, ran.stdout) == (ExitCode.USAGE, ""), ran.output
    assert said in ran.stderr
    assert "Value error" not in ran.stderr


@pytest.mark.parametrize("words", [words for words, _ in reference.commands()])
def test_a_help(words: str) -> None:
    """It shows what is to be typed: names of values in capitals, or their choices, without brackets of any kind."""
    ran = CliRunner().invoke(app, [*words.split(), "--help"])
    assert ran.exit_code == 0
    usage, _, rest = ran.stdout.partition("\n")
    assert re.fullmatch(rf"Usage: taskmill {words} \[OPTIONS\]( \[?[A-Z:.]+\]?(\.\.\.)?)*", usage), usage
    assert not re.search(r"<[a-z]|\{|\[\[", rest), rest
    assert "9223372036854775807" not in rest
