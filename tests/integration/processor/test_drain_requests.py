"""A processor that is asked to drain."""

import pytest

from taskmill.contracts import subjects
from taskmill.contracts.reports import Completed, Started
from taskmill.runtime.errors import NoRespondersError
from taskmill.runtime.requests import RequestClient
from taskmill.runtime.supervisor import RunState
from tests.integration.processor.harness import running_processor, store_side
from tests.support.eventually import eventually


async def test_it_answers_and_drains(nats_url: str) -> None:
    """What runs is finished; then it has ended, and nobody answers any more. Others are not meant."""
    async with store_side(nats_url) as store:
        requests = RequestClient(store.session, timeout_seconds=5)
        async with running_processor(nats_url, grace_seconds=10, processor_id="p1") as supervisor:
            [item] = await store.dispatch("sleep", {"seconds": 0.5, "steps": 1})
            await store.report_of(item, Started)
            with pytest.raises(NoRespondersError):
                await requests.request(subjects.drain("p2"), b"{}")
            assert set(supervisor.states().values()) == {RunState.RUNNING}
            assert (await requests.request(subjects.drain("p1"), b"{}")).body == b""
            await store.report_of(item, Completed)
            await eventually(lambda: set(supervisor.states().values()) == {RunState.STOPPED})
        with pytest.raises(NoRespondersError):
            await requests.request(subjects.drain("p1"), b"{}")
        assert await store.work_left() == 0
