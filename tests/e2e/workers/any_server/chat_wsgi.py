"""python-socketio, by WSGI. What serves it says how it runs: ASYNC_MODE."""
import json
import os

import socketio


def index(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    received = len(environ["wsgi.input"].read(length)) if length else 0
    body = json.dumps({"pid": os.getpid(), "received": received, "peer": environ.get("REMOTE_ADDR")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


server = socketio.Server(async_mode=os.environ["ASYNC_MODE"])
app = socketio.WSGIApp(server, index)


@server.event
def pid(sid, number):
    return {"pid": os.getpid(), "number": number}
