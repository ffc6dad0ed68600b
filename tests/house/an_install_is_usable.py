"""What `cmake --install` puts down can be used: the program runs, its policies are there, and a program of somebody else
finds both libraries and their headers by pkg-config alone, wherever the folder was moved to.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

import house

PROGRAM = """
#include <limpet/balancer.h>
#include <limpet/version.h>
#include <limpet/worker.h>
#include <stdio.h>

int main(void)
{
    struct limpet_options options;
    struct limpet_worker *worker;

    limpet_options_init(&options);
    puts(LIMPET_VERSION);
    return limpet_worker_new(&worker, 1) == 0;
}
"""


def say(*command, **more):
    """What a command prints; the check ends where one fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def sanitizers(build):
    """The flags without which a program does not link with a library that was built so."""
    cache = house.read(build, "CMakeCache.txt")
    found = re.search(r"^LIMPET_SANITIZE:\w+=(.+)$", cache, re.M)
    return [f"-fsanitize={found[1]}"] if found else []


def main():
    top, build = house.arguments()
    with tempfile.TemporaryDirectory() as temporary:
        first, prefix = os.path.join(temporary, "first"), os.path.join(temporary, "prefix")
        say("cmake", "--install", build, "--prefix", first)
        os.rename(first, prefix)

        libraries = os.path.dirname(glob.glob(f"{prefix}/lib*/**/liblimpet.so", recursive=True)[0])
        found = dict(os.environ, PKG_CONFIG_PATH=f"{libraries}/pkgconfig")
        flags = say("pkg-config", "--cflags", "--libs", "limpet", "limpet-worker", env=found).split()
        source, program = f"{temporary}/program.c", f"{temporary}/program"
        with open(source, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        say("cc", "-o", program, source, *flags, *sanitizers(build), f"-Wl,-rpath,{libraries}")

        version = say(program).strip()
        missing = [name for name in house.files(top, ".lua", under=("policies",))
                   if not name.endswith(".test.lua") and not os.path.exists(f"{prefix}/share/limpet/{name}")]
        missing += [script for script in ("bash-completion/completions/limpet", "zsh/site-functions/_limpet",
                                          "fish/vendor_completions.d/limpet.fish")
                    if not os.path.exists(f"{prefix}/share/{script}")]
        told = say(f"{prefix}/bin/limpet", "version")
        if version not in told or missing:
            sys.exit(f"version.h says {version}, limpet version says {told!r}, not installed: {missing}")


main()
