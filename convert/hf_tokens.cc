#include "convert/hf_tokens.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "convert/hf_fields.h"
#include "convert/json.h"

namespace sterna::convert {
namespace {

using nlohmann::json;
using AddedTokens = std::map<std::string, std::int32_t, std::less<>>;

// What chat templates write at the end of a turn or of the text. One of these stops generation when the
// vocabulary has it as an added token and this model's template writes it: several models name only one of
// their two markers as eos.
constexpr const char* kEndMarkers[] = {"<|eot_id|>",    "<|im_end|>", "<|end|>",    "<end_of_turn>",
                                       "<|endoftext|>", "</s>",       "<|eom_id|>", "<|return|>"};

bool is_id(const json& value) {
  return value.is_number_unsigned() &&
         value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
}

void add_unique(std::vector<std::int32_t>& ids, std::int32_t id) {
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

// An id or a list of ids; absent, null and the old spelling -1 mean none.
Status read_ids(const Fields& fields, const char* name, std::vector<std::int32_t>& ids) {
  const json* field = fields.find(name);
  if (field == nullptr) return {};
  const json list = field->is_array() ? *field : json::array({*field});
  for (const json& item : list) {
    if (item == -1) continue;
    if (!is_id(item)) return fail("{} holds something that is not a token id", fields.where(name));
    add_unique(ids, item.get<std::int32_t>());
  }
  return {};
}

// "bos_token": a string, or an object with the string as its "content".
Result<std::string> read_token_text(const Fields& fields, const char* name) {
  const json* field = fields.find(name);
  if (field == nullptr) return std::string();
  if (field->is_object()) {
    const auto content = field->find("content");
    if (content != field->end() && content->is_string()) return content->get<std::string>();
  }
  if (!field->is_string()) return fail("{} is not the text of a token", fields.where(name));
  return field->get<std::string>();
}

// tokenizer.json may have 20 MB of merges: only its added tokens are kept.
Status read_added_tokens(const std::string& text, const std::string& path, AddedTokens& tokens) {
  if (text.empty()) return {};
  const auto filter = [](int depth, json::parse_event_t event, json& parsed) {
    return depth != 1 || event != json::parse_event_t::key || parsed == "added_tokens";
  };
  const json root = json::parse(text, filter, /*allow_exceptions=*/false);
  if (!root.is_object()) return fail("{}: not valid JSON: the file is damaged or incomplete", path);
  const auto list = root.find("added_tokens");
  if (list == root.end() || list->is_null()) return {};
  if (!list->is_array()) return fail("{}: field 'added_tokens' is not a list", path);
  for (const json& token : *list) {
    const auto id = token.is_object() ? token.find("id") : token.end();
    const auto content = token.is_object() ? token.find("content") : token.end();
    if (id == token.end() || content == token.end() || !is_id(*id) || !content->is_string()) {
      return fail("{}: field 'added_tokens' holds something that is not a token", path);
    }
    tokens.emplace(content->get<std::string>(), id->get<std::int32_t>());
  }
  return {};
}

// A string, or a list of named templates of which "default" is for chat.
Result<std::string> read_template(const Fields& fields) {
  const json* field = fields.find("chat_template");
  if (field == nullptr) return std::string();
  if (field->is_string()) return field->get<std::string>();
  if (!field->is_array()) return fail("{} is neither a string nor a list", fields.where("chat_template"));
  for (const json& item : *field) {
    if (!item.is_object())
      return fail("{} holds something that is not an object", fields.where("chat_template"));
    const Fields entry(item, fields.path(), "chat_template.");
    STERNA_TRY(const auto name, entry.text("name"));
    STERNA_TRY(auto text, entry.text("template"));
    if (name == "default" && text) return *std::move(text);
  }
  return std::string();
}

Status parse_tokenizer_config(const HfTexts& texts, const std::string& path, HfModel& model) {
  model.chat_template = texts.chat_template;
  if (texts.tokenizer_config.empty()) return {};
  STERNA_TRY(const json root, parse_json_object(texts.tokenizer_config, path));
  const Fields fields(root, path);
  if (model.chat_template.empty()) {
    STERNA_TRY(model.chat_template, read_template(fields));
  }
  STERNA_TRY(model.bos_token, read_token_text(fields, "bos_token"));
  STERNA_TRY(model.eos_token, read_token_text(fields, "eos_token"));
  STERNA_TRY(model.add_bos, fields.boolean("add_bos_token"));
  STERNA_TRY(model.add_eos, fields.boolean("add_eos_token"));
  return {};
}

void add_text_stops(const AddedTokens& tokens, HfModel& model) {
  const auto add = [&](std::string_view text) {
    const auto found = tokens.find(text);
    // An id behind the last row of the embedding cannot be generated.
    if (found != tokens.end() && static_cast<std::uint32_t>(found->second) < model.config.vocab) {
      add_unique(model.config.stop_tokens, found->second);
    }
  };
  add(model.eos_token);
  for (const char* marker : kEndMarkers) {
    if (model.chat_template.find(marker) != std::string::npos) add(marker);
  }
}

}  // namespace

Status parse_tokens(const HfTexts& texts, const json& config, HfModel& model) {
  const std::string directory = texts.directory + "/";
  STERNA_CHECK(parse_tokenizer_config(texts, directory + "tokenizer_config.json", model));
  AddedTokens tokens;
  STERNA_CHECK(read_added_tokens(texts.tokenizer, directory + "tokenizer.json", tokens));

  json generation = json::object();
  if (!texts.generation_config.empty()) {
    STERNA_TRY(generation, parse_json_object(texts.generation_config, directory + "generation_config.json"));
  }
  const Fields first(config, directory + "config.json");
  const Fields second(generation, directory + "generation_config.json");
  std::vector<std::int32_t> bos;
  for (const Fields* fields : {&first, &second}) {
    STERNA_CHECK(read_ids(*fields, "bos_token_id", bos));
    STERNA_CHECK(read_ids(*fields, "eos_token_id", model.config.stop_tokens));
  }
  add_text_stops(tokens, model);
  if (!bos.empty()) {
    model.config.bos = bos.front();
  } else if (const auto found = tokens.find(model.bos_token);
             found != tokens.end() && static_cast<std::uint32_t>(found->second) < model.config.vocab) {
    model.config.bos = found->second;
  }
  return {};
}

}  // namespace sterna::convert
