/* Streams and events. Everything is done when it is asked for, so nothing ever waits. */
#include <stdlib.h>

#include "emulator.h"

struct stream { int priority; };
struct event { unsigned flags; };

static cudaError_t new_stream(cudaStream_t *stream, int priority) {
    *stream = malloc(sizeof **stream);
    if (!*stream) return cudaErrorMemoryAllocation;
    (*stream)->priority = priority;
    return cudaSuccess;
}

API cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    ANSWER(EXACT);
    return new_stream(stream, 0);
}

API cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags UNUSED) {
    ANSWER(EXACT);
    return new_stream(stream, 0);
}

API cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags UNUSED, int priority) {
    ANSWER(EXACT);
    return new_stream(stream, priority);
}

API cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    ANSWER(EXACT);
    free(stream);
    return cudaSuccess;
}

API cudaError_t cudaStreamGetPriority(cudaStream_t stream, int *priority) {
    ANSWER(EXACT);
    /* The default streams are 0, 1 and 2 by number, not by address. */
    *priority = (uintptr_t)stream > 2 ? stream->priority : 0;
    return cudaSuccess;
}

API cudaError_t cudaStreamQuery(cudaStream_t stream UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

API cudaError_t cudaStreamSynchronize(cudaStream_t stream UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

API cudaError_t cudaStreamWaitEvent(cudaStream_t stream UNUSED, cudaEvent_t event UNUSED, unsigned flags UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

API cudaError_t cudaStreamIsCapturing(cudaStream_t stream UNUSED, int *capturing) {
    ANSWER(EXACT);
    *capturing = 0;
    return cudaSuccess;
}

API cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream UNUSED, int *capturing, unsigned long long *id,
                                         void **graph, const void **dependencies, const void **edges, size_t *count) {
    ANSWER(EXACT);
    *capturing = 0;
    if (id) *id = 0;
    if (graph) *graph = NULL;
    if (dependencies) *dependencies = NULL;
    if (edges) *edges = NULL;
    if (count) *count = 0;
    return cudaSuccess;
}

API cudaError_t cudaThreadExchangeStreamCaptureMode(int *mode) {
    ANSWER(EXACT);
    static _Thread_local int current;
    int previous = current;
    current = *mode;
    *mode = previous;
    return cudaSuccess;
}

API cudaError_t cudaStreamAddCallback(cudaStream_t stream, void (*callback)(cudaStream_t, cudaError_t, void *),
                                      void *data, unsigned flags UNUSED) {
    ANSWER(EXACT);
    callback(stream, cudaSuccess, data);
    return cudaSuccess;
}

API cudaError_t cudaLaunchHostFunc(cudaStream_t stream UNUSED, void (*function)(void *), void *data) {
    ANSWER(EXACT);
    function(data);
    return cudaSuccess;
}

static cudaError_t new_event(cudaEvent_t *event, unsigned flags) {
    *event = malloc(sizeof **event);
    if (!*event) return cudaErrorMemoryAllocation;
    (*event)->flags = flags;
    return cudaSuccess;
}

API cudaError_t cudaEventCreate(cudaEvent_t *event) {
    ANSWER(EXACT);
    return new_event(event, 0);
}

API cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    ANSWER(EXACT);
    return new_event(event, flags);
}

API cudaError_t cudaEventDestroy(cudaEvent_t event) {
    ANSWER(EXACT);
    free(event);
    return cudaSuccess;
}

API cudaError_t cudaEventRecord(cudaEvent_t event UNUSED, cudaStream_t stream UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

API cudaError_t cudaEventRecordWithFlags(cudaEvent_t event UNUSED, cudaStream_t stream UNUSED, unsigned flags UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

API cudaError_t cudaEventQuery(cudaEvent_t event UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

API cudaError_t cudaEventSynchronize(cudaEvent_t event UNUSED) {
    ANSWER(EXACT);
    return cudaSuccess;
}

/* Whatever is timed takes as long as anything else, so whoever chooses by time (cuDNN's benchmark mode, Triton's
 * autotuning) keeps the first of its candidates. Long, so that whoever repeats until enough time has passed repeats
 * little. */
enum { MILLISECONDS = 100 };

API cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start UNUSED, cudaEvent_t end UNUSED) {
    ANSWER(MODEL);
    *milliseconds = MILLISECONDS;
    return cudaSuccess;
}
