"""The peers, and how each is set."""

import os

from benchmarks.peers.peer import Peer, Setting
from benchmarks.peers.servers import NATS, POSTGRES, REDIS

_CORES = os.cpu_count() or 1

CELERY = Peer(
    name="celery",
    title="Celery + Redis",
    packages=("celery", "kombu", "redis"),
    servers=(REDIS,),
    workers=(
        (
            "celery",
            "--app",
            "tasks",
            "worker",
            "--pool",
            "prefork",
            "--concurrency",
            str(_CORES),
            "--loglevel",
            "WARNING",
        ),
    ),
    settings=(
        Setting(
            "the prefork pool with a process for each core (the default)",
            "https://docs.celeryq.dev/en/stable/userguide/workers.html#concurrency",
        ),
        Setting(
            "`worker_prefetch_multiplier` 128, for many short tasks",
            "https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits",
        ),
        Setting(
            "Redis as broker and result backend, results on, tasks acknowledged before they run (the defaults)",
            "https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html",
        ),
    ),
    tasks={"process": 5_000, "latency": 300},
    reference={"process": 1_200},
)

TASKIQ = Peer(
    name="taskiq",
    title="taskiq-nats + Redis results",
    packages=("taskiq", "taskiq-nats", "taskiq-redis", "nats-py", "uvloop"),
    servers=(NATS, REDIS),
    workers=(("taskiq", "worker", "tasks:broker", "--workers", str(_CORES), "--log-level", "WARNING"),),
    settings=(
        Setting(
            "`PullBasedJetStreamBroker` with `pull_consume_batch` 100; results by `RedisAsyncResultBackend`",
            "https://github.com/taskiq-python/taskiq-nats",
        ),
        Setting(
            "a worker process for each core, acknowledged when the result is saved (the default)",
            "https://taskiq-python.github.io/guide/cli.html",
        ),
        Setting(
            "uvloop, which taskiq takes when it is installed",
            "https://taskiq-python.github.io/guide/architecture-overview.html",
        ),
    ),
    tasks={"process": 15_000},
    reference={"process": 4_300},
)

PROCRASTINATE = Peer(
    name="procrastinate",
    title="procrastinate",
    packages=("procrastinate", "psycopg"),
    servers=(POSTGRES,),
    workers=(("procrastinate", "--app", "tasks.app", "worker", "--concurrency", "30"),) * _CORES,
    settings=(
        Setting(
            "a worker with `--concurrency 30` for each core",
            "https://procrastinate.readthedocs.io/en/stable/howto/production/concurrency.html",
        ),
        Setting(
            "`batch_defer_async` of 100",
            "https://procrastinate.readthedocs.io/en/stable/howto/basics/batch_defer.html",
        ),
        Setting(
            "`PsycopgConnector` with its own pool",
            "https://procrastinate.readthedocs.io/en/stable/howto/basics/connector.html",
        ),
    ),
    tasks={"process": 4_000},
    reference={"process": 900},
)

PGQUEUER = Peer(
    name="pgqueuer",
    title="pgqueuer",
    packages=("pgqueuer", "asyncpg", "uvloop"),
    servers=(POSTGRES,),
    workers=(("python", "-m", "tasks"),) * _CORES,
    settings=(
        Setting(
            "the asyncpg driver and uvloop, as in its own benchmark; a worker with one queue manager for each core",
            "https://janbjorge.github.io/pgqueuer/comparisons/benchmarks/",
        ),
        Setting(
            "`batch_size` 500, for short tasks, a pool for the producer, a connection for each manager, its settings "
            "for autovacuum, `durable` (the default)",
            "https://janbjorge.github.io/pgqueuer/guides/performance-tuning/",
        ),
    ),
    tasks={"process": 60_000, "enqueue": 200_000},
    reference={"process": 18_900, "enqueue": 89_000},
)

PEERS = (CELERY, TASKIQ, PROCRASTINATE, PGQUEUER)
