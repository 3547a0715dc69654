"""What tests of users' own handlers need of the command line: the whole stack, as a pytest fixture.

    from taskmill.cli.testing import TaskmillStack

    def test_over_http(taskmill_stack: TaskmillStack) -> None: ...

`taskmill.sdk.testing` runs handlers without it.
"""

from taskmill.cli.testing.stack import TaskmillStack, running_stack

__all__ = ["TaskmillStack", "running_stack"]
