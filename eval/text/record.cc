#include "eval/text/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "convert/json.h"
#include "convert/safetensors.h"
#include "runtime/file.h"

namespace sterna::eval {
namespace {

using nlohmann::json;
using runtime::TokenId;

// The `top` largest of a row, largest first; of equals the lowest id.
void pick_top(std::span<const float> row, std::span<std::int32_t> ids) {
  std::vector<TokenId> all(row.size());
  std::iota(all.begin(), all.end(), 0);
  const auto before = [&](TokenId a, TokenId b) {
    const float x = row[static_cast<std::size_t>(a)];
    const float y = row[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  };
  std::partial_sort_copy(all.begin(), all.end(), ids.begin(), ids.end(), before);
}

// A number in [0, 1) that looks random and depends on n only (the finaliser of SplitMix64).
double offset_of(std::uint64_t n) {
  n += 0x9E3779B97F4A7C15U;
  n = (n ^ (n >> 30U)) * 0xBF58476D1CE4E5B9U;
  n = (n ^ (n >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<double>((n ^ (n >> 31U)) >> 11U) * 0x1p-53;
}

// Ids of tokens that are not among `top`, each as often as its share of their probability says: those in
// which the running sum passes offset, offset + 1, ... of ids.size() equal parts.
void draw_tail(std::span<const float> row, float maximum, std::span<const std::int32_t> top, double offset,
               std::span<std::int32_t> ids) {
  std::vector<float> p(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) p[i] = std::exp(row[i] - maximum);
  for (const std::int32_t id : top) p[static_cast<std::size_t>(id)] = 0;
  const double part = std::accumulate(p.begin(), p.end(), 0.0) / static_cast<double>(ids.size());
  double sum = 0;
  std::size_t drawn = 0;
  std::int32_t last = top.back();  // where all others underflow, one that changes nothing
  for (std::size_t i = 0; i < p.size() && drawn < ids.size(); ++i) {
    sum += static_cast<double>(p[i]);
    if (p[i] > 0) last = static_cast<std::int32_t>(i);
    while (drawn < ids.size() && sum > (offset + static_cast<double>(drawn)) * part) ids[drawn++] = last;
  }
  std::fill(ids.begin() + static_cast<std::ptrdiff_t>(drawn), ids.end(), last);  // rounding of the last part
}

void pick(std::span<const float> row, const RowSummary& summary, std::size_t number, std::size_t top,
          std::span<std::int32_t> ids, std::span<float> log_p) {
  pick_top(row, ids.first(top));
  if (top < ids.size()) {
    draw_tail(row, summary.sums.maximum, ids.first(top), offset_of(number), ids.subspan(top));
  }
  const double log_total = std::log(summary.sums.total);
  for (std::size_t k = 0; k < ids.size(); ++k) {
    const double below = static_cast<double>(row[static_cast<std::size_t>(ids[k])]) - summary.sums.maximum;
    log_p[k] = static_cast<float>(below - log_total);
  }
}

struct Part {
  std::string name;
  std::string dtype;
  std::vector<std::size_t> shape;
  std::span<const std::byte> bytes;
};

template <class T>
Result<std::vector<T>> read_tensor(const convert::SafetensorsFile& file, const std::string& name,
                                   convert::DType dtype, std::size_t count) {
  const std::string& path = file.file().path();
  for (const convert::StoredTensor& t : file.tensors()) {
    if (t.name != name) continue;
    const bool fits = count == 0 || t.bytes == count * sizeof(T);
    if (t.dtype != dtype || !fits)
      return fail("{}: tensor '{}' is {}, not what a record has", path, name, t.describe());
    std::vector<T> values(t.bytes / sizeof(T));
    STERNA_CHECK(file.file().read_at(t.offset, std::as_writable_bytes(std::span(values))));
    return values;
  }
  return fail("{}: tensor '{}' is missing: this is no record of --save-baseline", path, name);
}

Status check_ids(const RecordedRows& rows, const std::string& path) {
  const bool bad_id = std::any_of(rows.ids.begin(), rows.ids.end(), [](std::int32_t id) { return id < 0; });
  const bool bad_p = std::any_of(rows.log_p.begin(), rows.log_p.end(), [](float p) { return !(p <= 0); });
  if (bad_id || bad_p)
    return fail("{}: holds ids or log-probabilities that cannot be; record it again", path);
  return {};
}

Result<RecordedText> read_text(const convert::SafetensorsFile& file, std::size_t i, const json& about) {
  const std::string& path = file.file().path();
  const bool good = about.is_object() && about.value("key", json()).is_string() &&
                    about.value("tokens", json()).is_number_unsigned() &&
                    about.value("top", json()).is_number_unsigned() &&
                    about.value("tail", json()).is_number_unsigned();
  if (!good) return fail("{}: field 'texts[{}]' of 'about' is not what a record has", path, i);
  RecordedText text;
  text.key = about["key"].get<std::string>();
  const auto tokens = about["tokens"].get<std::size_t>();
  text.rows.top = about["top"].get<std::size_t>();
  text.rows.tail = about["tail"].get<std::size_t>();
  constexpr std::size_t kMost = std::size_t{1} << 32;
  if (tokens == 0 || tokens > kMost || text.rows.top == 0 || text.rows.top > kRecordTop ||
      text.rows.tail > kRecordTail) {
    return fail("{}: {} tokens with {} and {} ids each cannot be", path, tokens, text.rows.top,
                text.rows.tail);
  }
  const std::size_t named = tokens * text.rows.width();
  STERNA_TRY(text.rows.ids,
             read_tensor<std::int32_t>(file, fmt::format("texts.{}.ids", i), convert::DType::i32, named));
  STERNA_TRY(text.rows.log_p,
             read_tensor<float>(file, fmt::format("texts.{}.log_p", i), convert::DType::f32, named));
  STERNA_TRY(text.rows.nll,
             read_tensor<double>(file, fmt::format("texts.{}.nll", i), convert::DType::f64, tokens));
  STERNA_CHECK(check_ids(text.rows, path));
  return text;
}

}  // namespace

const RecordedText* BaselineRecord::find(const std::string& key) const {
  const auto found =
      std::find_if(texts.begin(), texts.end(), [&](const RecordedText& t) { return t.key == key; });
  return found == texts.end() ? nullptr : &*found;
}

void add_rows(std::span<const float> logits, std::span<const RowSummary> rows,
              std::span<const TokenId> targets, runtime::ThreadPool& pool, RecordedRows& record) {
  if (rows.empty()) return;
  const std::size_t vocab = logits.size() / rows.size();
  record.top = std::min(kRecordTop, vocab);
  record.tail = record.top < vocab ? kRecordTail : 0;
  const std::size_t first = record.tokens();
  record.ids.resize((first + rows.size()) * record.width());
  record.log_p.resize(record.ids.size());
  pool.run(rows.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t at = (first + i) * record.width();
      pick(logits.subspan(i * vocab, vocab), rows[i], first + i, record.top,
           std::span(record.ids).subspan(at, record.width()),
           std::span(record.log_p).subspan(at, record.width()));
    }
  });
  TokenScores likelihoods;
  add_likelihoods(logits, rows, targets, likelihoods);
  record.nll.insert(record.nll.end(), likelihoods.nll.begin(), likelihoods.nll.end());
}

void add_divergences(const RecordedRows& record, std::size_t first, std::span<const float> model,
                     std::span<const RowSummary> model_rows, TokenScores& scores) {
  const std::size_t vocab = model_rows.empty() ? 0 : model.size() / model_rows.size();
  for (std::size_t i = 0; i < model_rows.size(); ++i) {
    const RowSummary& row = model_rows[i];
    const std::span<const float> logits = model.subspan(i * vocab, vocab);
    const auto ids = std::span(record.ids).subspan((first + i) * record.width(), record.width());
    const auto log_p = std::span(record.log_p).subspan((first + i) * record.width(), record.width());
    const double log_total = std::log(row.sums.total);
    const auto log_ratio = [&](std::size_t k) {
      const double logit = logits[static_cast<std::size_t>(ids[k])];
      return static_cast<double>(log_p[k]) - (logit - row.sums.maximum - log_total);
    };
    double rest = 1;
    double kl = 0;
    for (std::size_t k = 0; k < record.top; ++k) {
      const double p = std::exp(static_cast<double>(log_p[k]));
      kl += p * log_ratio(k);
      rest -= p;
    }
    double drawn = 0;
    for (std::size_t k = record.top; k < record.width(); ++k) drawn += log_ratio(k);
    if (record.tail != 0) kl += std::max(rest, 0.0) * drawn / static_cast<double>(record.tail);
    scores.kl.push_back(kl);
    RowSummary baseline;
    baseline.top.fill(-1);
    std::copy_n(ids.begin(), std::min(kTop, record.top), baseline.top.begin());
    add_agreement(baseline, row, scores);
  }
}

Status save_record(const BaselineRecord& record, const std::string& path) {
  json about = {{"format", 1},
                {"name", record.name},
                {"kind", record.kind},
                {"checksum", record.checksum},
                {"tokenizer", record.tokenizer},
                {"texts", json::array()}};
  for (const RecordedText& t : record.texts) {
    about["texts"].push_back(
        {{"key", t.key}, {"tokens", t.rows.tokens()}, {"top", t.rows.top}, {"tail", t.rows.tail}});
  }
  const std::string about_text = about.dump(-1, ' ', false, json::error_handler_t::replace);
  std::vector<Part> parts;
  for (std::size_t i = 0; i < record.texts.size(); ++i) {
    const RecordedRows& rows = record.texts[i].rows;
    // The widest elements first, so that each tensor is aligned.
    parts.insert(
        parts.begin(),
        {fmt::format("texts.{}.nll", i), "F64", {rows.tokens()}, std::as_bytes(std::span(rows.nll))});
    parts.push_back({fmt::format("texts.{}.ids", i),
                     "I32",
                     {rows.tokens(), rows.width()},
                     std::as_bytes(std::span(rows.ids))});
    parts.push_back({fmt::format("texts.{}.log_p", i),
                     "F32",
                     {rows.tokens(), rows.width()},
                     std::as_bytes(std::span(rows.log_p))});
  }
  parts.push_back({"about", "U8", {about_text.size()}, std::as_bytes(std::span(about_text))});
  json header = json::object();
  std::size_t offset = 0;
  for (const Part& part : parts) {
    header[part.name] = {
        {"dtype", part.dtype}, {"shape", part.shape}, {"data_offsets", {offset, offset + part.bytes.size()}}};
    offset += part.bytes.size();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(path));
  STERNA_CHECK(file.write(std::as_bytes(std::span(&length, 1))));
  STERNA_CHECK(file.write(std::as_bytes(std::span(text))));
  for (const Part& part : parts) STERNA_CHECK(file.write(part.bytes));
  return file.commit();
}

Result<BaselineRecord> load_record(const std::string& path) {
  STERNA_TRY(const convert::SafetensorsFile file, convert::SafetensorsFile::open(path));
  STERNA_TRY(const auto bytes, read_tensor<char>(file, "about", convert::DType::u8, 0));
  const std::string where = path + ": about";
  STERNA_TRY(const json about, convert::parse_json_object(std::string(bytes.begin(), bytes.end()), where));
  if (about.value("format", 0) != 1)
    return fail("{}: is no record of --save-baseline, or a later version's", path);
  BaselineRecord record;
  for (const auto& [key, field] : {std::pair{"name", &record.name},
                                   {"kind", &record.kind},
                                   {"checksum", &record.checksum},
                                   {"tokenizer", &record.tokenizer}}) {
    if (!about.value(key, json()).is_string()) return fail("{}: field '{}' is missing", where, key);
    *field = about[key].get<std::string>();
  }
  if (!about.value("texts", json()).is_array()) return fail("{}: field 'texts' is missing", where);
  for (std::size_t i = 0; i < about["texts"].size(); ++i) {
    STERNA_TRY(RecordedText text, read_text(file, i, about["texts"][i]));
    record.texts.push_back(std::move(text));
  }
  return record;
}

}  // namespace sterna::eval
