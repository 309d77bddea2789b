// Event files, read back by a reader of their own.
#include "train/operations/tensorboard.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "core/bounded_reader.h"
#include "core/json.h"
#include "tests/tiny_run.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

std::uint32_t unmasked(std::uint32_t masked) {
  return std::rotl(masked - 0xa282ead8, 15);
}

/// Of a message: field number -> values; length-delimited ones as bytes, numbers as eight.
struct Field {
  std::uint64_t number = 0;
  std::string bytes;
};
std::uint64_t varint(BoundedReader& reader) {
  std::uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    const std::uint8_t byte = reader.u8("varint");
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
}
std::multimap<unsigned, Field> fields_of(std::string_view message) {
  BoundedReader reader(bytes_of(message), "message");
  std::multimap<unsigned, Field> fields;
  while (reader.remaining() > 0) {
    const std::uint64_t key = varint(reader);
    Field field;
    switch (key & 7) {
      case 0:
        field.number = varint(reader);
        break;
      case 1:
        field.number = reader.u64("fixed64");
        break;
      case 2:
        field.bytes = text_of(reader.take(varint(reader), "bytes"));
        break;
      case 5:
        field.number = reader.u32("fixed32");
        break;
      default:
        FAIL("wire type ", key & 7);
    }
    fields.emplace(static_cast<unsigned>(key >> 3), field);
  }
  return fields;
}

struct Event {
  std::int64_t step = 0;
  std::string version;
  bool start = false;
  std::map<std::string, float> scalars;
};

std::vector<Event> read_events(const fs::path& path) {
  const std::string file = read_plainly(path);
  BoundedReader reader(bytes_of(file), path.string());
  std::vector<Event> events;
  while (reader.remaining() > 0) {
    const std::string length(text_of(reader.take(8, "length")));
    CHECK(unmasked(reader.u32("crc of the length")) == crc32c(length));
    BoundedReader number(bytes_of(length), "length");
    const std::string data(text_of(reader.take(number.u64("length"), "event")));
    CHECK(unmasked(reader.u32("crc of the event")) == crc32c(data));
    Event event;
    for (const auto& [id, field] : fields_of(data)) {
      if (id == 1) CHECK(std::bit_cast<double>(field.number) > 1.5e9);
      if (id == 2) event.step = static_cast<std::int64_t>(field.number);
      if (id == 3) event.version = field.bytes;
      if (id == 7) event.start = fields_of(field.bytes).find(1)->second.number == 1;
      if (id != 5) continue;
      for (const auto& [one, value] : fields_of(field.bytes)) {
        const auto parts = fields_of(value.bytes);
        event.scalars[parts.find(1)->second.bytes] =
            std::bit_cast<float>(static_cast<std::uint32_t>(parts.find(2)->second.number));
      }
    }
    events.push_back(event);
  }
  return events;
}

TEST_CASE("tensorboard: the checksum is CRC-32C") {
  CHECK(crc32c("123456789") == 0xe3069283);
  CHECK(crc32c("") == 0);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);  // RFC 3720, B.4
}

TEST_CASE("tensorboard: what is written is read back, and a later file begins where it goes on") {
  const TemporaryFolder folder;
  TensorBoardWriter first(folder / "board", 0);
  const Scalar values[] = {{"train/loss", 3.25},
                           {"train/nothing", std::numeric_limits<double>::quiet_NaN()},
                           {"speed/large", 1e30}};
  first.add(1, values);
  first.add(300, std::span(values).first(1));
  TensorBoardWriter second(folder / "board", 200);
  CHECK(second.path() != first.path());
  const std::vector<Event> events = read_events(first.path());
  REQUIRE(events.size() == 4);
  CHECK(events[0].version == "brain.Event:2");
  CHECK(events[2].step == 1);
  CHECK(events[2].scalars.size() == 2);
  CHECK(events[2].scalars.at("train/loss") == 3.25f);
  CHECK(events[2].scalars.at("speed/large") == 1e30f);
  CHECK(events[3].step == 300);
  const std::vector<Event> later = read_events(second.path());
  REQUIRE(later.size() == 2);
  CHECK(later[1].start);
  CHECK(later[1].step == 201);
}

TEST_CASE("tensorboard: a run writes what metrics.jsonl has, unless it is not to") {
  const TemporaryFolder folder;
  TinyRun(tiny_flags({{"run.out", (folder / "a").string()}})).train();
  TinyRun(tiny_flags({{"run.out", (folder / "b").string()}, {"log.tensorboard", "false"}})).train();
  CHECK(!fs::exists(folder / "b/tensorboard"));
  std::vector<Event> events;
  for (const auto& entry : fs::directory_iterator(folder / "a/tensorboard")) {
    events = read_events(entry.path());
  }
  std::map<std::int64_t, float> losses;
  for (const Event& event : events) {
    if (event.scalars.contains("train/loss")) losses[event.step] = event.scalars.at("train/loss");
  }
  const std::string metrics = read_plainly(folder / "a/metrics.jsonl");
  std::size_t lines = 0;
  for (std::size_t begin = 0; begin < metrics.size(); lines++) {
    const std::size_t end = metrics.find('\n', begin);
    const Json line = Json::parse(metrics.substr(begin, end - begin), "metrics.jsonl");
    CHECK(losses.at(line.at("step").as_int()) == static_cast<float>(line.at("loss").as_double()));
    CHECK(line.at("total_steps").as_int() == 24);
    CHECK(line.at("of_ceiling").as_double() >= 0);
    begin = end + 1;
  }
  CHECK(lines == losses.size());
  CHECK(events.back().scalars.contains("validation/pair_accuracy"));
}

}  // namespace
}  // namespace farsight
