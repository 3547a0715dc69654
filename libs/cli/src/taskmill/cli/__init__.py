"""The `taskmill` command: it starts the whole stack on one machine and keeps it running."""
