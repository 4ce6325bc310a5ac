#include "runtime/chat_template/printing.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

// A string that is paid for as it grows, so that a small value with a huge text ends early.
class Writer {
 public:
  explicit Writer(Budget& budget) : budget_(budget) {}

  Status put(std::string_view piece) {
    STERNA_CHECK(budget_.spend_growth(bytes_.size(), bytes_.size() + piece.size()));
    bytes_.append(piece);
    return {};
  }
  // A string value of the template, in the form `printed`.
  Status put(const Text& source, std::string_view printed) {
    untrusted_ = untrusted_ || source.any_untrusted();
    return put(printed);
  }
  Budget& budget() { return budget_; }
  Text take() { return Text(std::move(bytes_), untrusted_); }

 private:
  Budget& budget_;
  std::string bytes_;
  bool untrusted_ = false;
};

void append_repr_code_point(std::string& out, char32_t c, char quote) {
  switch (c) {
    case U'\\':
      out += "\\\\";
      return;
    case U'\n':
      out += "\\n";
      return;
    case U'\r':
      out += "\\r";
      return;
    case U'\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c == static_cast<char32_t>(quote)) {
    out += '\\';
    out += quote;
  } else if (is_printable(c)) {
    append_utf8(out, c);
  } else {
    const auto number = static_cast<std::uint32_t>(c);
    out += c < 0x100 ? fmt::format("\\x{:02x}", number)
                     : (c < 0x10000 ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number));
  }
}

std::string string_repr(std::string_view text) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) append_repr_code_point(out, decode(text, at), quote);
  out += quote;
  return out;
}

// The bare text of a scalar; nothing for strings and containers.
std::optional<std::string> scalar_text(const Value& value) {
  if (value.is_none()) return "None";
  if (const bool* b = value.boolean()) return *b ? "True" : "False";
  if (const std::int64_t* i = value.plain_integer()) return std::to_string(*i);
  if (const double* d = value.floating()) return float_repr(*d);
  return std::nullopt;
}

Status write_repr(Writer& out, const Value& value, std::size_t level);

Status write_items(Writer& out, const std::vector<Value>& items, std::size_t level) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) STERNA_CHECK(out.put(", "));
    STERNA_CHECK(write_repr(out, items[i], level));
  }
  return {};
}

Status write_sequence(Writer& out, const Sequence& sequence, std::size_t level) {
  STERNA_CHECK(out.put(sequence.tuple ? "(" : "["));
  STERNA_CHECK(write_items(out, sequence.items, level));
  if (sequence.tuple && sequence.items.size() == 1) STERNA_CHECK(out.put(","));
  return out.put(sequence.tuple ? ")" : "]");
}

Status write_mapping(Writer& out, const Mapping& mapping, std::size_t level) {
  STERNA_CHECK(out.put("{"));
  for (std::size_t i = 0; i < mapping.entries.size(); ++i) {
    if (i > 0) STERNA_CHECK(out.put(", "));
    STERNA_CHECK(write_repr(out, mapping.entries[i].first, level));
    STERNA_CHECK(out.put(": "));
    STERNA_CHECK(write_repr(out, mapping.entries[i].second, level));
  }
  return out.put("}");
}

Status write_view(Writer& out, const Value& value, std::size_t level) {
  const auto* view = value.object_as<View>();
  STERNA_CHECK(out.put(type_name(value)));
  STERNA_CHECK(out.put("(["));
  STERNA_TRY(const std::vector<Value> items, view_items(out.budget(), *view));
  STERNA_CHECK(write_items(out, items, level));
  return out.put("])");
}

Status write_namespace(Writer& out, const Namespace& space, std::size_t level) {
  STERNA_CHECK(out.put("<Namespace {"));
  for (std::size_t i = 0; i < space.attributes.size(); ++i) {
    if (i > 0) STERNA_CHECK(out.put(", "));
    STERNA_CHECK(out.put(space.attributes[i].first, string_repr(space.attributes[i].first.view())));
    STERNA_CHECK(out.put(": "));
    STERNA_CHECK(write_repr(out, space.attributes[i].second, level));
  }
  return out.put("}>");
}

Status write_object(Writer& out, const Value& value, std::size_t level) {
  if (const auto* range = value.object_as<Range>()) {
    if (range->step == 1) return out.put(fmt::format("range({}, {})", range->start, range->stop));
    return out.put(fmt::format("range({}, {}, {})", range->start, range->stop, range->step));
  }
  if (value.object_as<View>() != nullptr) return write_view(out, value, level);
  if (const auto* space = value.object_as<Namespace>()) return write_namespace(out, *space, level);
  return out.put(fmt::format("<{} object>", type_name(value)));
}

Status write_repr(Writer& out, const Value& value, std::size_t level) {
  STERNA_CHECK(out.budget().spend(1));
  STERNA_CHECK(out.budget().check_depth(level));  // namespaces can contain themselves
  if (const auto scalar = scalar_text(value)) return out.put(*scalar);
  if (value.is_undefined()) return out.put("Undefined");
  if (const Text* text = value.text()) return out.put(*text, string_repr(text->view()));
  if (const Sequence* sequence = value.sequence()) return write_sequence(out, *sequence, level + 1);
  if (const Mapping* mapping = value.mapping()) return write_mapping(out, *mapping, level + 1);
  return write_object(out, value, level + 1);
}

