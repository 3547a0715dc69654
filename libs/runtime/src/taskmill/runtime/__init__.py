"""What every service needs to run: actors and their supervisor, the NATS session, settings, logs. No business words."""
