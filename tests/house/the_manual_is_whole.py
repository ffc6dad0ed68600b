"""Every command has a manual page that names each flag of its help, and no page makes the formatter complain."""
import os
import re
import shutil
import subprocess
import sys

import house


def words(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def text_of(page):
    """(the page as a terminal shows it, what the formatter complains of)"""
    shown = subprocess.run(["groff", "-k", "-man", "-t", "-Tutf8", "-ww", "-rLL=100n", "-P-c", page], capture_output=True,
                           text=True, check=False)
    # That a line in a narrow column of a table cannot be stretched is no fault of the page.
    complaints = [line for line in shown.stderr.splitlines() if line and "cannot adjust line" not in line]
    return re.sub(".\b", "", shown.stdout), complaints


def main():
    _, build = house.arguments()
    describe = os.path.join(build, "core", "manual", "describe")
    if not os.path.exists(describe) or not shutil.which("groff"):
        print("the manual is not built here: install lowdown and groff")
        sys.exit(house.SKIPPED)
    findings = []
    for command in words(describe, "--list").split():
        page = os.path.join(build, "man", f"limpet-{command}.1")
        if not os.path.exists(page):
            findings.append((f"core/manual/CMakeLists.txt", 1, f"limpet {command} has no page; add it to the commands"))
            continue
        shown = text_of(page)[0]
        flags = set(re.findall(r"^  (--[a-z0-9-]+)", words(os.path.join(build, "limpet"), command, "--help"), re.M))
        findings += [(f"core/manual/describe.c", 1, f"limpet-{command}(1) does not have {flag} of the help")
                     for flag in sorted(flags) if not re.search(re.escape(flag) + r"(?![a-z0-9-])", shown)]
    pages = [name for name in sorted(os.listdir(os.path.join(build, "man"))) if not name.endswith(".md")]
    for name in pages:
        findings += [(f"man/{name}", 1, line) for line in text_of(os.path.join(build, "man", name))[1]]
    house.finish(findings, pages)


main()
