"""docs/tutorial.md is made of steps; `tests/e2e/test_tutorial.py` follows them."""

import pytest

from tests.contract.paths import DOCS
from tests.tutorial.page import Save, Type, steps

MAX_LINES = 250

PAGE = """\
```python
# thumbs.py
app = 1
```
```console
# terminal 1
$ cd thumbs
$ make run
ready at …
# terminal 2
…made…
$ kill -9 $!
```
"""


def test_the_page_is_short_and_made_of_steps() -> None:
    """No block is there only to be looked at."""
    page = (DOCS / "tutorial.md").read_text()
    assert len(page.splitlines()) <= MAX_LINES
    assert {step.terminal for step in steps(page) if isinstance(step, Type)} == {1, 2, 3, 4, 5}


def test_files_and_terminals() -> None:
    """A file is saved; a command has what it prints below it; and there may be a wait for what another one prints."""
    assert steps(PAGE) == [
        Save("thumbs.py", "# thumbs.py\napp = 1\n"),
        Type(1, "cd thumbs"),
        Type(1, "make run", ("ready at …",)),
        Type(2, "", ("…made…",)),
        Type(2, "kill -9 $!"),
    ]


@pytest.mark.parametrize(
    "block", ["```python\nx = 1\n```", "```console\nmake run\n```", "```sh\nls\n```", "```\nx\n```"]
)
def test_a_block_that_belongs_nowhere_is_refused(block: str) -> None:
    """Nobody would know what to do with it."""
    with pytest.raises(ValueError, match="says not where it belongs"):
        steps(block)
