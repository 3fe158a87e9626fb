# SPDX-License-Identifier: PostgreSQL
"""Counts instructions with valgrind's callgrind, and reads what it writes (valgrind manual, "Callgrind Format")."""

import collections
import re
import subprocess

from rig import fail

OURS = ("libpqmint.so", "core.so", "net.so")
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign")


class Counts:
    """Instructions by object; calls, and the instructions in them, by callee and by (object, callee)."""

    def __init__(self, path):
        self.self_of = collections.Counter()    # object -> instructions of its own
        self.calls = collections.Counter()      # (calling object, function) -> times
        self.inclusive = collections.Counter()  # function -> instructions in it and all that it calls
        names = {"ob": {}, "fn": {}}
        here = callee = None
        in_call = False

        def name(kind, text):
            number, _, full = text.partition(" ")
            return names[kind].setdefault(number, full) if full else names[kind].get(number, number)

        for line in path.read_text(errors="replace").splitlines():
            key, equals, value = line.partition("=")
            if equals and key == "ob":
                here = name("ob", value).rsplit("/", 1)[-1]
            elif equals and key == "cob":
                name("ob", value)
            elif equals and key == "fn":
                name("fn", value)
            elif equals and key == "cfn":
                callee = re.sub(r"'\d+$", "", name("fn", value))
            elif equals and key == "calls":
                self.calls[here, callee] += int(value.split()[0])
                in_call = True
            elif line[:1] in "+-*0123456789" and line[:1]:
                cost = line.split()[1:]
                if cost and in_call:
                    self.inclusive[callee] += int(cost[0])
                elif cost:
                    self.self_of[here] += int(cost[0])
                in_call = False

    @property
    def total(self):
        return sum(self.self_of.values())

    @property
    def ours(self):
        return sum(self.self_of[name] for name in OURS)

    @property
    def our_allocations(self):
        return sum(self.calls[name, allocator] for name in OURS for allocator in ALLOCATORS)


def count(rig, *command, **variables):
    """What the stopwatch does with these words, all but its first time."""
    path = rig.folder / "callgrind.out"
    words = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={path}", "--collect-atstart=no", *map(str, command)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False,
                              env=rig.environment | {name: str(value) for name, value in variables.items()})
    except OSError as error:
        fail(error)
    if done.returncode != 0:
        fail(done.stderr[-800:])
    return Counts(path)
