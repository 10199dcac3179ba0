/* The log of answers: which entry points were called, how often, and how each answer was come by. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulator.h"

static _Atomic(struct call *) calls;
static atomic_ulong computations;

unsigned long computations_made(void) { return atomic_load(&computations); }

void call_made(struct call *call) {
    if (call->answer == NOTHING) atomic_fetch_add(&computations, 1);
    atomic_fetch_add_explicit(&call->count, 1, memory_order_relaxed);
    if (atomic_exchange_explicit(&call->listed, true, memory_order_acq_rel)) return;
    call->next = atomic_load(&calls);
    while (!atomic_compare_exchange_weak(&calls, &call->next, call)) {
    }
}

/* Writes one line "<name> <answer> <count>" for each entry point called so far, then the counters of the device.
 * Returns the bytes needed with the closing zero, like snprintf; writes nothing beyond size. */
API size_t membench_log(char *text, size_t size) {
    static const char *const answers[] = {"exact", "nothing", "library", "model", "refused"};
    size_t used = 0;
#define LINE(...)                                                                                                      \
    used += (size_t)snprintf(used < size ? text + used : NULL, used < size ? size - used : 0, __VA_ARGS__)
    for (struct call *call = atomic_load(&calls); call; call = call->next)
        LINE("%s %s %lu\n", call->name, answers[call->answer], atomic_load(&call->count));
    LINE("device_to_host_reads counter %lu\n", device_to_host_reads());
    LINE("largest_workspace_bytes counter %llu\n", (unsigned long long)largest_workspace());
#undef LINE
    return used + 1;
}
