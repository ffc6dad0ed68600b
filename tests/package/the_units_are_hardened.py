"""systemd takes the units as they are; their exposure is below 3, by settings that harm no application."""
import os
import re
import subprocess
import sys
import tempfile

build = os.path.abspath(sys.argv[2])


def say(*command, **more):
    """What a command prints, both ways; the test ends where one fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


with tempfile.TemporaryDirectory() as folder:
    say("cmake", "--install", build, "--prefix", folder, "--component", "service")
    say("cmake", "--install", build, "--prefix", folder, "--component", "program")
    units = f"{folder}/lib/systemd/system"
    for name in ("limpet.service", "limpet@.service"):
        with open(f"{units}/{name}", encoding="utf-8") as file:
            text = file.read()
        # systemd looks for programs in its own folders, for users here, where sysusers has not run yet.
        text = re.sub(r"=limpet ", f"={folder}/bin/limpet ", text).replace("User=limpet\n", "User=daemon\n")
        with open(f"{units}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    for unit in (f"{units}/limpet.service", f"{units}/limpet@chat.service"):
        env = dict(os.environ, MANPATH=f"{folder}/share/man")
        told = say("systemd-analyze", "verify", "--man=no", unit, env=env)
        assert not told, told
    say("systemd-analyze", "security", "--offline=true", "--threshold=29", f"{units}/limpet.service")
    told = say("systemd-sysusers", f"--root={folder}", "--dry-run", f"{folder}/lib/sysusers.d/limpet.conf")
    assert "limpet" in told, told
