#include "eval/tasks/rows.h"

#include <bzlib.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "convert/json.h"
#include "runtime/file.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::eval {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestText = 1ULL << 30;
constexpr std::size_t kHellaswagLines = 6;
constexpr std::string_view kSpaces = " \t\r\n";

// One compressed stream may follow another in a file (pbzip2 writes such).
class Decompressor {
 public:
  Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  ~Decompressor() { BZ2_bzDecompressEnd(&stream_); }

  // Appends to `text` what one stream holds; returns how many bytes of `packed` it took.
  Result<std::size_t> run(std::string_view packed, std::string& text, const std::string& path) {
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) return fail("{}: no memory to decompress it", path);
    stream_.next_in = const_cast<char*>(packed.data());  // bzlib does not write there
    stream_.avail_in = static_cast<unsigned>(packed.size());
    std::vector<char> block(1 << 16);
    for (int state = BZ_OK; state != BZ_STREAM_END;) {
      stream_.next_out = block.data();
      stream_.avail_out = static_cast<unsigned>(block.size());
      state = BZ2_bzDecompress(&stream_);
      const std::size_t made = block.size() - stream_.avail_out;
      if ((state != BZ_OK && state != BZ_STREAM_END) || (state == BZ_OK && made == 0)) {
        return fail("{}: not a whole bzip2 file: it is damaged or was cut; fetch it again", path);
      }
      if (text.size() + made > kLargestText) return fail("{}: more than 1 GiB of text", path);
      text.append(block.data(), made);
    }
    return packed.size() - stream_.avail_in;
  }

 private:
  bz_stream stream_{};
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

Status add_row(std::string_view text, std::size_t line, const std::string& where, std::vector<Row>& rows) {
  STERNA_TRY(json fields, convert::parse_json_object(text, fmt::format("{}:{}", where, line)));
  rows.push_back({line, std::move(fields)});
  return {};
}

Result<std::vector<Row>> rows_of_json_lines(std::string_view text, const std::string& where) {
  std::vector<Row> rows;
  std::size_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    if (line.find_first_not_of(kSpaces) == std::string_view::npos) continue;
    STERNA_CHECK(add_row(line, number, where, rows));
  }
  return rows;
}

// The length of the object that `text` begins with: up to the brace that closes it, npos without one.
std::size_t object_length(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// Object by object, so that a message can name the line at which a row begins.
Result<std::vector<Row>> rows_of_json_list(std::string_view text, const std::string& where) {
  std::vector<Row> rows;
  std::size_t line = 1;
  std::size_t at = text.find('[') + 1;
  line += static_cast<std::size_t>(
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  for (bool closed = false; !closed; ++at) {
    if (at >= text.size()) return fail("{}: the JSON list has no end: the file is damaged or was cut", where);
    const char c = text[at];
    if (c == '{') {
      const std::string_view object = text.substr(at, object_length(text.substr(at)));
      STERNA_CHECK(add_row(object, line, where, rows));
      line += static_cast<std::size_t>(std::count(object.begin(), object.end(), '\n'));
      at += object.size() - 1;
    } else if (c == '\n') {
      ++line;
    } else if (c != ',' && kSpaces.find(c) == std::string_view::npos && c != ']') {
      return fail("{}:{}: a JSON object is expected, found '{}'", where, line, c);
    }
    closed = c == ']';
  }
  return rows;
}

Result<std::vector<Row>> rows_of_six_lines(std::string_view text, const std::string& where) {
  const std::vector<std::string_view> lines = lines_of(text);
  if (!runtime::tokenization::is_valid_utf8(text)) {
    return fail("{}: not UTF-8 text: give JSON lines, a JSON list or HellaSwag's text of six lines an item",
                where);
  }
  if (lines.size() % kHellaswagLines != 0) {
    return fail(
        "{}: neither JSON nor HellaSwag's text of six lines an item ({} lines): give JSON lines, a JSON list "
        "or "
        "that text",
        where, lines.size());
  }
  std::vector<Row> rows;
  rows.reserve(lines.size() / kHellaswagLines);
  for (std::size_t i = 0; i < lines.size(); i += kHellaswagLines) {
    json endings = json::array();
    for (std::size_t k = 2; k < kHellaswagLines; ++k) endings.push_back(lines[i + k]);
    rows.push_back(
        {i + 1, {{"context", lines[i]}, {"label", lines[i + 1]}, {"endings", std::move(endings)}}});
  }
  return rows;
}

// PIQA's own site keeps the answers in a second file.
Status add_piqa_labels(const std::string& path, std::vector<Row>& rows) {
  const json& first = rows.front().fields;
  if (!first.contains("goal") || !first.contains("sol1") || first.contains("label")) return {};
  const std::size_t ending = path.rfind(".jsonl");
  const std::string label_path = path.substr(0, ending) + "-labels.lst";
  if (ending == std::string::npos || !std::filesystem::exists(label_path))
    return {};  // the row says what lacks
  STERNA_TRY(const std::string text, runtime::read_text_file(label_path));
  const std::vector<std::string_view> labels = lines_of(text);
  if (labels.size() != rows.size()) {
    return fail("{}: {} labels for the {} rows of {}: fetch both files again", label_path, labels.size(),
                rows.size(), path);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].fields["label"] = labels[i];
  return {};
}

}  // namespace

Result<std::string> read_text(const std::string& path) {
  STERNA_TRY(std::string bytes, runtime::read_text_file(path, kLargestText));
  if (!path.ends_with(".bz2")) return bytes;
  std::string text;
  for (std::string_view rest = bytes; !rest.empty();) {
    Decompressor decompressor;
    STERNA_TRY(const std::size_t taken, decompressor.run(rest, text, path));
    rest.remove_prefix(taken);
  }
  return text;
}

Result<std::vector<Row>> parse_rows(std::string_view text, const std::string& where) {
  const std::size_t start = text.find_first_not_of(kSpaces);
  if (start == std::string_view::npos) return fail("{}: empty: a task needs at least one row", where);
  STERNA_TRY(std::vector<Row> rows, text[start] == '{'   ? rows_of_json_lines(text, where)
                                    : text[start] == '[' ? rows_of_json_list(text, where)
                                                         : rows_of_six_lines(text, where));
  if (rows.empty()) return fail("{}: an empty list: a task needs at least one row", where);
  return rows;
}

Result<std::vector<Row>> read_rows(const std::string& path) {
  STERNA_TRY(const std::string text, read_text(path));
  STERNA_TRY(std::vector<Row> rows, parse_rows(text, path));
  STERNA_CHECK(add_piqa_labels(path, rows));
  return rows;
}

}  // namespace sterna::eval
