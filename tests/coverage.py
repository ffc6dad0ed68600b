"""What of core/ a build for coverage has run: tests/coverage.py TOP BUILD

Prints a table by folder and file: lines and branches that ran, of those there are. A file that several programs contain
(unit tests, limpet, the preloaded library) counts once: a line ran if it did in one of them. Reads what gcov, gcc's own,
says of every object file.
"""
import collections
import json
import os
import subprocess
import sys


class File:
    """A source file: for each line whether it ran, for each branch (line, number on it) whether it was taken."""

    def __init__(self):
        self.lines = {}
        self.branches = {}

    def add(self, line):
        number = line["line_number"]
        self.lines[number] = self.lines.get(number, False) or line["count"] > 0
        for i, branch in enumerate(line["branches"]):
            self.branches[number, i] = self.branches.get((number, i), False) or branch["count"] > 0


def reports(build):
    """What gcov says of each object file of a build. Those that never ran say so, too: a .gcno is written by the compiler."""
    notes = [os.path.join(folder, name) for folder, _, names in os.walk(build) for name in names if name.endswith(".gcno")]
    for i in range(0, len(notes), 20):
        result = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *notes[i:i + 20]], cwd=build,
                                capture_output=True, text=True, check=True)
        for line in result.stdout.splitlines():
            yield json.loads(line)


def read(top, build):
    files = collections.defaultdict(File)
    core = os.path.join(top, "core") + os.sep
    for report in reports(build):
        for entry in report["files"]:
            path = os.path.normpath(os.path.join(report["current_working_directory"], entry["file"]))
            if path.startswith(core):
                for line in entry["lines"]:
                    files[os.path.relpath(path, top)].add(line)
    return files


def share(flags):
    flags = list(flags)
    return f"{100 * sum(flags) / len(flags):5.1f} % of {len(flags):5}" if flags else f"{'-':>7} of     0"


def row(name, files):
    lines = [ran for file in files for ran in file.lines.values()]
    branches = [taken for file in files for taken in file.branches.values()]
    print(f"{name:44} {share(lines)} lines  {share(branches)} branches")


def missed(file):
    """Lines that never ran, as "3, 7-9"."""
    spans = []
    for number in sorted(number for number, ran in file.lines.items() if not ran):
        if spans and not any(file.lines.get(between, False) for between in range(spans[-1][1] + 1, number)):
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def main(top, build):
    files = read(os.path.realpath(top), os.path.realpath(build))
    if not files:
        sys.exit(f"{build}: nothing of core/ was built for coverage there")
    folders = collections.defaultdict(list)
    for path in sorted(files):
        folders[os.path.dirname(path)].append(path)
    for folder, paths in sorted(folders.items()):
        row(folder + "/", [files[path] for path in paths])
        for path in paths:
            row("    " + os.path.basename(path), [files[path]])
            if missed(files[path]):
                print(f"        not run: {missed(files[path])}")
    row("core/", files.values())


if __name__ == "__main__":
    main(*sys.argv[1:])
