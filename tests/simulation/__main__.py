"""Simulated runs by hand: the trace of one seed, or what is violated in many."""

import argparse
import sys

from tests.simulation.simulation import Simulation
from tests.simulation.verdict import violations


def main(first: int, last: int | None) -> int:
    """Run one seed with its trace, or those from `first` to `last`; return 1 if anything is violated."""
    is_violated = False
    for seed in range(first, (first if last is None else last) + 1):
        simulation = Simulation(seed, is_traced=last is None)
        history = simulation.run()
        for line in simulation.world.trace:
            print(line)  # noqa: T201
        for name, told in violations(simulation, history).items():
            is_violated = True
            print(f"seed {seed}: {name}", *told, sep="\n  ", flush=True)  # noqa: T201
    return int(is_violated)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("first", type=int, metavar="SEED", help="the seed; alone: print what happens in its run")
    parser.add_argument("last", type=int, nargs="?", metavar="LAST", help="run every seed from SEED to this one")
    return parser


if __name__ == "__main__":
    options = _parser().parse_args()
    sys.exit(main(options.first, options.last))
