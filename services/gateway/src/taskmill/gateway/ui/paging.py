"""Lists of which a page is shown at a time."""

from typing import NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request

from taskmill.gateway.api.queries import PageQuery
from taskmill.gateway.api.query_reader import QueryReader
from taskmill.gateway.ui.forms import encoded, filled_in
from taskmill.gateway.ui.route import PREFIX

_QUERY = QueryReader(PageQuery)


class ListPlace(NamedTuple):
    """Where in a list a page of it stands.

    Attributes:
        path: The list's, behind `/ui`.
        cursor: Where the page begins; None: it is the first.
        next_cursor: Where the next one begins; None: there is none.
    """

    path: str
    cursor: str | None
    next_cursor: str | None

    @property
    def query(self) -> str:
        """What has whatever is done on the page come back to it, behind an address."""
        return "" if self.cursor is None else f"?{urlencode({'cursor': self.cursor})}"

    @property
    def here(self) -> str:
        """The address of the page."""
        return f"{PREFIX}{self.path}{self.query}"

    @property
    def first(self) -> str | None:
        """The address of the first page; None: it is this."""
        return None if self.cursor is None else f"{PREFIX}{self.path}"

    @property
    def following(self) -> str | None:
        """The address of the next page; None: there is none."""
        return None if self.next_cursor is None else self._replace(cursor=self.next_cursor).here


def cursor_of(request: Request) -> str | None:
    """Where the page of a list begins that an address asks for; None: at the beginning.

    Raises:
        InvalidRequestError: No page ends with such a cursor.
    """
    query = _QUERY.read(encoded([pair for pair in filled_in(request) if pair[0] == "cursor"]))
    assert isinstance(query, PageQuery)  # noqa: S101  (the reader's model)
    return query.cursor
