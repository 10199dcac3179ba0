/* The part of the CUDA 13 binary interface that the emulated device speaks: types, layouts and constants.
 * Written from the published interface, so that no header of the CUDA toolkit is needed to build. */
#ifndef MEMBENCH_ABI_H
#define MEMBENCH_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef int cudaError_t;
typedef int CUresult;
typedef int cublasStatus_t;
typedef int cudnnStatus_t;
typedef uint64_t CUdeviceptr;
typedef struct stream *cudaStream_t;
typedef struct event *cudaEvent_t;
typedef struct { unsigned x, y, z; } dim3;

enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidDevice = 101,
    cudaErrorIllegalState = 401,
    cudaErrorNotSupported = 801,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureUnmatched = 903,
    cudaErrorCapturedEvent = 907,
};

enum { CUDA_ERROR_INVALID_VALUE = 1, CUDA_ERROR_OUT_OF_MEMORY = 2, CUDA_ERROR_NOT_FOUND = 500 };

enum { CUBLAS_STATUS_SUCCESS = 0, CUDNN_STATUS_SUCCESS = 0, CUDNN_STATUS_NOT_SUPPORTED = 3000, CUDNN_STATUS_EXECUTION_FAILED_CUDART = 5003 };

enum copy_kind { HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE, BY_ADDRESS };

enum pointer_kind { POINTER_UNREGISTERED = 0, POINTER_HOST = 1, POINTER_DEVICE = 2 };

struct cudaPointerAttributes {
    int type;
    int device;
    void *devicePointer;
    void *hostPointer;
    long reserved[8];
};

struct cudaFuncAttributes {
    size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
    int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, cacheModeCA, maxDynamicSharedSizeBytes;
    int preferredShmemCarveout, clusterDimMustBeSet;
    int requiredClusterWidth, requiredClusterHeight, requiredClusterDepth;
    int clusterSchedulingPolicyPreference, nonPortableClusterSizeAllowed;
    int reserved[16];
};

struct cudaDeviceProp {
    char name[256];
    char uuid[16];
    char luid[8];
    unsigned luidDeviceNodeMask;
    size_t totalGlobalMem, sharedMemPerBlock;
    int regsPerBlock, warpSize;
    size_t memPitch;
    int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
    size_t totalConstMem;
    int major, minor;
    size_t textureAlignment, texturePitchAlignment;
    int multiProcessorCount, integrated, canMapHostMemory;
    int textures[39]; /* maxTexture1D up to and including maxSurfaceCubemapLayered */
    size_t surfaceAlignment;
    int concurrentKernels, ECCEnabled, pciBusID, pciDeviceID, pciDomainID, tccDriver, asyncEngineCount;
    int unifiedAddressing, memoryBusWidth, l2CacheSize, persistingL2CacheMaxSize, maxThreadsPerMultiProcessor;
    int streamPrioritiesSupported, globalL1CacheSupported, localL1CacheSupported;
    size_t sharedMemPerMultiprocessor;
    int regsPerMultiprocessor, managedMemory, isMultiGpuBoard, multiGpuBoardGroupID, hostNativeAtomicSupported;
    int pageableMemoryAccess, concurrentManagedAccess, computePreemptionSupported;
    int canUseHostPointerForRegisteredMem, cooperativeLaunch;
    size_t sharedMemPerBlockOptin;
    int pageableMemoryAccessUsesHostPageTables, directManagedMemAccessFromHost, maxBlocksPerMultiProcessor;
    int accessPolicyMaxWindowSize;
    size_t reservedSharedMemPerBlock;
    int rest[20 + 56]; /* none of them is asked for; all zero */
};

_Static_assert(sizeof(struct cudaDeviceProp) == 1008, "as in CUDA 13");
_Static_assert(sizeof(struct cudaFuncAttributes) == 144, "as in CUDA 13");
_Static_assert(sizeof(struct cudaPointerAttributes) == 88, "as in CUDA 13");

/* Attribute numbers shared by cudaDeviceGetAttribute and cuDeviceGetAttribute. */
enum device_attribute {
    ATTR_MAX_THREADS_PER_BLOCK = 1,
    ATTR_MAX_BLOCK_DIM_X = 2,
    ATTR_MAX_BLOCK_DIM_Y = 3,
    ATTR_MAX_BLOCK_DIM_Z = 4,
    ATTR_MAX_GRID_DIM_X = 5,
    ATTR_MAX_GRID_DIM_Y = 6,
    ATTR_MAX_GRID_DIM_Z = 7,
    ATTR_SHARED_PER_BLOCK = 8,
    ATTR_WARP_SIZE = 10,
    ATTR_REGISTERS_PER_BLOCK = 12,
    ATTR_CLOCK_KHZ = 13,
    ATTR_TEXTURE_ALIGNMENT = 14,
    ATTR_MULTIPROCESSORS = 16,
    ATTR_INTEGRATED = 18,
    ATTR_CAN_MAP_HOST = 19,
    ATTR_COMPUTE_MODE = 20,
    ATTR_CONCURRENT_KERNELS = 31,
    ATTR_PCI_BUS = 33,
    ATTR_PCI_DEVICE = 34,
    ATTR_TCC = 35,
    ATTR_MEMORY_CLOCK_KHZ = 36,
    ATTR_MEMORY_BUS_WIDTH = 37,
    ATTR_L2_BYTES = 38,
    ATTR_THREADS_PER_MULTIPROCESSOR = 39,
    ATTR_ASYNC_ENGINES = 40,
    ATTR_UNIFIED_ADDRESSING = 41,
    ATTR_PCI_DOMAIN = 50,
    ATTR_MAJOR = 75,
    ATTR_MINOR = 76,
    ATTR_STREAM_PRIORITIES = 78,
    ATTR_SHARED_PER_MULTIPROCESSOR = 81,
    ATTR_REGISTERS_PER_MULTIPROCESSOR = 82,
    ATTR_MANAGED_MEMORY = 83,
    ATTR_PAGEABLE_MEMORY_ACCESS = 88,
    ATTR_CONCURRENT_MANAGED_ACCESS = 89,
    ATTR_COOPERATIVE_LAUNCH = 95,
    ATTR_SHARED_PER_BLOCK_OPTIN = 97,
    ATTR_VIRTUAL_MEMORY = 102,
    ATTR_POSIX_HANDLES = 103,
    ATTR_BLOCKS_PER_MULTIPROCESSOR = 106,
    ATTR_RESERVED_SHARED_PER_BLOCK = 111,
    ATTR_MEMORY_POOLS = 115,
    ATTR_GPU_DIRECT_RDMA_VMM = 110,
    ATTR_FABRIC_HANDLES = 128,
    ATTR_MULTICAST = 132,
};

#endif
