"""Messages between a run and its worker processes: each a tuple, pickled, with its length before it."""

from __future__ import annotations

import pickle
import socket
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

Message = tuple[Any, ...]

_HEAD = 8
_CHUNK = 1 << 16
_LONGEST = 1 << 40


class Garbled(Exception):
    """What has come is no message: something else has written to the other end."""


class Channel:
    """One end of a connection to another process of the run.

    The run's end never waits: what cannot be sent yet is kept for `flush`, so that two processes which send at once do
    not wait for one another. A worker's end waits.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending: deque[memoryview] = deque()
        self._one_at_a_time = threading.Lock()
        self._received = bytearray()
        self.garbled = False
        """No message has come where one should be: there will be no more."""

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, *message: Any) -> None:
        """Send a message, from any thread. Raises OSError where the other end is gone."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._one_at_a_time:
            self._sending.append(memoryview(len(data).to_bytes(_HEAD, "little") + data))
            self.flush()

    def flush(self) -> None:
        """Send as much of what is left as can be sent now."""
        while self._sending:
            part = self._sending[0]
            try:
                sent = self._connection.send(part)
            except BlockingIOError:
                return
            if sent < len(part):
                self._sending[0] = part[sent:]
            else:
                self._sending.popleft()

    @property
    def unsent(self) -> bool:
        """Is there something left to send?"""
        return bool(self._sending)

    def received(self) -> tuple[list[Message], bool]:
        """The messages that have come, and whether more can: False when the other end is closed."""
        more = True
        while True:
            try:
                piece = self._connection.recv(_CHUNK)
            except BlockingIOError:
                break
            except OSError:
                piece = b""
            if not piece:
                more = False
                break
            self._received += piece
        complete: list[Message] = []
        try:
            complete.extend(self._complete())
        except Garbled:
            self.garbled = True
        return complete, more and not self.garbled

    def receive(self) -> Message | None:
        """The next message, waited for; None when the other end is closed."""
        while True:
            for message in self._complete():
                return message
            try:
                piece = self._connection.recv(_CHUNK)
            except OSError:
                return None
            if not piece:
                return None
            self._received += piece

    def _complete(self) -> Iterator[Message]:
        buffer = self._received
        while len(buffer) >= _HEAD:
            length = int.from_bytes(buffer[:_HEAD], "little")
            if length > _LONGEST:
                raise Garbled
            end = _HEAD + length
            if len(buffer) < end:
                return
            with memoryview(buffer) as whole:
                message = _message(whole[_HEAD:end])
            del buffer[:end]
            yield message

    def close(self) -> None:
        """Close this end."""
        self._connection.close()


def _message(data: memoryview) -> Message:
    try:
        message = pickle.loads(data)
    except Exception as error:  # what is no pickle may raise anything
        raise Garbled from error
    if not isinstance(message, tuple):
        raise Garbled
    return message
