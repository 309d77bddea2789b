#include "data/corpus/byte_source.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/files.h"

namespace farsight {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 18;
constexpr int kLargestWindowLog = 27;  // 128 MiB: what a hostile frame may make us allocate

/// A file from front to back, hashed on the way.
class PackedFile {
 public:
  explicit PackedFile(const std::filesystem::path& path) : file_(path) {
    require(file_.bytes() > 0, ExitCode::corrupt, "{}: the file is empty", file_.path());
  }

  const InputFile& file() const { return file_; }
  std::uint64_t bytes_read() const { return at_; }
  std::uint64_t xxh3() const { return hash_.value(); }
  bool at_end() const { return at_ == file_.bytes(); }

  std::size_t read(std::span<std::byte> out) {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), file_.bytes() - at_));
    file_.read_at(at_, out.first(count));
    hash_.update(out.first(count));
    at_ += count;
    return count;
  }

 private:
  InputFile file_;
  std::uint64_t at_ = 0;
  Xxh3 hash_;
};

bool begins_with_word(std::string_view text, std::string_view word) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return text.size() >= word.size() && std::equal(word.begin(), word.end(), text.begin(),
                                                  [&](char b, char a) { return same(a, b); });
}

}  // namespace

std::string_view recognised_content(std::string_view beginning) {
  struct Magic {
    std::string_view bytes, name;
  };
  constexpr std::array<Magic, 9> kMagics = {{{"\x1f\x8b", "a gzip file"},
                                             {"\x28\xb5\x2f\xfd", "a zstd file"},
                                             {"PAR1", "a Parquet file"},
                                             {"PK\x03\x04", "a zip archive"},
                                             {"\xfd"
                                              "7zXZ",
                                              "an xz file"},
                                             {"BZh", "a bzip2 file"},
                                             {"ARROW1", "an Arrow file"},
                                             {"\x93NUMPY", "a NumPy array"},
                                             {"version https://git-lfs", "a Git LFS pointer"}}};
  for (const Magic& magic : kMagics) {
    if (beginning.starts_with(magic.bytes)) return magic.name;
  }
  if (beginning.starts_with("\xef\xbb\xbf")) beginning.remove_prefix(3);
  beginning.remove_prefix(std::min(beginning.find_first_not_of(" \t\r\n"), beginning.size()));
  const bool page =
      begins_with_word(beginning, "<!doctype html") || begins_with_word(beginning, "<html");
  return page ? "a web page (HTML)" : "";
}

struct ByteSource::Decoder {
  explicit Decoder(const std::filesystem::path& path) : file(path) {}
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder() = default;
  virtual std::size_t read(std::span<std::byte> out) = 0;

  const std::string& path() const { return file.file().path(); }
  PackedFile file;
};

namespace {

/// The first bytes of the file, before anything is unpacked.
std::string beginning_of(const InputFile& file) {
  std::string first(static_cast<std::size_t>(std::min<std::uint64_t>(file.bytes(), 512)), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(first)));
  return first;
}

void require_beginning(const InputFile& file, std::initializer_list<std::string_view> magics,
                       std::string_view kind) {
  const std::string first = beginning_of(file);
  for (const std::string_view magic : magics) {
    if (std::string_view(first).starts_with(magic)) return;
  }
  const std::string_view found = recognised_content(first);
  require(found.empty(), ExitCode::corrupt, "{}: expected a {} file, this is {}", file.path(), kind,
          found);
  fail(ExitCode::corrupt, "{}: expected a {} file, its first bytes are none's", file.path(), kind);
}

struct PlainDecoder : ByteSource::Decoder {
  explicit PlainDecoder(const std::filesystem::path& path) : Decoder(path) {
    const std::string_view found = recognised_content(beginning_of(file.file()));
    require(found.empty(), ExitCode::corrupt, "{}: expected text, this is {}", this->path(), found);
  }
  std::size_t read(std::span<std::byte> out) override { return file.read(out); }
};

/// What zstd and gzip share: a piece of the file that is not unpacked yet.
struct PackedDecoder : ByteSource::Decoder {
  explicit PackedDecoder(const std::filesystem::path& path) : Decoder(path), piece(kPieceBytes) {}

  /// Makes sure that something is there to unpack; false at the end of the file.
  bool refill() {
    if (begin < end) return true;
    begin = 0;
    end = file.read(piece);
    return end > 0;
  }
  std::uint64_t offset() const { return file.bytes_read() - (end - begin); }
  [[noreturn]] void cut_off(std::string_view unit) const {
    fail(ExitCode::corrupt,
         "{}: the file ends in the middle of a {}, after {} bytes: it was cut off, perhaps by a "
         "download that did not finish",
         path(), unit, file.bytes_read());
  }

  std::vector<std::byte> piece;
  std::size_t begin = 0, end = 0;
};

