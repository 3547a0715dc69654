"""What texts that clients choose look like: for programs as a regular expression, for people in words."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""What a kind or a queue looks like: one token of a NATS subject."""

LABEL_KEY_PATTERN = r"^[a-zA-Z0-9]([a-zA-Z0-9._/-]{0,62}[a-zA-Z0-9])?$"
LABEL_CONDITION_PATTERN = r"^[a-zA-Z0-9]([a-zA-Z0-9._/-]{0,62}[a-zA-Z0-9])?(:[^\x00]{0,200})?$"
KEY_ID_PATTERN = r"^[0-9a-z]{16}$"
CHOSEN_KEY_PATTERN = r"^[!-.0-~]{1,200}$"
"""What a concurrency key or a unique key looks like: whatever names a tenant or a thing, but without `/`."""

CRON_PATTERN = r"^[0-9A-Za-z*/,#-]+( +[0-9A-Za-z*/,#-]+){4}$"
TIME_ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$"

CURSOR_PATTERN = r"^[A-Za-z0-9_-]{1,200}$"
VISIBLE_ASCII_PATTERN = r"^[\x21-\x7e]+$"

_LABEL_KEY = "1 to 64 letters, digits, `.`, `_`, `/` and `-`, the first and the last a letter or digit"

IN_WORDS = {
    NAME_PATTERN: "Input should be 1 to 64 of a-z, 0-9, `_` and `-`, the first a letter or digit",
    LABEL_KEY_PATTERN: f"A label's key should be {_LABEL_KEY}",
    LABEL_CONDITION_PATTERN: f"Input should be `key` or `key:value`; a key is {_LABEL_KEY}",
    KEY_ID_PATTERN: "Input should be 16 of a-z and 0-9",
    CHOSEN_KEY_PATTERN: "Input should be 1 to 200 visible ASCII characters but `/`",
    CRON_PATTERN: "Input should be five fields: minute, hour, day of the month, month and day of the week",
    TIME_ZONE_PATTERN: "Input should be the name of a time zone such as Europe/Berlin",
    CURSOR_PATTERN: "Input should be a cursor, as a page tells the next one",
    VISIBLE_ASCII_PATTERN: "Input should be of visible ASCII characters",
}
"""What is said to whom did not heed it."""
