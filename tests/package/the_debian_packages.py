"""`cpack` makes three packages of Debian's that lintian finds no error in; limpet runs from where they put it, and all that
stays of a removal is the configuration.
"""
import glob
import os
import subprocess
import sys
import tempfile


def say(*command, **more):
    """What a command prints; the test ends where one fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    build = os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        say("cpack", "--config", f"{build}/CPackConfig.cmake", "-B", folder)
        packages = {os.path.basename(path).split("_")[0]: path for path in glob.glob(f"{folder}/*.deb")}
        assert sorted(packages) == ["liblimpet-dev", "liblimpet0", "limpet"], packages
        say("lintian", "--allow-root", "--fail-on", "error", *packages.values())

        root = f"{folder}/root"
        say("dpkg-deb", "-x", packages["limpet"], root)
        told = say(f"{root}/usr/bin/limpet", "check", "sid")
        assert told == "sid: ok\n", told
        for path in ("lib/limpet/liblimpet-preload.so", "lib/limpet/limpet-node.cjs", "lib/systemd/system/limpet.service",
                     "lib/systemd/system/limpet@.service", "lib/sysusers.d/limpet.conf", "share/man/man1/limpet-run.1.gz",
                     "share/man/man7/limpet-operations.7.gz", "share/limpet/policies/sid.lua"):
            assert glob.glob(f"{root}/usr/{path}") or glob.glob(f"{root}/usr/lib/*/{path[4:]}"), f"{path} is missing"

        say("dpkg-deb", "-e", packages["limpet"], f"{folder}/control")
        with open(f"{folder}/control/conffiles", encoding="utf-8") as file:
            kept = file.read().split()
        assert kept == [f"/{os.path.relpath(path, root)}" for path in glob.glob(f"{root}/etc/*/*")], kept


main()
