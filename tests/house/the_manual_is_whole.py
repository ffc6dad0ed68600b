"""Every command has a manual page that names each flag of its help, and no page makes the formatter complain. The completions
for each shell offer the same flags, and the values of those that have a few.
"""
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


BASH = """
. "$1"
complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _limpet; echo "$*: ${COMPREPLY[*]}"; }
for command in $2; do complete_line limpet "$command" -; done
complete_line limpet re
complete_line limpet run --dialect au
complete_line limpet run --policy = ip
complete_line limpet check ip
complete_line limpet run -- basenam
"""

VALUES = {
    "limpet re": {"reload", "record"},
    "limpet run --dialect au": {"auto"},
    "limpet run --policy = ip": {"ip_hash"},
    "limpet check ip": {"ip_hash"},
    "limpet run -- basenam": {"basename"},
}


def offered_by_bash(script, commands):
    """{line: what is offered for its last word}"""
    told = words("bash", "--norc", "-c", BASH, "bash", script, " ".join(commands))
    return {line: set(offered.split()) for line, offered in (row.split(": ", 1) for row in told.splitlines())}


def offered_by_fish(script, line):
    told = words("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'")
    return {row.split("\t")[0] for row in told.splitlines()}


def check_completions(build, flags):
    """What the completions lack of {command: its flags}, or have too much."""
    where = "core/manual/completions.c"
    folder = os.path.join(build, "completions")
    bash, zsh, fish = (os.path.join(folder, name) for name in ("bash/limpet", "zsh/_limpet", "fish/limpet.fish"))
    offered = offered_by_bash(bash, flags)
    for command, wanted in flags.items():
        if offered[f"limpet {command} -"] != wanted | {"--help"}:
            yield where, 1, f"bash offers other flags of {command} than its help: {offered[f'limpet {command} -'] ^ wanted}"
    for line, wanted in VALUES.items():
        if offered[line] != wanted:
            yield where, 1, f"bash offers {offered[line]} for '{line}', not {wanted}"
    text = house.read(folder, "zsh/_limpet")
    for command, wanted in flags.items():
        case = re.search(rf"^\t\t{command}\)\n(.*?)^\t\t\t;;", text, re.M | re.S)[1]
        if set(re.findall(r"^\t\t\t'\*?(--[a-z0-9-]+)", case, re.M)) != wanted | {"--help"}:
            yield where, 1, f"zsh offers other flags of {command} than its help"
    if shutil.which("zsh"):
        told = subprocess.run(["zsh", "-n", zsh], capture_output=True, text=True, check=False)
        if told.returncode:
            yield where, 1, f"zsh does not read its script: {told.stderr}"
    if shutil.which("fish"):
        for command, wanted in flags.items():
            if offered_by_fish(fish, f"limpet {command} --") != wanted | {"--help"}:
                yield where, 1, f"fish offers other flags of {command} than its help"
        if offered_by_fish(fish, "limpet run --dialect au") != {"auto"}:
            yield where, 1, "fish does not offer the dialects"


def check_pages(build, flags):
    for command, wanted in flags.items():
        page = os.path.join(build, "man", f"limpet-{command}.1")
        if not os.path.exists(page):
            yield "core/manual/CMakeLists.txt", 1, f"limpet {command} has no page; add it to the commands"
            continue
        shown = text_of(page)[0]
        for flag in sorted(wanted):
            if not re.search(re.escape(flag) + r"(?![a-z0-9-])", shown):
                yield "core/manual/describe.c", 1, f"limpet-{command}(1) does not have {flag} of the help"
    for name in sorted(os.listdir(os.path.join(build, "man"))):
        if not name.endswith(".md"):
            for line in text_of(os.path.join(build, "man", name))[1]:
                yield f"man/{name}", 1, line


def main():
    _, build = house.arguments()
    describe = os.path.join(build, "core", "manual", "describe")
    flags = {command: set(re.findall(r"^  (--[a-z0-9-]+)", words(os.path.join(build, "limpet"), command, "--help"), re.M))
             for command in words(describe, "--list").split()}
    findings = list(check_completions(build, flags))
    if not os.path.exists(os.path.join(build, "man")) or not shutil.which("groff"):
        print("the manual is not built here: install lowdown and groff")
        sys.exit(1 if findings else house.SKIPPED)
    house.finish([*findings, *check_pages(build, flags)], flags)


main()
