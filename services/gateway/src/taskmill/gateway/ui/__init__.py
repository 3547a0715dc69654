"""The dashboard: pages for people, under `/ui`. They ask the task store for the same as the REST interface does."""
