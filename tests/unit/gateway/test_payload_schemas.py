"""Payloads that cannot fit are refused, if all processors of their kind agree on what fits."""

import asyncio
import random
import time
from typing import Any

import httpx
import pytest

from taskmill.contracts import registry
from taskmill.contracts.errors import StoreUnavailableError
from taskmill.contracts.requests import NewTask
from taskmill.gateway.actors.kind_watch import KindWatch
from taskmill.gateway.adapters.payload_schemas import PayloadSchemas
from taskmill.gateway.adapters.store import Store
from taskmill.gateway.api import examples
from taskmill.gateway.api.payload_check import PayloadCheck
from tests.support.actors import running
from tests.support.eventually import eventually
from tests.support.gateway import RememberingStore

SECRET = "hunter2"
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "width": {"type": "integer", "minimum": 1},
        "names": {"type": "array", "items": {"type": "string", "maxLength": 3}},
        "mode": {"enum": ["fast", "good"]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["width"],
    "additionalProperties": False,
}


def page(*schemas: tuple[str, dict[str, Any] | None], next_cursor: str | None = None) -> dict[str, Any]:
    """What the store answers."""
    items = [{"kind": kind, "is_served": True, "defaults": {}, "payload_schema": schema} for kind, schema in schemas]
    return {"items": items, "next_cursor": next_cursor}


class Stage:
    """What is known of schemas, and the store that knows it."""

    def __init__(self) -> None:
        self.store = RememberingStore()
        self.schemas = PayloadSchemas(Store(self.store))
        self.check = PayloadCheck(self.schemas)

    async def learn(self, *schemas: tuple[str, dict[str, Any] | None]) -> None:
        """Have the store tell these, and read them."""
        self.store.answers(registry.LIST_KINDS, page(*schemas))
        await self.schemas.refresh()

    @property
    def readings(self) -> int:
        """How often the store was asked."""
        return len(self.store.asked)

    async def refused(self, payload: Any, kind: str = "media") -> list[tuple[str, str]]:
        """Pointers and rules that a payload is refused for."""
        problems = await self.check.problems(NewTask(title="t", kind=kind, payload=payload))
        assert not any(SECRET in problem.model_dump_json() for problem in problems)
        return [(problem.pointer, problem.code) for problem in problems]


@pytest.fixture
def stage() -> Stage:
    """A gateway that knows of no schema yet."""
    return Stage()


@pytest.mark.parametrize(
    ("payload", "problems"),
    [
        ({"width": 1, "names": ["abc"], "mode": "fast", "either": None}, []),
        ({}, [("/payload", "required")]),
        (None, [("/payload", "type")]),
        ({"width": SECRET}, [("/payload/width", "type")]),
        ({"width": 0, "mode": SECRET}, [("/payload/mode", "enum"), ("/payload/width", "minimum")]),
        ({"width": 1, "names": ["ok", SECRET]}, [("/payload/names/1", "maxLength")]),
        ({"width": 1, SECRET: 1}, [("/payload", "additionalProperties")]),
        ({"width": 1, "either": SECRET}, [("/payload/either", "anyOf")]),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused(
    stage: Stage, payload: Any, problems: list[tuple[str, str]]
) -> None:
    """Each offending part is named, and never its value."""
    await stage.learn(("media", SCHEMA))
    assert sorted(await stage.refused(payload)) == problems


async def test_no_more_than_twenty_parts_are_named(stage: Stage) -> None:
    """However much is wrong."""
    await stage.learn(("media", SCHEMA))
    assert len(await stage.refused({"width": 1, "names": [1] * 100})) == 20


@pytest.mark.parametrize("choice", ["anyOf", "oneOf"])
async def test_a_schema_of_many_ways_is_answered_at_once(stage: Stage, choice: str) -> None:
    """There are 2^30 ways through the choices of one that refers to itself; nobody goes them all."""
    links = [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, {"type": "integer"}]
    node = {"type": "object", "properties": {"next": {choice: links}}, "required": ["next"]}
    await stage.learn(("media", {"$defs": {"a": node, "b": node}, "$ref": "#/$defs/a"}))
    payload: Any = SECRET
    for _ in range(30):
        payload = {"next": payload}
    assert await stage.refused(payload) == [("/payload/next", choice)]


@pytest.mark.parametrize(
    "schema",
    [
        {"const": {"anyOf": []}},
        {"not": {"type": "integer"}},
        {"not": True},
        {"dependentRequired": {"anyOf": ["b"]}, "type": "string"},
        {"allOf": [{"type": "string"}], "anyOf": [{"minLength": 1}]},
        {"properties": {"oneOf": {"type": "integer"}}, "type": "string"},
    ],
)
async def test_words_that_only_look_like_choices_are_left_alone(stage: Stage, schema: dict[str, Any]) -> None:
    """Values and names, and what a schema forbids by itself."""
    [word, *_] = schema
    await stage.learn(("media", schema))
    assert await stage.refused(5) == [("/payload", word if word in {"const", "not"} else "type")]


async def test_what_refers_into_a_choice_is_refused_as_a_whole(stage: Stage) -> None:
    """Then nobody can say what does not fit."""
    schema = {"properties": {"a": {"anyOf": [{"type": "integer"}]}, "b": {"$ref": "#/properties/a/anyOf/0"}}}
    await stage.learn(("media", schema))
    assert await stage.refused({"b": 1}) == []
    assert await stage.refused({"b": SECRET}) == [("/payload", "schema")]


async def test_a_kind_without_a_schema_takes_anything(stage: Stage) -> None:
    """Whether nobody knows it, or its processors do not agree; the store is not asked for it."""
    await stage.learn(("media", SCHEMA), ("echo", None))
    assert await stage.refused({}, "echo") == await stage.refused({}, "unknown") == []
    assert stage.readings == 1


async def test_nobody_is_refused_for_what_is_no_longer_so(stage: Stage) -> None:
    """Before a refusal the store is asked, if that was long ago; if it cannot tell, the task is made."""
    await stage.learn(("media", SCHEMA))
    await stage.refused({})
    assert stage.readings == 1
    stage.check = PayloadCheck(stage.schemas, fresh_seconds=0)
    stage.store.answers(registry.LIST_KINDS, StoreUnavailableError())
    assert await stage.refused({}) == []
    stage.store.answers(registry.LIST_KINDS, page(("media", {"type": "object"})))
    assert await stage.refused({}) == []
    assert await stage.refused(5) == [("/payload", "type")]


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"pattern": "("}, {"$ref": "https://example.org/schema.json"}]
)
async def test_a_schema_that_is_none_is_left_out(stage: Stage, schema: dict[str, Any]) -> None:
    """Nothing is fetched from elsewhere either; the other kinds are not concerned."""
    await stage.learn(("broken", schema), ("media", SCHEMA))
    assert await stage.refused(5, "broken") == []
    assert await stage.refused(5) == [("/payload", "type")]


