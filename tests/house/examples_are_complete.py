"""Every example has a `run` that can be run, and a line in the examples' README."""
import os

import house


def check(top, name):
    run = f"examples/{name}/run"
    if not os.access(os.path.join(top, run), os.X_OK):
        yield run, 1, "is not there, or not executable; an example is started by it, without an argument"
    if f"({name}/)" not in (house.read(top, "examples/README.md") or ""):
        yield "examples/README.md", 1, f"says nothing of [{name}]({name}/); give it a line that says what it shows"


def main():
    top, _ = house.arguments()
    names = [entry.name for entry in os.scandir(os.path.join(top, "examples")) if entry.is_dir()]
    house.finish([finding for name in sorted(names) for finding in check(top, name)], names)


main()
