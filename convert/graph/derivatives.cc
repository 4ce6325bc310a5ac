#include "convert/graph/derivatives.h"

#include <cassert>
#include <cmath>
#include <vector>

namespace sterna::convert {

float lanes_dot(const float* a, const float* b, std::size_t n) {
  constexpr std::size_t kLanes = 16;
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t k = 0; k < kLanes; ++k) lanes[k] += a[i + k] * b[i + k];
  }
  for (; i < n; ++i) lanes[i % kLanes] += a[i] * b[i];
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  }
  return lanes[0];
}

void add_to(const float* x, std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] += x[i];
}

void add_column_sums(const float* x, std::size_t rows, std::span<float> sums) {
  for (std::size_t r = 0; r < rows; ++r) add_to(x + r * sums.size(), sums.size(), sums.data());
}

void add_column_squares(const float* x, std::size_t rows, std::span<float> sums) {
  const std::size_t n = sums.size();
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < n; ++i) sums[i] += x[r * n + i] * x[r * n + i];
  }
}

void norm_backward(const float* x, std::span<const float> gain, float eps, std::size_t tokens,
                   const float* dy, float* dx, bool add, std::span<float> gain_gradient) {
  const std::size_t n = gain.size();
  std::vector<float> scaled(n);  // g o dy
  const float* g = gain.data();
  for (std::size_t t = 0; t < tokens; ++t, x += n, dy += n, dx += n) {
    const float mean = lanes_dot(x, x, n) / static_cast<float>(n);
    const float r = 1.0F / std::sqrt(mean + eps);
    for (std::size_t i = 0; i < n; ++i) scaled[i] = g[i] * dy[i];
    const float along = lanes_dot(scaled.data(), x, n) * r * r / static_cast<float>(n);
    if (!gain_gradient.empty()) {
      for (std::size_t i = 0; i < n; ++i) gain_gradient[i] += dy[i] * (x[i] * r);
    }
    if (add) {
      for (std::size_t i = 0; i < n; ++i) dx[i] += r * (scaled[i] - x[i] * along);
    } else {
      for (std::size_t i = 0; i < n; ++i) dx[i] = r * (scaled[i] - x[i] * along);
    }
  }
}

void gate_backward(const kernels::Kernels& kernels, runtime::Gate function, const float* dm, std::size_t n,
                   float* gate, float* up, float* silu) {
  if (function == runtime::Gate::relu2) {
    for (std::size_t i = 0; i < n; ++i) {
      const float m = gate[i] > 0.0F ? gate[i] : 0.0F;
      gate[i] = dm[i] * up[i] * (m + m);
      up[i] = dm[i] * (m * m);
    }
    return;
  }
  // The kernel knows exp: silu(g) = g s gives s again, but for small g, where s = 1/2 + g/4 - g^3/48 and the
  // last term is below 2^-24 of the whole.
  constexpr float kSmall = 1e-2F;
  std::vector<float> ones(std::min<std::size_t>(n, 4096), 1.0F);
  for (std::size_t i = 0; i < n; i += ones.size()) {
    kernels.gated_activation(gate + i, ones.data(), std::min(ones.size(), n - i), kernels::GateFunction::silu,
                             silu + i);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const bool small = std::abs(g) < kSmall;
    const float quotient = silu[i] / (small ? 1.0F : g);
    const float s = small ? 0.5F + 0.25F * g : quotient;
    gate[i] = dm[i] * up[i] * (s + silu[i] * (1.0F - s));
    up[i] = dm[i] * silu[i];
  }
}

void positions_backward(const BlockGraph& graph, const float* before, std::span<const float> gain,
                        std::size_t heads, std::size_t tokens, float* dx, std::span<float> gain_gradient) {
  const std::size_t d = graph.config().head_dim;
  std::vector<float> back(d / 2);  // the sines of the opposite angles
  for (std::size_t t = 0; t < tokens; ++t) {
    const float* sin = graph.sin(t);
    for (std::size_t i = 0; i < back.size(); ++i) back[i] = -sin[i];
    float* row = dx + t * heads * d;
    graph.kernels().rope(row, heads, d, graph.cos(t), back.data());
    if (gain.empty()) continue;
    norm_backward(before + t * heads * d, gain, graph.config().norm_eps, heads, row, row, false,
                  gain_gradient);
  }
}

}  // namespace sterna::convert