def differing(*schemas: dict[str, Any] | None, count: int | None = None) -> dict[str, Any]:
    """What the store answers while processors of `media` differ: the newest first."""
    declarations = [
        {"processors": ["p"], "processor_count": 1, "defaults": {}, "payload_schema": schema} for schema in schemas
    ]
    found = page(("media", None))
    found["items"][0] |= {"declarations": declarations, "declaration_count": count or len(schemas)}
    return found


async def test_while_processors_differ_one_of_their_schemas_is_enough(stage: Stage) -> None:
    """Of what fits none it is told what the newest wants; if one of them takes anything, so does the gateway."""
    old, new = {"required": ["width"]}, {"required": ["size"]}
    stage.store.answers(registry.LIST_KINDS, differing(new, old))
    await stage.schemas.refresh()
    assert await stage.refused({"width": 1}) == await stage.refused({"size": 1}) == []
    [(pointer, code)] = await stage.refused({})
    assert (pointer, code) == ("/payload", "required")
    for answer in (differing(new, None), differing(new, old, count=3)):
        stage.store.answers(registry.LIST_KINDS, answer)
        await stage.schemas.refresh()
        assert await stage.refused({}) == []


def doubled(levels: int) -> dict[str, Any]:
    """A schema whose parts are reached on 2^levels ways, none of which leads back."""
    defs: dict[str, Any] = {"a0": {"type": "integer"}}
    for level in range(1, levels + 1):
        defs[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    return {"$defs": defs, "$ref": f"#/$defs/a{levels}"}


SELF = {"$ref": "#/$defs/a"}
B = {"$ref": "#/$defs/b"}
MANY = {"allOf": [{"type": "integer"}] * 500}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (doubled(30), "too long"),
        ({"properties": {"title": doubled(30)["$defs"]["a1"]}, **doubled(30)}, "too long"),
        ({"allOf": [{"pattern": "^([ab]*a[ab]{12})$"}] * 60}, "too long"),
        ({"pattern": "(a{100}){100}b"}, "pattern"),
        ({"patternProperties": {"((a{50}){50}){50}": {}}}, "pattern"),
        ({"pattern": r"^(?=a)(a+)+\1$"}, "pattern"),
        ({"$ref": "#/$defs/nowhere"}, "not there"),
        ({"$ref": "https://example.org/schema.json"}, "elsewhere"),
        ({"$dynamicAnchor": "n", "properties": {"n": {"$dynamicRef": "#n"}}}, "other means"),
        ({"properties": {"a": {"$id": "https://example.org/b", "$ref": "#/c"}}}, "other means"),
    ],
)
async def test_what_may_take_too_long_is_not_compared(
    stage: Stage, client: httpx.AsyncClient, store: RememberingStore, schema: dict[str, Any], reason: str
) -> None:
    """Nor what cannot be weighed; GET /kinds says why."""
    await stage.learn(("broken", schema), ("media", SCHEMA))
    assert await stage.refused("a" * 1_000, "broken") == []
    assert await stage.refused(5) == [("/payload", "type")]
    store.answers(registry.LIST_KINDS, page(("broken", schema), ("media", SCHEMA)))
    broken, media = (await client.get("/kinds")).json()["items"]
    assert reason in broken["unchecked_reason"]
    assert (broken["payload_schema"], media["unchecked_reason"]) == (schema, None)


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"items": MANY}, [0] * 100_000),
        ({"items": {"not": {"enum": list(range(1, 3_000))}}}, [0] * 100_000),
        ({"items": {"enum": [[number] for number in range(1, 2_000)]}}, [[0]] * 50_000),
        ({"uniqueItems": True}, [[number] for number in range(20_000)]),
        ({"pattern": "^(a+)+$"}, "a" * 250_000 + "b"),
        ({"pattern": "[ab]*a[ab]{12}c"}, "".join(random.Random(7).choices("ab", k=250_000))),
        ({"$defs": {"a": {"properties": {"n": {"allOf": [SELF, SELF]}}}}, **SELF}, "nested"),
        ({"$defs": {"a": {"properties": {"n": SELF}, "patternProperties": {"n": SELF, "^n": SELF}}}, **SELF}, "nested"),
        ({"$defs": {"a": {"properties": {"n": {"allOf": [SELF, SELF]}}, "required": ["n"]}}, **SELF}, "nested"),
        ({"$defs": {"a": {"properties": {"n": {"allOf": [B, B]}}, "required": ["n"]}, "b": SELF}, **SELF}, "nested"),
    ],
)
async def test_hostile_schemas_hold_up_nobody(stage: Stage, schema: dict[str, Any], payload: Any) -> None:
    """Whatever comes out, it does so soon: payloads that may take long with their schema are taken."""
    if payload == "nested":
        payload = {}
        for _ in range(30):
            payload = {"n": payload}
    await stage.learn(("media", schema))
    task = NewTask(title="t", kind="media", payload=payload)
    began_at = time.thread_time()
    await stage.check.problems(task)
    assert time.thread_time() - began_at < 0.2


