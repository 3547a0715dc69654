"""A handler that runs a program for each attempt."""

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import NoReturn

import structlog
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from taskmill.contracts.limits import MAX_RESULT_BYTES
from taskmill.sdk.context import Context
from taskmill.sdk.errors import BadResultError, GiveUp, RetryLater, TaskFailedError
from taskmill.sdk.program.lines import LineSplitter, LogLine, ProgressLine, RetryAfterLine, read_line
from taskmill.sdk.program.log_allowance import LogAllowance
from taskmill.sdk.program.pipes import OutputPipe, PipeReader, output_pipe
from taskmill.sdk.program.process import running_process
from taskmill.sdk.task_logger import TASK_ONLY

_log = structlog.get_logger(__name__)

EXIT_GIVE_UP = 65
"""EX_DATAERR of sysexits.h: another attempt would be of no use."""

EXIT_RETRY_LATER = 75
"""EX_TEMPFAIL of sysexits.h: another attempt may go better."""

LEFT_BEHIND_SECONDS = 1.0
"""How long what the program left running may still write."""

READ_THROUGH_SECONDS = 10.0
"""How long it may take to hear what was written by then, which is no more than the pipes hold."""

_STDOUT_BYTES = 64 * 1024
# A flood of short lines must leave the event loop to others now and then.
_STDERR_BYTES = 1024


