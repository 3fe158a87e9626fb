// SPDX-License-Identifier: PostgreSQL
// What the C++ runtime keeps of exceptions for each thread, in the thread's static block.
//
// libstdc++.a has it where the loader allocates it at a thread's first throw; and the first throw may be the one that
// says that memory is out. The loader then ends the process ("cannot allocate memory for thread-local data: ABORT").
// These two stand in the place of libstdc++'s own (Itanium C++ ABI: Exception Handling, 2.2.2).

extern "C" {

struct CaughtExceptions {
  void* stack;
  unsigned uncaught;
};

static thread_local constinit CaughtExceptions t_caught = {nullptr, 0};

CaughtExceptions* __cxa_get_globals() noexcept {
  return &t_caught;
}

CaughtExceptions* __cxa_get_globals_fast() noexcept {
  return &t_caught;
}
}
