/* cuDNN's batch normalization has no planner without a device: its sizes are formulas, exact in the contiguous
 * layout (both 0) and fitted to the library's answers (9.24, T = ceil(C / 64) and M = N·D·H·W) in channels-last. */
#include "emulator.h"

enum { MAX_DIMENSIONS = 8, TYPE_HALF = 2 };

struct shape {
    bool channels_last, half;
    uint64_t channels, positions;
};

cudnnStatus_t cudnnGetTensorNdDescriptor(void *, int, int *, int *, int *, int *);

static struct shape shape_of(void *tensor) {
    int type = 0, count = 0, sizes[MAX_DIMENSIONS] = {0}, strides[MAX_DIMENSIONS] = {0};
    cudnnGetTensorNdDescriptor(tensor, MAX_DIMENSIONS, &type, &count, sizes, strides);
    struct shape shape = {.channels = (uint64_t)sizes[1], .positions = (uint64_t)sizes[0], .half = type == TYPE_HALF};
    for (int i = 2; i < count; i++) shape.positions *= (uint64_t)sizes[i];
    shape.channels_last = count > 2 && strides[1] == 1 && sizes[1] > 1;
    return shape;
}

static uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/* In the log under a name of their own, since the contiguous layout's sizes are exact. */
static size_t cudnnBatchNormalizationForward_channels_last(struct shape s) {
    ANSWER(MODEL);
    uint64_t tiles = ceil_div(s.channels, 64);
    return 516 * tiles * ceil_div(s.positions, s.half ? 160 : 64) + 4 * tiles + 1072;
}

static size_t cudnnBatchNormalizationBackward_channels_last(struct shape s) {
    ANSWER(MODEL);
    uint64_t tiles = ceil_div(s.channels, 64);
    return 512 * tiles * ceil_div(s.positions, 96) + 4 * tiles + 1056;
}

API cudnnStatus_t cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(void *handle UNUSED, int mode UNUSED,
                                                                           int fused UNUSED, void *x, void *z UNUSED,
                                                                           void *y UNUSED, void *statistics UNUSED,
                                                                           void *activation UNUSED, size_t *bytes) {
    ANSWER(EXACT);
    struct shape s = shape_of(x);
    *bytes = s.channels_last ? cudnnBatchNormalizationForward_channels_last(s) : 0;
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnGetBatchNormalizationBackwardExWorkspaceSize(void *handle UNUSED, int mode UNUSED,
                                                                    int fused UNUSED, void *x, void *y UNUSED,
                                                                    void *dy UNUSED, void *dz UNUSED, void *dx UNUSED,
                                                                    void *parameters UNUSED, void *activation UNUSED,
                                                                    size_t *bytes) {
    ANSWER(EXACT);
    struct shape s = shape_of(x);
    *bytes = s.channels_last ? cudnnBatchNormalizationBackward_channels_last(s) : 0;
    return CUDNN_STATUS_SUCCESS;
}

API cudnnStatus_t cudnnGetBatchNormalizationTrainingExReserveSpaceSize(void *handle UNUSED, int mode UNUSED,
                                                                       int fused UNUSED, void *activation UNUSED,
                                                                       void *x UNUSED, size_t *bytes) {
    ANSWER(EXACT);
    *bytes = 0;
    return CUDNN_STATUS_SUCCESS;
}

#define ACCEPTED(name)                                                                                                 \
    API cudnnStatus_t name(void) {                                                                                     \
        ANSWER(NOTHING);                                                                                               \
        return CUDNN_STATUS_SUCCESS;                                                                                   \
    }
ACCEPTED(cudnnBatchNormalizationForwardTrainingEx)
ACCEPTED(cudnnBatchNormalizationForwardInference)
ACCEPTED(cudnnBatchNormalizationBackwardEx)
