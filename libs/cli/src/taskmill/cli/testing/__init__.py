"""What tests of users' own handlers need of the command line: the whole stack, as a pytest fixture.

`taskmill.sdk.testing` runs handlers without it.
"""
