"""Flask-SocketIO as its documentation shows it. What serves it says how it runs: ASYNC_MODE."""
import os

from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ["ASYNC_MODE"])


@app.route("/")
def index():
    return {"pid": os.getpid()}


@socketio.on("pid")
def pid(number):
    return {"pid": os.getpid(), "number": number}
