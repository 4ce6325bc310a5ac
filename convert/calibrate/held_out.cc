#include "convert/calibrate/held_out.h"

#include <vector>

namespace sterna::convert {

HeldOut measure_held_out(std::span<const HeldOutWindow> windows, const HeadWeights& float_head,
                         const HeadWeights& head, float eps, const kernels::Kernels& kernels,
                         runtime::ThreadPool& pool) {
  std::vector<HeldOut> parts(windows.size());
  pool.run(windows.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    HeadLoss loss(kernels, eps);
    std::vector<float> normed;
    for (std::size_t i = begin; i < end; ++i) {
      const HeldOutWindow& w = windows[i];
      const std::size_t n = float_head.norm.size();
      const HeadTarget text{{}, {}, w.ids};
      parts[i].tokens = w.ids.size();
      parts[i].float_loss = loss.loss(float_head, text, w.float_stream);
      parts[i].loss = loss.loss(head, text, w.stream);
      normed.resize(w.float_stream.size());
      for (std::size_t t = 0; t < w.ids.size(); ++t)
        kernels.rms_norm(w.float_stream.data() + t * n, float_head.norm.data(), n, eps,
                         normed.data() + t * n);
      parts[i].divergence = loss.loss(head, {normed, float_head.rows, {}}, w.stream);
    }
  });
  HeldOut all;
  for (const HeldOut& part : parts) {
    const auto share = 1.0 / static_cast<double>(windows.size());
    all.tokens += part.tokens;
    all.float_loss += share * part.float_loss;
    all.loss += share * part.loss;
    all.divergence += share * part.divergence;
  }
  return all;
}

}  // namespace sterna::convert
