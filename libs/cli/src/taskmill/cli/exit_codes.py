"""What `taskmill` ends with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What came of a command. The member's docstring stands in docs/cli.md."""

    description: str

    def __new__(cls, number: int, description: str) -> "ExitCode":
        """A number with what it means."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.description = description
        return member

    OK = 0, "It was done."
    FAILED = 1, "It was not, for any other reason than those below; or the answer is a no."
    USAGE = 2, "The command, a setting or the request is wrong; nothing was done."
    NOT_FOUND = 3, "There is no such thing."
    CONFLICT = 4, "Not while things are as they are: the task is being processed, for one."
    UNREACHABLE = (
        5,
        "Nobody answered, or who did cannot serve now. Whether it was done may be unknown: the text says so.",
    )
    NOT_ENDED = 6, "`--within` is over before the task has ended; it goes on."
    TASK_FAILED = 7, "The task that was waited for has failed."
    TASK_CANCELLED = 8, "The task that was waited for was cancelled."
    INTERRUPTED = 130, "Ctrl-C. A task that was waited for goes on."
    BROKEN_PIPE = 141, "Whoever read the output, such as `head`, has had enough."
