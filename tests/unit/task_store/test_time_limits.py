"""Times that must not overtake each other."""

from taskmill.contracts.streams import REPORTS_ACK_WAIT_SECONDS
from taskmill.task_store.actors.reconciler import REPORTS_TIMEOUT_SECONDS
from taskmill.task_store.actors.report_intake import IN_HAND_SECONDS
from taskmill.task_store.domain.patience import OUT_OF_TURN_SECONDS


def test_a_bundle_in_hand_is_told_of_before_it_is_delivered_again() -> None:
    """Twice, for one word may come late."""
    assert REPORTS_ACK_WAIT_SECONDS > 2 * IN_HAND_SECONDS


def test_reconciler_waits_for_what_a_dead_store_had_in_hand() -> None:
    """Bundles that died with a store come again; until then no work is taken for lost, and the wait goes on."""
    assert REPORTS_TIMEOUT_SECONDS > REPORTS_ACK_WAIT_SECONDS


def test_reconciler_waits_longer_than_any_report_does() -> None:
    """While there is always one that waits for what is lost, it would find nothing, for as long as that goes on."""
    assert REPORTS_TIMEOUT_SECONDS > OUT_OF_TURN_SECONDS + REPORTS_ACK_WAIT_SECONDS
