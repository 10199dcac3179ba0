/* Copies. Device memory holds nothing: what is read from it is zero, what is written to it is dropped. */
#include <string.h>

#include "emulator.h"

static atomic_ulong reads;

unsigned long device_to_host_reads(void) { return atomic_load(&reads); }

static bool on_device(const void *address) { return memory_is_device_address((uint64_t)address); }

void transfer(void *destination, const void *source, size_t bytes, enum copy_kind kind) {
    if (bytes == 0 || on_device(destination) || kind == HOST_TO_DEVICE || kind == DEVICE_TO_DEVICE) return;
    if (on_device(source) || kind == DEVICE_TO_HOST) {
        atomic_fetch_add(&reads, 1);
        host_clear(destination, bytes);
        return;
    }
    memmove(destination, source, bytes);
}
