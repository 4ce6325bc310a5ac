#include "eval/suite.h"

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <utility>

#include "convert/json.h"
#include "eval/builtin.h"
#include "eval/tasks/rows.h"
#include "eval/text/windows.h"
#include "runtime/file.h"

namespace sterna::eval {
namespace {

using nlohmann::json;

// 16 windows of English, 8 of Japanese, 60 items, a dozen answers: minutes for a small model.
constexpr const char* kQuick = R"json({
  "texts": [
    {"file": "builtin:english.txt", "name": "WikiText-2 excerpt", "max_windows": 16},
    {"file": "builtin:japanese.txt", "name": "Japanese novel, excerpt", "max_windows": 8}],
  "tasks": [{"file": "builtin:hellaswag.txt", "name": "HellaSwag, 60 items"}],
  "generation": {"prompts_file": "builtin:prompts.txt", "limit": 96}
})json";

constexpr const char* kFull = R"json({
  "texts": [
    {"file": "wiki.test.raw", "name": "WikiText-2 test"},
    {"file": "tinystories_train_first1000.txt", "name": "TinyStories", "max_windows": 100},
    {"file": "wagahaiwa_nekodearu.txt", "name": "Japanese novel", "max_windows": 100}],
  "tasks": [
    {"file": "hellaswag_val_full.txt.bz2", "name": "HellaSwag", "limit": 1000},
    {"file": "piqa_valid.jsonl", "name": "PIQA"},
    {"file": "ARC-Easy.test.json", "name": "ARC-Easy", "limit": 1000}],
  "generation": {"prompts_file": "builtin:prompts.txt", "limit": 256, "sampled": true},
  "needle": {"lengths": [512, 1024, 2048]}
})json";

// Reads the fields of one object, and remembers which of them it knows.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  template <class T>
  Status read(const char* key, T& out) {
    known_.emplace_back(key);
    const auto found = object_.find(key);
    if (found == object_.end()) return {};
    if (!fits(*found, out))
      return fail("{}: field '{}' is {}, not {}", where_, key, found->dump(), wanted(out));
    out = found->get<T>();
    return {};
  }

  // Anything else is a misspelling.
  [[nodiscard]] Status nothing_else() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        return fail("{}: field '{}' is unknown; known are: {}", where_, key, fmt::join(known_, ", "));
      }
    }
    return {};
  }

 private:
  static bool fits(const json& value, const std::string&) { return value.is_string(); }
  static bool fits(const json& value, const bool&) { return value.is_boolean(); }
  static bool fits(const json& value, const std::size_t&) { return value.is_number_unsigned(); }
  static bool fits(const json& value, const float&) { return value.is_number(); }
  template <class T>
  static bool fits(const json& value, const std::vector<T>&) {
    return value.is_array() &&
           std::all_of(value.begin(), value.end(), [](const json& each) { return fits(each, T()); });
  }
  static bool fits(const json& value, const double&) { return value.is_number(); }
  static const char* wanted(const std::string&) { return "a text"; }
  static const char* wanted(const bool&) { return "true or false"; }
  static const char* wanted(const std::size_t&) { return "a whole number that is not negative"; }
  static const char* wanted(const float&) { return "a number"; }
  static const char* wanted(const std::vector<std::string>&) { return "a list of texts"; }
  static const char* wanted(const std::vector<std::size_t>&) { return "a list of whole numbers"; }
  static const char* wanted(const std::vector<double>&) { return "a list of numbers"; }

  const json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

// A suite in the making: where its files are, and whether one may be missing.
struct Source {
  std::string where;  // for messages
  std::filesystem::path folder;
  bool may_lack = false;
  Suite suite;

  [[nodiscard]] std::string path(const std::string& file) const {
    return builtin_text(file) ? file : (folder / file).string();
  }
  // Is the file there? Else a note is made, where files may be missing.
  bool has(const std::string& file, const std::string& name) {
    std::error_code ignored;
    if (!may_lack || builtin_text(file) || std::filesystem::exists(folder / file, ignored)) return true;
    suite.notes.push_back(fmt::format("{} is left out: there is no {} in {}", name, file, folder.string()));
    return false;
  }
};

Status check_protocol(const std::string& name, const std::string& where) {
  if (std::find(std::begin(kProtocols), std::end(kProtocols), name) != std::end(kProtocols)) return {};
  return fail("{}: protocol '{}' is unknown; it may be: {}", where, name, fmt::join(kProtocols, ", "));
}

