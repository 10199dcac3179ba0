/* Modules and libraries of the driver: kernels that are compiled at run time are loaded, launched and not run. */
#include <stdlib.h>

#include "emulator.h"

/* Handles are opaque to the caller: each is a distinct address. */
static CUresult new_handle(void **handle) {
    *handle = malloc(1);
    return *handle ? 0 : CUDA_ERROR_OUT_OF_MEMORY;
}

API CUresult cuModuleLoad(void **module, const char *file UNUSED) {
    ANSWER(NOTHING);
    return new_handle(module);
}

API CUresult cuModuleLoadData(void **module, const void *image UNUSED) {
    ANSWER(NOTHING);
    return new_handle(module);
}

API CUresult cuModuleLoadDataEx(void **module, const void *image UNUSED, unsigned count UNUSED, void *options UNUSED,
                                void **values UNUSED) {
    ANSWER(NOTHING);
    return new_handle(module);
}

API CUresult cuModuleGetFunction(void **function, void *module UNUSED, const char *name UNUSED) {
    ANSWER(NOTHING);
    return new_handle(function);
}

API CUresult cuModuleUnload(void *module) {
    ANSWER(NOTHING);
    free(module);
    return 0;
}

API CUresult cuLibraryLoadData(void **library, const void *code UNUSED, void *jit UNUSED, void **jit_values UNUSED,
                               unsigned jit_count UNUSED, void *options UNUSED, void **values UNUSED,
                               unsigned count UNUSED) {
    ANSWER(NOTHING);
    return new_handle(library);
}

API CUresult cuLibraryGetKernel(void **kernel, void *library UNUSED, const char *name UNUSED) {
    ANSWER(NOTHING);
    return new_handle(kernel);
}

API CUresult cuLibraryUnload(void *library) {
    ANSWER(NOTHING);
    free(library);
    return 0;
}

/* ---- functions and their figures ----------------------------------------------------------------------------- */

enum { ATTRIBUTE_MAX_THREADS = 0, ATTRIBUTE_REGISTERS = 4, ATTRIBUTE_PTX = 5, ATTRIBUTE_BINARY = 6 };

/* As in cudaFuncGetAttributes: the code is not read, its figures are assumed. */
static int function_attribute(int attribute) {
    const struct device *d = described_device();
    switch (attribute) {
        case ATTRIBUTE_MAX_THREADS: return 1024;
        case ATTRIBUTE_REGISTERS: return 32;
        case ATTRIBUTE_PTX:
        case ATTRIBUTE_BINARY: return (int)(d->major * 10 + d->minor);
        default: return 0;
    }
}

API CUresult cuFuncGetAttribute(int *value, int attribute, void *function UNUSED) {
    ANSWER(MODEL);
    *value = function_attribute(attribute);
    return 0;
}

API CUresult cuKernelGetAttribute(int *value, int attribute, void *kernel UNUSED, int device UNUSED) {
    ANSWER(MODEL);
    *value = function_attribute(attribute);
    return 0;
}

API CUresult cuFuncSetAttribute(void *function UNUSED, int attribute UNUSED, int value UNUSED) {
    ANSWER(NOTHING);
    return 0;
}

API CUresult cuFuncSetCacheConfig(void *function UNUSED, int configuration UNUSED) {
    ANSWER(NOTHING);
    return 0;
}

API CUresult cuKernelSetAttribute(int attribute UNUSED, int value UNUSED, void *kernel UNUSED, int device UNUSED) {
    ANSWER(NOTHING);
    return 0;
}

API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function UNUSED, int block,
                                                         size_t shared) {
    ANSWER(MODEL);
    *blocks = occupancy(block, shared);
    return 0;
}

/* ---- launches ------------------------------------------------------------------------------------------------ */

API CUresult cuLaunchKernel(void *function UNUSED, unsigned gx UNUSED, unsigned gy UNUSED, unsigned gz UNUSED,
                            unsigned bx UNUSED, unsigned by UNUSED, unsigned bz UNUSED, unsigned shared UNUSED,
                            cudaStream_t stream UNUSED, void **arguments UNUSED, void **extra UNUSED) {
    ANSWER(NOTHING);
    return 0;
}

API CUresult cuLaunchCooperativeKernel(void *function UNUSED, unsigned gx UNUSED, unsigned gy UNUSED,
                                       unsigned gz UNUSED, unsigned bx UNUSED, unsigned by UNUSED, unsigned bz UNUSED,
                                       unsigned shared UNUSED, cudaStream_t stream UNUSED, void **arguments UNUSED) {
    ANSWER(NOTHING);
    return 0;
}

API CUresult cuLaunchKernelEx(const void *configuration UNUSED, void *function UNUSED, void **arguments UNUSED,
                              void **extra UNUSED) {
    ANSWER(NOTHING);
    return 0;
}
