/* Exercises the emulated device without PyTorch, from many threads at once; built with sanitizers by
 * test_sanitizers.py. Ends with 0 if every answer was right and nothing is held at the end. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((size_t)2 << 20)
enum { THREADS = 8, ROUNDS = 400, HELD = 16, DEVICE_TO_HOST = 2, HOST_TO_DEVICE = 1, BY_ADDRESS = 4 };

typedef void *handle;

int cudaMalloc(void **, size_t), cudaFree(void *), cudaMemGetInfo(size_t *, size_t *);
int cudaMemcpy(void *, const void *, size_t, int), cudaMemset(void *, int, size_t);
int cudaHostAlloc(void **, size_t, unsigned), cudaFreeHost(void *);
int cudaPointerGetAttributes(void *, const void *), cudaLaunchKernel(const void *, ...);
int cudaStreamCreateWithPriority(handle *, unsigned, int), cudaStreamDestroy(handle), cudaStreamSynchronize(handle);
int cudaStreamGetPriority(handle, int *), cudaStreamWaitEvent(handle, handle, unsigned);
int cudaStreamBeginCapture(handle, int), cudaStreamEndCapture(handle, handle *), cudaStreamIsCapturing(handle, int *);
int cudaEventCreateWithFlags(handle *, unsigned), cudaEventDestroy(handle), cudaEventRecord(handle, handle);
int cudaEventQuery(handle);
int cudaGraphInstantiateWithFlags(handle *, handle, unsigned long long), cudaGraphLaunch(handle, handle);
int cudaGraphDestroy(handle), cudaGraphExecDestroy(handle);
int cudaUserObjectCreate(handle *, void *, void (*)(void *), unsigned, unsigned);
int cudaGraphRetainUserObject(handle, handle, unsigned, unsigned);
int cuMemAddressReserve(uint64_t *, size_t, size_t, uint64_t, unsigned long long), cuMemAddressFree(uint64_t, size_t);
int cuMemCreate(uint64_t *, size_t, const void *, unsigned long long), cuMemRelease(uint64_t);
int cuMemMap(uint64_t, size_t, size_t, uint64_t, unsigned long long), cuMemUnmap(uint64_t, size_t);
int cuMemGetAddressRange_v2(uint64_t *, size_t *, uint64_t);
int cublasCreate_v2(handle *), cublasDestroy_v2(handle), cublasSetMathMode(handle, int), cublasGetMathMode(handle, int *);
int cufftCreate(int *);
size_t membench_log(char *, size_t);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static unsigned next_number(unsigned *state) { return *state = *state * 1664525u + 1013904223u; }

static void use_memory(unsigned *state, void **held) {
    unsigned slot = next_number(state) >> 16 & (HELD - 1);
    if (held[slot]) {
        uint64_t start = 0, inside = (uint64_t)held[slot] + 5;
        size_t bytes = 0;
        CHECK(cuMemGetAddressRange_v2(&start, &bytes, inside) == 0);
        CHECK(start == (uint64_t)held[slot] && bytes % PAGE == 0);
        CHECK(cudaFree(held[slot]) == 0);
        held[slot] = NULL;
    } else {
        CHECK(cudaMalloc(&held[slot], (size_t)next_number(state) % (8 * PAGE) + 1) == 0);
    }
}

static void use_mappings(void) {
    uint64_t address, physical;
    CHECK(cuMemAddressReserve(&address, 8 * PAGE, 0, 0, 0) == 0);
    CHECK(cuMemCreate(&physical, 2 * PAGE, NULL, 0) == 0);
    CHECK(cuMemMap(address + PAGE, 2 * PAGE, 0, physical, 0) == 0);
    CHECK(cuMemMap(address, 2 * PAGE, 0, physical, 0) != 0); /* its second page is taken */
    CHECK(cuMemAddressFree(address, 8 * PAGE) != 0);         /* mapped */
    CHECK(cuMemRelease(physical) == 0);
    CHECK(cuMemUnmap(address + PAGE, 2 * PAGE) == 0);
    CHECK(cuMemAddressFree(address, 8 * PAGE) == 0);
}