Status add_text(const json& object, const std::string& where, Source& s) {
  TextSpec spec;
  spec.protocol = {"second-half", 512, 0, false};
  std::string file;
  Fields fields(object, where);
  STERNA_CHECK(fields.read("file", file));
  if (file.empty()) return fail("{}: field 'file' is missing", where);
  spec.name = std::filesystem::path(file).filename().string();
  STERNA_CHECK(fields.read("name", spec.name));
  STERNA_CHECK(fields.read("protocol", spec.protocol.name));
  STERNA_CHECK(fields.read("window", spec.protocol.window));
  spec.protocol.stride = spec.protocol.name == "strided" ? spec.protocol.window / 2 : 0;
  STERNA_CHECK(fields.read("stride", spec.protocol.stride));
  STERNA_CHECK(fields.read("max_windows", spec.max_windows));
  STERNA_CHECK(fields.read("parse_special", spec.parse_special));
  STERNA_CHECK(fields.read("seen", spec.seen));
  bool bos = false;
  STERNA_CHECK(fields.read("bos", bos));
  if (object.contains("bos")) spec.bos = bos;
  STERNA_CHECK(fields.nothing_else());
  STERNA_CHECK(check_protocol(spec.protocol.name, where));
  if (!s.has(file, spec.name)) return {};
  STERNA_TRY(spec, load_text(std::move(spec), s.path(file)));
  s.suite.texts.push_back(std::move(spec));
  return {};
}

Status add_task(const json& object, const std::string& where, Source& s) {
  TaskSpec spec;
  Fields fields(object, where);
  STERNA_CHECK(fields.read("file", spec.file));
  if (spec.file.empty()) return fail("{}: field 'file' is missing", where);
  STERNA_CHECK(fields.read("name", spec.name));
  STERNA_CHECK(fields.read("format", spec.format));
  STERNA_CHECK(fields.read("limit", spec.limit));
  STERNA_CHECK(fields.read("shots", spec.shots));
  STERNA_CHECK(fields.read("shots_file", spec.shots_file));
  STERNA_CHECK(fields.nothing_else());
  if (!s.has(spec.file, spec.name.empty() ? spec.file : spec.name)) return {};
  spec.file = s.path(spec.file);
  if (!spec.shots_file.empty()) spec.shots_file = s.path(spec.shots_file);
  s.suite.tasks.push_back(std::move(spec));
  return {};
}

Status add_generation(const json& object, const std::string& where, Source& s) {
  GenerationSpec greedy{.name = "greedy", .prompts = {}, .limit = 128, .sampling = {.temperature = 0}};
  std::string file;
  bool sampled = false;
  runtime::SamplingOptions sampling{.seed = 1};
  Fields fields(object, where);
  STERNA_CHECK(fields.read("prompts", greedy.prompts));
  STERNA_CHECK(fields.read("prompts_file", file));
  STERNA_CHECK(fields.read("limit", greedy.limit));
  STERNA_CHECK(fields.read("sampled", sampled));
  STERNA_CHECK(fields.read("temperature", sampling.temperature));
  STERNA_CHECK(fields.nothing_else());
  if (!file.empty()) {
    STERNA_TRY(const std::string content, read_text(s.path(file)));
    std::istringstream lines(content);
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) greedy.prompts.push_back(line);
    }
  }
  if (greedy.prompts.empty())
    return fail("{}: there are no prompts; give 'prompts' or 'prompts_file'", where);
  if (greedy.limit == 0) return fail("{}: field 'limit' is 0; an answer needs tokens", where);
  GenerationSpec other = greedy;
  other.name = "sampled";
  other.sampling = sampling;
  s.suite.generations.push_back(std::move(greedy));
  if (sampled) s.suite.generations.push_back(std::move(other));
  return {};
}

Status add_needle(const json& object, const std::string& where, Source& s) {
  NeedleSpec spec;
  Fields fields(object, where);
  STERNA_CHECK(fields.read("lengths", spec.lengths));
  STERNA_CHECK(fields.read("depths", spec.depths));
  STERNA_CHECK(fields.read("trials", spec.trials));
  STERNA_CHECK(fields.nothing_else());
  for (const std::size_t length : spec.lengths) {
    if (length < 128) return fail("{}: a length of {} tokens is too short; use at least 128", where, length);
  }
  for (const double depth : spec.depths) {
    if (!(depth >= 0 && depth <= 1)) return fail("{}: a depth of {} is not in 0..1", where, depth);
  }
  s.suite.needle = std::move(spec);
  return {};
}

