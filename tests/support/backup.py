"""Backups of a database, as operators make and restore them: with pg_dump and pg_restore."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from taskmill.cli.embedded.postgres import program


async def back_up(database_url: str, file: Path) -> None:
    """Write all that is in a database into a file, while others work with it."""
    await _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={database_url}")


async def restore(database_url: str, file: Path) -> None:
    """Make a database what it was; whoever is connected to it is cut off."""
    parts = urlsplit(database_url)
    name = parts.path.removeprefix("/")
    connection = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")))
    try:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    finally:
        await connection.close()
    await _run("pg_restore", "--exit-on-error", f"--dbname={database_url}", str(file))


async def _run(name: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        program(name), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
