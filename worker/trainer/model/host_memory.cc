#include "worker/trainer/model/host_memory.h"

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace dropbp::trainer {

void KeepFreedMemory() {
#if defined(__GLIBC__)
  // 32 MiB is the largest threshold that the library accepts; blocks above it are mapped one by
  // one.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 2000 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace dropbp::trainer
