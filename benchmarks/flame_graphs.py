"""Pictures of where the task store and the gateway spend their time under load."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import LeftOutError
from benchmarks.machine import ROOT
from benchmarks.measures.processing import process_singly
from benchmarks.peers.environment import programs_of
from benchmarks.stack import RunningStack, running_stack

_FOLDER = ROOT / "docs" / "benchmarks"
_REQUIREMENTS = Path(__file__).with_name("profiling") / "requirements.txt"
_RECORD_SECONDS = 10
_SAMPLES_PER_SECOND = 100
_GRACE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Graph:
    """One picture: the process that it shows, by its name in stack.json, and its file."""

    process: str
    file: Path


GRAPHS = tuple(Graph(process, _FOLDER / f"{process}.svg") for process in ("task-store", "gateway"))


async def draw_flame_graphs() -> None:
    """Draw all pictures, one after the other: a sampler takes CPU, too.

    Raises:
        LeftOutError: py-spy cannot be had, or may not look into other processes here.
    """
    programs = programs_of("profiling", _REQUIREMENTS)
    _FOLDER.mkdir(exist_ok=True)
    async with running_stack() as stack:
        await process_singly(stack)
        for graph in GRAPHS:
            await _draw(programs / "py-spy", stack, graph)


async def _draw(program: Path, stack: RunningStack, graph: Graph) -> None:
    recorder = await asyncio.create_subprocess_exec(
        *(str(program), "record", "--pid", str(stack.pids[graph.process]), "--format", "flamegraph"),
        *("--duration", str(_RECORD_SECONDS), "--rate", str(_SAMPLES_PER_SECOND)),
        *("--output", str(graph.file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        # Its warm-up counts, too: the picture is of this load from the first second to the last.
        await process_singly(stack, _RECORD_SECONDS)
        async with asyncio.timeout(_GRACE_SECONDS):
            output, _ = await recorder.communicate()
    finally:
        if recorder.returncode is None:
            recorder.kill()
    if recorder.returncode != 0:
        raise LeftOutError(f"py-spy could not look into the {graph.process}: {output.decode(errors='replace')[-500:]}")
    # Its title is py-spy's own command, with paths of this machine.
    graph.file.write_text(graph.file.read_text().replace(f"{ROOT}/", ""))
