"""Everything that runs in the gateway."""
