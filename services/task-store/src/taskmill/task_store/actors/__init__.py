"""Everything that runs in the task store."""
