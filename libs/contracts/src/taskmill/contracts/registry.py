"""Which message goes where: the one table behind the JSON Schemas, docs/messages.md and the contract tests."""

from dataclasses import dataclass

from pydantic import BaseModel

from taskmill.contracts import (
    activity,
    api_keys,
    bulk_operations,
    fleet,
    groups,
    kinds,
    log,
    requests,
    schedules,
    subjects,
    turns,
    webhooks,
)
from taskmill.contracts.control import CancelAttempt, Drain, QueuesPaused
from taskmill.contracts.errors import Problem
from taskmill.contracts.events import EVENT_DATA, EventPage, TaskEvent
from taskmill.contracts.reports import ReportBundle
from taskmill.contracts.tasks import Task
from taskmill.contracts.work import WorkItem


@dataclass(frozen=True, slots=True)
class Command:
    """A request to the task store and what answers it."""

    verb: str
    request: type[BaseModel]
    reply: type[BaseModel]

    @property
    def subject(self) -> str:
        """Where the request is sent."""
        return subjects.command(self.verb)


CREATE = Command("create", requests.CreateTask, Task)
CREATE_MANY = Command("create_many", requests.CreateTasks, requests.CreateTasksReply)
GET = Command("get", requests.GetTask, Task)
GET_CHECKPOINT = Command("get_checkpoint", requests.GetCheckpoint, requests.StoredCheckpoint)
LIST = Command("list", requests.ListTasks, requests.TaskPage)
COUNT = Command("count", requests.CountTasks, requests.TaskCounts)
UPDATE = Command("update", requests.UpdateTask, Task)
DELETE = Command("delete", requests.DeleteTask, requests.DeleteTaskReply)
PROCESS = Command("process", requests.ProcessTask, Task)
CANCEL = Command("cancel", requests.CancelTask, Task)
START_BULK = Command("start_bulk", bulk_operations.StartBulkOperation, bulk_operations.BulkOperation)
GET_BULK = Command("get_bulk", bulk_operations.GetBulkOperation, bulk_operations.BulkOperation)
ATTEMPTS = Command("attempts", requests.ListAttempts, requests.AttemptPage)
LINES = Command("lines", requests.ListLines, requests.LinePage)
EVENTS = Command("events", requests.ListEvents, EventPage)
READ_LOG = Command("read_log", log.ReadLog, log.LogPage)
CREATE_WEBHOOK = Command("create_webhook", webhooks.CreateWebhook, webhooks.WebhookWithSecret)
GET_WEBHOOK = Command("get_webhook", webhooks.GetWebhook, webhooks.Webhook)
LIST_WEBHOOKS = Command("list_webhooks", webhooks.ListWebhooks, webhooks.WebhookPage)
UPDATE_WEBHOOK = Command("update_webhook", webhooks.UpdateWebhook, webhooks.Webhook)
DELETE_WEBHOOK = Command("delete_webhook", webhooks.DeleteWebhook, webhooks.DeleteWebhookReply)
ROTATE_WEBHOOK = Command("rotate_webhook", webhooks.RotateWebhookSecret, webhooks.WebhookWithSecret)
SWITCH_OFF_WEBHOOK = Command("switch_off_webhook", webhooks.SwitchOffWebhook, webhooks.Webhook)
PREPARE_DELIVERY = Command("prepare_delivery", webhooks.PrepareDelivery, webhooks.PreparedDelivery)
START_REPLAY = Command("start_replay", webhooks.StartReplay, webhooks.Replay)
GET_REPLAY = Command("get_replay", webhooks.GetReplay, webhooks.Replay)
LIST_PROCESSORS = Command("list_processors", fleet.ListProcessors, fleet.ProcessorPage)
LIST_QUEUES = Command("list_queues", fleet.ListQueues, fleet.QueuePage)
PAUSE_QUEUE = Command("pause_queue", fleet.PauseQueue, fleet.QueueInfo)
RESUME_QUEUE = Command("resume_queue", fleet.ResumeQueue, fleet.QueueInfo)
READ_ACTIVITY = Command("read_activity", activity.ReadActivity, activity.Activity)
LIST_KINDS = Command("list_kinds", kinds.ListKinds, kinds.KindPage)
DRAIN_PROCESSOR = Command("drain_processor", fleet.DrainProcessor, fleet.DrainingProcessor)
CREATE_KEY = Command("create_key", api_keys.CreateApiKey, api_keys.ApiKey)
GET_KEY = Command("get_key", api_keys.GetApiKey, api_keys.ApiKey)
LIST_KEYS = Command("list_keys", api_keys.ListApiKeys, api_keys.ApiKeyPage)
REVOKE_KEY = Command("revoke_key", api_keys.RevokeApiKey, api_keys.ApiKey)
FIND_KEYS = Command("find_keys", api_keys.FindApiKeys, api_keys.FoundApiKeys)
PUT_LIMIT = Command("put_limit", turns.PutLimit, turns.Limit)
GET_LIMIT = Command("get_limit", turns.GetLimit, turns.Limit)
LIST_LIMITS = Command("list_limits", turns.ListLimits, turns.LimitPage)
DELETE_LIMIT = Command("delete_limit", turns.DeleteLimit, turns.Deleted)
PUT_SHARE = Command("put_share", turns.PutShare, turns.Share)
GET_SHARE = Command("get_share", turns.GetShare, turns.Share)
LIST_SHARES = Command("list_shares", turns.ListShares, turns.SharePage)
DELETE_SHARE = Command("delete_share", turns.DeleteShare, turns.Deleted)
CREATE_SCHEDULE = Command("create_schedule", schedules.CreateSchedule, schedules.Schedule)
GET_SCHEDULE = Command("get_schedule", schedules.GetSchedule, schedules.Schedule)
LIST_SCHEDULES = Command("list_schedules", schedules.ListSchedules, schedules.SchedulePage)
UPDATE_SCHEDULE = Command("update_schedule", schedules.UpdateSchedule, schedules.Schedule)
DELETE_SCHEDULE = Command("delete_schedule", schedules.DeleteSchedule, schedules.DeleteScheduleReply)
RUN_SCHEDULE = Command("run_schedule", schedules.RunSchedule, Task)
BACKFILL_SCHEDULE = Command("backfill_schedule", schedules.BackfillSchedule, schedules.Backfill)
GET_NEXT_TIMES = Command("get_next_times", schedules.GetNextTimes, schedules.NextTimes)
LIST_FIRES = Command("list_fires", schedules.ListFires, schedules.FirePage)
CREATE_GROUP = Command("create_group", groups.CreateGroup, groups.Group)
GET_GROUP = Command("get_group", groups.GetGroup, groups.Group)
LIST_GROUPS = Command("list_groups", groups.ListGroups, groups.GroupPage)
HEALTH = Command("health", requests.CheckHealth, requests.StoreHealth)

