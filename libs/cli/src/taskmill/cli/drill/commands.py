"""`taskmill drill ...`."""

import time
import uuid
from typing import Annotated

import typer

from taskmill.cli.drill.broker import Broker
from taskmill.cli.drill.broker_loss import BrokerLoss
from taskmill.cli.drill.drill_tasks import DrillTasks
from taskmill.cli.drill.running_stack import find_stack
from taskmill.cli.exit_codes import ExitCode
from taskmill.cli.options import MAX_SECONDS, at_most
from taskmill.cli.output import say
from taskmill.cli.registry import NAME, new_app
from taskmill.cli.settings import DataSettings
from taskmill.runtime.settings import load

app = new_app("Break a part of the running stack on purpose, and see that nothing is lost.")

_LAST_LOOK_SECONDS = 10.0
"""What a drill has for its last counts, when its time is over."""

_WARNING = """\
This drill posts {tasks} tasks of kind `sleep` to {gateway_url}, with the label drill={drill_id}. While they are at work
it kills nats-server (pid {nats_pid}) and deletes EVERYTHING that JetStream keeps in {nats_dir}:
the streams of Taskmill, and any other there. Work that is under way, yours too, may be done a second time; consumers
that others made there are gone; PostgreSQL, which has every task, is not touched. The drill's tasks stay.
Go on?"""


@app.callback()
def drill() -> None:
    """Keep `broker-loss` a command with a name of its own while it is the only one."""


@app.command("broker-loss")
def broker_loss(
    tasks: Annotated[int, typer.Option(min=10, max=100_000, metavar="N", help="How many tasks the drill posts.")] = 500,
    timeout: Annotated[
        float,
        typer.Option(
            min=1,
            metavar="SECONDS",
            callback=at_most(MAX_SECONDS),
            help="In how many seconds every task must have ended.",
        ),
    ] = 120,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.")] = False,
) -> None:
    """Delete JetStream's data while work is under way, and count the tasks before and after.

    For a stack that `taskmill up` runs here, on TASKMILL_DATA (./.data). Ends with status 0 when every task came to its
    end, and 1 when one was lost, or the drill could not be carried out.
    """
    drill_id = uuid.uuid4().hex[:12]
    stack = find_stack(load(DataSettings).data.resolve())
    warning = _WARNING.format(
        tasks=tasks,
        gateway_url=stack.gateway_url,
        drill_id=drill_id,
        nats_pid=stack.nats_pid,
        nats_dir=stack.nats_dir,
    )
    if not yes and not _is_agreed(warning):
        say(f"{NAME}: nothing was done; `--yes` has it done without a question")
        raise typer.Exit(ExitCode.FAILED)
    deadline = time.monotonic() + timeout
    drill_tasks = DrillTasks(stack.gateway_url, drill_id, deadline=deadline + _LAST_LOOK_SECONDS)
    broker = Broker(stack.nats_url, stack.nats_pid, stack.nats_dir)
    is_passed = BrokerLoss(broker, drill_tasks, deadline=deadline, say=typer.echo).run(tasks)
    if not is_passed:
        raise typer.Exit(ExitCode.FAILED)


def _is_agreed(warning: str) -> bool:
    try:
        return typer.confirm(warning)
    except typer.Abort:  # nobody is there to answer, or Ctrl-C
        typer.echo()
        return False
