"""The kernel's own price of a container: what nobody can be quicker than.

clone3 into new mount, uts, ipc, pid and net namespaces; an overlay root; a veth pair into a bridge; pivot_root; proc;
exec. No addresses, no DNS, no cgroup, no logs, no health, no records. Prints one JSON object. Run as root in
namespaces of its own:

    unshare --net --mount --propagation private python3 -S -E tests/bench/floor.py ROOTFS NUMBER
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time

CLONE_PIDFD = 0x1000
NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # mnt uts ipc pid net
CLONE3, PIVOT_ROOT = (435, 41) if os.uname().machine == "aarch64" else (435, 155)
MNT_DETACH = 2

RTM_NEWLINK = 16
REQUEST, ACK, CREATE, EXCLUSIVE = 1, 4, 0x400, 0x200
IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_PID = 3, 10, 18, 19
INFO_KIND, INFO_DATA, VETH_PEER = 1, 2, 1
IFF_UP = 1

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def mount(source: str, target: str, kind: str, options: str = "") -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), 0, options.encode() or None)
    checked(libc.mount(*arguments), f"mount {kind} on {target}")


def clone() -> int:
    """As fork, into new namespaces. 0 in the child."""
    pidfd = ctypes.c_int(-1)
    words = struct.pack("11Q", NAMESPACES | CLONE_PIDFD, ctypes.addressof(pidfd), 0, 0, signal.SIGCHLD, *[0] * 6)
    buffer = ctypes.create_string_buffer(words, len(words))
    return checked(ctypes.PyDLL(None, use_errno=True).syscall(CLONE3, buffer, len(words)), "clone3")


def attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("HH", length, kind) + data + bytes(-length % 4)


def link(index_flags: int, *attributes: bytes) -> bytes:
    up = IFF_UP if index_flags else 0
    body = struct.pack("BxHiII", 0, 0, 0, up, up) + b"".join(attributes)
    return struct.pack("IHHII", 16 + len(body), RTM_NEWLINK, REQUEST | ACK | CREATE | EXCLUSIVE, 1, 0) + body


def tell(netlink: socket.socket, message: bytes) -> None:
    netlink.send(message)
    error = struct.unpack_from("i", netlink.recv(65536), 16)[0]
    if error:
        raise OSError(-error, os.strerror(-error))


def veth(name: str, pid: int, bridge: int) -> bytes:
    peer = struct.pack("BxHiII", 0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, b"eth0\0")
    peer += attribute(IFLA_NET_NS_PID, struct.pack("i", pid))
    info = attribute(INFO_KIND, b"veth") + attribute(INFO_DATA, attribute(VETH_PEER, peer))
    return link(
        1,
        attribute(IFLA_IFNAME, name.encode() + b"\0"),
        attribute(IFLA_MASTER, struct.pack("I", bridge)),
        attribute(IFLA_LINKINFO, info),
    )


def become_container(rootfs: str, place: str, go: int) -> None:
    mount("overlay", f"{place}/root", "overlay", f"lowerdir={rootfs},upperdir={place}/upper,workdir={place}/work")
    os.chdir(f"{place}/root")
    os.makedirs("proc", exist_ok=True)
    mount("proc", "proc", "proc")
    checked(libc.syscall(PIVOT_ROOT, b".", b"."), "pivot_root")
    checked(libc.umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")
    os.read(go, 1)
    os.execv("/bin/sleep", ["sleep", "1000"])


def start(rootfs: str, place: str, name: str, netlink: socket.socket, bridge: int) -> int:
    for directory in ("upper", "work", "root"):
        os.makedirs(f"{place}/{directory}")
    waiting, go = os.pipe()
    pid = clone()
    if pid == 0:
        try:
            os.close(go)
            become_container(rootfs, place, waiting)
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(1)
    tell(netlink, veth(name, pid, bridge))
    os.write(go, b"g")
    os.close(go)
    os.close(waiting)
    return pid


def has_execed(pid: int) -> bool:
    with open(f"/proc/{pid}/comm") as file:
        return file.read() == "sleep\n"


def main(rootfs: str, number: int) -> None:
    work = tempfile.mkdtemp(prefix="floor")
    began = time.perf_counter()
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    tell(netlink, link(1, attribute(IFLA_IFNAME, b"br0\0"), attribute(IFLA_LINKINFO, attribute(INFO_KIND, b"bridge"))))
    bridge = socket.if_nametoindex("br0")
    pids = [start(rootfs, f"{work}/{index}", f"v{index}", netlink, bridge) for index in range(number)]
    for pid in pids:
        while not has_execed(pid):
            os.sched_yield()
    up = time.perf_counter()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    down = time.perf_counter()
    print(json.dumps({"up": up - began, "down": down - up}))
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
