/* The CUDA runtime: device, memory and copies. */
#include <stdio.h>
#include <string.h>

#include "emulator.h"

static _Thread_local cudaError_t last_error;

cudaError_t failed(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

static cudaError_t status(enum memory_status memory) {
    static const cudaError_t errors[] = {cudaSuccess, cudaErrorMemoryAllocation, cudaErrorInvalidValue};
    return failed(errors[memory]);
}

/* ---- device -------------------------------------------------------------------------------------------------- */

API cudaError_t cudaGetDeviceCount(int *count) {
    ANSWER(EXACT);
    *count = 1;
    return cudaSuccess;
}

API cudaError_t cudaGetDevice(int *device) {
    ANSWER(EXACT);
    *device = 0;
    return cudaSuccess;
}

API cudaError_t cudaSetDevice(int device) {
    ANSWER(EXACT);
    return failed(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

API cudaError_t cudaDriverGetVersion(int *version) {
    ANSWER(EXACT);
    *version = 13000;
    return cudaSuccess;
}

API cudaError_t cudaRuntimeGetVersion(int *version) {
    ANSWER(EXACT);
    *version = 13000;
    return cudaSuccess;
}

API cudaError_t cudaDeviceGetAttribute(int *value, int attribute, int device) {
    ANSWER(EXACT);
    int64_t answer = device == 0 ? device_attribute(attribute) : -1;
    if (answer < 0) return failed(cudaErrorInvalidValue);
    *value = (int)answer;
    return cudaSuccess;
}

API cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device) {
    ANSWER(EXACT);
    if (device != 0) return failed(cudaErrorInvalidDevice);
    const struct device *d = described_device();
    *properties = (struct cudaDeviceProp){
        .totalGlobalMem = d->total_bytes,
        .sharedMemPerBlock = (size_t)d->shared_per_block,
        .regsPerBlock = 65536,
        .warpSize = 32,
        .memPitch = 2147483647,
        .maxThreadsPerBlock = 1024,
        .maxThreadsDim = {1024, 1024, 64},
        .maxGridSize = {2147483647, 65535, 65535},
        .totalConstMem = 65536,
        .major = (int)d->major,
        .minor = (int)d->minor,
        .textureAlignment = 512,
        .texturePitchAlignment = 32,
        .multiProcessorCount = (int)d->multiprocessors,
        .canMapHostMemory = 1,
        .surfaceAlignment = 512,
        .concurrentKernels = 1,
        .pciBusID = 1,
        .asyncEngineCount = 2,
        .unifiedAddressing = 1,
        .l2CacheSize = (int)d->l2_bytes,
        .maxThreadsPerMultiProcessor = (int)d->threads_per_multiprocessor,
        .streamPrioritiesSupported = 1,
        .globalL1CacheSupported = 1,
        .localL1CacheSupported = 1,
        .sharedMemPerMultiprocessor = (size_t)d->shared_per_multiprocessor,
        .regsPerMultiprocessor = (int)d->registers_per_multiprocessor,
        .managedMemory = 1,
        .computePreemptionSupported = 1,
        .cooperativeLaunch = 1,
        .sharedMemPerBlockOptin = (size_t)d->shared_per_block_optin,
        .maxBlocksPerMultiProcessor = (int)d->blocks_per_multiprocessor,
        .reservedSharedMemPerBlock = (size_t)d->reserved_shared_per_block,
    };
    memcpy(properties->name, d->name, sizeof properties->name);
    memcpy(properties->uuid, "membench-emulate", sizeof properties->uuid);
    return cudaSuccess;
}

API cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device) {
    ANSWER(EXACT);
    if (device != 0) return failed(cudaErrorInvalidDevice);
    snprintf(text, (size_t)size, "0000:01:00.0");
    return cudaSuccess;
}

API cudaError_t cudaDeviceCanAccessPeer(int *possible, int device UNUSED, int peer UNUSED) {
    ANSWER(EXACT);
    *possible = 0;
    return cudaSuccess;
}

API cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    ANSWER(EXACT);
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return cudaSuccess;
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

API cudaError_t cudaGetLastError(void) {
    ANSWER(EXACT);
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

API cudaError_t cudaPeekAtLastError(void) {
    ANSWER(EXACT);
    return last_error;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorIllegalState, "cudaErrorIllegalState", "the operation cannot be performed in the present state"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported by the emulated device"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not initiated in this stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"},
};
enum { ERRORS = sizeof errors / sizeof *errors };

API const char *cudaGetErrorName(cudaError_t error) {
    ANSWER(EXACT);
    for (size_t i = 0; i < ERRORS; i++)
        if (errors[i].error == error) return errors[i].name;
    return "cudaErrorUnknown";
}

API const char *cudaGetErrorString(cudaError_t error) {
    ANSWER(EXACT);
    for (size_t i = 0; i < ERRORS; i++)
        if (errors[i].error == error) return errors[i].text;
    return "unknown error";
}

/* ---- device memory ------------------------------------------------------------------------------------------- */

API cudaError_t cudaMalloc(void **address, size_t bytes) {
    ANSWER(EXACT);
    *address = NULL;
    if (bytes == 0) return cudaSuccess;
    uint64_t start = 0;
    enum memory_status memory = memory_allocate(bytes, &start);
    *address = (void *)start;
    return status(memory);
}

API cudaError_t cudaFree(void *address) {
    ANSWER(EXACT);
    return address ? status(memory_release((uint64_t)address)) : cudaSuccess;
}

API cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
    ANSWER(EXACT);
    *available = memory_free_bytes();
    *total = described_device()->total_bytes;
    return cudaSuccess;
}

API cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *address) {
    ANSWER(EXACT);
    *attributes = (struct cudaPointerAttributes){.type = POINTER_UNREGISTERED, .device = -2};
    if (memory_find((uint64_t)address, NULL, NULL))
        *attributes = (struct cudaPointerAttributes){.type = POINTER_DEVICE, .devicePointer = (void *)address};
    else if (host_is_pinned(address))
        *attributes = (struct cudaPointerAttributes){
            .type = POINTER_HOST, .devicePointer = (void *)address, .hostPointer = (void *)address};
    else
        attributes->hostPointer = (void *)address;
    return cudaSuccess;
}

/* ---- host memory --------------------------------------------------------------------------------------------- */

API cudaError_t cudaHostAlloc(void **address, size_t bytes, unsigned flags UNUSED) {
    ANSWER(EXACT);
    *address = host_allocate(bytes);
    return *address ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}

API cudaError_t cudaMallocHost(void **address, size_t bytes) { return cudaHostAlloc(address, bytes, 0); }

API cudaError_t cudaFreeHost(void *address) {
    ANSWER(EXACT);
    if (address) host_release(address);
    return cudaSuccess;
}

API cudaError_t cudaHostRegister(void *address UNUSED, size_t bytes UNUSED, unsigned flags UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

API cudaError_t cudaHostUnregister(void *address UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

API cudaError_t cudaMemcpy(void *destination, const void *source, size_t bytes, int kind) {
    ANSWER(EXACT);
    transfer(destination, source, bytes, (enum copy_kind)kind);
    return cudaSuccess;
}

API cudaError_t cudaMemcpyAsync(void *destination, const void *source, size_t bytes, int kind,
                                cudaStream_t stream UNUSED) {
    ANSWER(EXACT);
    transfer(destination, source, bytes, (enum copy_kind)kind);
    return cudaSuccess;
}

API cudaError_t cudaMemcpy2DAsync(void *destination, size_t destination_pitch, const void *source, size_t source_pitch,
                                  size_t width, size_t height, int kind, cudaStream_t stream UNUSED) {
    ANSWER(EXACT);
    for (size_t row = 0; row < height; row++)
        transfer((char *)destination + row * destination_pitch, (const char *)source + row * source_pitch, width,
                 (enum copy_kind)kind);
    return cudaSuccess;
}

API cudaError_t cudaMemset(void *address, int value, size_t bytes) {
    ANSWER(EXACT);
    fill(address, value, bytes);
    return cudaSuccess;
}

API cudaError_t cudaMemsetAsync(void *address, int value, size_t bytes, cudaStream_t stream UNUSED) {
    ANSWER(EXACT);
    fill(address, value, bytes);
    return cudaSuccess;
}
