/* Calls of the real cuDNN, which is loaded apart from the emulated one. */
#ifndef MEMBENCH_CUDNN_H
#define MEMBENCH_CUDNN_H

#include "emulator.h"

/* The library's function of this name; the process ends with a message where it has none. */
void *cudnn_function(const char *name);

/* Answers with the library's function of the same name. */
#define FORWARD(type, parameters, arguments)                                                                           \
    static type(*_Atomic function) parameters;                                                                         \
    ANSWER(LIBRARY);                                                                                                   \
    if (!function) function = (type(*) parameters)cudnn_function(__func__);                                            \
    return function arguments

#endif
