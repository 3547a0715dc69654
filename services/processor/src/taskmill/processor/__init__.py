"""The processor: it runs handlers.

Owns: nothing that must survive it; no database.
Consumes: `TASK_WORK`, through the consumers of its queues, shared with all processors of these queues.
Listens: `tasks.v1.ctl.cancel.*`, for the tasks that clients want to be stopped; `tasks.v1.ctl.paused`, for the queues
    that are paused; `tasks.v1.ctl.drain.<processor id>`, for the wish that it drain.
Publishes: `TASK_REPORTS`, one bundle for everything that happened since the last; what it cannot read of its work to
    `TASK_SET_ASIDE`; requests to the task store on `tasks.v1.cmd.*`, for checkpoints and for what webhooks need.

A work item is acknowledged only after the report of its end is stored; until then, heartbeats keep it. Whatever
happens to a processor, the work item comes to another one, and the store tells by the fence whose reports count.
"""
