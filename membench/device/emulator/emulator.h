/* Inside the emulated CUDA device: what its files share. Nothing here is exported unless marked API. */
#ifndef MEMBENCH_EMULATOR_H
#define MEMBENCH_EMULATOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "abi.h"

#define API __attribute__((visibility("default")))
#define UNUSED __attribute__((unused))

/* ---- calls.c: every answer is counted, and says how it was come by ------------------------------------------- */

enum answer {
    EXACT,   /* the emulated device keeps this state itself: memory, streams, properties */
    NOTHING, /* computation: accepted, and not done */
    LIBRARY, /* answered by the real library for the described device */
    MODEL,   /* answered by a formula of ours that a real device may contradict */
    REFUSED, /* not modelled: an error is returned, and the probe fails */
};

struct call {
    const char *name;
    enum answer answer;
    atomic_bool listed;
    atomic_ulong count;
    struct call *next;
};

void call_made(struct call *call);
/* How often something was called that may have changed what device memory holds. */
unsigned long computations_made(void);

/* Open every entry point with this. */
#define ANSWER(how)                                                                                                    \
    do {                                                                                                               \
        static struct call call_ = {.name = __func__, .answer = how};                                                  \
        call_made(&call_);                                                                                             \
    } while (0)

/* ---- device.c: the described device -------------------------------------------------------------------------- */

struct device {
    char name[256];
    uint64_t total_bytes;   /* what the runtime reports as the device's memory */
    uint64_t context_bytes; /* of it, what a CUDA context holds before anything is allocated */
    int64_t major, minor;
    int64_t multiprocessors, threads_per_multiprocessor, blocks_per_multiprocessor;
    int64_t shared_per_block, shared_per_block_optin, shared_per_multiprocessor, reserved_shared_per_block;
    int64_t registers_per_multiprocessor, l2_bytes, clock_khz, memory_clock_khz, pci_device_id;
    int64_t addresses_ascend; /* whether new memory lies above the old, or, as mostly, below */
};

const struct device *described_device(void);
/* The attribute's value, or -1 where it is not one that the described device has. */
int64_t device_attribute(int attribute);

/* ---- memory.c: device memory, counted but not there ---------------------------------------------------------- */

/* Addresses of device memory, and as many of pinned host memory: 16 TiB each. */
#ifndef ADDRESS_BITS
#define ADDRESS_BITS 44
#endif
#define PAGE ((uint64_t)2 << 20) /* the granularity at which the driver hands out device memory */

enum memory_status { MEMORY_OK, MEMORY_EXHAUSTED, MEMORY_INVALID };

uint64_t memory_free_bytes(void);
enum memory_status memory_allocate(uint64_t bytes, uint64_t *address);
enum memory_status memory_release(uint64_t address);
enum memory_status memory_reserve(uint64_t bytes, uint64_t *address);
enum memory_status memory_unreserve(uint64_t address, uint64_t bytes);
enum memory_status memory_create(uint64_t bytes, uint64_t *handle);
enum memory_status memory_destroy(uint64_t handle);
enum memory_status memory_map(uint64_t address, uint64_t bytes, uint64_t handle);
enum memory_status memory_unmap(uint64_t address, uint64_t bytes);
/* Whether the address lies in live device memory; its allocation's start and size are written where wanted. */
bool memory_find(uint64_t address, uint64_t *start, uint64_t *bytes);
bool memory_is_device_address(uint64_t address);

/* ---- host.c: pinned host memory ------------------------------------------------------------------------------- */

void *host_allocate(uint64_t bytes); /* NULL where there is none */
void host_release(void *block);
bool host_is_pinned(const void *address);
void host_clear(void *destination, uint64_t bytes);

/* ---- streams.c ----------------------------------------------------------------------------------------------- */

/* Whether it is one that was created, and not a default stream. */
bool stream_keeps_state(cudaStream_t stream);
/* What the stream is being captured into, or 0. */
uint64_t stream_capture(cudaStream_t stream);
void stream_set_capture(cudaStream_t stream, uint64_t capture);

/* ---- graphs.c ------------------------------------------------------------------------------------------------ */

bool capture_is_active(uint64_t capture);
bool any_capture_is_active(void);

/* ---- runtime.c ----------------------------------------------------------------------------------------------- */

/* Keeps the error for cudaGetLastError, and returns it. */
cudaError_t failed(cudaError_t error);

/* ---- transfers.c --------------------------------------------------------------------------------------------- */

void transfer(void *destination, const void *source, size_t bytes, enum copy_kind kind);
void fill(void *destination, int value, size_t bytes);
unsigned long device_to_host_reads(void);

/* ---- kernels.c ----------------------------------------------------------------------------------------------- */

/* Blocks of so many threads and so much dynamic shared memory that a multiprocessor holds, by the limits of the
 * architecture alone. */
int occupancy(int block, size_t shared);

/* ---- binaries.c ---------------------------------------------------------------------------------------------- */

/* Compute capability × 10 of the PTX that a kernel's code was made from, and of the machine code that runs. */
struct code_version {
    int ptx, binary;
};

/* Which of the versions in a fat binary the described device runs. */
struct code_version binary_version(const void *image);
void kernel_register(const void *function, struct code_version version);
/* The version of a registered kernel; of any other, code made for the device itself. */
struct code_version kernel_version(const void *function);

/* ---- cudnn.c ------------------------------------------------------------------------------------------------- */

uint64_t largest_workspace(void);
unsigned long plans_executed(void);

#endif
