/* Device memory: addresses in a range that nothing can be read from, and bytes counted against the device.
 *
 * The range is divided into 2 MiB pages. Two flat tables, touched only where used, give each page its allocation and
 * its mapping, so every look-up takes constant time. Addresses are handed out in one direction, and from the range's
 * other end again once it is used up; the next free run is found by skipping whole allocations.
 *
 * The direction decides more than it seems: of free blocks of one size PyTorch takes the one with the lowest address,
 * and from there on two layouts may differ. It is downwards in recordings of real GPUs whose addresses are of Linux's
 * own kind, 0x7f… (github.com/kkaitlyn111/cs336-a2-systems, memory_ctx128_*: each new segment lies 32 MiB below the
 * last), and upwards where they are small, as with the drivers that share the card with Windows
 * (github.com/Wedsonlin/assignment2-systems, medium_512_training: 0xa02e00000, the newest, is the highest). */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "emulator.h"

#define RANGE_START ((void *)0x200000000000)
#define PAGES ((uint32_t)1 << (ADDRESS_BITS - 21))

enum page_kind { PAGE_FREE, PAGE_MEMORY, PAGE_RESERVED };

struct page {
    uint32_t start, count; /* of the allocation or reservation that the page belongs to */
    uint32_t kind;
};

struct physical {
    uint64_t bytes;
    uint64_t mappings;
    bool released;
};

struct mapping {
    struct physical *physical;
    uint64_t first, count; /* pages */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t base; /* 0 until the range is there */
static uint64_t used_bytes;
static uint32_t next; /* how many pages were handed out since the range was last begun */
static struct page *pages;
static struct mapping **mapped; /* what a page of a reservation belongs to */

static void *address_space(void *hint, size_t bytes, int protection) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *start = MAP_FAILED;
    if (hint) start = mmap(hint, bytes, protection, flags | MAP_FIXED_NOREPLACE, -1, 0);
    if (start == MAP_FAILED) start = mmap(NULL, bytes, protection, flags, -1, 0);
    if (start == MAP_FAILED) abort();
    return start;
}

static void prepare(void) {
    if (base) return;
    pages = address_space(NULL, PAGES * sizeof *pages, PROT_READ | PROT_WRITE);
    mapped = address_space(NULL, PAGES * sizeof *mapped, PROT_READ | PROT_WRITE);
    uint64_t start = (uint64_t)address_space(RANGE_START, (PAGES + 1) * PAGE, PROT_NONE);
    base = (start + PAGE - 1) / PAGE * PAGE;
}

