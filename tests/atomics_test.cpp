// No sum of floats may depend on which thread comes first: the same run gives the same bits.
// tests/float_atomics_test.sh looks for the same in the compiled kernels.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

namespace {

/// The first atomic instruction or call in the text; empty: none. Comments count for nothing.
std::string first_atomic(const std::string& source) {
  static const std::regex comment(R"(//[^\n]*)");
  static const std::regex atomic(
      R"(\batomic(Add|Sub|Exch|Min|Max|CAS|And|Or|Xor|Inc|Dec)\w*\b)"
      R"(|\b(red|atom)\.(async\.|global|shared|relaxed|acq|release|add|cas|exch|min|max)[\w.]*)"
      R"(|\bcuda::(std::)?atomic\w*|\bmultimem\.red\w*|\bcp\.reduce\w*)");
  const std::string code = std::regex_replace(source, comment, "");
  std::smatch found;
  return std::regex_search(code, found, atomic) ? found.str() : std::string();
}

TEST_CASE("atomics: the search finds what it is for") {
  CHECK(first_atomic("atomicAdd(&sum, x);") == "atomicAdd");
  CHECK(first_atomic("asm(\"red.global.add.f32 [%0], %1;\"") == "red.global.add.f32");
  CHECK(first_atomic("atomicAdd_block(&x, 1)") == "atomicAdd_block");
  CHECK(first_atomic("// an atomicAdd would not do\nshared.add(1);").empty());
}

TEST_CASE("atomics: no kernel uses one") {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(FARSIGHT_SOURCE_DIR "/cuda")) {
    const std::string extension = entry.path().extension();
    if (extension != ".cu" && extension != ".cuh" && extension != ".cpp" && extension != ".h") {
      continue;
    }
    files++;
    std::ifstream in(entry.path());
    const std::string source((std::istreambuf_iterator<char>(in)), {});
    INFO(entry.path().filename().string());
    CHECK(first_atomic(source) == "");
  }
  CHECK(files >= 20);
}

}  // namespace
