/* CUDA graphs: which streams are capturing is kept as the runtime keeps it, since PyTorch's allocator decides by it;
 * what is captured is not, since nothing is run. */
#include <pthread.h>
#include <stdlib.h>

#include "emulator.h"

struct user_object {
    void *data;
    void (*destroy)(void *);
    atomic_uint references;
};

struct retained {
    struct user_object *object;
    unsigned count;
    struct retained *next;
};

/* A graph and its executables are one thing here, which lives as long as any of them. */
struct graph {
    atomic_uint references;
    struct retained *retained;
};

struct capture {
    uint64_t id;
    cudaStream_t origin;
    struct graph *graph;
    struct capture *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct capture *captures; /* under way */
static uint64_t last_id;

/* Call with the lock held. */
static struct capture **find(uint64_t id) {
    struct capture **link = &captures;
    while (*link && (*link)->id != id) link = &(*link)->next;
    return link;
}

bool capture_is_active(uint64_t id) {
    if (!id) return false;
    pthread_mutex_lock(&lock);
    bool active = *find(id);
    pthread_mutex_unlock(&lock);
    return active;
}

bool any_capture_is_active(void) {
    pthread_mutex_lock(&lock);
    bool active = captures;
    pthread_mutex_unlock(&lock);
    return active;
}

/* ---- capture ------------------------------------------------------------------------------------------------- */

API cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int mode UNUSED) {
    ANSWER(EXACT);
    if (!stream_keeps_state(stream)) return failed(cudaErrorStreamCaptureUnsupported);
    if (stream_capture(stream)) return failed(cudaErrorIllegalState);
    struct capture *capture = calloc(1, sizeof *capture);
    struct graph *graph = calloc(1, sizeof *graph);
    if (!capture || !graph) {
        free(capture);
        free(graph);
        return failed(cudaErrorMemoryAllocation);
    }
    graph->references = 1;
    pthread_mutex_lock(&lock);
    *capture = (struct capture){.id = ++last_id, .origin = stream, .graph = graph, .next = captures};
    captures = capture;
    stream_set_capture(stream, capture->id);
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

API cudaError_t cudaStreamEndCapture(cudaStream_t stream, struct graph **graph) {
    ANSWER(EXACT);
    uint64_t id = stream_capture(stream);
    *graph = NULL;
    if (!id) return failed(cudaErrorIllegalState);
    pthread_mutex_lock(&lock);
    struct capture **link = find(id), *capture = *link;
    bool ours = capture && capture->origin == stream;
    if (ours) *link = capture->next;
    pthread_mutex_unlock(&lock);
    if (!ours) return failed(cudaErrorStreamCaptureUnmatched);
    *graph = capture->graph;
    free(capture);
    return cudaSuccess;
}

API cudaError_t cudaStreamIsCapturing(cudaStream_t stream, int *capturing) {
    ANSWER(EXACT);
    *capturing = stream_capture(stream) != 0;
    return cudaSuccess;
}

/* Triton asks the driver. */
API CUresult cuStreamIsCapturing(cudaStream_t stream, int *capturing) {
    ANSWER(EXACT);
    *capturing = stream_capture(stream) != 0;
    return 0;
}

API cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, int *capturing, unsigned long long *id,
                                         struct graph **graph, const void **dependencies, const void **edges,
                                         size_t *count) {
    ANSWER(EXACT);
    uint64_t active = stream_capture(stream);
    *capturing = active != 0;
    if (id) *id = active;
    if (graph) {
        pthread_mutex_lock(&lock);
        struct capture *capture = *find(active);
        *graph = capture ? capture->graph : NULL;
        pthread_mutex_unlock(&lock);
    }
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

/* ---- graphs -------------------------------------------------------------------------------------------------- */

static void release_object(struct user_object *object, unsigned count) {
    if (atomic_fetch_sub(&object->references, count) != count) return;
    object->destroy(object->data);
    free(object);
}

static void release_graph(struct graph *graph) {
    if (atomic_fetch_sub(&graph->references, 1) != 1) return;
    for (struct retained *item = graph->retained, *next; item; item = next) {
        next = item->next;
        release_object(item->object, item->count);
        free(item);
    }
    free(graph);
}

/* Whatever was captured counts as one node. */
API cudaError_t cudaGraphGetNodes(struct graph *graph, void **nodes, size_t *count) {
    ANSWER(MODEL);
    if (nodes && *count) nodes[0] = graph;
    *count = 1;
    return cudaSuccess;
}

/* The memory that a driver takes for an executable graph is not described anywhere: none is counted. */
API cudaError_t cudaGraphInstantiateWithFlags(struct graph **executable, struct graph *graph,
                                              unsigned long long flags UNUSED) {
    ANSWER(MODEL);
    atomic_fetch_add(&graph->references, 1);
    *executable = graph;
    return cudaSuccess;
}

API cudaError_t cudaGraphInstantiate(struct graph **executable, struct graph *graph, unsigned long long flags)
    __attribute__((alias("cudaGraphInstantiateWithFlags")));

API cudaError_t cudaGraphLaunch(struct graph *executable UNUSED, cudaStream_t stream UNUSED) {
    ANSWER(NOTHING);
    return cudaSuccess;
}

API cudaError_t cudaGraphDestroy(struct graph *graph) {
    ANSWER(EXACT);
    release_graph(graph);
    return cudaSuccess;
}

API cudaError_t cudaGraphExecDestroy(struct graph *executable) {
    ANSWER(EXACT);
    release_graph(executable);
    return cudaSuccess;
}

/* ---- what lives as long as a graph --------------------------------------------------------------------------- */

API cudaError_t cudaUserObjectCreate(struct user_object **object, void *data, void (*destroy)(void *),
                                     unsigned references, unsigned flags UNUSED) {
    ANSWER(EXACT);
    *object = calloc(1, sizeof **object);
    if (!*object) return failed(cudaErrorMemoryAllocation);
    (*object)->data = data;
    (*object)->destroy = destroy;
    (*object)->references = references;
    return cudaSuccess;
}

API cudaError_t cudaUserObjectRelease(struct user_object *object, unsigned count) {
    ANSWER(EXACT);
    release_object(object, count);
    return cudaSuccess;
}

enum { MOVE_REFERENCES = 1 };

API cudaError_t cudaGraphRetainUserObject(struct graph *graph, struct user_object *object, unsigned count,
                                          unsigned flags) {
    ANSWER(EXACT);
    struct retained *item = malloc(sizeof *item);
    if (!item) return failed(cudaErrorMemoryAllocation);
    if (!(flags & MOVE_REFERENCES)) atomic_fetch_add(&object->references, count);
    pthread_mutex_lock(&lock);
    *item = (struct retained){object, count, graph->retained};
    graph->retained = item;
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}
