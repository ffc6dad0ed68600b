"""What the checks of this folder share: finding the house's files, and saying what is wrong with them.

A check is a program: `check.py TOP BUILD`. It prints `file:line: what is wrong; what to do` for each finding and then
exits with 1, or with 77 when it cannot be done here.
"""
import os
import re
import sys

SKIPPED = 77

PASSED_OVER = {".git", "node_modules", "__pycache__"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def arguments():
    """(top, build), as given on the command line."""
    return os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])


def files(top, *suffixes, under=("",)):
    """Paths from top, in order, of the files below these folders that end so; of all files when no suffix is given."""
    found = set()
    for folder in under:
        for where, folders, names in os.walk(os.path.join(top, folder)):
            folders[:] = [name for name in folders if name not in PASSED_OVER and not name.startswith("build")]
            for name in names:
                if not suffixes or name.endswith(suffixes):
                    found.add(os.path.relpath(os.path.join(where, name), top))
    return sorted(found)


def read(top, path):
    """A file's text; None of one that is no text."""
    try:
        with open(os.path.join(top, path), encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        return None


def line_of(text, offset):
    """The number of the line in which the offset is."""
    return text.count("\n", 0, offset) + 1


def lines_matching(top, paths, pattern):
    """(path, line, match) of each match in these files."""
    for path in paths:
        text = read(top, path) or ""
        for match in pattern.finditer(text):
            yield path, line_of(text, match.start()), match


def finish(findings, looked_at):
    """Print the findings, (path, line, words) each, and end the program. To have looked at nothing is one too."""
    findings = list(findings)
    for path, line, words in findings:
        print(f"{path}:{line}: {words}")
    if not looked_at:
        print("this check found no file to look at")
    sys.exit(1 if findings or not looked_at else 0)
