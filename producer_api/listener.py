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

    def accept(self) -> tuple[socket.socket, object]:
        """Take a connection in.

        Raises:
            OSError: with ``EMFILE``, if it would be one too many. An event loop tries again after a second then.
            BlockingIOError: there is none.
        """
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(self.fileno())
        os.close(lowest_free)
        if allowed != resource.RLIM_INFINITY and lowest_free >= allowed - reserve_of(allowed):
            raise OSError(errno.EMFILE, "The open files that are left are kept for connections to servers")
        return super().accept()
