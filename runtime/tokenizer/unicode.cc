#include "runtime/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cassert>
#include <vector>

namespace sterna::runtime::tokenization {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

std::uint8_t byte_at(std::string_view text, std::size_t position) {
  return static_cast<std::uint8_t>(text[position]);
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool is_one_of(utf8proc_category_t value, std::uint32_t set) { return ((set >> value) & 1U) != 0; }

constexpr std::uint32_t bit(utf8proc_category_t value) { return 1U << value; }

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t position) {
  const std::uint8_t first = byte_at(text, position);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  assert(position + length <= text.size());
  char32_t value = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) value = (value << 6U) | (byte_at(text, position + i) & 0x3FU);
  return {value, length};
}

CodePoint code_point_before(std::string_view text, std::size_t end) {
  std::size_t start = end - 1;
  while ((byte_at(text, start) & 0xC0U) == 0x80) --start;
  return code_point_at(text, start);
}

void append_utf8(std::string& out, char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  for (utf8proc_ssize_t i = 0; i < length; ++i) out += static_cast<char>(bytes[static_cast<std::size_t>(i)]);
}

void LossyUtf8::start(std::uint8_t byte, std::string& out) {
  if (byte < 0x80) {
    out += static_cast<char>(byte);
    return;
  }
  if (byte < 0xC2 || byte > 0xF4) {
    out += kReplacement;
    return;
  }
  needed_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
  // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
  lower_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
  upper_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
  pending_[0] = static_cast<char>(byte);
  size_ = 1;
}

void LossyUtf8::push(std::string_view bytes, std::string& out) {
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (needed_ == 0) {
      start(byte, out);
      continue;
    }
    if (byte < lower_ || byte > upper_) {
      needed_ = 0;
      out += kReplacement;
      start(byte, out);
      continue;
    }
    pending_[size_++] = c;
    lower_ = 0x80;
    upper_ = 0xBF;
    if (--needed_ == 0) out.append(pending_.data(), size_);
  }
}

void LossyUtf8::finish(std::string& out) {
  if (needed_ != 0) out += kReplacement;
  needed_ = 0;
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  LossyUtf8 decoder;
  decoder.push(bytes, out);
  decoder.finish(out);
  return out;
}

bool is_valid_utf8(std::string_view bytes) {
  const auto* data = reinterpret_cast<const utf8proc_uint8_t*>(bytes.data());
  std::size_t i = 0;
  while (i < bytes.size()) {
    if (data[i] < 0x80) {
      ++i;
      continue;
    }
    utf8proc_int32_t c = 0;
    const auto length = utf8proc_iterate(data + i, static_cast<utf8proc_ssize_t>(bytes.size() - i), &c);
    if (length <= 0) return false;
    i += static_cast<std::size_t>(length);
  }
  return true;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_numeric(char32_t c) {
  constexpr std::uint32_t kNumbers =
      bit(UTF8PROC_CATEGORY_ND) | bit(UTF8PROC_CATEGORY_NL) | bit(UTF8PROC_CATEGORY_NO);
  return is_one_of(category(c), kNumbers);
}

bool is_punctuation(char32_t c) {
  constexpr std::uint32_t kPunctuation = bit(UTF8PROC_CATEGORY_PC) | bit(UTF8PROC_CATEGORY_PD) |
                                         bit(UTF8PROC_CATEGORY_PS) | bit(UTF8PROC_CATEGORY_PE) |
                                         bit(UTF8PROC_CATEGORY_PI) | bit(UTF8PROC_CATEGORY_PF) |
                                         bit(UTF8PROC_CATEGORY_PO);
  constexpr std::u32string_view kAsciiSymbols = U"$+<=>^`|~";
  return is_one_of(category(c), kPunctuation) || kAsciiSymbols.find(c) != std::u32string_view::npos;
}

bool is_word(char32_t c) {
  constexpr std::uint32_t kWord =
      bit(UTF8PROC_CATEGORY_LU) | bit(UTF8PROC_CATEGORY_LL) | bit(UTF8PROC_CATEGORY_LT) |
      bit(UTF8PROC_CATEGORY_LM) | bit(UTF8PROC_CATEGORY_LO) | bit(UTF8PROC_CATEGORY_MN) |
      bit(UTF8PROC_CATEGORY_MC) | bit(UTF8PROC_CATEGORY_ME) | bit(UTF8PROC_CATEGORY_ND) |
      bit(UTF8PROC_CATEGORY_NL) | bit(UTF8PROC_CATEGORY_PC);
  // Alphabetic symbols (circled and squared letters), then the two join controls.
  return is_one_of(category(c), kWord) || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D;
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.length;
    if (c.value == 0x130) {  // the only letter whose lower case is two characters in every context
      out += "i\xCC\x87";
    } else {
      append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value))));
    }
  }
  return out;
}

namespace {

int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Canonical ordering (Unicode standard D109). utf8proc_decompose() does this by exchanging neighbours, which
// takes quadratic time on a long run of combining marks; a stable sort of every run does not.
void order_marks(std::vector<utf8proc_int32_t>& text) {
  const auto less = [](utf8proc_int32_t a, utf8proc_int32_t b) {
    return combining_class(a) < combining_class(b);
  };
  auto position = text.begin();
  while (position != text.end()) {
    if (combining_class(*position) == 0) {
      ++position;
      continue;
    }
    const auto end = std::find_if(position, text.end(), [](auto c) { return combining_class(c) == 0; });
    std::stable_sort(position, end, less);
    position = end;
  }
}

std::vector<utf8proc_int32_t> decompose(std::string_view text, bool compatible) {
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> out;
  out.reserve(text.size());
  std::array<utf8proc_int32_t, 32> buffer{};  // the longest decomposition (U+FDFA) has 18 code points
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.length;
    int last_boundary = 0;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), buffer.data(),
                                static_cast<utf8proc_ssize_t>(buffer.size()), options, &last_boundary);
    assert(count >= 0 && count <= static_cast<utf8proc_ssize_t>(buffer.size()));
    out.insert(out.end(), buffer.begin(), buffer.begin() + count);
  }
  order_marks(out);
  return out;
}

}  // namespace

std::string to_normal_form(std::string_view text, NormalForm form) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<std::uint8_t>(c) < 0x80; });
  if (ascii) return std::string(text);
  std::vector<utf8proc_int32_t> points =
      decompose(text, form == NormalForm::kNfkc || form == NormalForm::kNfkd);
  auto size = static_cast<utf8proc_ssize_t>(points.size());
  if (form == NormalForm::kNfc || form == NormalForm::kNfkc) {
    constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    size = utf8proc_normalize_utf32(points.data(), size, kOptions);
  }
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < size; ++i)
    append_utf8(out, static_cast<char32_t>(points[static_cast<std::size_t>(i)]));
  return out;
}

}  // namespace sterna::runtime::tokenization
