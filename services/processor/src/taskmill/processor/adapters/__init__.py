"""The outside of a processor, beside NATS: HTTP servers, and threads."""
