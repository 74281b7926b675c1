"""What a broker must have to itself: its folder and its ports."""

import socket
from errno import EADDRINUSE
from pathlib import Path
from typing import IO

from app import folders
from app.errors import BrokerRefused

HOST = "127.0.0.1"


def claim_folder(folder: Path) -> IO[bytes]:
    """Return a lock on the folder, made if need be; it holds until every process that has it open is gone.

    Raises:
        BrokerRefused: the folder can't be used, or another broker has it.
    """
    try:
        lock = folders.lock(folder)
    except OSError as error:
        raise BrokerRefused(
            f"the folder {folder} can't be used: {error.strerror}; choose another with --data-dir"
        ) from error
    if lock is None:
        raise BrokerRefused(
            f"the folder {folder} is in use by another broker: stop that one, or choose another folder"
            " with --data-dir"
        )
    return lock


def claim_port(port: int) -> socket.socket:
    """Return a socket that keeps everyone but the broker off this port (0: any free one) until it is closed.

    The socket is bound and does not listen, so that the broker, which sets SO_REUSEADDR too, can.

    Raises:
        BrokerRefused: something listens there, or this user may not.
    """
    claim = socket.socket()
    claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claim.bind((HOST, port))
    except OSError as error:
        claim.close()
        if error.errno == EADDRINUSE:
            raise BrokerRefused(
                f"port {port} on {HOST} is taken: stop what listens there, or choose another with --port"
            ) from None
        raise BrokerRefused(
            f"port {port} on {HOST} can't be opened: {error.strerror}; choose another with --port"
        ) from None
    return claim


def port_of(claim: socket.socket) -> int:
    """Return the number of the claimed port."""
    return int(claim.getsockname()[1])
