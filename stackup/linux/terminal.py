"""Pseudo terminals from a given devpts, without following any path that a container could have prepared."""

from __future__ import annotations

import fcntl
import os
import termios
from struct import pack, unpack

_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


def open_terminal(ptmx: str) -> tuple[int, int, str]:
    """(master, slave, the slave's name in its devpts, such as "0")."""
    master = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, pack("i", 0))
    number = unpack("i", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))[0]
    slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    return master, slave, str(number)


def set_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, pack("4H", rows, columns, 0, 0))


def make_controlling(fd: int) -> None:
    """For a session leader without a terminal."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
