// What every program of ours does before anything else.
#pragma once

namespace farsight {

/// Throws Error(device) when this build's instructions are not all in this CPU (it would end in an
/// illegal instruction otherwise). Then: writes to a closed pipe or beyond a file-size limit become
/// errors instead of signals, and memory that kernels use for scratch stays with the process, for
/// giving it back and taking it again costs a page fault each 4 KiB (7 % of a small training step).
void prepare_process();

}  // namespace farsight
