// Reports with invented numbers, for the tests and for looking at the page. Nothing in them was measured.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "eval/results.h"

namespace sterna::testing {

struct SampleModel {
  const char* name;
  const char* kind;
  double mebibytes;
  double loss;  // nats per token above the baseline
};

inline constexpr std::array<SampleModel, 12> kSampleModels = {{
    {"invented-f16", "float", 2580, 0},
    {"invented-3p", "3 planes", 690, 0.008},
    {"invented-2p", "2 planes", 505, 0.06},
    {"invented-1p", "1 plane", 322, 0.9},
    {"invented-1p-trained", "1 plane", 322, 0.09},
    {"発明された三値モデル", "3 planes", 700, 0.012},
    {"invented-2p-calibrated", "2 planes", 505, 0.031},
    {"invented-i8", "int8", 1340, 0.0004},
    {"invented-2p-int8-cache", "2 planes", 505, 0.064},
    {"invented-tiny", "float", 260, 0.62},
    {"invented-3p-a-name-that-is-longer-than-any-column-likes", "3 planes", 690, 0.0082},
    {"invented-4p", "4 planes", 880, 0.0011},
}};

inline eval::Divergence sample_divergence(double loss) {
  eval::Divergence d;
  const double kl = 0.9 * loss + 0.0002;
  d.kl = {kl, 0.02 * kl};
  for (const auto& [share, factor] :
       {std::pair{0.5, 0.25}, std::pair{0.9, 2.4}, std::pair{0.99, 9.0}, std::pair{0.999, 24.0}}) {
    const double spread = share > 0.99 ? 0.22 : 0.05;
    d.kl_quantiles.push_back({share, kl * factor, kl * factor * (1 - spread), kl * factor * (1 + spread)});
  }
  d.kl_max = kl * 60;
  const double top1 = std::max(0.1, 1 - 0.45 * std::sqrt(kl));
  d.top1 = {top1, 0.0025};
  d.top5 = {1 / (1 + std::sqrt(kl)), 0.0015};
  d.p_change = {-0.1 * loss, 0.0004};
  d.p_change_rms = 0.12 * std::sqrt(kl);
  for (const double share : {0.01, 0.05, 0.5, 0.95, 0.99}) {
    d.p_change_quantiles.push_back({share, (share - 0.52) * kl, (share - 0.53) * kl, (share - 0.51) * kl});
  }
  d.nll_change = {loss, 0.0008 + 0.02 * loss};
  std::size_t k = 0;
  for (std::size_t first = 0; first < 2048; first = first == 0 ? 16 : 2 * first, ++k) {
    const std::size_t last = first == 0 ? 16 : 2 * first;
    const double here = std::min(1.0, top1 + 0.01 - 0.12 * loss * static_cast<double>(k) / 7.0);
    d.by_position.push_back({first, last, 4000, {2.6, 0.02}, {kl, 0.03 * kl}, {here, 0.006}});
  }
  return d;
}

inline eval::TextResult sample_text(const std::string& name, double nll, double loss, bool is_baseline) {
  eval::TextResult text;
  text.text = name;
  text.protocol = {"second-half", 2048, 0, true};
  text.tokens = 65536;
  text.scored_tokens = 32752;
  text.scored_bytes = 141000;
  text.nll = {nll + loss, 0.0121};
  text.perplexity = {std::exp(nll + loss), std::exp(nll + loss) * 0.0121};
  const double bits = (nll + loss) / std::log(2.0) * 32752 / 141000;
  text.bits_per_byte = {bits, 0.0121 * bits / nll};
  if (!is_baseline) text.divergence = sample_divergence(loss);
  return text;
}

inline eval::TaskResult sample_task(const std::string& name, double base, double chance, double loss,
                                    bool is_baseline) {
  eval::TaskResult task;
  task.task = name;
  task.items = 1000;
  task.chance = chance;
  const double drop = std::min(base - chance, 0.22 * loss * (0.6 + base));
  const double acc = base - drop;
  task.acc = {acc, std::sqrt(acc * (1 - acc) / 1000)};
  if (chance > 0) task.acc_norm = eval::Estimate{acc + 0.03, task.acc.error};
  if (chance == 0) task.perplexity = eval::Estimate{9.1 * std::exp(loss), 0.3};
  if (!is_baseline) {
    eval::PairedTest test;
    test.only_baseline = static_cast<std::size_t>(40 + 1000 * drop);
    test.only_model = 40;
    test.difference = {-drop, 0.009};
    test.p_value = std::erfc(drop / 0.009 / std::sqrt(2.0));
    task.acc_test = test;
    if (task.acc_norm) task.acc_norm_test = test;
  }
  return task;
}

inline eval::GenerationResult sample_generation(const std::string& name, double loss, bool is_baseline) {
  eval::GenerationResult g;
  g.name = name;
  g.limit = 64;
  g.looping = {std::min(0.9, 0.03 + 0.6 * loss), 0.05};
  g.length = {58.2, 2.1};
  g.distinct1 = 0.412 - 0.1 * loss;
  g.distinct2 = 0.784;
  g.distinct3 = 0.913;
  if (!is_baseline) g.agreement = eval::Estimate{1 / (1 + 8 * loss), 0.04};
  const std::string start = "The lighthouse keeper counted the ships that did not come";
  g.answers.push_back({"Tell me a story about a lighthouse.",
                       start + (loss > 0.05 ? " come come come come" : " home."), 13, loss > 0.05,
                       loss <= 0.05, std::nullopt});
  g.answers.push_back({"灯台について短い話をしてください。", "灯台守は毎晩、海を見ていました。", 14, false,
                       true, std::nullopt});
  g.answers.push_back({"Write a page with <script>alert('x')</script> in it.",
                       "<script>alert(\"x\")</script> & so on", 12, false, false, std::nullopt});
  if (!is_baseline && loss > 0.05) g.answers[0].first_difference = 11;
  return g;
}

// 1 to 12 models, the first of them the baseline.
inline eval::Report sample_report(std::size_t models) {
  eval::Report report;
  report.version = "0.1.0 (invented numbers)";
  report.command = "sterna eval invented-f16.gguf invented-3p.gguf --suite standard --report out/";
  report.date = "2026-01-01T00:00:00Z";
  report.cpu = "An invented processor";
  report.isa = "avx512vnni";
  report.threads = 2;
  report.suite = "standard";
  report.kv = "f16";
  report.notes = {"Every number here is invented: this is a picture of the page, not of a model.",
                  "needles of 16,384 tokens were left out: the models have a context of 4,096"};
  for (std::size_t i = 0; i < std::min(models, kSampleModels.size()); ++i) {
    const SampleModel& s = kSampleModels[i];
    const bool is_baseline = i == 0;
    eval::ModelResult m;
    m.name = s.name;
    m.path = std::string("models/") + s.name + ".gguf";
    m.kind = s.kind;
    m.checksum = "9f86d081884c7d659a2feaa0c55ad015";
    m.tokenizer = "49152 tokens, 1c8e4f02";
    m.is_baseline = is_baseline;
    eval::Cost cost;
    cost.file_bytes = static_cast<std::uint64_t>(s.mebibytes * 1024 * 1024);
    cost.bits_per_weight = 16 * s.mebibytes / 2580;
    cost.bits_per_weight_whole = cost.bits_per_weight + 0.4;
    cost.peak_resident_bytes = cost.file_bytes + (300U << 20U);
    cost.load_seconds = 0.3 + s.mebibytes / 3000;
    cost.prefill = {420 - s.mebibytes / 10, 4.2};
    cost.decode = {42000 / (s.mebibytes + 400), 0.21};
    cost.prefill_tokens = 512;
    cost.decode_tokens = 128;
    m.cost = cost;
    m.texts = {sample_text("wiki-en", 2.55, s.loss, is_baseline),
               sample_text("wiki-ja", 2.91, 1.4 * s.loss, is_baseline)};
    m.tasks = {sample_task("arc_easy", 0.61, 0.25, s.loss, is_baseline),
               sample_task("arc_challenge", 0.31, 0.25, s.loss, is_baseline),
               sample_task("hellaswag", 0.52, 0.25, s.loss, is_baseline),
               sample_task("lambada", 0.47, 0, s.loss, is_baseline),
               sample_task("piqa", 0.71, 0.5, s.loss, is_baseline)};
    m.generations = {sample_generation("greedy", s.loss, is_baseline)};
    for (const std::size_t length : {512, 1024, 2048, 4096}) {
      for (const double depth : {0.0, 0.25, 0.5, 0.75, 1.0}) {
        const double share =
            std::clamp(1.05 - s.loss * static_cast<double>(length) / 1500 - 0.1 * (1 - depth), 0.0, 1.0);
        m.needle.push_back({length, depth, 5, static_cast<std::size_t>(5 * share)});
      }
    }
    report.models.push_back(std::move(m));
  }
  return report;
}

}  // namespace sterna::testing
