"""From the schema of a handler to the refusal of a payload, over two stores and two gateways."""

from contextlib import AsyncExitStack
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field

from taskmill.contracts.permissions import PROCESSOR
from taskmill.processor.bootstrap import build_processor
from taskmill.processor.settings import ProcessorSettings
from taskmill.sdk import Context, TaskApp
from tests.support.eventually import holds
from tests.support.gateway import assert_problem
from tests.support.nats_keys import seed_of
from tests.support.running_service import running_service
from tests.support.services import running_gateway, running_services
from tests.support.task_store import hello, store_client


class Size(BaseModel):
    """What a handler takes."""

    width: Annotated[int, Field(ge=1)]


app = TaskApp("media")


@app.task("thumbnail")
async def thumbnail(size: Size, _context: Context) -> dict[str, int]:
    """Return the payload."""
    return {"width": size.width}


def task(payload: Any, kind: str = "thumbnail") -> dict[str, Any]:
    """A task that a client wants."""
    return {"title": "t", "kind": kind, "payload": payload}


async def test_payloads_that_cannot_fit_are_refused(database_url: str, nats_url: str) -> None:
    """By every gateway, in a batch too, until a processor serves the kind that says something else."""
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(running_services(database_url, nats_url, stores=2, processors=0))
        gateways = [services.client, await stack.enter_async_context(running_gateway(nats_url))]
        assert (await services.client.post("/tasks", json=task({}))).status_code == httpx.codes.CREATED
        first = await services.client.post("/tasks", json=task({}), headers={"Idempotency-Key": "one"})
        many = {"tasks": [task({}), task({"width": 1})]}
        first_many = await services.client.post("/tasks/batch", json=many, headers={"Idempotency-Key": "many"})
        assert first_many.status_code == httpx.codes.CREATED
        processor = build_processor(ProcessorSettings(nats_url=nats_url, nats_nkey_seed=seed_of(PROCESSOR)), [app])
        await stack.enter_async_context(running_service(processor))

        async def check_refused(gateway: httpx.AsyncClient) -> None:
            problem = assert_problem(await gateway.post("/tasks", json=task({"width": 0})), 422, "invalid_request")
            assert [error["pointer"] for error in problem["errors"]] == ["/payload/width"]

        for gateway in gateways:
            await holds(lambda gateway=gateway: check_refused(gateway), within_seconds=20, every_seconds=0.1)  # type: ignore[misc]
        answer = await services.client.post("/tasks", json={**task({"width": 1}), "process": True})
        assert answer.status_code == httpx.codes.CREATED
        assert (await services.completed(answer.json()["id"]))["result"] == {"width": 1}
        batch = {"tasks": [task({"width": 1}), task({}), task({}, "echo")]}
        problem = assert_problem(await services.client.post("/tasks/batch", json=batch), 422, "invalid_request")
        assert [error["pointer"] for error in problem["errors"]] == ["/tasks/1/payload"]

        # What was accepted before is answered as before, whatever is taken today; nothing else is.
        again = await services.client.post("/tasks", json=task({}), headers={"Idempotency-Key": "one"})
        assert (again.status_code, again.content) == (httpx.codes.CREATED, first.content)
        assert again.headers["Idempotent-Replayed"] == "true"
        again = await services.client.post("/tasks/batch", json=many, headers={"Idempotency-Key": "many"})
        assert (again.status_code, again.content) == (httpx.codes.CREATED, first_many.content)
        for path, body in (("/tasks", task({})), ("/tasks/batch", many)):
            other = await services.client.post(path, json=body, headers={"Idempotency-Key": "other"})
            problem = assert_problem(other, 422, "invalid_request")
            assert [error["code"] for error in problem["errors"]] == ["required"]
        reused = await services.client.post("/tasks", json=task({"width": 0}), headers={"Idempotency-Key": "one"})
        assert_problem(reused, 422, "idempotency_key_reused")
        # One that is refused leaves its key free.
        after = await services.client.post("/tasks", json=task({"width": 1}), headers={"Idempotency-Key": "other"})
        assert after.status_code == httpx.codes.CREATED

        kinds = (await services.client.get("/kinds")).json()["items"]
        assert {one["kind"]: one["payload_schema"] for one in kinds}["thumbnail"] == Size.model_json_schema()

        store = await stack.enter_async_context(store_client(nats_url))
        await store.report({**hello("default"), "kinds": ["thumbnail"]}, processor_id="older")

        async def check_taken(gateway: httpx.AsyncClient) -> None:
            answer = await gateway.post("/tasks", json=task({"width": 0}))
            assert answer.status_code == httpx.codes.CREATED

        for gateway in gateways:
            await holds(lambda gateway=gateway: check_taken(gateway), within_seconds=20, every_seconds=0.1)  # type: ignore[misc]
