/* The management library (libnvidia-ml.so.1), of which PyTorch asks little: one card, no links, no other processes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "abi.h"

#define API __attribute__((visibility("default")))
#define UNUSED __attribute__((unused))

enum { NVML_SUCCESS = 0, NVML_NOT_SUPPORTED = 3, NVML_INSUFFICIENT_SIZE = 7 };

struct nvml_memory { unsigned long long total, available, used; };
struct nvml_memory_v2 { unsigned version; unsigned long long total, reserved, available, used; };

extern cudaError_t cudaMemGetInfo(size_t *available, size_t *total);
extern cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device);

#define ALWAYS(name, status)                                                                                           \
    API int name(void) { return status; }
ALWAYS(nvmlInit, NVML_SUCCESS)
ALWAYS(nvmlInit_v2, NVML_SUCCESS)
ALWAYS(nvmlInitWithFlags, NVML_SUCCESS)
ALWAYS(nvmlShutdown, NVML_SUCCESS)
ALWAYS(nvmlDeviceGetGpuFabricInfoV, NVML_NOT_SUPPORTED)
ALWAYS(nvmlDeviceGetNvLinkRemoteDeviceType, NVML_NOT_SUPPORTED)
ALWAYS(nvmlDeviceGetNvLinkRemotePciInfo_v2, NVML_NOT_SUPPORTED)

API const char *nvmlErrorString(int status) { return status ? "Not Supported" : "Success"; }

API int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 1;
    return NVML_SUCCESS;
}

static int the_device(void **device) {
    *device = (void *)1;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetHandleByIndex_v2(unsigned index UNUSED, void **device) { return the_device(device); }

API int nvmlDeviceGetHandleByPciBusId_v2(const char *bus UNUSED, void **device) { return the_device(device); }

API int nvmlDeviceGetComputeRunningProcesses(void *device UNUSED, unsigned *count, void *processes UNUSED) {
    *count = 0;
    return NVML_SUCCESS;
}

API int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = 13000;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetName(void *device UNUSED, char *name, unsigned length) {
    struct cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, 0);
    if (strlen(properties.name) >= length) return NVML_INSUFFICIENT_SIZE;
    strcpy(name, properties.name);
    return NVML_SUCCESS;
}

API int nvmlDeviceGetMemoryInfo(void *device UNUSED, struct nvml_memory *memory) {
    size_t available, total;
    cudaMemGetInfo(&available, &total);
    *memory = (struct nvml_memory){total, available, total - available};
    return NVML_SUCCESS;
}

API int nvmlDeviceGetMemoryInfo_v2(void *device UNUSED, struct nvml_memory_v2 *memory) {
    size_t available, total;
    cudaMemGetInfo(&available, &total);
    *memory = (struct nvml_memory_v2){memory->version, total, 0, available, total - available};
    return NVML_SUCCESS;
}
