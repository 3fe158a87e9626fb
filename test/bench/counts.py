# SPDX-License-Identifier: PostgreSQL
"""What does not depend on the machine's mood: instructions and allocations by callgrind (its output is described in the
valgrind manual, "Callgrind Format"), system calls by strace."""

import collections
import re
import subprocess

from rig import KEYS, RDS, fail

OURS = ("libpqmint.so", "core.so", "net.so")
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign")
# What the loader does to map one object: open, read its head, look at it, map it, protect what it relocated, close.
LOADER = {"openat", "read", "pread64", "fstat", "newfstatat", "mmap", "mprotect", "close"}
# How often libpq must wait and ask again is the network's doing, and how often libc asks for memory its heap's.
UNSTEADY = {"recvfrom", "poll", "brk", "mmap", "munmap"}


class Callgrind:
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


def instructions(rig, *command, **variables):
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
    return Callgrind(path)


def padded_blocks(length):
    """SHA-256 blocks of a text: with one bit, zeros and its length in eight bytes (FIPS 180-4, 5.1.1)."""
    return (length + 9 + 63) // 64


def blocks_of(token):
    """The SHA-256 blocks that the signature of an RDS token cannot do without, when the key is derived already: the
    canonical request, and an HMAC of the string to sign whose two pads are absorbed already."""
    address, query = token.split("/?", 1)
    signed = re.sub("&X-Amz-Signature=.*", "", query)
    scope = re.search("X-Amz-Credential=[A-Z0-9]*%2F([^&]*)", query)[1].replace("%2F", "/")
    request = f"GET\n/\n{signed}\nhost:{address}\n\nhost\n{64 * 'e'}"
    string_to_sign = f"AWS4-HMAC-SHA256\n{16 * 'T'}\n{scope}\n{64 * 'e'}"
    return padded_blocks(len(request)) + padded_blocks(64 + len(string_to_sign)) - 1 + padded_blocks(64 + 32) - 1


def system_calls(rig, *command, **variables):
    """{name: times}; a preload is for the command and not for strace."""
    trace = rig.folder / "trace"
    into = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
    done = subprocess.run(["strace", "-f", "-qq", "-o", trace, *into, *map(str, command)], env=rig.environment,
                          check=False, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"strace: {done.stderr.strip()[-400:]}")
    return collections.Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))


def minus(more, less, divisor=1):
    return {name: round((more[name] - less[name]) / divisor, 2) for name in more | less if more[name] != less[name]}


def listed(calls):
    return ", ".join(f"{times:g} {name}" for name, times in sorted(calls.items(), key=lambda item: -item[1]))


def counted(rig):
    """(gate, count, what it is made of)"""
    preloaded = {"LD_PRELOAD": rig.library}
    more = minus(system_calls(rig, "/bin/true", **preloaded), system_calls(rig, "/bin/true"))
    foreign = {name: times for name, times in more.items() if name not in LOADER or name == "openat" and times > 1}
    yield "/bin/true preloaded: more system calls", sum(more.values()), listed(more)
    yield "... of them not for mapping one file", sum(foreign.values()), listed(foreign)

    ours, managed = f"{rig.ours} port={rig.port}", KEYS | preloaded
    token = rig.token(ours, **KEYS)
    blocks = blocks_of(token)
    floor = instructions(rig, rig.stopwatch, "blocks", 101, 1, blocks).inclusive["SHA256_Update"] / 100
    words = 1, rig.core, RDS, rig.port, "iam_user"
    mint, fewer = (instructions(rig, rig.stopwatch, "mint", count, *words, **KEYS) for count in (201, 101))
    signing = next((cost for name, cost in mint.inclusive.items() if name.startswith("pqmint::mint_rds_token(")), 0) / 200
    if not floor or not signing:
        fail("callgrind does not know the functions: are the symbols stripped?")
    name = "one RDS token, key cached: "
    yield (name + "instructions, in floors of its SHA-256 blocks", signing / floor,
           f"{signing:.0f} against {floor:.0f} for {blocks} blocks")
    yield name + "instructions of core.so itself", mint.ours / 200, f"of {mint.total / 200:.0f} with OpenSSL and libc"
    # Calls are counted from the start, what they cost is not: hence the difference of two runs.
    yield name + "allocations by core.so", (mint.our_allocations - fewer.our_allocations) / 100, ""

    connect, fewer = (instructions(rig, rig.stopwatch, "connect", count, "ok", ours, **managed) for count in (11, 6))
    bare = instructions(rig, rig.stopwatch, "connect", 11, "ok", ours, PGPASSWORD=token)
    name = "warm managed connect: "
    yield (name + "instructions of our objects", connect.ours / 10,
           f"in all {(connect.total - bare.total) / 10:+.0f} beside the {bare.total / 10:.0f} of a bare one")
    yield name + "allocations by our objects", (connect.our_allocations - fewer.our_allocations) / 5, ""

    def of_five(**variables):
        many, few = (system_calls(rig, rig.stopwatch, "connect", count, "ok", ours, **variables) for count in (8, 3))
        return many - few
    more = minus(of_five(**managed), of_five(PGPASSWORD=token), 5)
    steady = {call: times for call, times in more.items() if call not in UNSTEADY}
    yield name + "more system calls", sum(steady.values()), listed(steady)
    yield name + "more sockets", more.get("socket", 0) + more.get("connect", 0), ""

    queries = instructions(rig, rig.stopwatch, "query", 1001, ours, **managed)
    yield "1000 queries after it: instructions of our objects", queries.ours, f"of {queries.total}"
