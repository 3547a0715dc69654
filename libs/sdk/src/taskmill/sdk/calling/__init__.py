"""Calling handlers: what a processor does, and what stands in for one in tests."""
