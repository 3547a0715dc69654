"""The migrations of the task store's schema, and the functions that run them.

Revisions are numbered `0001`, `0002`, …, so that their order can be read off the database. Each can be undone, and each
leaves a schema that the release before it can still work with: stores are replaced one after another.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory


def upgrade(database_url: str, revision: str = "head") -> None:
    """Bring a database's schema up to a revision. Idempotent; two at once wait for each other.

    Must not be called from within a running event loop.

    Args:
        database_url: `postgresql://…` in any of the forms that `settings.TaskStoreSettings` understands.
        revision: Where to stop; the newest by default.
    """
    command.upgrade(_config(database_url), revision)


def downgrade(database_url: str, revision: str = "base") -> None:
    """Take a database's schema back to a revision; `base`: drop everything, with all tasks."""
    command.downgrade(_config(database_url), revision)


def newest_revision() -> str:
    """The revision that this code needs."""
    revision = ScriptDirectory.from_config(_config("")).get_current_head()
    assert revision is not None  # noqa: S101  (the package holds at least one)
    return revision


def _config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["database_url"] = database_url
    return config
