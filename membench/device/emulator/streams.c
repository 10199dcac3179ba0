/* Streams and events. Everything is done when it is asked for, so nothing ever waits. */
#include <stdlib.h>

#include "emulator.h"

/* `capture` is what the stream, or the event's last record, was captured into; 0 if into none. An event also keeps how
 * much had been computed when it was recorded, and how much of it by cuDNN. */
struct stream {
    int priority;
    _Atomic uint64_t capture;
};
struct event {
    unsigned flags;
    _Atomic uint64_t capture;
    atomic_ulong computations, plans;
};

/* The default streams are 0, 1 and 2 by number, not by address. */
bool stream_keeps_state(cudaStream_t stream) { return (uintptr_t)stream > 2; }

uint64_t stream_capture(cudaStream_t stream) {
    return stream_keeps_state(stream) && capture_is_active(stream->capture) ? stream->capture : 0;
}

void stream_set_capture(cudaStream_t stream, uint64_t capture) { stream->capture = capture; }

/* ---- streams ------------------------------------------------------------------------------------------------- */

static cudaError_t new_stream(cudaStream_t *stream, int priority) {
    *stream = calloc(1, sizeof **stream);
    if (!*stream) return failed(cudaErrorMemoryAllocation);
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
    if (stream_keeps_state(stream)) free(stream);
    return cudaSuccess;
}

API cudaError_t cudaStreamGetPriority(cudaStream_t stream, int *priority) {
    ANSWER(EXACT);
    *priority = stream_keeps_state(stream) ? stream->priority : 0;
    return cudaSuccess;
}

/* Nothing can be waited for that is only being recorded. */
static cudaError_t wait_for(cudaStream_t stream) {
    return stream_capture(stream) ? failed(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

API cudaError_t cudaStreamQuery(cudaStream_t stream) {
    ANSWER(MODEL);
    return wait_for(stream);
}

API cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    ANSWER(EXACT);
    return wait_for(stream);
}

API cudaError_t cudaDeviceSynchronize(void) {
    ANSWER(EXACT);
    return any_capture_is_active() ? failed(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

/* A stream that waits for what is being captured becomes part of the capture. */
API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags UNUSED) {
    ANSWER(EXACT);
    if (!capture_is_active(event->capture) || stream_capture(stream)) return cudaSuccess;
    if (!stream_keeps_state(stream)) return failed(cudaErrorStreamCaptureUnsupported);
    stream->capture = event->capture;
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

/* ---- events -------------------------------------------------------------------------------------------------- */

static cudaError_t new_event(cudaEvent_t *event, unsigned flags) {
    *event = calloc(1, sizeof **event);
    if (!*event) return failed(cudaErrorMemoryAllocation);
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

static cudaError_t record(cudaEvent_t event, cudaStream_t stream) {
    event->capture = stream_capture(stream);
    event->computations = computations_made();
    event->plans = plans_executed();
    return cudaSuccess;
}

API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    ANSWER(EXACT);
    return record(event, stream);
}

API cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags UNUSED) {
    ANSWER(EXACT);
    return record(event, stream);
}

/* That an event is over as soon as somebody asks is a model: on a card the work before it may still run, and a block
 * that was used on a second stream is reused later, or not at all. */
API cudaError_t cudaEventQuery(cudaEvent_t event) {
    ANSWER(MODEL);
    return capture_is_active(event->capture) ? failed(cudaErrorCapturedEvent) : cudaSuccess;
}

API cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    ANSWER(EXACT);
    return capture_is_active(event->capture) ? failed(cudaErrorCapturedEvent) : cudaSuccess;
}

/* Whatever is timed takes as long as anything else, so whoever chooses by time (cuDNN's benchmark mode, Triton's
 * autotuning) keeps the first of its candidates. Long, so that whoever repeats until enough time has passed repeats
 * little. */
enum { MILLISECONDS = 100 };

/* In the log under a name of its own: by this time cuDNN's benchmark mode chooses a plan, and so a workspace. */
static void cudaEventElapsedTime_of_cudnn_plan(void) { ANSWER(MODEL); }

API cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
    ANSWER(MODEL);
    unsigned long plans = end->plans - start->plans;
    if (plans && plans == end->computations - start->computations) cudaEventElapsedTime_of_cudnn_plan();
    *milliseconds = MILLISECONDS;
    return cudaSuccess;
}
