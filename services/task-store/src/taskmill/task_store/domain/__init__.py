"""The rules of the task store, pure: no clock, no network, no database.

Read `lifecycle` (the table) first, then `operations` and `batch` (how they meet states), then the modules of the rules:
`creation`, `editing`, `runs`, `reports`, `endings`.
"""
