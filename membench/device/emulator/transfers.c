/* Copies. Device memory holds nothing: what is read from it is zero, and counted.
 *
 * But for one thing: what was copied there a moment ago is known until anything is computed, for no kernel can have
 * changed it. That is how PyTorch asks the other ranks for the shapes of their parameters, and reads its own back. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "emulator.h"

enum { REMEMBERED = 64, LARGEST = 1 << 20 };

struct copy {
    uint64_t address, bytes;
    unsigned long computations; /* that had been made when it was copied */
    char *content;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct copy copies[REMEMBERED];
static unsigned next;
static atomic_ulong reads;

unsigned long device_to_host_reads(void) { return atomic_load(&reads); }

static bool on_device(const void *address) { return memory_is_device_address((uint64_t)address); }

static void forget(struct copy *copy) {
    free(copy->content);
    *copy = (struct copy){0};
}

/* What the range of device memory holds, or NULL where it is not known. Call with the lock held. */
static const char *known(const void *source, size_t bytes) {
    uint64_t address = (uint64_t)source;
    for (struct copy *copy = copies; copy < copies + REMEMBERED; copy++)
        if (copy->content && copy->computations == computations_made() && address >= copy->address &&
            address + bytes <= copy->address + copy->bytes)
            return copy->content + (address - copy->address);
    return NULL;
}

/* The range of device memory holds this now; NULL for something that is not known. Call with the lock held. */
static void remember(const void *destination, const char *content, size_t bytes) {
    uint64_t address = (uint64_t)destination;
    char *kept = content && bytes <= LARGEST ? malloc(bytes) : NULL;
    if (kept) memcpy(kept, content, bytes);
    for (struct copy *copy = copies; copy < copies + REMEMBERED; copy++)
        if (copy->content && copy->address < address + bytes && address < copy->address + copy->bytes) forget(copy);
    if (!kept) return;
    forget(&copies[next]);
    copies[next] = (struct copy){address, bytes, computations_made(), kept};
    next = (next + 1) % REMEMBERED;
}

static void read_back(void *destination, const void *source, size_t bytes) {
    const char *content = known(source, bytes);
    if (content) {
        memcpy(destination, content, bytes);
        return;
    }
    atomic_fetch_add(&reads, 1);
    host_clear(destination, bytes);
}

void transfer(void *destination, const void *source, size_t bytes, enum copy_kind kind) {
    if (bytes == 0) return;
    if (on_device(destination)) {
        pthread_mutex_lock(&lock);
        remember(destination, on_device(source) ? known(source, bytes) : source, bytes);
        pthread_mutex_unlock(&lock);
    } else if (on_device(source) || kind == DEVICE_TO_HOST) {
        pthread_mutex_lock(&lock);
        read_back(destination, source, bytes);
        pthread_mutex_unlock(&lock);
    } else if (kind == HOST_TO_HOST || kind == BY_ADDRESS) {
        memmove(destination, source, bytes);
    }
}

void fill(void *destination, int value, size_t bytes) {
    if (!on_device(destination)) {
        memset(destination, value, bytes);
        return;
    }
    pthread_mutex_lock(&lock);
    remember(destination, NULL, bytes);
    pthread_mutex_unlock(&lock);
}
