"""The checkpoints that the store keeps."""

import structlog

from taskmill.contracts import registry
from taskmill.contracts.errors import RemoteError, TaskNotFoundError, UnavailableError
from taskmill.contracts.requests import GetCheckpoint, StoredCheckpoint
from taskmill.processor.adapters.store import Store
from taskmill.processor.domain.held_attempt import HeldAttempt
from taskmill.sdk import NotNow

_log = structlog.get_logger(__name__)


class Checkpoints:
    """Reads the newest checkpoint for an attempt whose processor may have died.

    JetStream delivers the same work item again, and in that stands what was known when it was queued.

    Args:
        store: Who is asked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def renew(self, attempt: HeldAttempt) -> None:
        """Put the newest checkpoint of its run into an attempt's work item.

        When the store cannot be asked, what is there stays: the handler goes on from an earlier place then. It takes as
        long as a request may.

        Raises:
            NotNow: The run is over, so that there is nothing to do: what is given back of it changes nothing.
        """
        work_item = attempt.work_item
        request = GetCheckpoint(id=work_item.task_id, run=work_item.run)
        try:
            stored = await self._store.ask(registry.GET_CHECKPOINT, request, StoredCheckpoint)
        except (UnavailableError, RemoteError) as error:
            if error.problem().code == TaskNotFoundError.code:
                _log.info("attempt.run_is_over", task_id=str(work_item.task_id), run=work_item.run)
                raise NotNow(0) from error
            _log.info("attempt.checkpoint_not_renewed", task_id=str(work_item.task_id), code=error.code)
            return
        attempt.work_item = work_item.model_copy(update={"checkpoint": stored.checkpoint})
