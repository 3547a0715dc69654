import pytest

from taskmill.runtime.errors import SettingsError
from taskmill.runtime.settings import load
from taskmill.task_store.settings import TaskStoreSettings

A_HUNDRED_YEARS = 100 * 365 * 24 * 3600
LARGEST = {
    "TASKMILL_MAX_QUEUED_TASKS": 1_000_000_000,
    "TASKMILL_QUEUE_IDLE_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_IDEMPOTENCY_TTL_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_SCHEDULE_FIRES_KEPT_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_RETENTION_COMPLETED_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_RETENTION_FAILED_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_RETENTION_CANCELLED_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_RETENTION_EVENTS_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_RETENTION_GROUPS_SECONDS": A_HUNDRED_YEARS,
    "TASKMILL_REPORTS_MAX_BYTES": 1024**5,
    "TASKMILL_EVENTS_MAX_BYTES": 1024**5,
    "TASKMILL_EVENTS_MAX_AGE_SECONDS": A_HUNDRED_YEARS,
}


@pytest.mark.parametrize(("variable", "largest"), LARGEST.items())
def test_what_no_clock_and_no_server_can_count_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, largest: int
) -> None:
    """Otherwise the store would start and fail, with a traceback or at each request."""
    monkeypatch.setenv(variable, str(largest))
    assert getattr(load(TaskStoreSettings), variable.removeprefix("TASKMILL_").lower()) == largest
    monkeypatch.setenv(variable, str(largest + 1))
    with pytest.raises(SettingsError, match=f"^{variable}: Input should be less than or equal to {largest}$"):
        load(TaskStoreSettings)
