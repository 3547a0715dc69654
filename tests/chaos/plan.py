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
        in_progress: How many tasks must be in progress before a fault is inflicted.
        stores: How many task stores run.
        processors: How many processors run.
        faults: How often each fault is inflicted.
    """

    tasks: int
    steps_per_second: float
    clients: int
    in_progress: int
    stores: int
    processors: int
    faults: Mapping[str, int]

    @property
    def fills_disks(self) -> bool:
        """Whether the servers need disks that can be filled, for which the run needs root."""
        return any(name in self.faults for name in _DISK_FAULTS)


_DISK_FAULTS = ("nats_disk_full", "postgres_disk_full")
_KILLS = ("gateway_killed", "store_killed", "processor_killed")
_RARE = ("poison", "jetstream_deleted", "events_deleted", "stores_suspended", "gateway_suspended")


def usual_plan() -> Plan:
    """`make chaos`: every fault that needs no root, within six minutes on two cores."""
    faults = {name: 1 for name in all_faults() if name not in _DISK_FAULTS}
    faults.update(dict.fromkeys(_KILLS, 6))
    faults.update(nats_killed=2, postgres_killed=2)
    return Plan(tasks=10_000, steps_per_second=40, clients=48, in_progress=50, stores=1, processors=2, faults=faults)


def full_plan() -> Plan:
    """`make chaos-full`: a thousand kills, and every other fault several times, with two stores."""
    faults = dict.fromkeys(all_faults(), 10)
    faults.update(dict.fromkeys(_KILLS, 220))
    faults.update(nats_killed=110, postgres_killed=110, **dict.fromkeys(_RARE, 10))
    return Plan(tasks=100_000, steps_per_second=40, clients=48, in_progress=50, stores=2, processors=2, faults=faults)


def small_plan(*, tasks: int, stores: int, faults: Mapping[str, int]) -> Plan:
    """A run of chosen faults, for whoever looks for a defect."""
    return Plan(
        tasks=tasks, steps_per_second=15, clients=16, in_progress=10, stores=stores, processors=2, faults=faults
    )
