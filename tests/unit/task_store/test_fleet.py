from datetime import UTC, datetime, timedelta

from taskmill.contracts.fleet import QueueInfo
from taskmill.task_store.domain.fleet import FinishedRates, QueueState, Servers, queue_document

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def seconds(number: float) -> datetime:
    """An instant so long after the first."""
    return NOW + timedelta(seconds=number)


def test_a_rate_is_told_over_about_the_last_minute() -> None:
    """From the newest sample that is a minute old, or else the oldest that there is."""
    rates = FinishedRates()
    assert rates.rate("web", NOW, 5) is None
    rates.note(NOW, {"web": 100})
    assert rates.rate("web", NOW, 100) is None
    assert rates.rate("web", seconds(5), 110) == 2
    for number in range(1, 13):
        rates.note(seconds(10 * number), {"web": 100 + 10 * number})
    assert rates.rate("web", seconds(125), 285) == (285 - 160) / 65


def test_a_queue_that_is_new_has_a_rate() -> None:
    """What has ended in it has ended since."""
    rates = FinishedRates()
    rates.note(NOW, {})
    assert rates.rate("web", seconds(10), 5) == 0.5


def test_a_counter_that_went_back_is_no_negative_rate() -> None:
    """A database that was restored counts from where it was."""
    rates = FinishedRates()
    rates.note(NOW, {"web": 100})
    assert rates.rate("web", seconds(10), 5) == 0


def test_counters_that_are_off_are_not_told_as_negative() -> None:
    """While stores of an earlier release write, they may be; and a clock may be behind."""
    state = QueueState("web", None, 2, -1, 3, 0, 0, -4, 7, seconds(1))
    told = QueueInfo.model_validate_json(queue_document(state, Servers(0, ()), None, NOW))
    assert (told.depth.critical, told.depth.high, told.scheduled, told.in_progress) == (0, 3, 0, 0)
    assert (told.oldest_age_seconds, told.finished_per_second) == (0, None)
