"""Simulated runs by hand.

`python -m tests.simulation SEED` prints what happens in one run; `python -m tests.simulation FIRST LAST` goes
through many, and prints what is violated.
"""

import sys

from tests.simulation.simulation import Simulation
from tests.simulation.verdict import violations


def main(first: int, last: int | None = None) -> int:
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


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
