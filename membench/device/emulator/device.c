/* The described device: read once from MEMBENCH_DEVICE, "field=value;field=value;…" (integers, but for the name). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulator.h"

static struct device device;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const struct {
    const char *name;
    size_t offset;
    int64_t least;
} fields[] = {
#define FIELD(name) {#name, offsetof(struct device, name), 1}
#define FIELD_OR_ZERO(name) {#name, offsetof(struct device, name), 0}
    FIELD(total_bytes),
    FIELD(context_bytes),
    FIELD(major),
    FIELD_OR_ZERO(minor),
    FIELD(multiprocessors),
    FIELD(threads_per_multiprocessor),
    FIELD(blocks_per_multiprocessor),
    FIELD(shared_per_block),
    FIELD(shared_per_block_optin),
    FIELD(shared_per_multiprocessor),
    FIELD_OR_ZERO(reserved_shared_per_block),
    FIELD(registers_per_multiprocessor),
    FIELD(l2_bytes),
    FIELD(clock_khz),
    FIELD(memory_clock_khz),
    FIELD(pci_device_id),
    FIELD_OR_ZERO(addresses_ascend),
#undef FIELD
#undef FIELD_OR_ZERO
};
enum { FIELDS = sizeof fields / sizeof *fields };

static void fail(const char *what) {
    fprintf(stderr, "membench: the emulated device needs MEMBENCH_DEVICE: %s\n", what);
    abort();
}

static void set_field(const char *key, const char *value) {
    if (strcmp(key, "name") == 0) {
        snprintf(device.name, sizeof device.name, "%s", value);
        return;
    }
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(key, fields[i].name) == 0) {
            int64_t number = strtoll(value, NULL, 10);
            memcpy((char *)&device + fields[i].offset, &number, sizeof number);
            return;
        }
    fail(key);
}

static void read_description(void) {
    const char *text = getenv("MEMBENCH_DEVICE");
    if (!text) fail("it is not set");
    char *copy = strdup(text), *rest = copy;
    if (!copy) fail("no host memory");
    for (char *pair; (pair = strsep(&rest, ";"));) {
        char *value = strchr(pair, '=');
        if (!value) continue;
        *value = '\0';
        set_field(pair, value + 1);
    }
    free(copy);
    for (size_t i = 0; i < FIELDS; i++) {
        int64_t number;
        memcpy(&number, (char *)&device + fields[i].offset, sizeof number);
        if (number < fields[i].least) fail(fields[i].name);
    }
}

const struct device *described_device(void) {
    pthread_once(&once, read_description);
    return &device;
}

int64_t device_attribute(int attribute) {
    const struct device *d = described_device();
    switch (attribute) {
        case ATTR_MAX_THREADS_PER_BLOCK:
        case ATTR_MAX_BLOCK_DIM_X:
        case ATTR_MAX_BLOCK_DIM_Y: return 1024;
        case ATTR_MAX_BLOCK_DIM_Z: return 64;
        case ATTR_MAX_GRID_DIM_X: return 2147483647;
        case ATTR_MAX_GRID_DIM_Y:
        case ATTR_MAX_GRID_DIM_Z: return 65535;
        case ATTR_SHARED_PER_BLOCK: return d->shared_per_block;
        case ATTR_WARP_SIZE: return 32;
        case ATTR_REGISTERS_PER_BLOCK: return 65536;
        case ATTR_CLOCK_KHZ: return d->clock_khz;
        case ATTR_TEXTURE_ALIGNMENT: return 512;
        case ATTR_MULTIPROCESSORS: return d->multiprocessors;
        case ATTR_MEMORY_CLOCK_KHZ: return d->memory_clock_khz;
        case ATTR_L2_BYTES: return d->l2_bytes;
        case ATTR_THREADS_PER_MULTIPROCESSOR: return d->threads_per_multiprocessor;
        case ATTR_MAJOR: return d->major;
        case ATTR_MINOR: return d->minor;
        case ATTR_SHARED_PER_MULTIPROCESSOR: return d->shared_per_multiprocessor;
        case ATTR_REGISTERS_PER_MULTIPROCESSOR: return d->registers_per_multiprocessor;
        case ATTR_SHARED_PER_BLOCK_OPTIN: return d->shared_per_block_optin;
        case ATTR_BLOCKS_PER_MULTIPROCESSOR: return d->blocks_per_multiprocessor;
        case ATTR_RESERVED_SHARED_PER_BLOCK: return d->reserved_shared_per_block;
        case ATTR_ASYNC_ENGINES: return 2;
        case ATTR_CAN_MAP_HOST:
        case ATTR_CONCURRENT_KERNELS:
        case ATTR_UNIFIED_ADDRESSING:
        case ATTR_STREAM_PRIORITIES:
        case ATTR_MANAGED_MEMORY:
        case ATTR_COOPERATIVE_LAUNCH:
        case ATTR_VIRTUAL_MEMORY:
        case ATTR_POSIX_HANDLES:
        case ATTR_PCI_BUS: return 1;
        case ATTR_MEMORY_BUS_WIDTH: /* not described; who asks for it estimates bandwidth */
        case ATTR_INTEGRATED:
        case ATTR_COMPUTE_MODE:
        case ATTR_PCI_DEVICE:
        case ATTR_PCI_DOMAIN:
        case ATTR_TCC:
        case ATTR_PAGEABLE_MEMORY_ACCESS:
        case ATTR_CONCURRENT_MANAGED_ACCESS:
        case ATTR_MEMORY_POOLS:
        case ATTR_GPU_DIRECT_RDMA_VMM:
        case ATTR_FABRIC_HANDLES:
        case ATTR_MULTICAST: return 0;
        default: return -1;
    }
}
