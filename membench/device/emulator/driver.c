/* The CUDA driver: what PyTorch looks up by name, above all virtual memory for expandable segments. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "emulator.h"

static CUresult status(enum memory_status memory) {
    static const CUresult results[] = {0, CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_INVALID_VALUE};
    return results[memory];
}

/* A look-up by the plain name finds the newest version of the function that is there. Nothing found is an answer
 * too: callers treat such functions as those of a newer driver. */
static void *find_symbol(const char *name) {
    char versioned[128];
    void *symbol = NULL;
    for (int version = 3; version >= 2 && !symbol; version--) {
        snprintf(versioned, sizeof versioned, "%s_v%d", name, version);
        symbol = dlsym(RTLD_DEFAULT, versioned);
    }
    return symbol ? symbol : dlsym(RTLD_DEFAULT, name);
}

API cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version UNUSED,
                                                 unsigned long long flags UNUSED, int *status) {
    ANSWER(EXACT);
    *function = find_symbol(name);
    if (status) *status = *function ? 0 : 1;
    return cudaSuccess;
}

API CUresult cuInit(unsigned flags UNUSED) {
    ANSWER(EXACT);
    return 0;
}

API CUresult cuDriverGetVersion(int *version) {
    ANSWER(EXACT);
    *version = 13000;
    return 0;
}

API CUresult cuDeviceGetCount(int *count) {
    ANSWER(EXACT);
    *count = 1;
    return 0;
}

