/* cuDNN's recurrent networks. Descriptors are host data; sizes are the library's own, asked with a handle of ours.
 *
 * The backend interface does not plan recurrent networks, and the older one wants a handle, which cannot be made without
 * a device. Of the handle the sizes depend on two fields alone (found with cuDNN 9.24): the number of multiprocessors
 * and the compute capability. Since a real handle may say more, the sizes count as a model's. */
#include <pthread.h>
#include <string.h>

#include "cudnn.h"

enum { HANDLE_BYTES = 1 << 16, MULTIPROCESSORS_AT = 0x48, CAPABILITY_AT = 0x68 };

static _Alignas(64) char fields[HANDLE_BYTES];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill_fields(void) {
    const struct device *d = described_device();
    int32_t multiprocessors = (int32_t)d->multiprocessors, capability = (int32_t)(d->major * 100 + d->minor * 10);
    memcpy(fields + MULTIPROCESSORS_AT, &multiprocessors, sizeof multiprocessors);
    memcpy(fields + CAPABILITY_AT, &capability, sizeof capability);
}

static void *described_handle(void) {
    pthread_once(&filled, fill_fields);
    return fields;
}

/* ---- sizes --------------------------------------------------------------------------------------------------- */

API cudnnStatus_t cudnnGetRNNWeightSpaceSize(void *handle UNUSED, void *network, size_t *bytes) {
    FORWARD(cudnnStatus_t, (void *, void *, size_t *), (described_handle(), network, bytes));
}

API cudnnStatus_t cudnnGetRNNWeightParams(void *handle UNUSED, void *network, int layer, size_t bytes, void *weights,
                                          int which, void *matrix, void **matrix_address, void *bias,
                                          void **bias_address) {
    FORWARD(cudnnStatus_t, (void *, void *, int, size_t, void *, int, void *, void **, void *, void **),
            (described_handle(), network, layer, bytes, weights, which, matrix, matrix_address, bias, bias_address));
}

/* The library writes the sizes and then fails to put back the device that was current: there is none. */
API cudnnStatus_t cudnnGetRNNTempSpaceSizes(void *handle UNUSED, void *network, int training, void *data,
                                            size_t *workspace, size_t *reserve) {
    static cudnnStatus_t (*_Atomic function)(void *, void *, int, void *, size_t *, size_t *);
    ANSWER(MODEL);
    if (!function)
        function = (cudnnStatus_t(*)(void *, void *, int, void *, size_t *, size_t *))cudnn_function(__func__);
    const size_t unwritten = ~(size_t)0;
    size_t sizes[2] = {unwritten, unwritten};
    cudnnStatus_t status = function(described_handle(), network, training, data, &sizes[0], &sizes[1]);
    if (status && status != CUDNN_STATUS_EXECUTION_FAILED_CUDART) return status;
    if (sizes[0] == unwritten || sizes[1] == unwritten) return CUDNN_STATUS_NOT_SUPPORTED;
    if (workspace) *workspace = sizes[0];
    if (reserve) *reserve = sizes[1];
    return CUDNN_STATUS_SUCCESS;
}

/* ---- descriptors --------------------------------------------------------------------------------------------- */

API cudnnStatus_t cudnnCreateRNNDescriptor(void **network) { FORWARD(cudnnStatus_t, (void **), (network)); }

API cudnnStatus_t cudnnDestroyRNNDescriptor(void *network) { FORWARD(cudnnStatus_t, (void *), (network)); }

API cudnnStatus_t cudnnSetRNNDescriptor_v8(void *network, int algorithm, int cell, int bias, int direction, int input,
                                           int type, int precision, int math, int32_t input_size, int32_t hidden_size,
                                           int32_t projection_size, int32_t layers, void *dropout, uint32_t flags) {
    FORWARD(cudnnStatus_t,
            (void *, int, int, int, int, int, int, int, int, int32_t, int32_t, int32_t, int32_t, void *, uint32_t),
            (network, algorithm, cell, bias, direction, input, type, precision, math, input_size, hidden_size,
             projection_size, layers, dropout, flags));
}

API cudnnStatus_t cudnnCreateRNNDataDescriptor(void **data) { FORWARD(cudnnStatus_t, (void **), (data)); }

API cudnnStatus_t cudnnDestroyRNNDataDescriptor(void *data) { FORWARD(cudnnStatus_t, (void *), (data)); }

API cudnnStatus_t cudnnSetRNNDataDescriptor(void *data, int type, int layout, int longest, int batch, int size,
                                            const int *lengths, void *padding) {
    FORWARD(cudnnStatus_t, (void *, int, int, int, int, int, const int *, void *),
            (data, type, layout, longest, batch, size, lengths, padding));
}

API cudnnStatus_t cudnnCreateFilterDescriptor(void **filter) { FORWARD(cudnnStatus_t, (void **), (filter)); }

API cudnnStatus_t cudnnDestroyFilterDescriptor(void *filter) { FORWARD(cudnnStatus_t, (void *), (filter)); }

API cudnnStatus_t cudnnSetFilterNdDescriptor(void *filter, int type, int format, int count, const int *sizes) {
    FORWARD(cudnnStatus_t, (void *, int, int, int, const int *), (filter, type, format, count, sizes));
}

API cudnnStatus_t cudnnGetFilterNdDescriptor(void *filter, int wanted, int *type, int *format, int *count,
                                             int *sizes) {
    FORWARD(cudnnStatus_t, (void *, int, int *, int *, int *, int *), (filter, wanted, type, format, count, sizes));
}

API cudnnStatus_t cudnnCreateDropoutDescriptor(void **dropout) { FORWARD(cudnnStatus_t, (void **), (dropout)); }

API cudnnStatus_t cudnnDestroyDropoutDescriptor(void *dropout) { FORWARD(cudnnStatus_t, (void *), (dropout)); }

/* Setting one computes its states on the device; restoring one takes them as they are. */
API cudnnStatus_t cudnnSetDropoutDescriptor(void *dropout, void *handle UNUSED, float probability, void *states,
                                            size_t bytes, unsigned long long seed) {
    static cudnnStatus_t (*_Atomic restore)(void *, void *, float, void *, size_t, unsigned long long);
    ANSWER(NOTHING);
    if (!restore)
        restore = (cudnnStatus_t(*)(void *, void *, float, void *, size_t, unsigned long long))cudnn_function(
            "cudnnRestoreDropoutDescriptor");
    return restore(dropout, described_handle(), probability, states, bytes, seed);
}

/* ---- computation --------------------------------------------------------------------------------------------- */

#define ACCEPTED(name)                                                                                                 \
    API cudnnStatus_t name(void) {                                                                                     \
        ANSWER(NOTHING);                                                                                               \
        return CUDNN_STATUS_SUCCESS;                                                                                   \
    }
ACCEPTED(cudnnRNNForward)
ACCEPTED(cudnnRNNBackwardData_v8)
ACCEPTED(cudnnRNNBackwardWeights_v8)
