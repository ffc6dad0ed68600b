#!/usr/bin/env python3
"""A worker for limpet that speaks the native dialect (include/limpet/worker.h) with the standard library alone."""
import os
import socket
import threading

channel = socket.socket(fileno=int(os.environ["LIMPET_CHANNEL_FD"]))
lock = threading.Lock()  # Around these two, so that reports leave in the order in which they became true.
arrived = b"0"
open_now = 0


def report(opened, number=None):
    """Tell limpet the whole state: all connections up to `arrived` are ours, `open_now` of them are open."""
    global arrived, open_now
    with lock:
        arrived = number or arrived
        open_now += opened
        try:
            channel.send(b"ack %s %d" % (arrived, open_now))
        except OSError:
            pass  # limpet died: there is nobody to tell.


def serve(connection):
    """Answer one request."""
    with connection:
        connection.settimeout(5)
        try:
            request = connection.recv(65536).partition(b"\r\n")[0]
            body = b"worker %s got %s\n" % (os.environb[b"LIMPET_WORKER_ID"], request)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
            connection.sendall(head + body)
            connection.shutdown(socket.SHUT_RDWR)  # limpet may have its copy still: closing ours would not end it.
        except OSError:
            pass  # The client left.
    report(-1)


os.set_inheritable(channel.fileno(), False)
channel.send(b"ready")
report(0)
while True:
    try:
        message, descriptors, _, _ = socket.recv_fds(channel, 64, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        break  # limpet died, and had not read all that we said.
    word, _, number = message.partition(b" ")
    if word == b"connection" and descriptors:
        report(+1, number)  # Before anything is read from it.
        threading.Thread(target=serve, args=[socket.socket(fileno=descriptors[0])]).start()
    elif word == b"connection":
        channel.send(b"nack " + number)
    elif word in (b"", b"drain"):
        break  # The threads that still serve are waited for.