struct ZstdDecoder : PackedDecoder {
  explicit ZstdDecoder(const std::filesystem::path& path) : PackedDecoder(path) {
    // A skippable frame may come first; its magic has 16 values.
    constexpr std::array<char, 3> kSkippable = {'\x2a', '\x4d', '\x18'};
    const std::string first = beginning_of(file.file());
    const bool skippable = first.size() >= 4 && (first[0] & '\xf0') == '\x50' &&
                           std::equal(kSkippable.begin(), kSkippable.end(), first.begin() + 1);
    if (!skippable) require_beginning(file.file(), {"\x28\xb5\x2f\xfd"}, "zstd");
    check(stream != nullptr, "ZstdDecoder: no memory for a stream");
    ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kLargestWindowLog);
  }

  std::size_t read(std::span<std::byte> out) override {
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos == 0 && !out.empty()) {
      // A frame may hold back bytes that no further input is needed for.
      if (!refill() && !inside_frame) return 0;
      ZSTD_inBuffer from = {piece.data() + begin, end - begin, 0};
      const std::size_t result = ZSTD_decompressStream(stream.get(), &to, &from);
      begin += from.pos;
      if (ZSTD_isError(result) != 0) refuse_frame(result);
      if (from.size == 0 && to.pos == 0) cut_off("zstd frame");
      inside_frame = result != 0;
    }
    return to.pos;
  }

 private:
  [[noreturn]] void refuse_frame(std::size_t result) const {
    const Place place{path(), offset()};
    if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
      refuse(place, "a zstd frame needs a window of more than {} MiB; pack it again without --long",
             1 << (kLargestWindowLog - 20));
    }
    refuse(place, "the zstd stream is damaged: {}", ZSTD_getErrorName(result));
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> stream{ZSTD_createDCtx()};
  bool inside_frame = false;
};

struct GzipDecoder : PackedDecoder {
  explicit GzipDecoder(const std::filesystem::path& path) : PackedDecoder(path) {
    require_beginning(file.file(), {"\x1f\x8b"}, "gzip");
    constexpr int kGzipAlone = 16 + MAX_WBITS;
    check(inflateInit2(&stream, kGzipAlone) == Z_OK, "GzipDecoder: no memory for a stream");
  }
  ~GzipDecoder() override { inflateEnd(&stream); }

  std::size_t read(std::span<std::byte> out) override {
    out = out.first(std::min(out.size(), std::size_t{1} << 30));
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    while (stream.avail_out == out.size() && !out.empty()) {
      if (!refill()) {
        if (!inside_member) return 0;
        cut_off("gzip member");
      }
      if (!inside_member && piece[begin] == std::byte{0}) {  // no member begins so
        pass_padding();
        break;
      }
      stream.next_in = reinterpret_cast<Bytef*>(piece.data() + begin);
      stream.avail_in = static_cast<uInt>(end - begin);
      const int result = inflate(&stream, Z_NO_FLUSH);
      begin = end - stream.avail_in;
      inside_member = result != Z_STREAM_END;
      if (result == Z_STREAM_END) {
        inflateReset(&stream);  // another member may follow
      } else if (result != Z_OK) {
        refuse({path(), offset()}, "the gzip stream is damaged: {}",
               stream.msg == nullptr ? "it cannot be unpacked" : stream.msg);
      }
    }
    return out.size() - stream.avail_out;
  }

 private:
  /// What fills a tape's block behind the last member: zeros, to the end of the file.
  void pass_padding() {
    while (refill()) {
      for (; begin < end; begin++) {
        if (piece[begin] != std::byte{0}) {
          refuse({path(), offset()}, "the gzip stream is damaged: something follows its padding");
        }
      }
    }
  }

  z_stream stream = {};
  bool inside_member = false;
};

}  // namespace

ByteSource::ByteSource(const std::filesystem::path& path, Compression compression) {
  switch (compression) {
    case Compression::none:
      decoder_ = std::make_unique<PlainDecoder>(path);
      break;
    case Compression::zstd:
      decoder_ = std::make_unique<ZstdDecoder>(path);
      break;
    case Compression::gzip:
      decoder_ = std::make_unique<GzipDecoder>(path);
      break;
  }
}

ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource::~ByteSource() = default;

std::size_t ByteSource::read(std::span<std::byte> out) {
  return decoder_->read(out);
}

const std::string& ByteSource::path() const {
  return decoder_->path();
}

std::uint64_t ByteSource::packed_bytes() const {
  return decoder_->file.file().bytes();
}

std::uint64_t ByteSource::packed_bytes_read() const {
  return decoder_->file.bytes_read();
}

std::uint64_t ByteSource::packed_xxh3() const {
  return decoder_->file.xxh3();
}

}  // namespace farsight
