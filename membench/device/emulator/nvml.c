/* The management library (libnvidia-ml.so.1), as PyTorch and nvidia-ml-py ask it: one card, no links, this process. What
 * needs a card that does something (utilization, temperature, power) is not supported, and says so. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

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
ALWAYS(nvmlDeviceGetUtilizationRates, NVML_NOT_SUPPORTED)
ALWAYS(nvmlDeviceGetTemperature, NVML_NOT_SUPPORTED)
ALWAYS(nvmlDeviceGetPowerUsage, NVML_NOT_SUPPORTED)
ALWAYS(nvmlDeviceGetClockInfo, NVML_NOT_SUPPORTED)
ALWAYS(nvmlDeviceGetNvLinkRemoteDeviceType, NVML_NOT_SUPPORTED)
ALWAYS(nvmlDeviceGetNvLinkRemotePciInfo_v2, NVML_NOT_SUPPORTED)

API const char *nvmlErrorString(int status) {
    return status == NVML_SUCCESS             ? "Success"
           : status == NVML_INSUFFICIENT_SIZE ? "Insufficient Size"
                                              : "Not Supported";
}

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

struct nvml_process_v1 { unsigned pid; unsigned long long used; };
struct nvml_process { unsigned pid; unsigned long long used; unsigned instance, compute_instance; };

static unsigned long long used_bytes(void) {
    size_t available, total;
    cudaMemGetInfo(&available, &total);
    return total - available;
}

/* Whether there is room for this process, the only one there is. */
static bool room_for_one(unsigned *count) {
    unsigned room = *count;
    *count = 1;
    return room >= 1;
}

API int nvmlDeviceGetComputeRunningProcesses(void *device UNUSED, unsigned *count, struct nvml_process_v1 *processes) {
    if (!room_for_one(count)) return NVML_INSUFFICIENT_SIZE;
    processes[0] = (struct nvml_process_v1){(unsigned)getpid(), used_bytes()};
    return NVML_SUCCESS;
}

API int nvmlDeviceGetComputeRunningProcesses_v3(void *device UNUSED, unsigned *count, struct nvml_process *processes) {
    if (!room_for_one(count)) return NVML_INSUFFICIENT_SIZE;
    processes[0] = (struct nvml_process){(unsigned)getpid(), used_bytes(), ~0u, ~0u};
    return NVML_SUCCESS;
}

API int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device UNUSED, unsigned *count, void *processes UNUSED) {
    *count = 0;
    return NVML_SUCCESS;
}

API int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = 13000;
    return NVML_SUCCESS;
}

static int text(const char *answer, char *buffer, unsigned length) {
    if (strlen(answer) >= length) return NVML_INSUFFICIENT_SIZE;
    strcpy(buffer, answer);
    return NVML_SUCCESS;
}

/* The first driver of CUDA 13.0. */
API int nvmlSystemGetDriverVersion(char *version, unsigned length) { return text("580.65.06", version, length); }

API int nvmlDeviceGetIndex(void *device UNUSED, unsigned *index) {
    *index = 0;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetCudaComputeCapability(void *device UNUSED, int *major, int *minor) {
    struct cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, 0);
    *major = properties.major;
    *minor = properties.minor;
    return NVML_SUCCESS;
}

API int nvmlDeviceGetName(void *device UNUSED, char *name, unsigned length) {
    struct cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, 0);
    return text(properties.name, name, length);
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
