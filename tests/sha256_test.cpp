// SHA-256 against the examples of FIPS 180-4 and its validation program.
#include "core/sha256.h"

#include <doctest/doctest.h>

#include "tests/temporary_folder.h"

namespace farsight {
namespace {

TEST_CASE("sha256: the published examples") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: where the pieces are cut does not matter, at every length around a block") {
  for (std::size_t length = 0; length <= 130; length++) {
    const std::string text(length, 'x');
    for (const std::size_t cut : {std::size_t{0}, length / 3, length / 2, length}) {
      Sha256 hash;
      hash.update(std::string_view(text).substr(0, cut));
      hash.update(std::string_view(text).substr(cut));
      CHECK(hash.finish() == sha256(text));
    }
  }
}

TEST_CASE("sha256: a file is hashed in pieces") {
  const TemporaryFolder folder;
  const std::string text((std::size_t{1} << 20) + 77, 'q');
  write_plainly(folder / "big", text);
  CHECK(sha256_of_file(folder / "big") == sha256(text));
}

}  // namespace
}  // namespace farsight
