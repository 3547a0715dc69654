"""Drills: faults on purpose, in a stack that runs here, to see for yourself that no task is lost."""
