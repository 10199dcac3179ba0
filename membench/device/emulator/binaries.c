/* Fat binaries: for which architectures a kernel was compiled, and which of its versions the described device runs.
 *
 * Libraries choose by it. CUB, for one, has a policy for each architecture that it was compiled for and fails on any
 * other, so a card of 8.9 must say that it runs the code for 8.6 where there is none for 8.9.
 *
 * The layout is that of fatbinary_section.h and of what `cuobjdump` shows: a wrapper points to a header, which is
 * followed by entries of machine code and of PTX, each with a header of its own. */
#include <pthread.h>
#include <stdlib.h>

#include "emulator.h"

struct wrapper {
    uint32_t magic, version;
    const struct fat_header *content;
    const void *more;
};

struct fat_header {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t bytes; /* of the entries */
};

struct entry {
    uint16_t kind, attributes;
    uint32_t header_bytes;
    uint64_t bytes;
    uint32_t compressed_bytes, unknown;
    uint16_t minor, major; /* of the format */
    uint32_t architecture;
};

enum { WRAPPER_MAGIC = 0x466243b1, HEADER_MAGIC = (int)0xba55ed50, KIND_PTX = 1, KIND_MACHINE = 2 };

struct kernel {
    const void *function;
    struct code_version version;
};

/* An open-addressing table. Libraries register their kernels when they are loaded, PyTorch some ten thousands. */
static struct kernel *kernels;
static size_t capacity, filled;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static struct code_version own_version(void) {
    const struct device *d = described_device();
    int own = (int)(d->major * 10 + d->minor);
    return (struct code_version){own, own};
}

struct code_version binary_version(const void *image) {
    const struct wrapper *wrapper = image;
    struct code_version own = own_version(), found = {0, 0};
    if (!wrapper || wrapper->magic != (uint32_t)WRAPPER_MAGIC || !wrapper->content ||
        wrapper->content->magic != (uint32_t)HEADER_MAGIC)
        return own;
    const char *at = (const char *)wrapper->content + wrapper->content->header_bytes;
    const char *end = at + wrapper->content->bytes;
    while (at + sizeof(struct entry) <= end) {
        const struct entry *entry = (const void *)at;
        int architecture = (int)entry->architecture;
        bool runs = entry->kind == KIND_MACHINE && architecture / 10 == own.binary / 10;
        if (runs && architecture <= own.binary && architecture > found.binary)
            found = (struct code_version){architecture, architecture};
        if (entry->kind == KIND_PTX && architecture <= own.binary && !found.binary && architecture > found.ptx)
            found.ptx = architecture; /* compiled for the device when it is loaded */
        at += entry->header_bytes + entry->bytes;
    }
    if (!found.ptx) return own;
    if (!found.binary) found.binary = own.binary;
    return found;
}

static struct kernel *slot(struct kernel *table, size_t size, const void *function) {
    size_t at = ((uintptr_t)function >> 4) * 0x9e3779b97f4a7c15u & (size - 1);
    while (table[at].function && table[at].function != function) at = (at + 1) & (size - 1);
    return &table[at];
}

static bool grow(void) {
    size_t wider = capacity ? capacity * 2 : 1 << 16;
    struct kernel *table = calloc(wider, sizeof *table);
    if (!table) return false;
    for (size_t at = 0; at < capacity; at++)
        if (kernels[at].function) *slot(table, wider, kernels[at].function) = kernels[at];
    free(kernels);
    kernels = table;
    capacity = wider;
    return true;
}

void kernel_register(const void *function, struct code_version version) {
    pthread_mutex_lock(&guard);
    if (filled * 2 < capacity || grow()) {
        struct kernel *kernel = slot(kernels, capacity, function);
        filled += !kernel->function;
        *kernel = (struct kernel){function, version};
    }
    pthread_mutex_unlock(&guard);
}

struct code_version kernel_version(const void *function) {
    struct code_version version = own_version();
    pthread_mutex_lock(&guard);
    if (capacity) {
        const struct kernel *kernel = slot(kernels, capacity, function);
        if (kernel->function) version = kernel->version;
    }
    pthread_mutex_unlock(&guard);
    return version;
}
