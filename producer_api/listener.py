"""The socket that the API listens on: it takes in no more connections than there are open files to spare."""

import errno
import os
import resource
import socket

from shared.domain.seats import reserve_of


class Listener(socket.socket):
    """Leaves new connections in the kernel's queue while no more open files are free than are kept for the servers'.

    A process without one could reach neither store nor broker: it would refuse whoever is connected, and keep them.
    """

    _paused = False

    def accept(self) -> tuple[socket.socket, object]:
        """Take a connection in.

        Raises:
            OSError: with ``EMFILE``, if it would be one too many: asyncio logs that, and comes again after a second.
            BlockingIOError: there is none; or the last answer was ``EMFILE``, after which asyncio asks on all the same,
                as often as its queue is long, and plans to come again each time (python/cpython#151615).
        """
        if self._paused:
            self._paused = False
            raise BlockingIOError
        if not _has_room(self):
            self._paused = True
            raise OSError(errno.EMFILE, "The open files that are left are kept for connections to servers")
        return super().accept()


def _has_room(listener: socket.socket) -> bool:
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return True
    try:
        lowest_free = os.dup(listener.fileno())  # the system always gives the lowest number
    except OSError:
        return False
    os.close(lowest_free)
    return lowest_free < allowed - reserve_of(allowed)
