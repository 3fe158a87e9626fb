// SPDX-License-Identifier: PostgreSQL
// The faults that can be told to happen. See injector.cc.
#pragma once

#include <stddef.h>

extern "C" {

/// Which calls count: of memory, or of files, pipes and sockets.
enum FaultKind { kFaultMemory = 'm', kFaultFiles = 'f' };
/// Whose calls count: those of pqmint's objects (and of the C++ libraries that work for them), or everybody's.
enum FaultScope { kFaultOurs = 'o', kFaultAnyone = 'a' };

/// From now on, in this thread: call number `nth` fails with `error` (an errno; memory fails in its own way), and with
/// `and_all_after` so do those that follow. 0 fails none, and counts.
void fault_arm(int kind, int scope, long nth, int error, int and_all_after);
/// Ends it; how many calls there were.
long fault_disarm();
/// Blocks of memory that are allocated now.
long fault_live_blocks();
}
