"""
A chat for gunicorn, by python-socketio. It knows nothing of limpet.

What is said in one process has to reach the clients of the others. With Redis that is one line (`client_manager=
socketio.RedisManager()`); here the processes tell each other through sockets in a folder, so that nothing has to be
installed.
"""
import os
import pathlib
import pickle
import socket

import socketio

FOLDER = pathlib.Path(os.environ["CHAT_FOLDER"])


class Neighbours(socketio.PubSubManager):
    """Each process has a socket, named by its pid; what is published goes to all of them."""

    def _publish(self, data):
        message = pickle.dumps(data)
        for path in FOLDER.glob("*.sock"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                try:
                    sender.sendto(message, str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)  # Of a process that has ended.

    def _listen(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(str(FOLDER / f"{os.getpid()}.sock"))
            while True:
                yield receiver.recv(65536)


server = socketio.Server(async_mode="eventlet", client_manager=Neighbours())
page = {"filename": os.path.join(os.path.dirname(__file__), "index.html"), "content_type": "text/html; charset=utf-8"}
app = socketio.WSGIApp(server, static_files={"/": page})


@server.event
def connect(sid, environ):
    server.emit("process", os.getpid(), to=sid)


@server.event
def say(sid, text):
    server.emit("said", {"process": os.getpid(), "text": str(text)[:200]})
