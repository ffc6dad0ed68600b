"""
Two servers in one process: two.py FIRST SECOND HOW, each a port or a path; each says which it is. HOW they wait:

    threads   a socketserver in a thread each: poll, and then a blocking accept
    accept    a thread each that is always in accept
    select    one thread, select, and then a blocking accept
    poll      the same with poll
    epoll     the same with epoll, as Apache's processes do
    asyncio   one thread, epoll
    fork      a socketserver in a thread each, whose connections have processes of their own
    late      worker 1 waits once at the second, and never again; a POST to the first closes it. The others accept at
              both, and wait at both before either thread begins: from when they are ready nothing is returned by them
"""
import asyncio
import json
import os
import select
import socket
import socketserver
import sys
import threading

HOW = "accept" if sys.argv[3] == "late" and os.environ["LIMPET_WORKER_ID"] != "1" else sys.argv[3]


def listen(address):
    if address.isdigit():
        return socket.create_server(("127.0.0.1", int(address)))
    listener = socket.socket(socket.AF_UNIX)
    if os.path.exists(address):
        os.remove(address)
    listener.bind(address)
    listener.listen()
    return listener


def answer(server):
    body = json.dumps({"pid": os.getpid(), "server": server})
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def serve(connection, server):
    with connection:
        connection.recv(65536)
        connection.sendall(answer(server))


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(65536)
        self.request.sendall(answer(self.server.number))


class Server(socketserver.ForkingMixIn if HOW == "fork" else socketserver.ThreadingMixIn, socketserver.TCPServer):
    def __init__(self, listener, number):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.number = number


def accept_for_ever(listener, server):
    while True:
        serve(listener.accept()[0], server)


def wait_by_select(listeners):
    return select.select(listeners, [], [])[0]


def wait_by_poll(listeners):
    poll = select.poll()
    for listener in listeners:
        poll.register(listener, select.POLLIN)
    ready = dict(poll.poll())
    return [listener for listener in listeners if listener.fileno() in ready]


def wait_by_epoll(listeners, epolls=[]):
    if not epolls:
        epolls.append(select.epoll())
        for listener in listeners:
            epolls[0].register(listener, select.EPOLLIN)
    ready = dict(epolls[0].poll())
    return [listener for listener in listeners if listener.fileno() in ready]


def serve_in_turn(listeners, wait):
    while True:
        for listener in wait(listeners):
            try:
                connection, _ = listener.accept()
            except ConnectionAbortedError:  # As accept(2) says.
                continue
            serve(connection, listeners.index(listener) + 1)


async def serve_by_events(listeners):
    def handler(number):
        async def handle(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(number))
            await writer.drain()
            writer.close()

        return handle

    servers = [await asyncio.start_server(handler(i + 1), sock=listener) for i, listener in enumerate(listeners)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def serve_late(first, second):
    select.select([second], [], [], 0)
    while True:
        connection = first.accept()[0]
        if b"POST" in connection.recv(65536):
            second.close()
        connection.sendall(answer(1))
        connection.close()


listeners = [listen(address) for address in sys.argv[1:3]]
if HOW == "late":
    serve_late(*listeners)
elif HOW == "asyncio":
    asyncio.run(serve_by_events(listeners))
elif HOW in ("select", "poll", "epoll"):
    serve_in_turn(listeners, {"select": wait_by_select, "poll": wait_by_poll, "epoll": wait_by_epoll}[HOW])
else:
    if sys.argv[3] == "late":
        select.select(listeners, [], [], 0)
    for i, listener in enumerate(listeners):
        target = (accept_for_ever, (listener, i + 1)) if HOW == "accept" else (Server(listener, i + 1).serve_forever, ())
        threading.Thread(target=target[0], args=target[1]).start()
