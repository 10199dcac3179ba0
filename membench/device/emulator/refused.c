/* Entry points that PyTorch refers to and the emulated device does not model. Each returns "not supported" and is
 * logged, which ends the probe with the call's name. */
#include "emulator.h"

#define REFUSE(name, status)                                                                                           \
    API int name(void) {                                                                                               \
        ANSWER(REFUSED);                                                                                               \
        return status;                                                                                                 \
    }

#include "refused.def"
