"""Every other check of this folder that reads the sources says of a house that breaks its rule where it does."""
import os
import subprocess
import sys
import tempfile

import house

# check: (file, its text, the line that is to be named)
BROKEN = {
    "includes_go_down": [
        ("core/base/upward.h", '#include "server/listener.h"\n', 1),
        ("core/base/unknown.c", '\n#include "nowhere.h"\n', 2),
        ("core/server/round.h", '\n#include "server/listener.h"\n', 2),
        ("core/server/listener.h", '#include "server/round.h"\n', None),
        ("core/client/worker.c", '#include "route/head.h"\n', 1),
        ("core/route/head.h", "", None),
        ("core/tools/sideways.c", '#include "server/listener.h"\n', 1),
        ("core/tools/tool.h", "", None),
        ("core/worker/tooled.c", '#include "tools/tool.h"\n', 1),
        ("include/limpet/worker.h", '#include "route/head.h"\n', 1),
    ],
    "deciding_knows_no_uv": [("core/route/loop.c", "#include <uv.h>\n", 1), ("core/base/loop.h", "\n#include <uv.h>\n", 2)],
    "prototypes_are_documented": [
        ("core/base/bare.h", "int bare(void);\n", 1),
        ("core/base/parted.h", "/** Does it. */\n#define X 1\nint parted(void);\n", 3),
        ("core/base/unnamed.h", "/** Does it. @param a One. */\nint unnamed(int a, char *(*b)(int), ...);\n", 2),
        ("core/base/callback.h", "typedef void (*bare_cb)(void *owner);\n", 1),
        ("core/base/inline.h", "/** Fine. */\nstruct s {\n\tint a;\n};\n\nstatic inline int in(void)\n{\n\treturn 1;\n}\n", 6),
    ],
    "format_is_clean": [("core/base/loose.c", "int  loose;\n", 1), (".clang-format", "BasedOnStyle: LLVM\n", None)],
    "no_unfinished_marks": [("core/base/later.c", "/* TO" "DO */\n", 1)],
    "examples_are_complete": [("examples/README.md", "# Examples\n", 1), ("examples/lost/run", "", 1)],
    "every_folder_explains_itself": [
        ("core/silent/a.c", "", None),
        ("core/silent/README.md", "# A\n\n```\npicture\n```\nStart with `b.c`.\n", 6),
        ("core/mute/a.c", "", None),
        ("core/mute/README.md", "no picture\n", 1),
        ("core/long/README.md", "\n```\n```\n" + "\n" * 60, 48),
    ],
    "calls_go_one_way": [
        ("core/route/there.c", "int lp_there(void)\n{\n\treturn lp_back();\n}\n", 3),
        ("core/route/back.c", "/* lp_there() */\nint lp_back(void)\n{\n\treturn 0;\n}\nint lp_x(void)\n{\n\tlp_there();\n}\n", 8),
    ],
    "every_fault_is_tried": [
        ("tests/faults/a.test.js", "test('1: one', a);\n\ntest('1: again', a);\n", 3),
        ("tests/faults/b.test.js", "test('58: more', a);\ntest('none', a);\ntest(name, a);\n", 2),
        ("tests/faults/c.test.js", "test(\n\t`57: the last`, a);\n", None),
    ],
    "english_is_plain": [
        ("core/base/poem.c", "/* All but for one. */\n", 1),
        ("README.md", "\nDifferent is:\n", 2),
        ("policies/README.md", "So many that it hurts.\n\nA header that is none.\nWhat follows behind the path.\n", 3),
        ("core/base/more.c", "/* Of ten, so many as fit. */\n", 1),
    ],
    "links_lead_somewhere": [
        ("README.md", "[gone](core/none.md)\n\n```\n[in code](none)\n```\n[no heading](GUIDE.md#nothing)\n", 1),
        ("GUIDE.md", "# Title\n[fine](README.md) [fine](#title)\n\n[away](#nowhere)\n", 4),
    ],
    "lock_files_name_no_address": [("package-lock.json", '{\n"resolved": "https://example.org/"\n}\n', 2)],
}


def run(check, top):
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{check}.py")
    return subprocess.run([sys.executable, "-B", program, top, top], capture_output=True, text=True, check=False)


def try_out(check, files):
    """What the check did not say of these files."""
    with tempfile.TemporaryDirectory() as top:
        for path, text, _ in files:
            os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
            with open(os.path.join(top, path), "w", encoding="utf-8") as file:
                file.write(text)
        told = run(check, top)
        if told.returncode == house.SKIPPED:
            return []
        wanted = [f"{path}:{line}:" for path, _, line in files if line]
        missed = [where for where in wanted if where not in told.stdout]
        if told.returncode != 1:
            missed.append(f"exit status 1 (it was {told.returncode})")
        return [f"{check} did not say {what}\n{told.stdout}{told.stderr}" for what in missed]


def main():
    top, _ = house.arguments()
    there = {name[:-3] for name in os.listdir(os.path.dirname(os.path.abspath(__file__))) if name.endswith(".py")}
    untried = there - set(BROKEN) - {"house", "checks_can_fail", "an_install_is_usable", "the_manual_is_whole"}
    missed = [f"nothing here shows that {check} can fail" for check in sorted(untried)]
    for check, files in BROKEN.items():
        missed += try_out(check, files)
    for words in missed:
        print(words)
    sys.exit(1 if missed else 0)


main()
