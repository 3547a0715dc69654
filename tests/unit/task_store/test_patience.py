"""Bundles that come too early are asked for again for some time, each for itself."""

from taskmill.task_store.domain.patience import Patience


def test_patience_ends_some_time_after_the_first_look() -> None:
    """Whenever it is looked at in between; afterwards nothing is remembered."""
    patience = Patience(30)
    assert [patience.is_over(1, now) for now in (100.0, 101.0, 129.9, 130.0, 131.0)] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_each_bundle_has_its_own_time() -> None:
    """One that comes later is waited for as long."""
    patience = Patience(30)
    assert not patience.is_over(1, 100.0)
    assert not patience.is_over(2, 120.0)
    assert patience.is_over(1, 135.0)
    assert not patience.is_over(2, 135.0)


def test_what_is_remembered_is_bounded() -> None:
    """Of too many the oldest are waited for anew."""
    patience = Patience(30, capacity=2)
    for sequence in (1, 2, 3):
        assert not patience.is_over(sequence, 100.0)
    assert not patience.is_over(1, 130.0)
    assert patience.is_over(3, 130.0)
