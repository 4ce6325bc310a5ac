#include "convert/calibrate/text.h"

#include <algorithm>
#include <string_view>

#include "convert/calibrate/default_text.h"
#include "convert/json.h"
#include "convert/shuffle.h"
#include "runtime/file.h"
#include "runtime/fingerprints.h"
#include "runtime/prompt.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::convert {
namespace {

// A tokenizer takes 64 MiB at once; calibration uses some hundred thousand bytes.
constexpr std::uint64_t kLargestFile = 64U << 20;

Result<std::string> rows_of_json_lines(std::string_view lines, const std::string& where) {
  std::string text;
  std::size_t number = 0;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(lines.size(), end + 1));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = fmt::format("{}: line {}", where, number);
    STERNA_TRY(const nlohmann::json row, parse_json_object(line, place));
    const auto field = row.find("text");
    if (field == row.end() || !field->is_string()) {
      return fail("{}: has no string \"text\"; calibration rows are objects such as {{\"text\": \"...\"}}",
                  place);
    }
    text += field->get_ref<const std::string&>();
    text += '\n';
  }
  return text;
}

Result<std::string> read_one(const std::string& path) {
  STERNA_TRY(std::string bytes, runtime::read_text_file(path, kLargestFile));
  if (path.ends_with(".jsonl")) return rows_of_json_lines(bytes, path);
  if (!runtime::tokenization::is_valid_utf8(bytes)) return fail("{}: is not UTF-8 text", path);
  return bytes;
}

struct Text {
  std::string name;
  std::string content;
};

Result<std::vector<Text>> read_all(const std::vector<std::string>& files) {
  std::vector<Text> texts;
  if (files.empty()) {
    texts.push_back({"the built-in text", std::string(default_calibration_text())});
    return texts;
  }
  texts.reserve(files.size());
  for (const std::string& file : files) {
    STERNA_TRY(std::string content, read_one(file));
    texts.push_back({file.substr(file.find_last_of('/') + 1), std::move(content)});
  }
  return texts;
}

}  // namespace

Result<CalibrationWindows> calibration_windows(const CalibrationText& text,
                                               const runtime::Tokenizer& tokenizer, std::size_t window) {
  STERNA_TRY(const std::vector<Text> texts, read_all(text.files));
  std::vector<runtime::TokenId> ids;
  std::vector<std::string_view> contents;
  std::string names;
  for (const Text& t : texts) {
    auto encoded = tokenizer.encode(t.content, {.add_special = false, .parse_special = false});
    if (!encoded) return fail("{}: {}", t.name, encoded.error().message);
    ids.insert(ids.end(), encoded->begin(), encoded->end());
    contents.emplace_back(t.content);
    names += fmt::format("{}{}", names.empty() ? "" : " + ", t.name);
  }
  const std::size_t available = ids.size() / window;
  const std::size_t wanted = std::max<std::size_t>(1, text.tokens / window + (text.tokens % window != 0));
  if (available == 0) {
    return fail("{}: {} tokens, calibration needs at least {}; give a longer text", names, ids.size(),
                window);
  }
  const auto bos = runtime::beginning_of_text(tokenizer);
  CalibrationWindows out;
  out.window = window;
  std::vector<std::size_t> order = shuffled(available, text.seed);
  order.resize(std::min(wanted, available));
  out.ids.reserve(order.size() * window);
  for (const std::size_t w : order) {
    const auto from = ids.begin() + static_cast<std::ptrdiff_t>(w * window);
    out.ids.insert(out.ids.end(), from, from + static_cast<std::ptrdiff_t>(window));
    if (bos) out.ids[out.ids.size() - window] = *bos;
  }
  out.text = {fmt::format("{} ({} tokens)", names, out.ids.size()), runtime::fingerprints(contents)};
  return out;
}

}  // namespace sterna::convert
