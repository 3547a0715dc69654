"""The errors of the processor. None of them leaves it: what is told to the store is a report."""


class ProcessorError(Exception):
    """Root of the processor's own errors."""


class AddressRefusedError(ProcessorError):
    """All that a name stands for is refused; nothing was connected to."""


class UndecodableWorkError(ProcessorError):
    """A message on the work stream is no work item; delivering it again would not help."""

    def __init__(self, problem_count: int) -> None:
        super().__init__(f"The message is no work item ({problem_count} problems).")
        self.problem_count = problem_count


class UnreadableBodyError(ProcessorError):
    """The body of a response does not have the encoding that its headers tell."""


class UnstorableError(ProcessorError):
    """The processor drains, and its last reports cannot be stored."""
