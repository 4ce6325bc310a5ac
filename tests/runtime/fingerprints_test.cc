// Recognising a text that a model was calibrated on.
#include "runtime/fingerprints.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace sterna::runtime {
namespace {

// `count` different sentences.
std::string sentences(std::size_t first, std::size_t count) {
  std::string text;
  for (std::size_t i = first; i < first + count; ++i) {
    text += fmt::format("The number of this sentence is {}, and it says nothing else. ", i * 7919);
  }
  return text;
}

double share(const std::string& seen, const std::string& text) {
  const std::string_view views[] = {seen};
  return share_known(text, fingerprints(views));
}

TEST(Fingerprints, KnowTheTextThemselves) {
  EXPECT_EQ(share(sentences(0, 100), sentences(0, 100)), 1.0);
  EXPECT_EQ(share(sentences(0, 100), sentences(100, 100)), 0.0);
  EXPECT_DOUBLE_EQ(share(sentences(0, 100), sentences(75, 100)), 0.25);
}

TEST(Fingerprints, DoNotDependOnLineBreaksAndSpaces) {
  std::string text = sentences(0, 50);
  std::string broken;
  for (const char c : text) broken += c == ' ' ? "  " : std::string(1, c);
  EXPECT_EQ(share(text, broken), 1.0);
}

TEST(Fingerprints, JapaneseSentencesArePieces) {
  const std::string a = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。";
  const std::string b = "どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。";
  EXPECT_DOUBLE_EQ(share(a, b), 0.5);
}

TEST(Fingerprints, OfALongTextAreASampleOfFixedSize) {
  const std::string seen = sentences(0, 20000);
  const std::string_view views[] = {seen};
  const auto known = fingerprints(views);
  EXPECT_EQ(known.size(), kMostFingerprints);
  EXPECT_TRUE(std::ranges::is_sorted(known));
  EXPECT_EQ(share_known(seen, known), 1.0);
  // Of 10,000 pieces, half of them seen, some 2,050 are below the largest hash: four deviations are 0.044.
  EXPECT_NEAR(share_known(sentences(15000, 10000), known), 0.5, 0.044);
}

TEST(Fingerprints, ShortPiecesAndNothingAreNotKnown) {
  EXPECT_EQ(share("Yes. No. Perhaps. ", "Yes. No. Perhaps. "), 0.0);
  EXPECT_EQ(share_known("", {}), 0.0);
}

}  // namespace
}  // namespace sterna::runtime
