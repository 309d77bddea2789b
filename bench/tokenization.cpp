#include "bench/tokenization.h"

#include <time.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "core/files.h"
#include "data/corpus/record_reader.h"
#include "data/corpus/record_text.h"
#include "data/known_files.h"
#include "data/text/tokenizer.h"
#include "data/text/tokenizer_file.h"

namespace farsight::bench {
namespace {

constexpr const char* kCorpus = "corpus/enwiki_2018_train.jsonl.zst";
constexpr const char* kTokenizer = "tokenizer/20B_tokenizer.json";

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::vector<std::string> documents_of(const std::filesystem::path& path) {
  const CorpusFile file = corpus_file(path);
  const CorpusInput input{.name = path.string(),
                          .kind = "jsonl.zst",
                          .bytes = std::filesystem::file_size(path),
                          .xxh3 = hex(xxh3_of_file(path))};
  CorpusReader reader({file}, {input}, {}, {}, Cutting::never);
  std::vector<std::string> documents;
  std::string space;
  for (RecordBatch batch; reader.next(batch);) {
    for (const Record& record : batch.records) {
      documents.emplace_back(text_of(batch, record, file, {}, space).text);
    }
  }
  return documents;
}

}  // namespace

std::optional<std::filesystem::path> tokenization_data() {
  const char* const folder = std::getenv("FARSIGHT_DATA");
  if (folder == nullptr) return std::nullopt;
  for (const char* name : {kCorpus, kTokenizer}) {
    if (!std::filesystem::exists(std::filesystem::path(folder) / name)) return std::nullopt;
  }
  return folder;
}

TokenizationTimes time_tokenization(const std::filesystem::path& data, const Effort& effort) {
  const std::vector<std::string> documents = documents_of(data / kCorpus);
  const TokenizerFile file = TokenizerFile::read(data / kTokenizer);
  TokenizationTimes times{.documents = static_cast<double>(documents.size())};
  for (const std::string& document : documents) {
    times.bytes += static_cast<double>(document.size());
  }
  const OtherPrograms others;
  std::vector<double> rates;
  std::vector<std::int32_t> ids;
  for (Repetition again(effort); again.wanted();) {
    const Tokenizer tokenizer(file);
    double tokens = 0;
    const double start = processor_seconds();
    for (const std::string& document : documents) {
      ids.clear();
      tokenizer.encode(document, ids);
      tokens += static_cast<double>(ids.size());
    }
    rates.push_back(1e-6 * times.bytes / (processor_seconds() - start));
    times.tokens = tokens;
  }
  times.mb_per_s = median(rates);
  times.runs = rates.size();
  times.others = others.processors();
  return times;
}

}  // namespace farsight::bench
