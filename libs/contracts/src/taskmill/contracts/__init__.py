"""The wire of Taskmill: every message, subject, stream and error that crosses a process boundary.

Depends on pydantic only. Services import the module they need (`taskmill.contracts.requests`, …); nothing is
re-exported here, so that a name has one home.
"""
