"""The rules of the task store, pure: no clock, no network, no database.

Read `lifecycle` (the table) first, then `batch` (how operations meet states), then the modules of the operations:
`creation`, `editing`, `runs`.
"""
