"""The model of the hand-over (handover.pml) has no error, and it finds each mistake that is seeded into it."""
import pathlib
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).with_name("handover.pml")
MISTAKES = {1: "what a dead worker has read is given to another", 2: "a connection is let go of when it has arrived",
            3: "the journal of an interrupted sendmsg is forgotten"}


def errors(mistake):
    """How many errors Spin finds, and what it says."""
    with tempfile.TemporaryDirectory() as folder:
        run = lambda *words: subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        made = run("spin", f"-DMISTAKE={mistake}", "-a", str(MODEL))
        built = run("cc", "-O2", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c")
        if built.returncode:
            sys.exit(made.stdout + made.stderr + built.stderr)
        said = run("./pan", "-m1000000", "-w24", "-E").stdout
        found = [line for line in said.splitlines() if "errors:" in line]
        if not found or "max search depth too small" in said:
            sys.exit(f"the search did not end:\n{said}")
        return int(found[0].rsplit("errors:", 1)[1]), said


def main():
    count, said = errors(0)
    if count:
        sys.exit(f"the model has an error:\n{said}")
    for mistake, what in MISTAKES.items():
        if not errors(mistake)[0]:
            sys.exit(f"the model does not find the seeded mistake {mistake}: {what}")
    print("no connection is lost, none has two owners;", len(MISTAKES), "seeded mistakes are found")


main()
