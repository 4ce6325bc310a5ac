#include "runtime/activations.h"

#include <algorithm>

#include "kernels/attention/attention.h"
#include "kernels/screen/screen.h"
#include "runtime/dense_rows.h"
#include "runtime/rotary.h"

namespace sterna::runtime {
Result<Activations> Activations::create(const ModelConfig& c, std::size_t batch, std::size_t context,
                                        std::size_t threads) {
  Activations a;
  a.batch = batch;
  a.threads = threads;
  const std::size_t widest = a.widest = std::max({c.hidden, c.q_width(), c.ffn});
  const auto floats = [&](AlignedBuffer<float>& buffer, std::size_t size) -> Status {
    STERNA_TRY(buffer, AlignedBuffer<float>::create(size, "activations"));
    return {};
  };
  STERNA_CHECK(floats(a.x, batch * c.hidden));
  STERNA_CHECK(floats(a.normed, batch * widest));
  STERNA_CHECK(floats(a.linear_in, batch * widest));
  STERNA_CHECK(floats(a.rotated, threads * widest));
  STERNA_CHECK(floats(a.q, batch * c.q_width()));
  STERNA_CHECK(floats(a.k, batch * c.kv_width()));
  STERNA_CHECK(floats(a.v, batch * c.kv_width()));
  STERNA_CHECK(floats(a.attention, batch * c.q_width()));
  STERNA_CHECK(floats(a.gate, batch * c.ffn));
  STERNA_CHECK(floats(a.up, batch * c.ffn));
  STERNA_CHECK(floats(a.projected, batch * c.hidden));
  STERNA_CHECK(floats(a.logits, batch * c.vocab));
  STERNA_CHECK(floats(a.cos, batch * c.head_dim / 2));
  STERNA_CHECK(floats(a.sin, batch * c.head_dim / 2));
  STERNA_CHECK(floats(a.frequencies, c.head_dim / 2));
  STERNA_CHECK(floats(a.partials, threads * kPartialTokens * (c.heads / c.kv_heads) *
                                      kernels::attention_chunks(context) *
                                      kernels::partial_floats(c.head_dim)));
  STERNA_CHECK(floats(a.dequantized, threads * kBlasRows * widest));
  STERNA_CHECK(floats(a.inverse_scale, batch));
  STERNA_TRY(a.rows, AlignedBuffer<std::byte>::create(threads * kBlasRows * DenseRows::buffer_bytes(c.hidden),
                                                      "activations"));
  STERNA_CHECK(floats(a.upper, c.vocab));
  STERNA_CHECK(floats(a.chosen_logits, c.vocab / kTopShare));
  STERNA_TRY(a.chosen, AlignedBuffer<std::uint32_t>::create(c.vocab / kTopShare, "activations"));
  STERNA_TRY(a.head_input,
             AlignedBuffer<std::int8_t>::create(kernels::screen_input_bytes(c.hidden), "activations"));
  STERNA_TRY(a.quantized,
             AlignedBuffer<std::int8_t>::create(batch * kernels::padded_columns(widest), "activations"));
  STERNA_TRY(a.sums, AlignedBuffer<std::int32_t>::create(
                         batch * (kernels::round_up(widest, kernels::kGroupColumns) / kernels::kGroupColumns),
                         "activations"));
  fill_rotary_frequencies(c, a.frequencies.span());
  return a;
}

}  // namespace sterna::runtime
