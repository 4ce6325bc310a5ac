// The named character sets of regular expressions, as the inside of a PCRE2 class.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sterna::runtime::tokenization {

struct CharacterSet {
  std::string body;  // what stands between [ and ]
  bool negated = false;

  [[nodiscard]] std::string expression() const { return (negated ? "[^" : "[") + body + "]"; }
};

// \s \S \w \W \d \D \h \H of Oniguruma, by their letter; `in_class`: between [ and ].
std::optional<CharacterSet> shorthand_set(char letter, bool in_class);

// \p{name}: a general category, a script, a POSIX class or a binary property. An unknown name is handed to
// PCRE2 as it is, which then rejects it.
CharacterSet property_set(std::string_view name);
CharacterSet posix_set(std::string_view name);  // [:name:]

// \b and \B for Oniguruma's word characters.
std::string word_border(bool border);

}  // namespace sterna::runtime::tokenization
