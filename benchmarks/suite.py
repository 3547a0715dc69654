"""Takes samples of measures: contender after contender, round after round."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from benchmarks.cpu import CpuMeter
from benchmarks.errors import LeftOutError, MeasurementError
from benchmarks.machine import code_commit, describe_machine, own_versions
from benchmarks.measure import Measure, Sampler
from benchmarks.peers.catalogue import PEERS
from benchmarks.results import Sample
from taskmill.cli.errors import StackError

Keep = Callable[[Sample], None]


async def run_measures(
    measures: Iterable[Measure], rounds: int, keep: Keep, without: Collection[str] = frozenset()
) -> None:
    """Take the samples of some measures. Contenders take turns, so that a slow minute of the machine meets all.

    Args:
        measures: What to measure, in this order.
        rounds: How often each contender's turn comes.
        keep: Gets each sample at once.
        without: Contenders that are not wanted.
    """
    surroundings = {
        "run": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": code_commit(),
        "machine": describe_machine(),
    }
    for measure in measures:
        async with measure.prepare() as contenders:
            wanted = {name: sampler for name, sampler in contenders.items() if name not in without}
            for _ in range(rounds):
                for name, sampler in list(wanted.items()):
                    sample = await _sample(measure.name, name, sampler, surroundings)
                    keep(sample)
                    if sample.left_out:
                        del wanted[name]


async def _sample(measure: str, contender: str, sampler: Sampler, surroundings: Mapping[str, str]) -> Sample:
    peers = {peer.name: peer for peer in PEERS}
    figures: Mapping[str, float] = {}
    versions: Mapping[str, str] = {}
    left_out = failed = None
    meter = CpuMeter({})
    try:
        versions = peers[contender].versions() if contender in peers else own_versions()
        figures = await sampler()
    except LeftOutError as error:
        left_out = str(error)
    except (MeasurementError, StackError, OSError) as error:
        failed = f"{type(error).__name__}: {error}"
    return Sample(
        measure=measure,
        contender=contender,
        **surroundings,
        versions=versions,
        others_cpu=round(meter.read().others_share, 3),
        figures={name: round(value, 4) for name, value in figures.items()},
        left_out=left_out,
        failed=failed,
    )
