"""A ``rekur`` that starts in no time: every command is a fork of one process that has imported everything.

``python forking.py SOCKET`` serves; the script that :func:`script` returns asks for a command.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

#: what commands import before they begin to work
IMPORTED = ("torch", "lightning_fabric", "sklearn.linear_model", "rekur.tasks", "rekur.study", "rekur.cli.app")
CLIENT = """\
#!{python} -ISE
import json, os, socket, sys
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(asked)
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(9) or 1))
"""


def script(address: Path) -> str:
    """Return the script that stands for ``rekur``."""
    return CLIENT.format(python=sys.executable, address=str(address))


def serve(address: str) -> None:
    """Run what clients ask for, each in a process of its own, until this one is ended."""
    for name in IMPORTED:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
        while True:
            client, _ = server.accept()
            if not os.fork():
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os._exit(answer(client))
            client.close()


def answer(client: socket.socket) -> int:
    """Run one command in a fork, and tell the client how it ended."""
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    asked = b"".join(iter(lambda: client.recv(1 << 16), b""))
    child = os.fork()
    if not child:
        client.close()
        os._exit(command(streams, *json.loads(asked)))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):
        client.sendall(str(code if code >= 0 else 128 - code).encode())
    return 0


def command(streams: list[int], words: list[str], folder: str, environment: dict[str, str]) -> int:
    """Run ``rekur WORDS`` with these three streams."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["rekur", *words]
    from rekur.cli.main import run

    try:
        run()
    except SystemExit as end:
        code = end.code
    else:
        code = 0
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(sys.argv[1])
