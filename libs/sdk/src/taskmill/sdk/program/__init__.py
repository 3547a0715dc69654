"""Any program as a handler.

    from taskmill.sdk import TaskApp
    from taskmill.sdk.program import Program

    app = TaskApp("media")
    app.task("thumb", timeout=60)(Program(["./thumb.sh", "--small"]))

docs/handlers.md says what the program gets, and how it answers.
"""

from taskmill.sdk.program.handler import Program

__all__ = ["Program"]
