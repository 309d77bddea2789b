// zstd and gzip streams of the tests' own, with checksums.
#pragma once

#include <zlib.h>
#include <zstd.h>

#include <string>
#include <string_view>

#include "core/check.h"

namespace farsight {

inline std::string zstd_bytes(std::string_view text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const std::size_t size =
      ZSTD_compress2(context, packed.data(), packed.size(), text.data(), text.size());
  ZSTD_freeCCtx(context);
  check(ZSTD_isError(size) == 0, "zstd_bytes: {}", ZSTD_getErrorName(size));
  packed.resize(size);
  return packed;
}

inline std::string gzip_bytes(std::string_view text) {
  z_stream stream = {};
  check(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK,
        "gzip_bytes: no stream");
  std::string from(text), packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(from.data());
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  check(deflate(&stream, Z_FINISH) == Z_STREAM_END, "gzip_bytes: not finished");
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace farsight
