"""The task store, as handlers see it."""

from typing import TypeVar

from pydantic import BaseModel

from taskmill.contracts.errors import StoreUnavailableError
from taskmill.contracts.registry import Command
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.requests import RequestClient

_Reply = TypeVar("_Reply", bound=BaseModel)


class Store:
    """Sends requests to the task store.

    Args:
        requests: Carries them.
    """

    def __init__(self, requests: RequestClient) -> None:
        self._requests = requests

    async def ask(self, command: Command, request: BaseModel, reply: type[_Reply]) -> _Reply:
        """Send a request; return its reply, which is of the command's type.

        Raises:
            UnavailableError: Nobody answered in time.
            RemoteError: The store answered with an error.
        """
        try:
            answer = await self._requests.request(command.subject, request.model_dump_json().encode())
        except (NoRespondersError, TimeoutError):
            raise StoreUnavailableError from None
        return reply.model_validate_json(answer.body)
