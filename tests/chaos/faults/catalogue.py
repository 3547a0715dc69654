"""Every fault by its name."""

from tests.chaos.faults.backends_terminated import backends_terminated
from tests.chaos.faults.disk_full import nats_disk_full, postgres_disk_full
from tests.chaos.faults.events_deleted import events_deleted
from tests.chaos.faults.failpoint_reached import failpoint_faults
from tests.chaos.faults.fault import Fault
from tests.chaos.faults.gateway_killed import gateway_killed
from tests.chaos.faults.jetstream_deleted import jetstream_deleted
from tests.chaos.faults.nats_killed import nats_killed
from tests.chaos.faults.partitioned import edge_cut, edge_half_open, edge_slow
from tests.chaos.faults.poison import poison
from tests.chaos.faults.postgres_killed import postgres_killed
from tests.chaos.faults.postgres_stopped import postgres_stopped
from tests.chaos.faults.processor_killed import processor_killed
from tests.chaos.faults.processor_restarted import processor_restarted
from tests.chaos.faults.slow_subscriber import slow_subscriber
from tests.chaos.faults.store_killed import store_killed
from tests.chaos.faults.suspended import gateway_suspended, processors_suspended, stores_suspended
from tests.chaos.faults.zombies import zombies


def all_faults() -> dict[str, Fault]:
    """The faults that a plan may name."""
    functions = (
        gateway_killed,
        store_killed,
        processor_killed,
        processor_restarted,
        nats_killed,
        jetstream_deleted,
        events_deleted,
        postgres_killed,
        postgres_stopped,
        backends_terminated,
        stores_suspended,
        processors_suspended,
        gateway_suspended,
        edge_slow,
        edge_cut,
        edge_half_open,
        poison,
        zombies,
        slow_subscriber,
        nats_disk_full,
        postgres_disk_full,
    )
    return {**{function.__name__: function for function in functions}, **failpoint_faults()}