API CUresult cuDeviceGet(int *device, int ordinal) {
    ANSWER(EXACT);
    *device = 0;
    return ordinal == 0 ? 0 : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuDeviceGetName(char *name, int length, int device UNUSED) {
    ANSWER(EXACT);
    snprintf(name, (size_t)length, "%s", described_device()->name);
    return 0;
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, int device UNUSED) {
    ANSWER(EXACT);
    *bytes = described_device()->total_bytes;
    return 0;
}

API CUresult cuDeviceGetAttribute(int *value, int attribute, int device UNUSED) {
    ANSWER(EXACT);
    int64_t answer = device_attribute(attribute);
    if (answer < 0) return CUDA_ERROR_INVALID_VALUE;
    *value = (int)answer;
    return 0;
}

/* One primary context, always current. */
API CUresult cuDevicePrimaryCtxGetState(int device UNUSED, unsigned *flags, int *active) {
    ANSWER(EXACT);
    *flags = 0;
    *active = 1;
    return 0;
}

API CUresult cuDevicePrimaryCtxRetain(void **context, int device UNUSED) {
    ANSWER(EXACT);
    *context = (void *)1;
    return 0;
}

API CUresult cuCtxPushCurrent_v2(void *context UNUSED) {
    ANSWER(EXACT);
    return 0;
}

API CUresult cuCtxPopCurrent_v2(void **context) {
    ANSWER(EXACT);
    if (context) *context = (void *)1;
    return 0;
}

/* cuDNN asks for these by their plain names. */
API CUresult cuCtxPushCurrent(void *context) __attribute__((alias("cuCtxPushCurrent_v2")));
API CUresult cuCtxPopCurrent(void **context) __attribute__((alias("cuCtxPopCurrent_v2")));

/* Private tables of NVIDIA's own libraries: there are none, and NVRTC does without. */
API CUresult cuGetExportTable(const void **table, const void *id UNUSED) {
    ANSWER(EXACT);
    *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

API CUresult cuStreamGetCtx(cudaStream_t stream UNUSED, void **context) {
    ANSWER(EXACT);
    *context = (void *)1;
    return 0;
}

API CUresult cuCtxGetDevice(int *device) {
    ANSWER(EXACT);
    *device = 0;
    return 0;
}

/* The buffer of printf (limit 1) and the like: nothing runs that would fill them. */
API CUresult cuCtxSetLimit(int limit UNUSED, size_t value UNUSED) {
    ANSWER(NOTHING);
    return 0;
}

/* The stack of a thread (limit 0) is 1 KiB until somebody changes it; other limits are not kept. */
API CUresult cuCtxGetLimit(size_t *value, int limit) {
    ANSWER(EXACT);
    if (limit != 0) return CUDA_ERROR_INVALID_VALUE;
    *value = 1024;
    return 0;
}

API CUresult cuCtxGetCurrent(void **context) {
    ANSWER(EXACT);
    *context = (void *)1;
    return 0;
}

API CUresult cuCtxSetCurrent(void *context UNUSED) {
    ANSWER(EXACT);
    return 0;
}

API CUresult cuGetErrorName(CUresult error, const char **name) {
    ANSWER(EXACT);
    *name = error == CUDA_ERROR_OUT_OF_MEMORY   ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == CUDA_ERROR_INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE"
            : error == 0                        ? "CUDA_SUCCESS"
                                                : "CUDA_ERROR_NOT_SUPPORTED";
    return 0;
}

API CUresult cuGetErrorString(CUresult error, const char **text) {
    ANSWER(EXACT);
    *text = error == CUDA_ERROR_OUT_OF_MEMORY   ? "out of memory"
            : error == CUDA_ERROR_INVALID_VALUE ? "invalid argument"
            : error == 0                        ? "no error"
                                                : "operation not supported by the emulated device";
    return 0;
}

/* ---- virtual memory ------------------------------------------------------------------------------------------ */

API CUresult cuMemGetAllocationGranularity(size_t *granularity, const void *properties UNUSED, int option UNUSED) {
    ANSWER(EXACT);
    *granularity = PAGE;
    return 0;
}

API CUresult cuMemAddressReserve(CUdeviceptr *address, size_t bytes, size_t alignment UNUSED, CUdeviceptr hint UNUSED,
                                 unsigned long long flags UNUSED) {
    ANSWER(EXACT);
    return status(memory_reserve(bytes, address));
}

API CUresult cuMemAddressFree(CUdeviceptr address, size_t bytes) {
    ANSWER(EXACT);
    return status(memory_unreserve(address, bytes));
}

API CUresult cuMemCreate(uint64_t *handle, size_t bytes, const void *properties UNUSED,
                         unsigned long long flags UNUSED) {
    ANSWER(EXACT);
    return status(memory_create(bytes, handle));
}

API CUresult cuMemRelease(uint64_t handle) {
    ANSWER(EXACT);
    return status(memory_destroy(handle));
}

API CUresult cuMemMap(CUdeviceptr address, size_t bytes, size_t offset, uint64_t handle,
                      unsigned long long flags UNUSED) {
    ANSWER(EXACT);
    return offset ? CUDA_ERROR_INVALID_VALUE : status(memory_map(address, bytes, handle));
}

API CUresult cuMemUnmap(CUdeviceptr address, size_t bytes) {
    ANSWER(EXACT);
    return status(memory_unmap(address, bytes));
}

API CUresult cuMemSetAccess(CUdeviceptr address UNUSED, size_t bytes UNUSED, const void *access UNUSED,
                            size_t count UNUSED) {
    ANSWER(EXACT);
    return 0;
}

enum { POINTER_CONTEXT = 1, POINTER_MEMORY_TYPE = 2, POINTER_DEVICE_ADDRESS = 3, POINTER_ORDINAL = 9, DRIVER_DEVICE = 2 };

API CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address) {
    ANSWER(EXACT);
    if (!memory_find(address, NULL, NULL)) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
        case POINTER_CONTEXT: *(void **)value = (void *)1; return 0;
        case POINTER_MEMORY_TYPE: *(unsigned *)value = DRIVER_DEVICE; return 0;
        case POINTER_DEVICE_ADDRESS: *(CUdeviceptr *)value = address; return 0;
        case POINTER_ORDINAL: *(int *)value = 0; return 0;
        default: return CUDA_ERROR_INVALID_VALUE;
    }
}

API CUresult cuMemGetAddressRange_v2(CUdeviceptr *start, size_t *bytes, CUdeviceptr address) {
    ANSWER(EXACT);
    uint64_t found_start, found_bytes;
    if (!memory_find(address, &found_start, &found_bytes)) return CUDA_ERROR_NOT_FOUND;
    if (start) *start = found_start;
    if (bytes) *bytes = found_bytes;
    return 0;
}

API CUresult cuMemsetD32Async(CUdeviceptr address UNUSED, unsigned value UNUSED, size_t count UNUSED,
                              cudaStream_t stream UNUSED) {
    ANSWER(NOTHING);
    return 0;
}
