"""`npx limpet run -- node server.js` where the npm package is installed, also in a folder with a blank in its name, which
LD_PRELOAD cannot have.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

build = os.path.abspath(sys.argv[2])

SERVER = """
require('http').createServer((request, response) => response.end(`worker ${require('cluster').worker?.id}`)).listen(process.env.PORT);
"""


def say(*command, **more):
    """What a command prints; the test ends where one fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def serve(project, folder):
    """Start limpet by npx, ask it for a page, and stop it."""
    environment = dict(os.environ, XDG_RUNTIME_DIR=f"{folder}/run", RUNTIME_DIRECTORY=f"{folder}/run")
    limpet = subprocess.Popen(["npx", "--offline", "limpet", "run", "--listen", "127.0.0.1:0", "--workers", "1", "--", "node",
                               "server.js"], cwd=project, env=environment, stderr=subprocess.PIPE, text=True,
                              start_new_session=True)
    said = []
    try:
        port = None
        for line in limpet.stderr:
            said.append(line)
            port = re.search(r"listening on 127\.0\.0\.1:(\d+)", line) or port
            if "is ready" in line and port or re.search(" (warning|error) ", line):
                break
        else:
            sys.exit("limpet ended:\n" + "".join(said))
        with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/", timeout=60) as answer:
            told = answer.read().decode()
        assert told == "worker 1", told
    finally:
        os.killpg(limpet.pid, signal.SIGTERM)
        said.append(limpet.stderr.read())
        limpet.wait()
    assert not re.search("cannot be preloaded| (warning|error) ", "".join(said)), "".join(said)
    left = [name for name in os.listdir(f"{folder}/run") if name.endswith(".library")]
    assert not left, left


def main():
    folder = tempfile.mkdtemp(prefix="limpet-npm-")
    try:
        os.mkdir(f"{folder}/run", 0o700)
        say("npm", "pack", f"{build}/npm", "--pack-destination", folder, "--loglevel=error")
        archive = [name for name in os.listdir(folder) if name.endswith(".tgz")]
        assert len(archive) == 1, archive
        for project in ("plain", "with a blank"):
            os.mkdir(f"{folder}/{project}")
            with open(f"{folder}/{project}/package.json", "w", encoding="utf-8") as file:
                json.dump({"name": "app", "private": True}, file)
            with open(f"{folder}/{project}/server.js", "w", encoding="utf-8") as file:
                file.write(SERVER)
            say("npm", "install", "--offline", "--no-audit", "--no-fund", f"../{archive[0]}", cwd=f"{folder}/{project}")
            serve(f"{folder}/{project}", folder)
    finally:
        shutil.rmtree(folder)


main()
