"""A worker that means harm. Words: its dialect (cluster, v8, native, preload or node), and what it does; it begins when it is
sent SIGUSR1, and says so on standard output.

It takes connections as its dialect has it, and answers them, except where its harm is to do otherwise.
"""
import json
import os
import select
import signal
import socket
import struct
import sys
import time

from lingering import lingering, send_inside

DIALECT, HARM = sys.argv[1], sys.argv[2]
SPEAKS_FRAMES = DIALECT in ("native", "preload")


def knock(variable, kind):
    """Come to a door of limpet's."""
    comer = socket.socket(socket.AF_UNIX, kind)
    comer.connect(os.environ[variable])
    return comer


# What lies are told on, and what connections come by: the same, but for Node's processes that have registered.
if DIALECT == "preload":
    channel = carrier = knock("LIMPET_PRELOAD", socket.SOCK_SEQPACKET)
elif DIALECT == "node":
    channel = knock("LIMPET_PRELOAD_NODE", socket.SOCK_STREAM)
    channel.recv(64)  # Which number it has, and how it is to speak.
    carrier = knock("LIMPET_PRELOAD", socket.SOCK_SEQPACKET)
else:
    kind = socket.SOCK_SEQPACKET if DIALECT == "native" else socket.SOCK_STREAM
    channel = carrier = socket.socket(socket.AF_UNIX, kind, fileno=3)
channel.setblocking(True)


def say(message):
    channel.sendall(message if isinstance(message, bytes) else (json.dumps(message) + "\n").encode())


def begin():
    if SPEAKS_FRAMES or DIALECT == "node":
        for frame in (b"listen 0", b"sigterm 0", b"ready") if DIALECT != "native" else (b"ready",):
            carrier.send(frame)
    if SPEAKS_FRAMES:
        return None
    say({"cmd": "NODE_CLUSTER", "act": "online", "seq": 0})
    return say({"cmd": "NODE_CLUSTER", "act": "queryServer", "seq": 1, "index": 0, "data": None, "address": "127.0.0.1",
                "port": 8080, "addressType": 4, "flags": 0})


def forever(messages):
    while True:
        for message in messages:
            say(message)


def noise(length):
    return os.urandom(length).replace(b"\n", b"x")


MIB = 1 << 20


