"""Pure rules: nothing here waits, reads a clock or talks to anything."""