static void use_copies(unsigned *state) {
    void *device, *pinned;
    char here[300], back[300];
    char attributes[88];
    memset(here, (int)(next_number(state) >> 24), sizeof here);
    CHECK(cudaMalloc(&device, sizeof here) == 0 && cudaHostAlloc(&pinned, 3 * 4096, 0) == 0);
    CHECK(cudaPointerGetAttributes(attributes, device) == 0 && cudaPointerGetAttributes(attributes, pinned) == 0);
    CHECK(cudaMemcpy(device, here, sizeof here, HOST_TO_DEVICE) == 0);
    CHECK(cudaMemcpy(back, (char *)device + 100, 100, BY_ADDRESS) == 0);
    CHECK(cudaMemcpy(pinned, device, 100, DEVICE_TO_HOST) == 0);
    CHECK(cudaMemset(device, 1, 100) == 0 && cudaLaunchKernel(NULL) == 0);
    CHECK(cudaMemcpy(back, device, sizeof back, DEVICE_TO_HOST) == 0);
    for (size_t i = 0; i < sizeof back; i++) CHECK(back[i] == 0);
    CHECK(cudaFree(device) == 0 && cudaFreeHost(pinned) == 0);
}

static void count_down(void *data) { --*(int *)data; }

static void use_streams(void) {
    handle origin, other, event, graph, executable, object;
    int capturing = 0, priority = 0, alive = 1;
    CHECK(cudaStreamCreateWithPriority(&origin, 0, -1) == 0 && cudaStreamCreateWithPriority(&other, 0, 0) == 0);
    CHECK(cudaStreamGetPriority(origin, &priority) == 0 && priority == -1 && cudaEventCreateWithFlags(&event, 2) == 0);
    CHECK(cudaStreamBeginCapture(origin, 0) == 0 && cudaStreamBeginCapture(origin, 0) != 0);
    CHECK(cudaEventRecord(event, origin) == 0 && cudaStreamWaitEvent(other, event, 0) == 0);
    CHECK(cudaStreamIsCapturing(other, &capturing) == 0 && capturing);
    CHECK(cudaStreamSynchronize(other) != 0 && cudaEventQuery(event) != 0 && cudaStreamEndCapture(other, &graph) != 0);
    CHECK(cudaStreamEndCapture(origin, &graph) == 0 && cudaStreamEndCapture(origin, &object) != 0);
    CHECK(cudaStreamSynchronize(other) == 0 && cudaEventQuery(event) == 0);
    CHECK(cudaUserObjectCreate(&object, &alive, count_down, 1, 1) == 0);
    CHECK(cudaGraphRetainUserObject(graph, object, 1, 1) == 0);
    CHECK(cudaGraphInstantiateWithFlags(&executable, graph, 0) == 0 && cudaGraphDestroy(graph) == 0 && alive);
    CHECK(cudaGraphLaunch(executable, origin) == 0 && cudaGraphExecDestroy(executable) == 0 && !alive);
    CHECK(cudaEventDestroy(event) == 0 && cudaStreamDestroy(origin) == 0 && cudaStreamDestroy(other) == 0);
}

static void use_libraries(void) {
    handle blas;
    int mode = 0, plan;
    CHECK(cublasCreate_v2(&blas) == 0 && cublasSetMathMode(blas, 3) == 0);
    CHECK(cublasGetMathMode(blas, &mode) == 0 && mode == 3 && cublasDestroy_v2(blas) == 0);
    CHECK(cufftCreate(&plan) != 0);
}

static void *work(void *number) {
    unsigned state = (unsigned)(uintptr_t)number;
    void *held[HELD] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        use_memory(&state, held);
        use_mappings();
        if (round % 4 == 0) use_copies(&state);
        use_streams();
        use_libraries();
    }
    for (int slot = 0; slot < HELD; slot++) CHECK(cudaFree(held[slot]) == 0);
    return NULL;
}

int main(void) {
    size_t before, after, total;
    pthread_t threads[THREADS];
    void *block = (void *)1;
    CHECK(cudaMemGetInfo(&before, &total) == 0 && before < total);
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(cudaMemGetInfo(&after, &total) == 0 && after == before);
    CHECK(cudaMalloc(&block, total) != 0 && block == NULL && cudaMalloc(&block, ~(size_t)0) != 0);
    CHECK(cudaFree((void *)12345) != 0 && cuMemMap(0, PAGE, 0, 0, 0) != 0 && cuMemUnmap(PAGE, PAGE) != 0);
    char log[1 << 16], little[10];
    CHECK(membench_log(log, sizeof log) < sizeof log && strstr(log, "cufftCreate refused 3200\n"));
    CHECK(membench_log(little, sizeof little) > sizeof little && strlen(little) == sizeof little - 1);
    return 0;
}