static uint64_t round_up(uint64_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static bool exceeds(uint64_t bytes) {
    const struct device *device = described_device();
    uint64_t usable = device->total_bytes - device->context_bytes;
    return bytes > usable || used_bytes > usable - bytes;
}

/* The first page of `count` in a row, of which so many are handed out before; and the other way round. */
static uint32_t in_order(uint32_t position, uint32_t count) {
    return described_device()->addresses_ascend ? position : PAGES - position - count;
}

/* How many pages are handed out before the next `count` free ones in a row, looked for once around; PAGES if none are. */
static uint32_t find_run(uint32_t count) {
    uint32_t position = next, seen = 0;
    while (seen <= PAGES) {
        if (PAGES - position < count) {
            seen += PAGES - position;
            position = 0;
        }
        uint32_t run = 0;
        while (run < count && pages[in_order(position + run, 1)].kind == PAGE_FREE) run++;
        if (run == count) return position;
        struct page *taken = &pages[in_order(position + run, 1)];
        uint32_t end = in_order(taken->start, taken->count) + taken->count;
        seen += end - position;
        position = end;
    }
    return PAGES;
}

static enum memory_status take(uint64_t bytes, enum page_kind kind, uint64_t *address) {
    uint64_t count = round_up(bytes) / PAGE;
    if (count == 0 || count > PAGES) return count ? MEMORY_EXHAUSTED : MEMORY_INVALID;
    uint32_t position = find_run((uint32_t)count);
    if (position == PAGES) return MEMORY_EXHAUSTED;
    uint32_t start = in_order(position, (uint32_t)count);
    for (uint32_t i = 0; i < count; i++)
        pages[start + i] = (struct page){.start = start, .count = (uint32_t)count, .kind = kind};
    next = position + (uint32_t)count;
    *address = base + start * PAGE;
    return MEMORY_OK;
}

/* The page of an address within the range, or NULL. */
static struct page *page_at(uint64_t address) {
    if (!base || address < base || address >= base + PAGES * PAGE) return NULL;
    return &pages[(address - base) / PAGE];
}

/* The first page of a live allocation of this kind that starts exactly here, or NULL. */
static struct page *starting_at(uint64_t address, enum page_kind kind) {
    struct page *page = page_at(address);
    bool starts = page && page->kind == kind && base + page->start * PAGE == address;
    return starts ? page : NULL;
}

static void clear(struct page *first) {
    uint32_t count = first->count;
    for (uint32_t i = 0; i < count; i++) first[i] = (struct page){0};
}

uint64_t memory_free_bytes(void) {
    const struct device *device = described_device();
    pthread_mutex_lock(&lock);
    uint64_t bytes = device->total_bytes - device->context_bytes - used_bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}

enum memory_status memory_allocate(uint64_t bytes, uint64_t *address) {
    pthread_mutex_lock(&lock);
    prepare();
    bool fits = bytes <= PAGES * PAGE && !exceeds(round_up(bytes));
    enum memory_status status = fits ? take(bytes, PAGE_MEMORY, address) : MEMORY_EXHAUSTED;
    if (status == MEMORY_OK) used_bytes += round_up(bytes);
    pthread_mutex_unlock(&lock);
    return status;
}

enum memory_status memory_release(uint64_t address) {
    pthread_mutex_lock(&lock);
    struct page *page = starting_at(address, PAGE_MEMORY);
    if (page) {
        used_bytes -= page->count * PAGE;
        clear(page);
    }
    pthread_mutex_unlock(&lock);
    return page ? MEMORY_OK : MEMORY_INVALID;
}

enum memory_status memory_reserve(uint64_t bytes, uint64_t *address) {
    pthread_mutex_lock(&lock);
    prepare();
    enum memory_status status = bytes <= PAGES * PAGE ? take(bytes, PAGE_RESERVED, address) : MEMORY_EXHAUSTED;
    pthread_mutex_unlock(&lock);
    return status;
}

enum memory_status memory_unreserve(uint64_t address, uint64_t bytes) {
    pthread_mutex_lock(&lock);
    struct page *page = starting_at(address, PAGE_RESERVED);
    bool valid = page && page->count * PAGE == round_up(bytes);
    for (uint32_t i = 0; valid && i < page->count; i++) valid = !mapped[page->start + i];
    if (valid) clear(page);
    pthread_mutex_unlock(&lock);
    return valid ? MEMORY_OK : MEMORY_INVALID;
}

enum memory_status memory_create(uint64_t bytes, uint64_t *handle) {
    if (bytes == 0 || bytes % PAGE) return MEMORY_INVALID;
    pthread_mutex_lock(&lock);
    struct physical *physical = exceeds(bytes) ? NULL : calloc(1, sizeof *physical);
    if (physical) {
        physical->bytes = bytes;
        used_bytes += bytes;
        *handle = (uint64_t)physical;
    }
    pthread_mutex_unlock(&lock);
    return physical ? MEMORY_OK : MEMORY_EXHAUSTED;
}

/* Memory lives until it is released and its last mapping is gone. */
static void free_if_unused(struct physical *physical) {
    if (!physical->released || physical->mappings) return;
    used_bytes -= physical->bytes;
    free(physical);
}

enum memory_status memory_destroy(uint64_t handle) {
    struct physical *physical = (struct physical *)handle;
    if (!physical) return MEMORY_INVALID;
    pthread_mutex_lock(&lock);
    physical->released = true;
    free_if_unused(physical);
    pthread_mutex_unlock(&lock);
    return MEMORY_OK;
}

/* Whether [address, address + bytes) is whole pages inside one reservation; *first is its first page's number. */
static bool within_reservation(uint64_t address, uint64_t bytes, uint64_t *first) {
    struct page *page = page_at(address);
    if (!page || page->kind != PAGE_RESERVED || address % PAGE || bytes % PAGE || !bytes) return false;
    *first = (address - base) / PAGE;
    return bytes / PAGE <= page->start + (uint64_t)page->count - *first;
}

enum memory_status memory_map(uint64_t address, uint64_t bytes, uint64_t handle) {
    struct physical *physical = (struct physical *)handle;
    uint64_t first = 0;
    pthread_mutex_lock(&lock);
    bool valid = physical && bytes == physical->bytes && within_reservation(address, bytes, &first);
    for (uint64_t i = 0; valid && i < bytes / PAGE; i++) valid = !mapped[first + i];
    struct mapping *mapping = valid ? malloc(sizeof *mapping) : NULL;
    if (mapping) {
        *mapping = (struct mapping){physical, first, bytes / PAGE};
        for (uint64_t i = 0; i < mapping->count; i++) mapped[first + i] = mapping;
        physical->mappings++;
    }
    pthread_mutex_unlock(&lock);
    return mapping ? MEMORY_OK : MEMORY_INVALID;
}

/* A mapping goes as a whole, and so does each of several in a row. */
enum memory_status memory_unmap(uint64_t address, uint64_t bytes) {
    uint64_t first = 0, count = bytes / PAGE, at = 0;
    pthread_mutex_lock(&lock);
    bool valid = within_reservation(address, bytes, &first);
    while (valid && at < count) {
        struct mapping *mapping = mapped[first + at];
        valid = mapping && mapping->first == first + at && mapping->count <= count - at;
        if (valid) at += mapping->count;
    }
    for (at = 0; valid && at < count;) {
        struct mapping *mapping = mapped[first + at];
        for (uint64_t i = 0; i < mapping->count; i++) mapped[first + at + i] = NULL;
        at += mapping->count;
        mapping->physical->mappings--;
        free_if_unused(mapping->physical);
        free(mapping);
    }
    pthread_mutex_unlock(&lock);
    return valid ? MEMORY_OK : MEMORY_INVALID;
}

bool memory_find(uint64_t address, uint64_t *start, uint64_t *bytes) {
    pthread_mutex_lock(&lock);
    struct page *page = page_at(address);
    bool live = page && page->kind != PAGE_FREE;
    if (live && start) *start = base + page->start * PAGE;
    if (live && bytes) *bytes = page->count * PAGE;
    pthread_mutex_unlock(&lock);
    return live;
}

bool memory_is_device_address(uint64_t address) { return base && address >= base && address < base + PAGES * PAGE; }
