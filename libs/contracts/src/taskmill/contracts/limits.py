"""The limits of the wire, each named once.

They are part of the contract, not settings: a message that one service accepts must fit through every other.
"""

MAX_MESSAGE_BYTES = 1024 * 1024
"""What NATS takes in one message (its default `max_payload`)."""

MAX_BODY_BYTES = 768 * 1024
"""A request body, a bundle of reports, and the items of a page: leaves room for envelope and headers in a message."""

MAX_PAYLOAD_BYTES = 256 * 1024
"""A task's payload, as compact UTF-8 JSON."""

MAX_RESULT_BYTES = 256 * 1024
"""A task's result, as compact UTF-8 JSON."""

MAX_CHECKPOINT_BYTES = 64 * 1024
"""A checkpoint, as compact UTF-8 JSON: it travels with the payload in a work item."""

MAX_JSON_DEPTH = 32
"""How deeply arrays and objects of a payload or a result may be nested."""

MAX_DOCUMENT_DEPTH = MAX_JSON_DEPTH + 8
"""How deeply those of a whole document may be nested: what holds the payload or the result adds a few levels."""

MAX_TITLE_CHARS = 200
MAX_DESCRIPTION_CHARS = 10_000
MAX_LABELS = 32
MAX_LABEL_VALUE_CHARS = 200
MAX_ERROR_MESSAGE_CHARS = 2_000
MAX_PROGRESS_MESSAGE_CHARS = 200
MAX_TRACEBACK_CHARS = 16_000
"""Of an attempt's traceback the end is kept."""

MAX_LINE_CHARS = 1_000
"""A line of a task; a longer one is cut, and ends with `…`."""

MAX_LINES_IN_A_REPORT = 100
"""Lines in one report, and so in one event: at most some 600 KB as JSON, and far less as lines are."""

MAX_TASK_LINES = 1_000
"""Of a task the newest lines are kept."""

MAX_SUBMITTED_TASKS = 1_000
"""Tasks that one execution of a handler may submit."""

MAX_SUBMITTED_BYTES = 8 * 1024 * 1024
"""What all of them may have as JSON: so much may wait in a processor while NATS is away."""

MAX_SUBMISSION_KEY_CHARS = 200
MAX_ATTEMPTS = 100
MAX_TIMEOUT_SECONDS = 7 * 24 * 3600
MAX_BACKOFF_SECONDS = 7 * 24 * 3600
MAX_BACKOFF_FACTOR = 10
MAX_IDEMPOTENCY_KEY_CHARS = 255
MAX_DEBOUNCE_SECONDS = 7 * 24 * 3600
MAX_KEY_HELD_SECONDS = 30 * 24 * 3600
"""A unique key that a task holds no longer than it says."""

MAX_PROCESSOR_ID_CHARS = 64

MAX_REFUSAL_PROBLEMS = 20
"""Parts of a payload that are told as wrong."""

MAX_BATCH_TASKS = 1_000
"""Tasks in one `POST /tasks/batch`."""

MAX_DEPENDENCIES = 100
"""Tasks that one task may come after."""

MAX_GROUP_TASKS = 1_000
"""Tasks in one group."""

MAX_BULK_IDS = 1_000
"""Tasks that one bulk operation may name. A filter may be met by any number."""

MAX_PAGE_ITEMS = 200
"""Items in one page of a list."""

MAX_COUNTED_TASKS = 10_000
"""Tasks of a status are counted up to here: to count millions takes longer than anybody waits."""

MAX_ACTIVITY_MINUTES = 24 * 60
"""Minutes of activity that are kept."""

MAX_LOG_PAGE_ITEMS = 1_000
"""Events in one reply of the log."""

DEFAULT_PAGE_ITEMS = 50

MAX_WEBHOOK_URL_CHARS = 2_048
MAX_WEBHOOK_DESCRIPTION_CHARS = 1_000

MAX_RUNNING_REPLAYS = 16
MAX_REPLAY_EVENTS = 1_000_000
"""Positions of the log that one replay may span."""

MAX_LIMITS = 64
"""Limits that there may be: each is compared with each task that waits for its turn."""

MAX_SHARES = 10_000
"""Keys whose weight may be set."""

MAX_LIMITED_TASKS = 1_000_000
"""What a limit may allow at once, or in its time."""

MIN_RATE_SECONDS = 0.1
MAX_RATE_SECONDS = 24 * 3600
MIN_SHARE_WEIGHT = 0.001
MAX_SHARE_WEIGHT = 1_000

MAX_SCHEDULE_NAME_CHARS = 200
MAX_CRON_CHARS = 100
MAX_INTERVAL_SECONDS = 366 * 24 * 3600
MAX_CATCH_UP_SECONDS = 7 * 24 * 3600
MIN_CATCH_UP_SECONDS = 10
"""A change of the store that leads takes up to 7 s: no time is lost by that."""

DEFAULT_CATCH_UP_SECONDS = 3600
MAX_CAUGHT_UP_TIMES = 7 * 24 * 60
"""After an outage so many times of a schedule are made up for at most, the newest: a week's, of each minute."""

DEFAULT_NEXT_TIMES = 10
MAX_NEXT_TIMES = 100
MAX_BACKFILL_TIMES = 1_000
"""Times of a schedule that one backfill may span."""

MAX_KEY_NAME_CHARS = 100

MAX_FOUND_KEYS = 200
"""API keys that one request looks for."""

MAX_LABEL_CONDITIONS = 8
"""Labels that a list may be narrowed by."""

MAX_KINDS_PER_PROCESSOR = 256
MAX_QUEUES_PER_PROCESSOR = 64

MAX_LISTED_PROCESSORS = 100
"""Processors that a queue names of those that serve it."""

MAX_LISTED_QUEUES = 50
"""Queues that the health names of those that nobody serves."""

MAX_KIND_DECLARATIONS = 8
"""Of so many different declarations of a kind each is told; while there are more, any payload is taken."""

MAX_DECLARING_PROCESSORS = 10
"""So many of the processors behind a declaration are named."""

MAX_UNKNOWN_KINDS = 50
"""So many of the kinds are named in whose queue no processor knows them."""

MAX_PAYLOAD_SCHEMA_BYTES = 16 * 1024
"""The JSON Schema of a kind's payloads, as compact UTF-8 JSON."""

MAX_PAYLOAD_SCHEMAS_BYTES = 128 * 1024
"""All that one processor tells."""

MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)
"""Integers in JSON documents: what a signed 64-bit number holds, as in PostgreSQL and most languages."""

MAX_NUMBER = 2**31 - 1
"""Of what is counted: attempts, dispatches, deliveries, slots. The store keeps them in 32 bits."""

MAX_REQUESTS_IN_A_BUNDLE = 64

MAX_BUNDLED_REQUEST_BYTES = 8 * 1024
"""A larger request goes alone, so that a bundle fits a message, and so do the replies to it."""
