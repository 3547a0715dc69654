"""What the gateway decides by itself: who gets which event."""
