"""The task store: the one service that owns tasks.

Owns: PostgreSQL with the tasks, their attempts and the event log; the lifecycle; the streams and consumers on NATS.

Consumes:
    Requests `tasks.v1.cmd.*`, in the queue group `task-store`: any number of stores share them.
    Reports of processors from the stream `TASK_REPORTS`, acknowledged once they are committed.

Publishes, by the relay of the one store that leads:
    Work items to `TASK_WORK`, one for each dispatch of a task.
    Which queues are paused, to processors, on `tasks.v1.ctl.paused`.
    Events to `TASK_EVENTS`: every change of a task, in the order of the log, with the task's next version.

Everything that changes tasks goes through a mailbox: what creates them through one, all else through the other. Each
batch of a mailbox is read, decided and written as one: all of it or none. An answer means committed.
"""
