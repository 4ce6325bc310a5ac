#include "runtime/chat_template/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "runtime/chat_template/interpreter.h"
#include "runtime/chat_template/parser.h"
#include "runtime/chat_template/scopes.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime {
namespace {

using Json = nlohmann::ordered_json;
using jinja::NamedValues;
using jinja::Text;
using jinja::Value;

constexpr std::size_t kMostSourceBytes = std::size_t{1} << 20U;

// An error is one line, whatever characters of the template it quotes.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; },
      ' ');
  return text;
}

bool is_token_variable(std::string_view name) {
  return name.ends_with("_token") || name.ends_with("_tokens");
}

bool is_known_role(std::string_view role) {
  constexpr auto kRoles = std::to_array<std::string_view>(
      {"system", "developer", "user", "assistant", "tool", "function", "ipython"});
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

// JSON to values of the template language, with the origin of every string.
class ContextReader {
 public:
  ContextReader(jinja::Budget& budget, std::string_view where) : budget_(budget), where_(where) {}

  Result<NamedValues> read(const Json& context) {
    if (!context.is_object()) return fail("chat template ({}): the variables must be a JSON object", where_);
    NamedValues values;
    for (const auto& [name, value] : context.items()) {
      trusted_ = is_token_variable(name);
      path_ = name;
      STERNA_TRY(Value converted,
                 name == "messages" && value.is_array() ? messages(value) : convert(value, 1));
      values.emplace_back(name, std::move(converted));
    }
    return values;
  }

 private:
  Error error(std::string_view problem) const {
    return Error{one_line(fmt::format("chat template ({}): the variable {} {}", where_, path_, problem))};
  }

  Result<Value> messages(const Json& array) {
    std::vector<Value> items;
    for (const Json& message : array) {
      const std::size_t before = path_.size();
      path_ += fmt::format("[{}]", items.size());
      STERNA_TRY(Value item, message.is_object() ? object(message, 2, true) : convert(message, 2));
      items.push_back(std::move(item));
      path_.resize(before);
    }
    return make_list(budget_, std::move(items));
  }

  Result<Text> text(const std::string& bytes, bool trusted) const {
    const std::size_t offset = jinja::invalid_utf8_offset(bytes);
    if (offset != std::string_view::npos) return error(fmt::format("is not valid UTF-8 at byte {}", offset));
    return Text(bytes, !trusted);
  }

  Result<Value> convert(const Json& json, std::size_t level) {
    if (!budget_.check_depth(level)) return error("is nested too deeply");
    switch (json.type()) {
      case Json::value_t::null:
        return Value(jinja::None{});
      case Json::value_t::boolean:
        return Value(json.get<bool>());
      case Json::value_t::number_integer:
        return Value(json.get<std::int64_t>());
      case Json::value_t::number_unsigned:
        return unsigned_integer(json.get<std::uint64_t>());
      case Json::value_t::number_float:
        return Value(json.get<double>());
      case Json::value_t::string: {
        STERNA_TRY(Text converted, text(json.get_ref<const std::string&>(), trusted_));
        return Value(std::move(converted));
      }
      case Json::value_t::array:
        return array(json, level);
      case Json::value_t::object:
        return object(json, level, false);
      default:
        return error("is not JSON");
    }
  }

  // Beyond 64 bits signed, the value is kept as a float.
  static Value unsigned_integer(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return Value(static_cast<double>(value));
    return Value(static_cast<std::int64_t>(value));
  }

  Result<Value> array(const Json& json, std::size_t level) {
    std::vector<Value> items;
    items.reserve(json.size());
    for (const Json& element : json) {
      const std::size_t before = path_.size();
      path_ += fmt::format("[{}]", items.size());
      STERNA_TRY(Value item, convert(element, level + 1));
      items.push_back(std::move(item));
      path_.resize(before);
    }
    return make_list(budget_, std::move(items));
  }

  Result<Value> object(const Json& json, std::size_t level, bool is_message) {
    auto mapping = std::make_shared<jinja::Mapping>();
    for (const auto& [key, element] : json.items()) {
      const std::size_t before = path_.size();
      path_ += "." + key;
      STERNA_TRY(Text name, text(key, trusted_));
      STERNA_TRY(Value value, convert(element, level + 1));
      if (is_message && key == "role" && value.text() != nullptr && is_known_role(value.text()->view())) {
        value = Value::string(value.text()->view());
      }
      mapping->depth = std::max(mapping->depth, 1 + depth_of(value));
      mapping->entries.emplace_back(Value(std::move(name)), std::move(value));
      path_.resize(before);
    }
    return Value(Value::MappingPtr(std::move(mapping)));
  }

  jinja::Budget& budget_;
  std::string_view where_;
  std::string path_;
  bool trusted_ = false;
};

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm result{};
  localtime_r(&now, &result);
  return result;
}

}  // namespace

