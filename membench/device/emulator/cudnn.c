/* cuDNN: planning is the real library's, for the described device; execution does nothing.
 *
 * Since 9.8 the library plans for a device that is described to it instead of present: heuristics, engines and plans
 * take a device-properties descriptor in the place of a handle. Every such descriptor gets it when it is created, and
 * the handles that PyTorch sets on them are left out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cudnn.h"

enum {
    TYPE_HANDLE = 0,
    TYPE_INT64 = 3,
    TYPE_DESCRIPTOR = 15,
    TYPE_CHAR = 24,
    DESCRIPTOR_ENGINE = 2,
    DESCRIPTOR_HEURISTICS = 4,
    DESCRIPTOR_PLAN = 5,
    DESCRIPTOR_DEVICE = 38,
    HEURISTICS_DEVICE = 204,
    PLAN_WORKSPACE = 402,
    PLAN_DEVICE = 407,
    ENGINE_DEVICE = 1307,
    DEVICE_JSON = 2702,
};

static void *library;
static pthread_once_t opened = PTHREAD_ONCE_INIT, described = PTHREAD_ONCE_INIT;
static void *device_descriptor;
static _Atomic uint64_t largest;

static atomic_ulong executed;

uint64_t largest_workspace(void) { return largest; }
unsigned long plans_executed(void) { return executed; }

static void fail(const char *what, const char *why) {
    fprintf(stderr, "membench: the emulated device cannot use cuDNN: %s: %s\n", what, why ? why : "unknown");
    abort();
}

static void open_library(void) {
    const char *path = getenv("MEMBENCH_CUDNN");
    if (!path) fail("MEMBENCH_CUDNN", "it must name the library's file");
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!library) fail(path, dlerror());
}

/* Before PyTorch loads the library itself: only the first to open it can have it look up its own symbols first, so
 * that its calls to itself do not come back here. */
__attribute__((constructor)) static void open_early(void) {
    if (getenv("MEMBENCH_CUDNN")) pthread_once(&opened, open_library);
}

void *cudnn_function(const char *name) {
    pthread_once(&opened, open_library);
    void *symbol = dlsym(library, name);
    if (!symbol) fail(name, "the library does not have it");
    return symbol;
}

/* ---- the described device ------------------------------------------------------------------------------------ */

static int device_json(char *text, size_t size) {
    const struct device *d = described_device();
    return snprintf(
        text, size,
        "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"
        "\"multiProcessorCount\":%lld,\"warpSize\":32,\"maxSharedMemoryPerBlock\":%lld,"
        "\"maxSharedMemoryPerBlockOptin\":%lld,\"reservedSharedMemoryPerBlock\":%lld,\"maxRegistersPerSM\":%lld,"
        "\"maxCtasPerSM\":%lld,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":%lld,\"pciDeviceId\":%lld,"
        "\"isTccDriver\":0,\"supportCoopLaunch\":1,\"smClockRateKHz\":%lld,\"memClockRateKHz\":%lld,"
        "\"l2CacheSize\":%lld,\"deviceName\":\"%s\",\"deviceVer\":%lld,\"driverVer\":13000,\"cudaDeviceId\":0,"
        "\"totalGlobalMem\":%llu}",
        (long long)d->multiprocessors, (long long)d->shared_per_block, (long long)d->shared_per_block_optin,
        (long long)d->reserved_shared_per_block, (long long)d->registers_per_multiprocessor,
        (long long)d->blocks_per_multiprocessor, (long long)d->threads_per_multiprocessor,
        (long long)d->pci_device_id, (long long)d->clock_khz, (long long)d->memory_clock_khz, (long long)d->l2_bytes,
        d->name, (long long)(d->major * 100 + d->minor * 10), (unsigned long long)d->total_bytes);
}

static void describe_device(void) {
    cudnnStatus_t (*create)(int, void **) = (cudnnStatus_t(*)(int, void **))cudnn_function("cudnnBackendCreateDescriptor");
    cudnnStatus_t (*set)(void *, int, int, int64_t, const void *) =
        (cudnnStatus_t(*)(void *, int, int, int64_t, const void *))cudnn_function("cudnnBackendSetAttribute");
    cudnnStatus_t (*finalize)(void *) = (cudnnStatus_t(*)(void *))cudnn_function("cudnnBackendFinalize");
    char json[2048];
    int length = device_json(json, sizeof json);
    if (length < 0 || (size_t)length >= sizeof json) fail("the description", "too long");
    if (create(DESCRIPTOR_DEVICE, &device_descriptor) ||
        set(device_descriptor, DEVICE_JSON, TYPE_CHAR, length + 1, json) || finalize(device_descriptor)) {
        char error[256] = "";
        ((void (*)(char *, size_t))cudnn_function("cudnnGetLastErrorString"))(error, sizeof error);
        fail("the description", error);
    }
}

/* ---- the backend interface ----------------------------------------------------------------------------------- */

static cudnnStatus_t create_descriptor(int type, void **descriptor) {
    static cudnnStatus_t (*_Atomic create)(int, void **);
    if (!create) create = (cudnnStatus_t(*)(int, void **))cudnn_function("cudnnBackendCreateDescriptor");
    return create(type, descriptor);
}

