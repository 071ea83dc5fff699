"""The API takes no connection in for which there is no open file to spare; those that wait get their turn."""

import subprocess
import sys

_WITH_64_OPEN_FILES = """
import resource, select, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from producer_api.server import listen
clients, taken = [], []
def take():
    select.select([listener], [], [])
    taken.append(listener.accept()[0])
with listen("127.0.0.1", 0) as listener:
    while True:
        clients.append(socket.create_connection(listener.getsockname()))
        try:
            take()
        except OSError as error:
            print(type(error).__name__, error.errno)
            break
    print(max(held.fileno() for held in taken), len(taken))
    try:
        listener.accept()
    except BlockingIOError:
        print("paused")
    clients.pop(0).close()
    taken.pop(0).close()
    take()
    taken[-1].sendall(b"in")
    print(clients[-1].recv(2).decode())
"""


def test_half_of_few_open_files_are_kept_for_servers_and_who_waited_is_taken_in_when_one_is_free() -> None:
    ran = subprocess.run([sys.executable, "-c", _WITH_64_OPEN_FILES], capture_output=True, text=True, check=True)
    refused, held, paused, answer = ran.stdout.splitlines()
    assert refused == "OSError 24"
    highest, taken = map(int, held.split())
    assert highest < 32
    assert taken >= 10
    assert (paused, answer) == ("paused", "in")