// Every object of a list.
template <class Add>
Status add_each(const json& root, const char* key, Source& s, const Add& add) {
  const auto list = root.find(key);
  if (list == root.end()) return {};
  if (!list->is_array()) return fail("{}: field '{}' is not a list", s.where, key);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = fmt::format("{}: {}[{}]", s.where, key, i);
    if (!(*list)[i].is_object()) return fail("{}: is not an object", where);
    STERNA_CHECK(add((*list)[i], where, s));
  }
  return {};
}

template <class Add>
Status add_object(const json& root, const char* key, Source& s, const Add& add) {
  const auto object = root.find(key);
  if (object == root.end()) return {};
  const std::string where = fmt::format("{}: {}", s.where, key);
  if (!object->is_object()) return fail("{}: is not an object", where);
  return add(*object, where, s);
}

Result<Suite> parse_suite(const std::string& text, Source source) {
  STERNA_TRY(const json root, convert::parse_json_object(text, source.where));
  for (const auto& [key, value] : root.items()) {
    const auto known = {"name", "texts", "tasks", "generation", "needle"};
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return fail("{}: field '{}' is unknown; known are: {}", source.where, key, fmt::join(known, ", "));
    }
  }
  if (root.contains("name") && root["name"].is_string()) source.suite.name = root["name"].get<std::string>();
  STERNA_CHECK(add_each(root, "texts", source, add_text));
  STERNA_CHECK(add_each(root, "tasks", source, add_task));
  STERNA_CHECK(add_object(root, "generation", source, add_generation));
  STERNA_CHECK(add_object(root, "needle", source, add_needle));
  const Suite& suite = source.suite;
  if (suite.texts.empty() && suite.tasks.empty() && suite.generations.empty() && !suite.needle) {
    return fail("{}: there is nothing to measure; give texts, tasks, generation or needle", source.where);
  }
  return std::move(source.suite);
}

}  // namespace

Result<TextSpec> load_text(TextSpec spec, const std::string& file) {
  auto content = read_text(file);
  if (!content) return content.error();
  spec.content = *std::move(content);
  if (spec.content.empty()) return fail("{}: the text is empty", file);
  return spec;
}

Result<Suite> load_suite(const std::string& name_or_file, const std::string& data) {
  Source source{.where = name_or_file, .folder = data, .may_lack = false, .suite = {}};
  source.suite.name = name_or_file;
  if (name_or_file == "quick") return parse_suite(kQuick, std::move(source));
  if (name_or_file == "full") {
    if (data.empty()) {
      return fail(
          "--suite full needs --data DIR: a folder with wiki.test.raw, hellaswag_val_full.txt.bz2 and the "
          "other files of docs/evaluation.md");
    }
    if (!std::filesystem::is_directory(data)) return fail("{}: there is no such folder (--data)", data);
    source.may_lack = true;
    return parse_suite(kFull, std::move(source));
  }
  if (!std::filesystem::exists(name_or_file)) {
    return fail("{}: no such suite; use quick, full or the path of a JSON file", name_or_file);
  }
  STERNA_TRY(const std::string text, runtime::read_text_file(name_or_file));
  source.folder =
      data.empty() ? std::filesystem::path(name_or_file).parent_path() : std::filesystem::path(data);
  return parse_suite(text, std::move(source));
}

std::size_t longest_context(const Suite& suite) {
  std::size_t longest = 0;
  for (const TextSpec& text : suite.texts) longest = std::max(longest, text.protocol.window);
  // A prompt is a few dozen tokens; one that is longer leaves less room for its answer.
  for (const GenerationSpec& g : suite.generations) longest = std::max(longest, g.limit + 512);
  if (suite.needle) {
    for (const std::size_t length : suite.needle->lengths) longest = std::max(longest, length);
  }
  // Questions are rarely longer; with solved examples before them they may be.
  for (const TaskSpec& task : suite.tasks)
    longest = std::max<std::size_t>(longest, task.shots == 0 ? 1024 : 4096);
  return longest;
}

}  // namespace sterna::eval
