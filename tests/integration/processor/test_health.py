"""What a processor tells of its health."""

import asyncio
from pathlib import Path

import pytest

from taskmill.contracts.permissions import PROCESSOR
from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.runtime.health import HealthFile
from taskmill.runtime.nats_session import NatsSession
from taskmill.runtime.supervisor import RunState, Supervisor
from tests.integration.processor.harness import running_processor, store_side
from tests.support.eventually import eventually
from tests.support.nats_keys import seed_of


class BarrenSession(NatsSession):
    """Has no inbox for who pulls work."""

    def new_inbox(self) -> str:
        """Give one only to the session itself, before it is connected."""
        if self.is_connected:
            raise ZeroDivisionError
        return super().new_inbox()


def is_healthy(processor: Supervisor) -> bool:
    """Whether it would touch its health file now."""
    [health_file] = [charge.actor for charge in processor._charges if isinstance(charge.actor, HealthFile)]
    return health_file._is_healthy()


async def test_a_processor_whose_intake_keeps_crashing_is_not_healthy(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That NATS answers is not enough: no work would ever be done."""
    async with store_side(nats_url):
        async with running_processor(nats_url, health_file=tmp_path / "one") as processor:
            assert is_healthy(processor)
        settings = ProcessorSettings(
            nats_url=nats_url, nats_nkey_seed=seed_of(PROCESSOR), grace_seconds=0, health_file=tmp_path / "another"
        )
        monkeypatch.setattr("taskmill.processor.bootstrap.NatsSession", BarrenSession)
        processor = build_processor(settings)
        running = asyncio.create_task(processor.run())
        await eventually(lambda: processor.states()["health-file"] is RunState.RUNNING)
        await eventually(lambda: processor.states()["work-intake"] is RunState.RESTARTING)
        assert not is_healthy(processor)
        assert {name for name, state in processor.states().items() if state is not RunState.RUNNING} == {"work-intake"}
        processor.stop()
        await running
