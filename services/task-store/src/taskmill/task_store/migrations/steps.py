"""The functions that run the migrations, by Alembic."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from alembic import command
from alembic.config import Config

from taskmill.task_store.errors import ContractingStepMissingError, ExpandingStepMissingError, OldStoresError
from taskmill.task_store.migrations import VERSIONS, Phase, Revision, Steps, last_pre, revisions
from taskmill.task_store.migrations.database import look_at_schema


def migrate(database_url: str, steps: Steps = Steps.PRE, *, versions: Sequence[Path] = (VERSIONS,)) -> None:
    """Take steps of an update. Idempotent; two at once wait for each other.

    An empty database, with which no store works, gets everything. Must not be called from within a running event loop.

    Args:
        database_url: `postgresql://…` in any of the forms that `settings.TaskStoreSettings` understands.
        steps: Which.
        versions: The folders that hold the revisions.

    Raises:
        ContractingStepMissingError: A step that takes away stands before one that adds: an update is not finished yet.
        ExpandingStepMissingError: A step that adds stands before those that take away.
        OldStoresError: Task stores are connected that still use what would be taken away.
    """
    config, known = _config(database_url, versions), revisions(versions)
    found = look_at_schema(database_url)
    pending = known if found.revision is None else [step for step in known if step.name > found.revision]
    if not pending:
        return
    if found.revision is None or steps is Steps.ALL:
        _check_stores(known, pending, found.stores)
        command.upgrade(config, pending[-1].name)
        return
    is_post = steps is Steps.POST
    steps_now = list(takewhile(lambda step: (step.phase is Phase.POST) is is_post, pending))
    others = [step.name for step in pending[len(steps_now) :] if (step.phase is Phase.POST) is is_post]
    if not steps_now and is_post:
        raise ExpandingStepMissingError(pending[0].name)
    if is_post:
        _check_stores(known, steps_now, found.stores)
    if steps_now:
        command.upgrade(config, steps_now[-1].name)
    if others and not is_post:
        raise ContractingStepMissingError(pending[len(steps_now)].name, others[0])


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring a database's schema up to a revision, whatever its phase, and whoever is connected."""
    command.upgrade(_config(database_url), revision)


def downgrade(database_url: str, revision: str = "base") -> None:
    """Take a database's schema back to a revision; `base`: drop everything, with all tasks."""
    command.downgrade(_config(database_url), revision)


def _check_stores(known: Sequence[Revision], steps: Sequence[Revision], stores: Sequence[str]) -> None:
    """Make sure that no store is connected that needs what steps take away.

    Raises:
        OldStoresError: One is.
    """
    contracting = [step.name for step in steps if step.phase is Phase.POST]
    if not contracting:
        return
    needed = last_pre([step for step in known if step.name < contracting[-1]])
    old = [store for store in stores if store < needed]
    if old:
        raise OldStoresError(contracting[0], len(old), needed)


def _config(database_url: str, versions: Sequence[Path] = (VERSIONS,)) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, versions)))
    config.attributes["database_url"] = database_url
    return config
