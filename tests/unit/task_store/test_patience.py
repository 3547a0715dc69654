"""Bundles that come too early are asked for again for some time, each for itself."""

from taskmill.task_store.domain.patience import LATER_SECONDS, SOON_SECONDS, Patience


def test_patience_ends_some_time_after_the_first_look() -> None:
    """Whenever it is looked at in between, and stays so until the bundle is settled; afterwards nothing is known."""
    patience = Patience(30)
    waits = [patience.wait_seconds(1, now) for now in (100.0, 100.9, 101.0, 129.9, 130.0, 131.0)]
    assert waits == [SOON_SECONDS, SOON_SECONDS, LATER_SECONDS, LATER_SECONDS, None, None]
    patience.forget(1)
    assert patience.wait_seconds(1, 132.0) == SOON_SECONDS


def test_each_bundle_has_its_own_time() -> None:
    """One that comes later is waited for as long."""
    patience = Patience(30)
    assert patience.wait_seconds(1, 100.0) is not None
    assert patience.wait_seconds(2, 120.0) is not None
    assert patience.wait_seconds(1, 135.0) is None
    assert patience.wait_seconds(2, 135.0) is not None


def test_what_is_remembered_is_bounded() -> None:
    """Of too many the oldest are waited for anew."""
    patience = Patience(30, capacity=2)
    for sequence in (1, 2, 3):
        assert patience.wait_seconds(sequence, 100.0) is not None
    assert patience.wait_seconds(1, 130.0) is not None
    assert patience.wait_seconds(3, 130.0) is None
