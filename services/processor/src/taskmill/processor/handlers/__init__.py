"""The built-in kinds, registered with the same `TaskApp` that users register theirs with."""
