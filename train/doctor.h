// What the build is, and what only a running program can know of the machine; cmake/doctor.sh says
// the rest.
#pragma once

namespace farsight {

/// Prints a verdict a line, in the columns of cmake/doctor.sh. Returns 1 if something will not work.
int doctor();

}  // namespace farsight
