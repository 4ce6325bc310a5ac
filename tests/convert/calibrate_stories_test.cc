// A calibrated conversion of a real model, a Llama of 260,000 weights: what is gained in perplexity, and that
// an evaluation tells the text that it was calibrated on from others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "eval/text/text.h"
#include "runtime/fingerprints.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"

namespace sterna::convert {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempDir;

class StoriesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::shared_data("models/stories260K");
    const auto path = testing::shared_data("text/tinystories_train_first1000.txt");
    STERNA_NEEDS_SHARED(directory_);
    STERNA_NEEDS_SHARED(path);
    const std::string stories = testing::read_file(path);
    const std::size_t half = stories.find('\n', stories.size() / 2) + 1;
    calibration_ = stories.substr(0, half);
    unseen_ = stories.substr(half, 20000);
    work_.write("first_half.txt", calibration_);
  }

  [[nodiscard]] ConvertOptions options(std::size_t planes) const {
    ConvertOptions o;
    o.planes = planes;
    o.fit.emplace();
    o.fit->calibration.text = {{work_.file("first_half.txt")}, 4096, 0};
    o.fit->calibration.window = 256;
    o.fit->kernels = &testing::test_kernels();
    return o;
  }

  [[nodiscard]] static eval::Contestant contestant(const std::shared_ptr<const runtime::Model>& model) {
    eval::Contestant c;
    c.name = "stories";
    c.checksum = fmt::format("{:08x}", model->checksum());
    c.session = testing::new_session(model, {.context = 256, .batch = 64});
    return c;
  }

  [[nodiscard]] std::shared_ptr<const runtime::Model> converted(const ConvertOptions& o) const {
    auto model = testing::converted(directory_, o);
    EXPECT_TRUE(model) << (model ? "" : model.error().message);
    return *model;
  }

  [[nodiscard]] static Result<std::vector<eval::TextResult>> evaluate(
      const std::shared_ptr<const runtime::Model>& model, const std::string& text, bool seen) {
    eval::Journal none;
    eval::Contestant c = contestant(model);
    eval::TextSpec spec;
    spec.name = "stories.txt";
    spec.content = text;
    spec.protocol = {.name = "all", .window = 256};
    spec.seen = seen;
    return eval::run_text({&c, 1}, spec, {none, testing::test_pool(), nullptr, nullptr});
  }
  [[nodiscard]] double perplexity(const std::shared_ptr<const runtime::Model>& model) const {
    const auto results = evaluate(model, unseen_, true);
    EXPECT_TRUE(results) << (results ? "" : results.error().message);
    return std::exp(results->front().nll.value);
  }

  std::filesystem::path directory_;
  TempDir work_;
  std::string calibration_;
  std::string unseen_;
};

TEST_F(StoriesTest, CalibratedPlanesPredictUnseenStoriesBetterThanDataFreeOnes) {
  const double reference = perplexity(converted({.keep_float = true}));
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const double data_free = perplexity(converted({.planes = planes}));
    const double calibrated = perplexity(converted(options(planes)));
    RecordProperty(
        fmt::format("planes_{}", planes),
        fmt::format("float {:.4f}, data-free {:.4f}, calibrated {:.4f}", reference, data_free, calibrated));
    EXPECT_LT(calibrated, data_free) << planes;
    // 3 planes were measured at 1.015 times the float model's (1.045 without a text); twice the excess is
    // left for instruction sets that round otherwise.
    if (planes == 3) {
      EXPECT_LT(calibrated, 1.03 * reference);
    }
  }
}

TEST_F(StoriesTest, AnEvaluationRefusesTheTextOfTheCalibration) {
  const auto model = converted(options(1));
  const std::string seen = calibration_.substr(0, 5000);
  const auto refused = evaluate(model, seen, false);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("stories.txt"), HasSubstr("was calibrated on first_half.txt (4096 tokens)"),
                    HasSubstr("--seen-text")));
  EXPECT_TRUE(evaluate(model, seen, true));
  RecordProperty("share_of_unseen",
                 fmt::format("{}", runtime::share_known(unseen_, model->calibration().fingerprints)));
  const auto other = evaluate(model, unseen_, false);
  EXPECT_TRUE(other) << other.error().message;
  // What is not calibrated knows no text.
  EXPECT_TRUE(evaluate(converted({.planes = 1}), seen, false));
}

}  // namespace
}  // namespace sterna::convert
