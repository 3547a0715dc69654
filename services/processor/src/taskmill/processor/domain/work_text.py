"""Reading work items."""

from pydantic import TypeAdapter, ValidationError

from taskmill.contracts.work import WorkItem
from taskmill.processor.errors import UndecodableWorkError

_WORK_ITEM = TypeAdapter(WorkItem)


def read_work_item(data: bytes) -> WorkItem:
    """Read a message of the work stream.

    Raises:
        UndecodableWorkError: It is no work item.
    """
    try:
        return _WORK_ITEM.validate_json(data)
    except ValidationError as error:
        raise UndecodableWorkError(error.error_count()) from error
