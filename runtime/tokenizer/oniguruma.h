// Oniguruma's regular expressions (the Ruby syntax that Hugging Face tokenizers compile them with) in the
// words of PCRE2. The two agree on most of what tokenizers use. Translated are:
//
//   \s \w \b         Unicode's White_Space, Oniguruma's word characters
//   \h \v            a hexadecimal digit, U+000B
//   \p{Han}          the script (not the script extensions)
//   [a[bc]]          nested classes
//   [a&&[^b]]        intersections
//   [\W]             negated shorthands in a class
//   {,n}             {0,n}
//   x{2,3}+ x{2}?    repetition of the repetition (not possessive), optional repetition
//   ^ $              at every line
//   (?m:.)           dot matches newline
//   \uHHHH           U+HHHH
//
// Refused, among others, is \X: grapheme clusters differ with the version of Unicode. Not alike, and not
// worth the trouble: (?i:ss) does not match the one letter 'ß'. Source: Oniguruma's doc/RE and
// pcre2pattern(3); tests/tokenizer/differential.py compares.
#pragma once

#include <string>
#include <string_view>

#include "runtime/result.h"

namespace sterna::runtime::tokenization {

// For PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE. Errors: what has no counterpart in PCRE2, and what only PCRE2
// has.
Result<std::string> translate_oniguruma(std::string_view pattern);

}  // namespace sterna::runtime::tokenization