COMMANDS = (
    *(CREATE, CREATE_MANY, GET, LIST, COUNT, UPDATE, DELETE, PROCESS, CANCEL),
    *(START_BULK, GET_BULK, ATTEMPTS, LINES, EVENTS, READ_LOG, HEALTH, GET_CHECKPOINT, LIST_KINDS),
    *(CREATE_WEBHOOK, GET_WEBHOOK, LIST_WEBHOOKS, UPDATE_WEBHOOK, DELETE_WEBHOOK, ROTATE_WEBHOOK),
    *(SWITCH_OFF_WEBHOOK, PREPARE_DELIVERY, START_REPLAY, GET_REPLAY),
    *(READ_ACTIVITY, LIST_PROCESSORS, LIST_QUEUES, PAUSE_QUEUE, RESUME_QUEUE, DRAIN_PROCESSOR),
    *(CREATE_KEY, GET_KEY, LIST_KEYS, REVOKE_KEY, FIND_KEYS),
    *(PUT_LIMIT, GET_LIMIT, LIST_LIMITS, DELETE_LIMIT),
    *(PUT_SHARE, GET_SHARE, LIST_SHARES, DELETE_SHARE),
    *(CREATE_SCHEDULE, GET_SCHEDULE, LIST_SCHEDULES, UPDATE_SCHEDULE, DELETE_SCHEDULE),
    *(RUN_SCHEDULE, BACKFILL_SCHEDULE, GET_NEXT_TIMES, LIST_FIRES),
    *(CREATE_GROUP, GET_GROUP, LIST_GROUPS),
)


BUNDLED = (CREATE,)
"""Those whose requests may also travel in bundles."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is published, not answered."""

    subject: str
    model: type[BaseModel]
    publisher: str
    consumer: str


MESSAGES = (
    Message(f"{subjects.PREFIX}.work.<queue>.<priority>.<kind>.<task_id>", WorkItem, "task-store", "processor"),
    Message(f"{subjects.PREFIX}.ctl.cancel.<task_id>", CancelAttempt, "task-store", "processor"),
    Message(f"{subjects.PREFIX}.ctl.drain.<processor_id>", Drain, "task-store", "processor"),
    Message(subjects.QUEUES_PAUSED_SUBJECT, QueuesPaused, "task-store", "processor"),
    Message(f"{subjects.PREFIX}.report.<processor_id>", ReportBundle, "processor", "task-store"),
    Message(f"{subjects.PREFIX}.event.<type>.<kind>.<task_id>", TaskEvent, "task-store", "anyone"),
    Message(f"{subjects.PREFIX}.replay.<name>", TaskEvent, "task-store", "anyone"),
)


def message_models() -> dict[str, type[BaseModel]]:
    """Every model that has a JSON Schema of its own, by its name."""
    models = [model for command in COMMANDS for model in (command.request, command.reply)]
    models += [message.model for message in MESSAGES]
    models += EVENT_DATA.values()
    models.append(Problem)
    return {model.__name__: model for model in models}
