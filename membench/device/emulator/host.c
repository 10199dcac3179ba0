/* Pinned host memory: real memory, in a range of its own so that an address tells whether it is pinned.
 *
 * Addresses are handed out upwards and not again: PyTorch keeps the blocks that it has freed and asks for few. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "emulator.h"

#define RANGE ((uint64_t)1 << ADDRESS_BITS)
enum { HOST_PAGE = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *_Atomic range;
static uint64_t handed_out;

static uint64_t round_up(uint64_t bytes) { return (bytes + HOST_PAGE - 1) / HOST_PAGE * HOST_PAGE; }

/* A block is whole pages behind one that holds their size. NULL where the range is spent. */
void *host_allocate(uint64_t bytes) {
    void *block = NULL;
    pthread_mutex_lock(&lock);
    if (!range) {
        void *start = mmap(NULL, RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start != MAP_FAILED) range = start;
    }
    if (range && bytes < RANGE && HOST_PAGE + round_up(bytes) <= RANGE - handed_out) {
        *(uint64_t *)(range + handed_out) = round_up(bytes);
        block = range + handed_out + HOST_PAGE;
        handed_out += HOST_PAGE + round_up(bytes);
    }
    pthread_mutex_unlock(&lock);
    return block;
}

void host_release(void *block) {
    char *header = (char *)block - HOST_PAGE;
    madvise(header, HOST_PAGE + *(uint64_t *)header, MADV_DONTNEED);
}

bool host_is_pinned(const void *address) {
    return range && (const char *)address >= range && (const char *)address < range + RANGE;
}

/* Whole pages of pinned memory are given back instead: they read as zero and take no memory until they are written. */
void host_clear(void *destination, uint64_t bytes) {
    char *start = destination, *end = start + bytes;
    char *first = (char *)round_up((uint64_t)start), *last = (char *)((uint64_t)end / HOST_PAGE * HOST_PAGE);
    if (!host_is_pinned(start) || first >= last || madvise(first, (uint64_t)(last - first), MADV_DONTNEED)) {
        memset(start, 0, bytes);
        return;
    }
    memset(start, 0, (uint64_t)(first - start));
    memset(last, 0, (uint64_t)(end - last));
}
