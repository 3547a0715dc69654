"""The task store: the one service that owns tasks.

Owns: PostgreSQL with the tasks, their attempts and the event log; the lifecycle; the streams and consumers on NATS.

Consumes:
    Requests `tasks.v1.cmd.*`, in the queue group `task-store`: any number of stores share them.
    Reports of processors from the stream `TASK_REPORTS`, acknowledged once they are committed.

Publishes, by the one store that leads:
    Work items to `TASK_WORK`, one for each dispatch of a task.
    Events to `TASK_EVENTS`: every change of a task, in the order of the log, with the task's next version.
    To processors, which attempts are to be stopped, on `tasks.v1.ctl.cancel.<task id>`.
    Replays of the log, on `tasks.v1.replay.<name>`.

Publishes, by any store:
    To processors, which queues are paused, on `tasks.v1.ctl.paused`, and that one is to drain, on
        `tasks.v1.ctl.drain.<processor id>`.
    To the store that leads, that there are new events, on `tasks.v1.ctl.relay`.
    What it cannot read of reports, or PostgreSQL refuses, to `TASK_SET_ASIDE`.

Everything that changes tasks goes through a mailbox: what creates them through one, all else through the other. Each
batch of a mailbox is read, decided and written as one: all of it or none. An answer means committed.
"""