class Program:
    """Runs a program for each attempt, with the payload as JSON on stdin; what it prints on stdout is the result.

    Register it like a function. docs/handlers.md says what the program finds in its environment, what it may say on
    stderr, and what its exit status means.

    Args:
        command: The program and its arguments. It is looked for in `PATH`, or, with a slash, from the processor's
            directory.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)

    async def __call__(self, payload: JsonValue, ctx: Context) -> JsonValue:
        """Run it for an attempt.

        Cancelled, it ends the program and all of its process group: by SIGTERM, and after a second by SIGKILL.

        Raises:
            TaskFailedError: It could not be started, or ended with another status than 0.
            BadResultError: It printed more than 256 KiB, or what is neither JSON nor text.
        """
        result, words = _Result(), _Words(ctx)
        try:
            async with output_pipe(result.read) as stdout, output_pipe(words.read) as stderr:
                status = await self._run(payload, ctx, stdout, stderr, result)
        finally:
            words.close()
        result.check_size()
        if status != 0:
            raise _failure(status, words)
        return result.value()

    async def _run(
        self, payload: JsonValue, ctx: Context, stdout: OutputPipe, stderr: OutputPipe, result: "_Result"
    ) -> int:
        # A file, not a pipe: whether the program reads it, and how much of it, is its own business.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(to_json(payload) + b"\n")
            stdin.seek(0)
            try:
                async with running_process(
                    self.command,
                    stdin=stdin,
                    stdout=stdout.writing_end,
                    stderr=stderr.writing_end,
                    environment={**os.environ, **_variables(ctx)},
                ) as process:
                    stdout.hand_over()
                    stderr.hand_over()
                    ended = asyncio.ensure_future(process.wait())
                    await asyncio.wait({ended, stdout.reading}, return_when=asyncio.FIRST_COMPLETED)
                    result.check_size()
                    status = await ended
                    await asyncio.wait({stdout.reading, stderr.reading}, timeout=LEFT_BEHIND_SECONDS)
                    stdout.cut()
                    stderr.cut()
                    await asyncio.wait({stdout.reading, stderr.reading}, timeout=READ_THROUGH_SECONDS)
                    return status
            except OSError as error:
                reason = f"The program cannot be started: {error.strerror}."
                raise TaskFailedError("program_not_started", reason) from error


def _variables(ctx: Context) -> Mapping[str, str]:
    variables = {
        "TASKMILL_TASK_ID": str(ctx.task_id),
        "TASKMILL_KIND": ctx.kind,
        "TASKMILL_QUEUE": ctx.queue,
        "TASKMILL_RUN": str(ctx.run),
        "TASKMILL_ATTEMPT": str(ctx.attempt),
        "TASKMILL_ATTEMPT_LIMIT": str(ctx.attempt_limit),
        "TASKMILL_IDEMPOTENCY_TOKEN": ctx.idempotency_token,
    }
    return variables if ctx.deadline is None else {**variables, "TASKMILL_DEADLINE": ctx.deadline.isoformat()}


class _Result:
    """What a program prints on stdout."""

    def __init__(self) -> None:
        self._text = bytearray()

    async def read(self, reader: PipeReader) -> None:
        """Read until its end, or until it is too large."""
        while len(self._text) <= MAX_RESULT_BYTES and (piece := await reader.read(_STDOUT_BYTES)):
            self._text += piece

    def check_size(self) -> None:
        """Refuse one that is too large."""
        if len(self._text) > MAX_RESULT_BYTES:
            raise BadResultError(f"The program printed more than {MAX_RESULT_BYTES} bytes.")

    def value(self) -> JsonValue:
        """What was printed: null for nothing; what is no JSON is a string, without the line breaks at its end."""
        try:
            text = self._text.decode()
        except UnicodeDecodeError as error:
            raise BadResultError("What the program printed is neither JSON nor text in UTF-8.") from error
        if not text.strip():
            return None
        try:
            value: JsonValue = from_json(text, allow_inf_nan=False)
        except ValueError:
            if _is_json(text):
                raise BadResultError("What the program printed is JSON that cannot be kept exactly.") from None
            return text.rstrip("\r\n")
        return value


def _is_json(text: str) -> bool:
    """Whether it is JSON by its grammar, though nested too deeply, say, or with half a character in it."""
    try:
        # Of a number the digits do not matter here, and Python refuses to read very many.
        json.loads(text, parse_int=len, parse_constant=_refuse)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


class _Words:
    """What a program says on stderr."""

    def __init__(self, ctx: Context) -> None:
        self.last_line: str | None = None
        """The newest line for people."""
        self.retry_after_seconds: float | None = None
        """How long the next attempt is to wait; None: as the backoff says."""
        self._ctx = ctx
        self._allowance = LogAllowance(self._tell_left_out)

    async def read(self, reader: PipeReader) -> None:
        """Read until its end, and hand it on."""
        splitter = LineSplitter()
        while piece := await reader.read(_STDERR_BYTES):
            self._hear(splitter.feed(piece))
            await asyncio.sleep(0)
        self._hear(splitter.end())

    def _hear(self, lines: Sequence[str]) -> None:
        for line in lines:
            match read_line(line):
                case ProgressLine(fraction, message):
                    self._ctx.progress(fraction, message)
                case RetryAfterLine(seconds):
                    self.retry_after_seconds = seconds
                case LogLine(level, text):
                    self.last_line = text
                    fields = {} if self._allowance.takes(text) else {TASK_ONLY: True}
                    getattr(self._ctx.log, level)(text, **fields)

    def close(self) -> None:
        """It says no more."""
        self._allowance.close()

    def _tell_left_out(self, lines: int, chars: int) -> None:
        _log.warning(
            "program.lines_left_out", task_id=str(self._ctx.task_id), kind=self._ctx.kind, lines=lines, chars=chars
        )


def _failure(status: int, words: _Words) -> TaskFailedError:
    ending = f"exit status {status}" if status >= 0 else f"signal {-status}"
    reason = f"The program ended with {ending}." if words.last_line is None else words.last_line
    if status == EXIT_GIVE_UP:
        return GiveUp(reason)
    if status == EXIT_RETRY_LATER and words.retry_after_seconds is not None:
        return RetryLater(words.retry_after_seconds, reason)
    if status == EXIT_RETRY_LATER:
        return TaskFailedError("retry_later", reason)
    told = "" if words.last_line is None else f" It said: {words.last_line}"
    return TaskFailedError("program_failed", f"The program ended with {ending}.{told}")
