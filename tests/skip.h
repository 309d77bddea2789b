// Tests that cannot run on this machine say so, by name and with the reason, at the end of the run:
//
//   TEST_CASE("scan: the kernel equals the CPU loops") {
//     if (!have_gpu()) return skip("no GPU on this machine");
#pragma once

#include <string_view>

namespace farsight {

/// Marks the running test case as skipped. Call it as `return skip("reason");`. A case that fails
/// elsewhere (in another subcase, say) still counts as failed.
void skip(std::string_view reason);

}  // namespace farsight