// ---- JSON ----

void append_json_code_point(std::string& out, char32_t c, bool ascii) {
  switch (c) {
    case U'"':
      out += "\\\"";
      return;
    case U'\\':
      out += "\\\\";
      return;
    case U'\n':
      out += "\\n";
      return;
    case U'\r':
      out += "\\r";
      return;
    case U'\t':
      out += "\\t";
      return;
    case U'\f':
      out += "\\f";
      return;
    case U'\b':
      out += "\\b";
      return;
    default:
      break;
  }
  const auto number = static_cast<std::uint32_t>(c);
  if (c >= 0x10000 && ascii) {
    const std::uint32_t offset = number - 0x10000;
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10U), 0xDC00 + (offset & 0x3FFU));
  } else if (c < 0x20 || (ascii && c > 0x7E)) {
    out += fmt::format("\\u{:04x}", number);
  } else {
    append_utf8(out, c);
  }
}

std::string json_string(std::string_view text, bool ascii) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) append_json_code_point(out, decode(text, at), ascii);
  out += '"';
  return out;
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_repr(value);
}

class JsonWriter {
 public:
  JsonWriter(Budget& budget, const JsonStyle& style) : out_(budget), style_(style) {}

  Status write(const Value& value, std::size_t level) {
    STERNA_CHECK(out_.budget().spend(1));
    if (const Text* text = value.text()) return out_.put(*text, json_string(text->view(), style_.ascii));
    if (const auto scalar = json_scalar(value)) return out_.put(*scalar);
    if (const Sequence* sequence = value.sequence()) return write_list(*sequence, level + 1);
    if (const Mapping* mapping = value.mapping()) return write_object(*mapping, level + 1);
    return fail("a value of type {} cannot be written as JSON", type_name(value));
  }
  Text take() { return out_.take(); }

 private:
  static std::optional<std::string> json_scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const bool* b = value.boolean()) return *b ? "true" : "false";
    if (const double* d = value.floating()) return json_float(*d);
    if (const std::int64_t* i = value.plain_integer()) return std::to_string(*i);
    return std::nullopt;
  }

  Status separate(bool first, std::size_t level) {
    if (!first) STERNA_CHECK(out_.put(style_.item_separator, style_.item_separator.view()));
    return style_.pretty ? new_line(level) : Status();
  }
  Status new_line(std::size_t level) {
    STERNA_CHECK(out_.put("\n"));
    for (std::size_t i = 0; i < level; ++i) STERNA_CHECK(out_.put(style_.indent, style_.indent.view()));
    return {};
  }

  Status write_list(const Sequence& sequence, std::size_t level) {
    if (sequence.items.empty()) return out_.put("[]");
    STERNA_CHECK(out_.put("["));
    for (std::size_t i = 0; i < sequence.items.size(); ++i) {
      STERNA_CHECK(separate(i == 0, level));
      STERNA_CHECK(write(sequence.items[i], level));
    }
    if (style_.pretty) STERNA_CHECK(new_line(level - 1));
    return out_.put("]");
  }

  Status write_object(const Mapping& mapping, std::size_t level) {
    if (mapping.entries.empty()) return out_.put("{}");
    std::vector<Keyed> entries;
    for (const auto& [key, value] : mapping.entries) entries.push_back({key, value});
    if (style_.sort_keys) STERNA_CHECK(stable_sort(out_.budget(), entries, false));
    STERNA_CHECK(out_.put("{"));
    for (std::size_t i = 0; i < entries.size(); ++i) {
      STERNA_CHECK(separate(i == 0, level));
      STERNA_CHECK(write_key(entries[i].key));
      STERNA_CHECK(out_.put(style_.key_separator, style_.key_separator.view()));
      STERNA_CHECK(write(entries[i].item, level));
    }
    if (style_.pretty) STERNA_CHECK(new_line(level - 1));
    return out_.put("}");
  }

  Status write_key(const Value& key) {
    if (const Text* text = key.text()) return out_.put(*text, json_string(text->view(), style_.ascii));
    const auto scalar = json_scalar(key);
    if (!scalar) return fail("a {} cannot be a key in JSON", type_name(key));
    return out_.put(json_string(*scalar, style_.ascii));
  }

  Writer out_;
  const JsonStyle& style_;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  const double magnitude = std::fabs(value);
  // Python writes an exponent from 1e16 on and below 1e-4.
  const bool fixed = value == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  std::array<char, 64> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          fixed ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer.data(), end);
  if (fixed && text.find('.') == std::string::npos) text += ".0";
  return text;
}

Result<Text> to_text(Budget& budget, const Value& value) {
  if (const Text* text = value.text()) {
    STERNA_CHECK(budget.spend_bytes(text->cost()));
    return *text;
  }
  if (value.is_undefined()) return Text();
  return to_repr(budget, value);
}

Result<Text> to_repr(Budget& budget, const Value& value) {
  Writer out(budget);
  STERNA_CHECK(write_repr(out, value, 1));
  return out.take();
}

Result<Text> to_json(Budget& budget, const Value& value, const JsonStyle& style) {
  JsonWriter writer(budget, style);
  STERNA_CHECK(writer.write(value, 0));
  return writer.take();
}

}  // namespace sterna::runtime::jinja
