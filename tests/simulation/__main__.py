"""Run one seed again, and print everything that happened: `python -m tests.simulation SEED`."""

import sys

from tests.simulation.simulation import Simulation
from tests.simulation.verdict import violations


def main() -> int:
    """Print the trace of a seed, and what it violates; return 1 if it does."""
    simulation = Simulation(int(sys.argv[1]), is_traced=True)
    history = simulation.run()
    print(*simulation.world.trace, sep="\n")  # noqa: T201
    found = violations(simulation, history)
    for name, told in found.items():
        print(name, *told, sep="\n  ")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
