/* cuBLAS and cuBLASLt: handles and settings are kept, products are accepted and not computed.
 * Workspaces are PyTorch's own allocations; a distinct handle for each creator is what makes it allocate them. */
#include <stdlib.h>
#include <string.h>

#include "emulator.h"

struct blas { int math_mode, pointer_mode; };

API cublasStatus_t cublasCreate_v2(struct blas **handle) {
    ANSWER(EXACT);
    *handle = calloc(1, sizeof **handle);
    return *handle ? CUBLAS_STATUS_SUCCESS : 3;
}

API cublasStatus_t cublasDestroy_v2(struct blas *handle) {
    ANSWER(EXACT);
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasSetMathMode(struct blas *handle, int mode) {
    ANSWER(EXACT);
    handle->math_mode = mode;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasGetMathMode(struct blas *handle, int *mode) {
    ANSWER(EXACT);
    *mode = handle->math_mode;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasSetPointerMode_v2(struct blas *handle, int mode) {
    ANSWER(EXACT);
    handle->pointer_mode = mode;
    return CUBLAS_STATUS_SUCCESS;
}

API cublasStatus_t cublasGetPointerMode_v2(struct blas *handle, int *mode) {
    ANSWER(EXACT);
    *mode = handle->pointer_mode;
    return CUBLAS_STATUS_SUCCESS;
}

API size_t cublasLtGetVersion(void) {
    ANSWER(EXACT);
    return 130000;
}

/* Descriptors of cublasLt are opaque to PyTorch: each is a distinct address. */
#define OPAQUE(create, destroy, ...)                                                                                   \
    API cublasStatus_t create(void **descriptor, ##__VA_ARGS__) {                                                      \
        ANSWER(EXACT);                                                                                                 \
        *descriptor = malloc(1);                                                                                       \
        return *descriptor ? CUBLAS_STATUS_SUCCESS : 3;                                                                \
    }                                                                                                                  \
    API cublasStatus_t destroy(void *descriptor) {                                                                     \
        ANSWER(EXACT);                                                                                                 \
        free(descriptor);                                                                                              \
        return CUBLAS_STATUS_SUCCESS;                                                                                  \
    }
OPAQUE(cublasLtMatmulDescCreate, cublasLtMatmulDescDestroy, int compute UNUSED, int scale UNUSED)
OPAQUE(cublasLtMatmulPreferenceCreate, cublasLtMatmulPreferenceDestroy)
OPAQUE(cublasLtMatrixLayoutCreate, cublasLtMatrixLayoutDestroy, int type UNUSED, uint64_t rows UNUSED,
       uint64_t columns UNUSED, int64_t stride UNUSED)

struct heuristic_result {
    uint64_t algorithm[8];
    size_t workspace;
    cublasStatus_t state;
    float waves;
    int reserved[4];
};

/* One algorithm is enough: PyTorch gives every product the same workspace whichever is chosen. */
API cublasStatus_t cublasLtMatmulAlgoGetHeuristic(void *handle UNUSED, void *product UNUSED, void *a UNUSED,
                                                  void *b UNUSED, void *c UNUSED, void *d UNUSED,
                                                  void *preference UNUSED, int wanted UNUSED,
                                                  struct heuristic_result *results, int *found) {
    ANSWER(EXACT);
    results[0] = (struct heuristic_result){.waves = 1.0f};
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

#define ACCEPTED(name)                                                                                                 \
    API cublasStatus_t name(void) {                                                                                    \
        ANSWER(NOTHING);                                                                                               \
        return CUBLAS_STATUS_SUCCESS;                                                                                  \
    }
#define ACCEPTED_FOR_ALL_TYPES(operation)                                                                              \
    ACCEPTED(cublasS##operation)                                                                                       \
    ACCEPTED(cublasD##operation)                                                                                       \
    ACCEPTED(cublasC##operation)                                                                                       \
    ACCEPTED(cublasZ##operation)

ACCEPTED(cublasSetStream_v2)
ACCEPTED(cublasSetWorkspace_v2)
ACCEPTED(cublasSetSmCountTarget)
ACCEPTED(cublasLtMatmul)
ACCEPTED(cublasLtMatmulDescSetAttribute)
ACCEPTED(cublasLtMatmulPreferenceSetAttribute)
ACCEPTED(cublasLtMatrixLayoutSetAttribute)
ACCEPTED_FOR_ALL_TYPES(gemm_v2)
ACCEPTED_FOR_ALL_TYPES(gemmBatched)
ACCEPTED_FOR_ALL_TYPES(gemmStridedBatched)
ACCEPTED_FOR_ALL_TYPES(gemv_v2)
ACCEPTED_FOR_ALL_TYPES(trsm_v2)
ACCEPTED_FOR_ALL_TYPES(trsmBatched)
ACCEPTED(cublasSgemmEx)
ACCEPTED(cublasGemmEx)
ACCEPTED(cublasGemmStridedBatchedEx)
ACCEPTED(cublasDotEx)
ACCEPTED(cublasSdot_v2)
ACCEPTED(cublasDdot_v2)
ACCEPTED(cublasCdotu_v2)
ACCEPTED(cublasCdotc_v2)
ACCEPTED(cublasZdotu_v2)
ACCEPTED(cublasZdotc_v2)
