#include "worker/trainer/model/host_memory.h"

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace dropbp::trainer {

void KeepFreedMemory() {
#if defined(__GLIBC__)
  // Blocks that are mapped one by one go back to the system one by one. A threshold cannot keep
  // them: 32 MiB is the largest that the library accepts.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 2000 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace dropbp::trainer
