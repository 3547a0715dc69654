"""Has processors drain, over NATS."""

from taskmill.contracts import subjects
from taskmill.contracts.control import Drain
from taskmill.contracts.errors import BusUnavailableError, ProcessorNotFoundError
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.requests import RequestClient

ANSWER_SECONDS = 2
"""How long a processor may take to answer: less than who asked the store waits."""


class ProcessorDrains:
    """Asks processors, and waits for their answers.

    Args:
        requests: Carries them.
    """

    def __init__(self, requests: RequestClient) -> None:
        self._requests = requests

    async def drain(self, processor_id: str) -> None:
        """See `Drains`."""
        body = Drain().model_dump_json().encode()
        try:
            await self._requests.request(subjects.drain(processor_id), body, timeout_seconds=ANSWER_SECONDS)
        except NoRespondersError as error:
            raise ProcessorNotFoundError from error
        except TimeoutError as error:
            raise BusUnavailableError from error
