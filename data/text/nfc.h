// Normalisation form C (Unicode Standard Annex 15), of Unicode 9.0 (make_unicode_tables.py says why).
#pragma once

#include <string>
#include <string_view>

namespace farsight {

/// `text`, which must be valid UTF-8, in NFC: itself where it is already, else a text made in
/// `room`. Costs one look at every byte while the text has no character of U+0300 or above, and
/// O(n log n) at worst, for any number of combining marks.
std::string_view nfc(std::string_view text, std::string& room);

}  // namespace farsight
