"""Everything that the store talks to: PostgreSQL, and the consumers of its queues on NATS."""
