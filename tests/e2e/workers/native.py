"""
A worker in the native dialect (include/limpet/worker.h): one loop, kept-alive connections, and every change of how many
are open reported. It answers each request with its id and its pid; with SERVED it first adds the line "ID URL" to that file.

ROOM="ID N" lets the worker with that id have room for N connections only: at its limit of open files the kernel drops
the descriptor that comes with the next one, and the worker says nack.

DEAF="ID FILE" keeps the worker with that id from reading its channel, if the file is there when it starts.
CRASH=ID ends the worker with that id as soon as it starts, POISONED=ID with the first connection that it gets.
NEEDS=FILE ends a worker that does not find the file when it starts. IGNORES_TERM=1 is what it says.
"""
import json
import os
import resource
import selectors
import signal
import socket
import sys

WORKER = int(os.environ["LIMPET_WORKER_ID"])


def is_me(variable):
    return os.environ.get(variable, "0").split()[0] == str(WORKER)


class Worker:
    def __init__(self):
        self.channel = socket.socket(fileno=int(os.environ["LIMPET_CHANNEL_FD"]))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.channel, selectors.EVENT_READ, None)
        self.arrived = 0
        self.open = {}
        self.draining = False

    def report(self):
        if not self.draining:
            try:
                self.channel.send(b"ack %d %d" % (self.arrived, len(self.open)))
            except OSError:
                pass  # limpet is gone, as reading will say.

    def take(self):
        try:
            message, descriptors, _, _ = socket.recv_fds(self.channel, 64, 1, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            message = b""  # limpet died before it had read all we said.
        word, _, number = message.partition(b" ")
        if word != b"connection":
            self.draining = True
            self.selector.unregister(self.channel)
        elif is_me("POISONED"):
            sys.exit(4)
        elif not descriptors:
            self.channel.send(b"nack " + number)
        else:
            self.arrived = int(number)
            connection = socket.socket(fileno=descriptors[0])
            connection.setblocking(False)
            self.open[connection] = b""
            self.report()
            self.selector.register(connection, selectors.EVENT_READ, connection)

    def note(self, url):
        if "SERVED" in os.environ:
            with open(os.environ["SERVED"], "a") as served:
                served.write(f"{WORKER} {url}\n")

    def close(self, connection):
        self.selector.unregister(connection)
        connection.close()
        del self.open[connection]
        self.report()

    def serve(self, connection):
        try:
            got = connection.recv(65536)
        except OSError:
            got = b""
        if not got:
            return self.close(connection)
        self.open[connection] += got
        if not self.open[connection].endswith(b"\r\n\r\n"):
            return None
        last = b"\r\nconnection: close\r\n" in self.open[connection].lower()
        self.note(self.open[connection].split()[1].decode())
        self.open[connection] = b""
        body = json.dumps({"worker": WORKER, "pid": os.getpid()}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self.close(connection) if last else None

    def run(self, deaf):
        self.channel.send(b"ready")
        self.report()
        if deaf:
            self.selector.unregister(self.channel)
        while self.open or not self.draining:
            for key, _ in self.selector.select():
                if key.data is None:
                    self.take()
                elif key.data in self.open:
                    self.serve(key.data)


def limit_room(count):
    """Leave room for so many descriptors more than are open now."""
    probe = os.open("/dev/null", os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + count, probe + count))


if is_me("CRASH") or not os.path.exists(os.environ.get("NEEDS", ".")):
    sys.exit(3)
if os.environ.get("IGNORES_TERM"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = Worker()
if is_me("ROOM"):
    limit_room(int(os.environ["ROOM"].split()[1]))
worker.run(deaf=is_me("DEAF") and os.path.exists(os.environ["DEAF"].split()[1]))