struct ChatTemplate::State {
  jinja::Program program;
  std::string where;
  TemplateLimits limits;

  [[nodiscard]] Error error(int line, std::string_view message) const {
    const std::string place = line > 0 ? fmt::format(", line {}", line) : std::string();
    return Error{one_line(fmt::format("chat template ({}){}: {}", where, place, message))};
  }

  [[nodiscard]] Result<Text> render(const Json& context) const {
    jinja::Environment env{jinja::Budget(limits.steps, limits.output_bytes, limits.depth),
                           limits.clock ? limits.clock : local_time,
                           {},
                           false};
    STERNA_TRY(const NamedValues values, ContextReader(env.budget, where).read(context));
    jinja::Interpreter interpreter(env, values, (jinja::kTreeLevelsPerDepth + 1) * limits.depth);
    Result<Text> text = interpreter.run(program);
    if (text || env.raised) return text;
    return error(interpreter.error_line(), text.error().message);
  }
};

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string_view where, TemplateLimits limits) {
  auto state = std::make_shared<State>();
  state->where = std::string(where);
  state->limits = std::move(limits);
  state->program.source = std::move(source);
  const std::string& text = state->program.source;
  if (text.size() > kMostSourceBytes)
    return state->error(0, fmt::format("{} bytes of source, the limit is {}", text.size(), kMostSourceBytes));
  const std::size_t invalid = jinja::invalid_utf8_offset(text);
  if (invalid != std::string_view::npos)
    return state->error(0, fmt::format("not valid UTF-8 at byte {}", invalid));
  jinja::SyntaxError syntax{0, {}};
  const bool parsed = parse_template(text, state->limits.depth, state->program.body, syntax) &&
                      analyse_scopes(state->program, syntax);
  if (!parsed) return state->error(syntax.line, syntax.message);
  return ChatTemplate(std::move(state));
}

Result<std::string> ChatTemplate::render(const Json& context) const {
  STERNA_TRY(const Text text, state_->render(context));
  return text.bytes();
}

Result<std::vector<ChatTemplate::Segment>> ChatTemplate::render_segments(const Json& context) const {
  STERNA_TRY(const Text text, state_->render(context));
  std::vector<Segment> segments;
  std::size_t done = 0;
  const auto add = [&](std::size_t end, bool from_template) {
    if (end > done) segments.push_back({text.bytes().substr(done, end - done), from_template});
    done = end;
  };
  for (const jinja::ByteRange& range : text.untrusted_ranges()) {
    add(range.begin, true);
    add(range.end, false);
  }
  add(text.size(), true);
  return segments;
}

const std::string& ChatTemplate::source() const { return state_->program.source; }

nlohmann::ordered_json to_json(const std::vector<ChatMessage>& messages) {
  Json array = Json::array();
  for (const ChatMessage& message : messages) {
    Json object = Json::object();
    object["role"] = message.role;
    object["content"] = message.content;
    array.push_back(std::move(object));
  }
  return array;
}

}  // namespace sterna::runtime
