// Escapes, widths and the digits of numbers.
#include "eval/report/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace sterna::eval::report {
namespace {

TEST(Text, XmlEscapesWhatWouldBecomeMarkup) {
  EXPECT_EQ(escape_xml("<script a=\"b\">'&</script>"),
            "&lt;script a=&quot;b&quot;&gt;&#39;&amp;&lt;/script&gt;");
  EXPECT_EQ(escape_xml("三値\tx\n"), "三値\tx\n");
}

TEST(Text, XmlHasNoForbiddenCharactersAndNoBrokenUtf8) {
  EXPECT_EQ(escape_xml(std::string_view("a\0b\x1B", 4)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(escape_xml("\xFF"), "\xEF\xBF\xBD");
  EXPECT_EQ(escape_xml("\xEF\xBF\xBF"), "\xEF\xBF\xBD");  // U+FFFF
}

TEST(Text, MarkdownKeepsACellInItsColumnAndATagAText) {
  EXPECT_EQ(escape_markdown("a|b\nc"), "a\\|b c");
  EXPECT_EQ(escape_markdown("<b>*x*</b>"), "\\<b\\>\\*x\\*\\</b\\>");
  EXPECT_EQ(escape_markdown("smol_2p"), "smol_2p");
  EXPECT_EQ(escape_markdown("_x_"), "\\_x\\_");
}

TEST(Text, WideCharactersTakeTwoCells) {
  EXPECT_EQ(display_width("三値モデル"), 10U);
  EXPECT_EQ(display_width("e\xCC\x81"), 1U);  // e and a combining acute accent
  EXPECT_EQ(padded("三値", 6, Align::kRight), "  三値");
  EXPECT_EQ(shortened("三値モデル", 7), "三値モ…");
  EXPECT_EQ(shortened("三値モデル", 6), "三値…");  // half a character does not fit
  EXPECT_EQ(shortened("abc", 3), "abc");
}

TEST(Text, TheErrorDecidesTheDigits) {
  EXPECT_EQ(number(Estimate{14.5234, 0.081}), "14.52 ± 0.08");
  EXPECT_EQ(number(Estimate{1.00412, 0.00213}), "1.0041 ± 0.0021");
  EXPECT_EQ(number(Estimate{431.2, 12.3}), "431 ± 12");
  EXPECT_EQ(number(Estimate{3.14159, 0}), "3.142");
  EXPECT_EQ(number(Estimate{std::numeric_limits<double>::quiet_NaN(), 1}), "n/a");
  EXPECT_EQ(number(Estimate{3.2e7, 4e5}), "3.2e+07 ± 4e+05");
  EXPECT_EQ(number(-0.0001, 2), "0.00");
  EXPECT_EQ(percent(Estimate{0.9714, 0.0021}), "97.1 ± 0.2 %");
}

TEST(Text, APValueBelowTheBorderDoesNotLookLikeTheBorder) {
  EXPECT_EQ(p_value(0.0496), "p = 0.050");
  EXPECT_EQ(p_value(0.31), "p = 0.31");
  EXPECT_EQ(p_value(0.0004), "p < 0.001");
}

TEST(Text, SizesAndCounts) {
  EXPECT_EQ(bytes(999), "999 B");
  EXPECT_EQ(bytes(1023ULL << 20U), "1.00 GiB");
  EXPECT_EQ(bytes(531ULL << 20U), "531 MiB");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

}  // namespace
}  // namespace sterna::eval::report
