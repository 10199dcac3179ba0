/* Kernels: registered, configured, launched, and not run. */
#include <stdlib.h>
#include <string.h>

#include "emulator.h"

struct configuration {
    dim3 grid, block;
    size_t shared;
    void *stream;
};

static _Thread_local struct configuration stack[8];
static _Thread_local unsigned depth;

struct module {
    struct code_version version;
};

API void **__cudaRegisterFatBinary(void *image) {
    struct module *module = malloc(sizeof *module);
    if (module) module->version = binary_version(image);
    return (void **)module;
}

API void __cudaRegisterFatBinaryEnd(void **handle UNUSED) {}

API void __cudaUnregisterFatBinary(void **handle) { free(handle); }

API char __cudaInitModule(void **handle UNUSED) { return 1; }

API void __cudaRegisterFunction(void **handle, const char *function, char *name UNUSED,
                                const char *device_name UNUSED, int threads UNUSED, void *thread UNUSED,
                                void *block UNUSED, void *block_size UNUSED, void *grid_size UNUSED,
                                int *warp UNUSED) {
    if (handle) kernel_register(function, ((const struct module *)handle)->version);
}

API void __cudaRegisterVar(void **handle UNUSED, char *variable UNUSED, char *address UNUSED, const char *name UNUSED,
                           int external UNUSED, size_t size UNUSED, int constant UNUSED, int global UNUSED) {}

API unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream) {
    ANSWER(EXACT);
    if (depth == sizeof stack / sizeof *stack) return 1;
    stack[depth++] = (struct configuration){grid, block, shared, stream};
    return 0;
}

API cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
    ANSWER(EXACT);
    if (depth == 0) return cudaErrorInvalidValue;
    struct configuration top = stack[--depth];
    *grid = top.grid;
    *block = top.block;
    *shared = top.shared;
    memcpy(stream, &top.stream, sizeof top.stream);
    return cudaSuccess;
}

API cudaError_t __cudaGetKernel(void **kernel, const void *function) {
    ANSWER(EXACT);
    *kernel = (void *)function;
    return cudaSuccess;
}

API cudaError_t __cudaLaunchKernel(void *kernel UNUSED, dim3 grid UNUSED, dim3 block UNUSED, void **arguments UNUSED,
                                   size_t shared UNUSED, cudaStream_t stream UNUSED) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

API cudaError_t cudaLaunchKernel(const void *function UNUSED, dim3 grid UNUSED, dim3 block UNUSED,
                                 void **arguments UNUSED, size_t shared UNUSED, cudaStream_t stream UNUSED) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

API cudaError_t cudaLaunchCooperativeKernel(const void *function UNUSED, dim3 grid UNUSED, dim3 block UNUSED,
                                            void **arguments UNUSED, size_t shared UNUSED,
                                            cudaStream_t stream UNUSED) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

API cudaError_t cudaLaunchKernelExC(const void *configuration UNUSED, const void *function UNUSED,
                                    void **arguments UNUSED) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

API cudaError_t cudaFuncSetAttribute(const void *function UNUSED, int attribute UNUSED, int value UNUSED) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

/* A kernel's own figures are in its machine code, which is not read: registers and shared memory are assumed small.
 * Grid sizes can depend on it. Which version of its code runs is exact. */
API cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function) {
    ANSWER(MODEL);
    const struct device *d = described_device();
    struct code_version version = kernel_version(function);
    *attributes = (struct cudaFuncAttributes){
        .maxThreadsPerBlock = 1024,
        .numRegs = 32,
        .ptxVersion = version.ptx,
        .binaryVersion = version.binary,
        .maxDynamicSharedSizeBytes = (int)d->shared_per_block,
        .preferredShmemCarveout = -1,
    };
    return cudaSuccess;
}

int occupancy(int block, size_t shared) {
    const struct device *d = described_device();
    if (block < 1) return 0;
    int64_t blocks = d->threads_per_multiprocessor / ((block + 31) / 32 * 32);
    if (blocks > d->blocks_per_multiprocessor) blocks = d->blocks_per_multiprocessor;
    int64_t each = (int64_t)shared + d->reserved_shared_per_block;
    if (each > 0 && blocks > d->shared_per_multiprocessor / each) blocks = d->shared_per_multiprocessor / each;
    return (int)blocks;
}

API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function UNUSED, int block,
                                                              size_t shared) {
    ANSWER(MODEL);
    *blocks = occupancy(block, shared);
    return cudaSuccess;
}

API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function UNUSED,
                                                                       int block, size_t shared,
                                                                       unsigned flags UNUSED) {
    ANSWER(MODEL);
    *blocks = occupancy(block, shared);
    return cudaSuccess;
}

API cudaError_t cudaKernelSetAttributeForDevice(void *kernel UNUSED, int attribute UNUSED, int value UNUSED,
                                                int device UNUSED) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

API cudaError_t cudaProfilerStart(void) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

API cudaError_t cudaProfilerStop(void) {
    ANSWER(NOTHING);
    return cudaSuccess;
}
