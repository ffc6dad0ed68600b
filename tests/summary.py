"""Count the tests in what ctest reports: tests/summary.py RESULTS.xml

ctest knows programs; most of them hold many tests, and say so: cmocka's in its own words, those of node:test as TAP. A
program that says nothing of the kind is one test. A program that failed although no test inside it did (it crashed, it
took too long) is one failed test. The last line is the count alone; exit status 0 when none failed.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree

PASSED = re.compile(r"^(?:\[  PASSED  \] (\d+) test|# pass (\d+)$)", re.M)
FAILED = re.compile(r"^(?:\[  FAILED  \] (\d+) test|# (?:fail|cancelled) (\d+)$)", re.M)
SKIPPED = re.compile(r"^(?:\[  SKIPPED \] (\d+) test|# (?:skipped|todo) (\d+)$)", re.M)

# A test that was skipped, as TAP says it: its name, and why.
REASON = re.compile(r"^ *(?:not )?ok \d+ - (.+) # SKIP\b(.*)$", re.M)


def total(pattern, text):
    return sum(int(first or second) for first, second in pattern.findall(text))


def count(case):
    """(passed, failed, skipped) of one program."""
    if case.find("skipped") is not None:
        return 0, 0, 1
    output = case.findtext("system-out") or ""
    passed, failed, skipped = (total(pattern, output) for pattern in (PASSED, FAILED, SKIPPED))
    if case.find("failure") is not None:
        return passed, max(failed, 1), skipped
    return (passed, failed, skipped) if passed + failed + skipped else (1, 0, 0)


def main(path):
    try:
        cases = ElementTree.parse(path).getroot().findall("testcase")
    except (OSError, ElementTree.ParseError) as error:
        sys.exit(f"{path}: {error}; ctest did not get as far as to write it")
    counts = [count(case) for case in cases]
    passed, failed, skipped = (sum(column) for column in zip(*counts)) if counts else (0, 0, 0)
    for case, (_, case_failed, case_skipped) in zip(cases, counts):
        if case_failed:
            print(f"failed: {case.get('name')}")
        elif case_skipped:
            print(f"skipped: {case_skipped} in {case.get('name')}")
            for name, why in REASON.findall(case.findtext("system-out") or ""):
                print(f"    {name}:{why}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
