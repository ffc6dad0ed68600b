"""Connections whose last close waits: full, with a client that reads nothing, and SO_LINGER set."""
import select
import socket
import struct

clients = []
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
listener.bind(("127.0.0.1", 0))
listener.listen(64)


def lingering(seconds):
    """One such connection."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection.connect(listener.getsockname())
    clients.append(listener.accept()[0])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    connection.setblocking(False)
    while select.select([], [connection], [], 0.05)[1]:
        connection.send(b"x" * 65536)
    return connection


def send_inside(channel, message, connections, nested=False):
    """Send connections inside of a message; or inside of a unix socket that is inside of it."""
    if not nested:
        socket.send_fds(channel, [message], [connection.fileno() for connection in connections])
        return
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [connection.fileno() for connection in connections])
    socket.send_fds(channel, [message], [theirs.fileno()])
    ours.close()
    theirs.close()
