"""How large a run is, and which faults it has."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.faults.catalogue import all_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of a run. The order of its faults follows from the seed.

    Attributes:
        tasks: How many must be accepted before the load stops.
        steps_per_second: The pace of the load; a step makes 1.5 tasks on average.
        clients: How many clients there are.
        in_progress: How many tasks must be in progress when a fault is inflicted.
        max_pause_seconds: The longest pause between two faults; a quarter of it is the shortest.
        stores: How many task stores run.
        gateways: How many gateways run.
        faults: How often each fault is inflicted.
    """

    tasks: int
    steps_per_second: float = 40
    clients: int = 48
    in_progress: int = 50
    max_pause_seconds: float = 1.5
    stores: int = 2
    gateways: int = 2
    faults: Mapping[str, int]

    @property
    def fills_disks(self) -> bool:
        """Whether the servers need disks of their own."""
        return any(name in self.faults for name in DISK_FAULTS)


DISK_FAULTS = ("nats_disk_full", "postgres_disk_full")

ROUNDS = 8
"""So many rounds make 1,000 kills."""

KILLS_OF_ROUND = {
    "gateway_killed": 28,
    "store_killed": 38,
    "processor_killed": 34,
    "nats_killed": 6,
    "postgres_killed": 6,
    "jetstream_deleted": 2,
}
"""With one at each of the 11 failpoints, 125."""


def usual_plan(*, has_own_disks: bool) -> Plan:
    """`make chaos`: every fault, within six minutes on two cores.

    Args:
        has_own_disks: Whether disks can be filled; else those two faults are left out.
    """
    kills = {"gateway_killed": 6, "store_killed": 6, "processor_killed": 6, "nats_killed": 2, "postgres_killed": 2}
    left_out = () if has_own_disks else DISK_FAULTS
    return Plan(tasks=10_000, faults={name: kills.get(name, 1) for name in all_faults() if name not in left_out})


def round_plan() -> Plan:
    """One round of `make chaos-full`: every fault, and 125 kills."""
    faults = {name: KILLS_OF_ROUND.get(name, 1) for name in all_faults()}
    return Plan(tasks=12_500, max_pause_seconds=1.2, gateways=1, faults=faults)


def small_plan(*, tasks: int, stores: int, gateways: int, faults: Mapping[str, int]) -> Plan:
    """A run of chosen faults, for whoever looks for a defect."""
    size = {"tasks": tasks, "stores": stores, "gateways": gateways, "clients": 16, "in_progress": 10}
    return Plan(**size, steps_per_second=15, faults=faults)
