"""What a task costs as the table grows."""

from benchmarks.measure import Figures, Measure, Sampler, each_alone
from benchmarks.measures.processing import process_singly
from benchmarks.seeding import seed_tasks
from benchmarks.stack import running_stack

SIZES = (1_000, 10_000, 100_000)


def _among(tasks: int) -> Sampler:
    async def sample() -> Figures:
        async with running_stack() as stack:
            await seed_tasks(stack.database_url, tasks)
            return await process_singly(stack)

    return sample


MEASURES = (
    Measure(
        "growth",
        "The CPU time of a task as in `process-64`, when the table has so many finished ones already.",
        each_alone({f"{tasks:,} tasks": _among(tasks) for tasks in SIZES}),
    ),
)
