"""
A worker in the native dialect that looks at each connection as it arrives, before a byte is read from it, and then sends
back every byte that it gets. What it saw goes first, as one line of JSON:

    worker   its id
    unread   how many bytes wait to be read
    lowat    SO_RCVLOWAT
    blocking whether O_NONBLOCK is off
"""
import array
import fcntl
import json
import os
import selectors
import socket
import termios

WORKER = int(os.environ["LIMPET_WORKER_ID"])


def unread(connection):
    count = array.array("i", [0])
    fcntl.ioctl(connection, termios.FIONREAD, count)
    return count[0]


def inspect(connection):
    seen = {
        "worker": WORKER,
        "unread": unread(connection),
        "lowat": connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT),
        "blocking": not fcntl.fcntl(connection, fcntl.F_GETFL) & os.O_NONBLOCK,
    }
    return json.dumps(seen).encode() + b"\n"


class Inspector:
    def __init__(self):
        self.channel = socket.socket(fileno=int(os.environ["LIMPET_CHANNEL_FD"]))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.channel, selectors.EVENT_READ)
        self.arrived = 0
        self.open = 0
        self.draining = False

    def report(self, change):
        self.open += change
        if not self.draining:
            self.channel.send(b"ack %d %d" % (self.arrived, self.open))

    def take(self):
        message, descriptors, _, _ = socket.recv_fds(self.channel, 64, 1, socket.MSG_CMSG_CLOEXEC)
        word, _, number = message.partition(b" ")
        if word != b"connection":
            self.draining = True
            self.selector.unregister(self.channel)
            return
        self.arrived = int(number)
        connection = socket.socket(fileno=descriptors[0])
        self.selector.register(connection, selectors.EVENT_READ)
        self.report(+1)
        self.answer(connection, inspect)

    def answer(self, connection, make):
        """Send what make gives; nothing is the end."""
        try:
            answer = make(connection)
            connection.sendall(answer)
        except OSError:  # The client has gone.
            answer = b""
        if not answer:
            self.selector.unregister(connection)
            connection.close()
            self.report(-1)

    def run(self):
        self.channel.send(b"ready")
        self.report(0)
        while self.open or not self.draining:
            for key, _ in self.selector.select():
                if key.fileobj is self.channel:
                    self.take()
                else:
                    self.answer(key.fileobj, lambda connection: connection.recv(65536))


Inspector().run()
