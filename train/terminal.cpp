#include "train/terminal.h"

#include <cstdio>
#include <string>

namespace farsight {

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void note(std::string_view line) {
  std::fputs((std::string(line) + '\n').c_str(), stderr);
}

}  // namespace farsight
