// SPDX-License-Identifier: PostgreSQL
// The faults that can be told to happen. See injector.cc.
#pragma once

#include <stddef.h>

extern "C" {

/// Which calls count, and what becomes of the n-th.
enum FaultKind {
  kFaultMemory = 'm',      // malloc and its like: no memory
  kFaultFiles = 'f',       // files, pipes and sockets: `error`
  kFaultProcesses = 'p',   // clone, fork and threads: `error`
  kFaultInterrupts = 'i',  // what may be interrupted before it has done anything: `error`, once
  kFaultPortions = 's',    // read, write and their like: done for one byte only, or for half with `error` 0
  kFaultMaps = 'x',        // mmap, mprotect and mremap of anybody in the process (no memory), and with which ld.so
                           // reads: `error`. By seccomp, for nobody else can get between libc and its own calls.
};
/// Whose calls count: those of pqmint's objects (and of the C++ libraries that work for them), also libcurl's, or
/// everybody's.
enum FaultScope { kFaultOurs = 'o', kFaultWithCurl = 'c', kFaultAnyone = 'a' };

/// From now on, in this thread: call number `nth` fails with `error` (an errno; memory fails in its own way), and with
/// `and_all_after` so do those that follow. 0 fails none, and counts.
///
/// Once kFaultMaps was armed, the process and its children are under the filter for good. What they execute must lie at
/// other addresses, as chance has it.
void fault_arm(int kind, int scope, long nth, int error, int and_all_after);
/// Whether this machine can do kFaultMaps.
int fault_can_map();
/// Ends it; how many calls there were.
long fault_disarm();
/// Blocks of memory that are allocated now.
long fault_live_blocks();
}
