"""Everything that runs in a processor, one module each."""
