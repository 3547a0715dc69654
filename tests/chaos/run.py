"""One run: start the system, load it, hurt it, let it recover, and save everything that was seen."""

import asyncio
from pathlib import Path

from tests.chaos.artefacts import Artefacts, read_history
from tests.chaos.checker.history import History
from tests.chaos.drain import drained
from tests.chaos.load import Load
from tests.chaos.nemesis import Nemesis
from tests.chaos.plan import Plan
from tests.chaos.stack import ChaosStack, running_stack
from tests.chaos.witness import Witness

DRAINED_WITHIN_SECONDS = 120


async def run(plan: Plan, seed: int, directory: Path) -> History:
    """Run a plan.

    Args:
        plan: What to do.
        seed: What follows from chance follows from it. The timing of real processes does not: the same seed makes the
            same requests and faults, and mostly the same trouble.
        directory: An empty folder for everything that the run leaves behind.

    Returns:
        What was seen; also in the files of the folder.
    """
    artefacts = Artefacts(directory)
    try:
        async with running_stack(
            directory, stores=plan.stores, gateways=plan.gateways, has_own_disks=plan.fills_disks
        ) as stack:
            witness = Witness(stack.nats.url, on_event=artefacts.event, on_report=artefacts.report)
            witnessing = asyncio.create_task(witness.run())
            try:
                await _load_and_hurt(plan, seed, stack, artefacts)
                await stack.heal()
                await drained(stack, witness, within_seconds=DRAINED_WITHIN_SECONDS)
                # Should something still move, it shall not after it was written down.
                await stack.stop_services()
                await artefacts.save_final_state(stack.postgres.url)
            finally:
                witnessing.cancel()
                await asyncio.gather(witnessing, return_exceptions=True)
    finally:
        artefacts.close()
    return read_history(directory)


async def _load_and_hurt(plan: Plan, seed: int, stack: ChaosStack, artefacts: Artefacts) -> None:
    load = Load(
        stack.gateway_ports,
        seed=seed,
        clients=plan.clients,
        steps_per_second=plan.steps_per_second,
        enough=plan.tasks,
        record=artefacts.operation,
    )
    nemesis = Nemesis(stack, plan, seed=seed, client=load.extra_client, record=artefacts.fault)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(), name="load")
        await nemesis.run()
        await stack.heal()
        load.stop()
