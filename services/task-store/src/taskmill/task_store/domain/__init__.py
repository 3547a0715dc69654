"""The rules of the task store, pure: no clock, no network, no database.

Read `lifecycle` (the table) first, then `operations` and `batch` (how they meet states, which `tasks` keeps), then the
modules of the rules: `creation` (and `task_maker`, which says when), `editing`, `runs`, `reports`, `endings`.
"""
