"""An HTTP client on a bare socket: a comfortable one would cost more than what is measured."""

import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

ANSWER_WITHIN_SECONDS = 60.0

_HEAD_END = b"\r\n\r\n"
_MAX_READ_BYTES = 1 << 20


class Client:
    """One connection to the gateway; one request after the other. Close it, or use `contextlib.closing`.

    Args:
        url: Where the gateway listens.
        headers: What each request has beside what it needs.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        address = urlsplit(url)
        self._headers = headers
        self._host = address.netloc
        self._socket = socket.create_connection((address.hostname, address.port), timeout=ANSWER_WITHIN_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, task: dict[str, Any]) -> str:
        """Create a task that is processed at once; return its id."""
        return str(self.ask("POST", "/tasks", {"process": True, **task})["id"])

    def is_completed(self, task_id: str) -> bool:
        """Tell whether a task is completed."""
        return bool(self.ask("GET", f"/tasks/{task_id}")["status"] == "completed")

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send a request and return the JSON object of its answer.

        Raises:
            RuntimeError: It was refused.
        """
        status, answer = self.exchange(encode_request(self._host, method, path, body, headers=self._headers))
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {answer[:500]!r}")
        document: dict[str, Any] = json.loads(answer)
        return document

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request as it is; return the status and the body of its answer."""
        self._socket.sendall(request)
        received = self._socket.recv(_MAX_READ_BYTES)
        while _HEAD_END not in received:
            received += self._read()
        head, _, body = received.partition(_HEAD_END)
        length = body_length(head)
        while len(body) < length:
            body += self._read()
        return int(head[9:12]), body

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self) -> bytes:
        received = self._socket.recv(_MAX_READ_BYTES)
        if not received:
            raise ConnectionResetError("the gateway closed the connection")
        return received


def encode_request(host: str, method: str, path: str, body: Any = None, *, headers: Mapping[str, str]) -> bytes:
    """A request as it goes over the wire, its body as JSON."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(content)}"]
    if content:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def body_length(head: bytes) -> int:
    """How many bytes follow the head of an answer."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