def node_cluster_flood():
    """What is taken apart needs many times its size."""
    forever([b'{"cmd":"NODE_CLUSTER","act":"x","a":[' + b"[]," * (4 * MIB // 3 - 100) + b"0]}\n"])


def small_messages():
    forever([b'{"cmd":"NODE_CLUSTER","act":"online","seq":7}\n{"cmd":"NODE_HANDLE_ACK"}\n{"type":"x"}\n' * 500])


def large_messages():
    forever([b'{"type":"x","data":"' + b"y" * (4 * MIB - 100) + b'"}\n'])


def endless_line():
    forever([b"x" * MIB])


def byte_by_byte():
    """A line that is never finished, and is looked at with each byte."""
    say(b'"' + b"x" * (4 * MIB - 2 * 65536))
    forever([b"y"])


def nonsense():
    forever([noise(65536) + b"\n"])


def servers():
    """Servers at ports, each with a log line and an answer, which it reads."""
    number = 2
    while True:
        say({"cmd": "NODE_CLUSTER", "act": "queryServer", "seq": number, "index": 0, "data": None, "address": None,
             "port": number % 60000 + 1, "addressType": 4, "flags": 0})
        number += 1
        while select.select([channel], [], [], 0)[0]:
            channel.recv(65536)


def deaf_asker():
    """Answers that it does not read."""
    forever([{"cmd": "NODE_CLUSTER", "act": "queryServer", "seq": 5, "index": 0, "data": None, "address": None,
              "port": 1, "addressType": 4, "flags": 0}])


def deep():
    forever([b'{"cmd":"NODE_CLUSTER","a":' + b"[" * 30000 + b"]" * 30000 + b"}\n",
             b'{"type":"x","data":' + b'{"a":' * 100000 + b"1" + b"}" * 100000 + b"}\n"])


def handles():
    """Descriptors that nobody has asked for."""
    while True:
        pair = socket.socketpair()
        socket.send_fds(channel, [b'{"cmd":"NODE_HANDLE","type":"net.Socket"}\n'], [pair[0].fileno()])
        pair[0].close()
        pair[1].close()
        while select.select([channel], [], [], 0)[0]:
            channel.recv(65536)


def flapping():
    """A server that opens and closes all the time."""
    forever([b'{"cmd":"NODE_CLUSTER","act":"close","seq":3,"key":"limpet:8080:0"}\n'
             b'{"cmd":"NODE_CLUSTER","act":"queryServer","seq":4,"index":0,"data":null,"address":null,"port":8080,'
             b'"addressType":4,"flags":0}\n'])


def wrong_acks():
    forever([b'{"cmd":"NODE_CLUSTER","ack":%d,"accepted":false}\n' % n for n in (0, 1, 2, 99, 1 << 62)] +
            [b'{"cmd":"NODE_HANDLE_NACK"}\n', b'{"cmd":"NODE_HANDLE_ACK"}\n'] * 10)


def claims():
    """Sessions, one after the other."""
    number = 0
    while True:
        keys = range(number, number + 200)
        if not SPEAKS_FRAMES:
            say(b"".join(b'{"type":"sticky:connection","data":"mine-%d"}\n' % key for key in keys))
        else:
            for key in keys:
                say(b"session mine-%d" % key)
        number += 200


def claim_one():
    """A session that somebody else may have."""
    say(b"session secret-of-somebody")


def native_nonsense():
    forever([b"connection 1", b"drain", b"value 7", noise(300), b"", b"nack 0", b"session " + b"x" * 1025, b"ready"])


def native_store():
    forever([b"set 0 c k%d\n" % n + b"v" * 60000 for n in range(50)] + [b"get 1 c k", b"acquire 2 c lock", b"push q\nx",
                                                                       b"publish t\nx", b"subscribe t", b"pull q"])


def native_descriptors():
    """Connections given back that are none."""
    while True:
        pair = socket.socketpair()
        socket.send_fds(channel, [b"bounce"], [pair[0].fileno()])
        pair[0].close()
        pair[1].close()


def lingering_descriptors():
    """Connections whose last close waits for a minute: one, many in one message, and some that stay unheard."""
    word = b"bounce" if SPEAKS_FRAMES else b'{"cmd":"NODE_HANDLE","type":"net.Socket"}\n'
    end = b"ack 99 0" if SPEAKS_FRAMES else b""
    for count, nested in ((1, False), (1, True), (5, False), (5, True)):
        connections = [lingering(60) for _ in range(count)]
        send_inside(channel, word, connections, nested)
        for connection in connections:
            connection.close()
    connections = [lingering(60) for _ in range(4)]
    channel.send(end)
    for nested, connection in enumerate(connections):
        send_inside(channel, word, [connection], nested % 2 == 1)
        connection.close()


def native_ack_of_nothing():
    say(b"ack 99 0")


def open_too_many():
    forever([b"ack 0 4000000000", b"ack 0 0"])


def reads_no_more():
    """Nothing can be sent to it, and it does not close its end."""
    channel.shutdown(socket.SHUT_RD)


def places():
    """Words about places, numbers and states, in every order: where it listens, and that it takes connections, or not."""
    words = [b"listen %d" % n for n in (0, 1, 31, 32, 1 << 31, 1 << 63)] + [b"ready", b"parents-channel", b"sigterm 7", b"each 2"]
    forever([word for listens in words for word in (listens, listens.replace(b"listen", b"unlisten"))])


def v8(value):
    return struct.pack(">I", len(value) + 2) + b"\xff\x0f" + value


def v8_doubles():
    """Numbers whose shortest digits are found by trying."""
    numbers = b"".join(b"N" + struct.pack("<d", 0.1 + n) for n in range(400000))
    forever([v8(b'o"\x04type"\x01x"\x04data' + b"A\x80\xb5\x18" + numbers + b"$\x00\x80\xb5\x18{\x02")])


def v8_nonsense():
    forever([v8(noise(n)) for n in range(2, 4000, 7)])


def serve_one(message, descriptors):
    if not message.startswith(b"connection ") and b"newconn" not in message:
        for descriptor in descriptors:
            os.close(descriptor)  # What it has asked for: a server.
        return
    for descriptor in descriptors:
        client = socket.socket(fileno=descriptor)
        if message.startswith(b"connection "):
            carrier.send(b"ack " + message.split()[1])
        else:
            say(b'{"cmd":"NODE_HANDLE_ACK"}\n')
            line = [line for line in message.split(b"\n") if b"newconn" in line][-1]
            say({"cmd": "NODE_CLUSTER", "ack": json.loads(line)["msg"]["seq"], "accepted": True})
        client.settimeout(5)
        try:
            client.recv(65536)
            body = json.dumps({"worker": 2, "pid": os.getpid()}).encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        except OSError:
            pass
        client.close()


started = False


def on_signal(*_):
    global started
    started = True


signal.signal(signal.SIGUSR1, on_signal)
if DIALECT != "v8":
    begin()
else:
    online = {"cmd": "NODE_CLUSTER", "act": "online", "seq": 0}
    say(v8(b"o" + b"".join(b'"' + bytes([len(k)]) + k.encode() + (b"I\x00" if v == 0 else b'"' + bytes([len(v)]) + v.encode())
                           for k, v in online.items()) + b"{\x03"))
os.write(1, b"liar is here %d\n" % os.getpid())
while not started:
    for ready in select.select({channel, carrier}, [], [], 0.05)[0]:
        message, descriptors, _, _ = socket.recv_fds(ready, 65536, 8)
        if not message:
            sys.exit(0)
        serve_one(message, descriptors)
if HARM == "reads_no_more":
    reads_no_more()  # Before anybody hears of it: what is sent to it from then on does not arrive.
os.write(1, b"liar begins\n")
try:
    globals()[HARM]()
except OSError as error:
    os.write(1, f"liar was cut off: {error}\n".encode())
while True:
    time.sleep(1)