static cudnnStatus_t set_attribute(void *descriptor, int attribute, int type, int64_t count, const void *elements) {
    static cudnnStatus_t (*_Atomic set)(void *, int, int, int64_t, const void *);
    if (!set) set = (cudnnStatus_t(*)(void *, int, int, int64_t, const void *))cudnn_function("cudnnBackendSetAttribute");
    return set(descriptor, attribute, type, count, elements);
}

static cudnnStatus_t get_attribute(void *descriptor, int attribute, int type, int64_t wanted, int64_t *count,
                                   void *elements) {
    static cudnnStatus_t (*_Atomic get)(void *, int, int, int64_t, int64_t *, void *);
    if (!get)
        get = (cudnnStatus_t(*)(void *, int, int, int64_t, int64_t *, void *))cudnn_function("cudnnBackendGetAttribute");
    return get(descriptor, attribute, type, wanted, count, elements);
}

API cudnnStatus_t cudnnBackendCreateDescriptor(int type, void **descriptor) {
    ANSWER(LIBRARY);
    cudnnStatus_t status = create_descriptor(type, descriptor);
    int attribute = type == DESCRIPTOR_ENGINE       ? ENGINE_DEVICE
                    : type == DESCRIPTOR_HEURISTICS ? HEURISTICS_DEVICE
                    : type == DESCRIPTOR_PLAN       ? PLAN_DEVICE
                                                    : 0;
    if (status || !attribute) return status;
    pthread_once(&described, describe_device);
    return set_attribute(*descriptor, attribute, TYPE_DESCRIPTOR, 1, &device_descriptor);
}

API cudnnStatus_t cudnnBackendSetAttribute(void *descriptor, int attribute, int type, int64_t count,
                                           const void *elements) {
    ANSWER(LIBRARY);
    if (type == TYPE_HANDLE) return CUDNN_STATUS_SUCCESS;
    return set_attribute(descriptor, attribute, type, count, elements);
}

API cudnnStatus_t cudnnBackendGetAttribute(void *descriptor, int attribute, int type, int64_t wanted, int64_t *count,
                                           void *elements) {
    ANSWER(LIBRARY);
    return get_attribute(descriptor, attribute, type, wanted, count, elements);
}

API cudnnStatus_t cudnnBackendFinalize(void *descriptor) { FORWARD(cudnnStatus_t, (void *), (descriptor)); }

API cudnnStatus_t cudnnBackendDestroyDescriptor(void *descriptor) { FORWARD(cudnnStatus_t, (void *), (descriptor)); }

API cudnnStatus_t cudnnBackendExecute(void *handle UNUSED, void *plan, void *variant_pack UNUSED) {
    ANSWER(NOTHING);
    atomic_fetch_add(&executed, 1);
    int64_t bytes = 0, count = 0;
    cudnnStatus_t status = get_attribute(plan, PLAN_WORKSPACE, TYPE_INT64, 1, &count, &bytes);
    uint64_t before = largest;
    while (!status && (uint64_t)bytes > before && !atomic_compare_exchange_weak(&largest, &before, (uint64_t)bytes)) {
    }
    return status;
}

/* ---- handles, versions, errors ------------------------------------------------------------------------------- */

API cudnnStatus_t cudnnCreate(void ***handle) {
    ANSWER(EXACT);
    *handle = calloc(1, sizeof **handle);
    return *handle ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

API cudnnStatus_t cudnnDestroy(void **handle) {
    ANSWER(EXACT);
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnSetStream(void **handle, void *stream) {
    ANSWER(EXACT);
    *handle = stream;
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnGetStream(void **handle, void **stream) {
    ANSWER(EXACT);
    *stream = *handle;
    return CUDNN_STATUS_SUCCESS;
}

API size_t cudnnGetVersion(void) { FORWARD(size_t, (void), ()); }

API size_t cudnnGetCudartVersion(void) { FORWARD(size_t, (void), ()); }

API const char *cudnnGetErrorString(cudnnStatus_t status) { FORWARD(const char *, (cudnnStatus_t), (status)); }

API void cudnnGetLastErrorString(char *text, size_t size) { FORWARD(void, (char *, size_t), (text, size)); }

API cudnnStatus_t cudnnGetProperty(int property, int *value) {
    FORWARD(cudnnStatus_t, (int, int *), (property, value));
}

/* ---- descriptors of the older interface: host data only ------------------------------------------------------ */

API cudnnStatus_t cudnnCreateTensorDescriptor(void **tensor) { FORWARD(cudnnStatus_t, (void **), (tensor)); }

API cudnnStatus_t cudnnDestroyTensorDescriptor(void *tensor) { FORWARD(cudnnStatus_t, (void *), (tensor)); }

API cudnnStatus_t cudnnSetTensorNdDescriptor(void *tensor, int type, int count, const int *sizes, const int *strides) {
    FORWARD(cudnnStatus_t, (void *, int, int, const int *, const int *), (tensor, type, count, sizes, strides));
}

API cudnnStatus_t cudnnGetTensorNdDescriptor(void *tensor, int wanted, int *type, int *count, int *sizes,
                                             int *strides) {
    FORWARD(cudnnStatus_t, (void *, int, int *, int *, int *, int *), (tensor, wanted, type, count, sizes, strides));
}