async def test_others_have_their_turn_while_a_batch_is_compared(stage: Stage) -> None:
    """However long all of it takes."""
    await stage.learn(("media", {"items": MANY}))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    await stage.check.problems_of_each([NewTask(title="t", kind="media", payload=[0] * 5_000) for _ in range(30)])
    other.cancel()
    assert turns > 3


async def test_all_pages_are_read(stage: Stage) -> None:
    """Until one says that it is the last; but never without end."""
    stage.store.answers(registry.LIST_KINDS, page(("media", SCHEMA), next_cursor="WyJhIl0"))
    await stage.schemas.refresh()
    assert [asked.get("cursor") for _, asked in stage.store.asked] == [None] + ["WyJhIl0"] * 9


async def test_schemas_are_kept_fresh_while_they_are_used(stage: Stage) -> None:
    """At the start, and then only if somebody asked; also after the store was away."""
    stage.store.answers(registry.LIST_KINDS, StoreUnavailableError())
    async with running(KindWatch(stage.schemas, refresh_seconds=0.01)):
        await eventually(lambda: stage.readings == 1)
        stage.store.answers(registry.LIST_KINDS, page(("media", SCHEMA)))
        assert await stage.refused(5) == []
        await eventually(lambda: not stage.schemas.fits("media", 5))


async def test_kinds_are_listed(client: httpx.AsyncClient, store: RememberingStore) -> None:
    """As the store tells them."""
    store.answers(registry.LIST_KINDS, examples.KIND_PAGE)
    response = await client.get("/kinds?limit=7&cursor=WyJhIl0")
    assert response.json() == examples.KIND_PAGE
    assert store.asked == [(registry.LIST_KINDS.subject, {"limit": 7, "cursor": "WyJhIl0"})]


async def test_true_is_not_1_in_a_schema(stage: Stage) -> None:
    """To Python they are equal: a schema that has the other one now is another."""
    await stage.learn(("media", {"const": 1}))
    assert await stage.refused(1) == []
    await stage.learn(("media", {"const": True}))
    assert await stage.refused(True) == []
    assert await stage.refused(1) == [("/payload", "const")]
