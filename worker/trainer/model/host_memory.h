// How the process keeps memory that it has freed.
#pragma once

namespace dropbp::trainer {

// Training asks for the same large blocks in every step. By default the C library gives each back
// to the system, and each step pays again for thousands of page faults: this makes it keep them.
// For the whole process; cheap to call again.
void KeepFreedMemory();

}  // namespace dropbp::trainer
