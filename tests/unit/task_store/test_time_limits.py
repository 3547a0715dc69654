"""Times that must not overtake each other."""

from taskmill.contracts.streams import REPORTS_ACK_WAIT_SECONDS
from taskmill.task_store.actors.reconciler import REPORTS_TIMEOUT_SECONDS
from taskmill.task_store.bootstrap import WRITE_DEADLINE_SECONDS


def test_bundle_in_hand_is_settled_before_it_is_delivered_again() -> None:
    """A bundle waits for its batch and for the batch to be handled, each for as long as the mailbox allows."""
    assert REPORTS_ACK_WAIT_SECONDS > 2 * WRITE_DEADLINE_SECONDS


def test_reconciler_waits_for_what_a_dead_store_had_in_hand() -> None:
    """Bundles that died with a store come again; until then no work is taken for lost, and the wait goes on."""
    assert REPORTS_TIMEOUT_SECONDS > REPORTS_ACK_WAIT_SECONDS
