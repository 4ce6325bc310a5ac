// Every buffer of one forward pass, allocated once per session; shapes in the comments, B = tokens of one
// batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/aligned_buffer.h"
#include "runtime/config.h"

namespace sterna::runtime {

// What a product with the head read, in rows: the high part of all of them if it was screened; beside that so
// many single planes, and so many whole rows.
struct HeadReads {
  bool screened = false;
  std::size_t planes = 0;
  std::size_t rows = 0;
};

struct Activations {
  static Result<Activations> create(const ModelConfig& config, std::size_t batch, std::size_t context,
                                    std::size_t threads);

  std::size_t batch = 0;
  std::size_t threads = 0;
  std::size_t widest = 0;            // columns of the widest input of a linear
  AlignedBuffer<float> x;            // [B, hidden] the residual stream
  AlignedBuffer<float> normed;       // [B, widest input of a linear], unless it goes to int8 at once
  AlignedBuffer<float> linear_in;    // [B, widest input of a linear], for linears with a norm of their own
  AlignedBuffer<float> rotated;      // [threads, widest input], a row between its rotation and int8
  AlignedBuffer<float> q;            // [B, heads * head_dim]
  AlignedBuffer<float> k;            // [B, kv_heads * head_dim]
  AlignedBuffer<float> v;            // [B, kv_heads * head_dim]
  AlignedBuffer<float> attention;    // [B, heads * head_dim]
  AlignedBuffer<float> gate;         // [B, ffn]
  AlignedBuffer<float> up;           // [B, ffn]
  AlignedBuffer<float> projected;    // [B, hidden] what half a block adds to x
  AlignedBuffer<float> logits;       // [B, vocab]
  AlignedBuffer<float> cos, sin;     // [B, head_dim / 2]
  AlignedBuffer<float> frequencies;  // [head_dim / 2] radians per position
  AlignedBuffer<float> partials;     // [threads * kPartialTokens * heads / kv_heads, chunks of the context,
                                     // head_dim + 2] of attention.h
  AlignedBuffer<float> dequantized;  // [threads, kBlasRows, widest input], float copies of weights for BLAS

  AlignedBuffer<std::byte> rows;  // [threads, kBlasRows] of DenseRows::buffer_bytes()

  AlignedBuffer<std::int8_t> quantized;  // [B, widest input padded to 16]
  AlignedBuffer<std::int32_t> sums;      // [B, groups of 128 of the widest input]
  AlignedBuffer<float> inverse_scale;    // [B]

  // For the head in two passes (top_rows.h).
  AlignedBuffer<float> upper;             // [vocab]
  AlignedBuffer<std::uint32_t> chosen;    // [vocab / kTopShare], and the logits of these rows:
  AlignedBuffer<float> chosen_logits;     // the same
  AlignedBuffer<std::int8_t> head_input;  // of kernels::ScreenInput
  HeadReads head_reads;
  std::size_t screen_pause = 0;  // products that go without screening

  static constexpr std::size_t kTopShare = 8;
  static constexpr std::size_t kPartialTokens = 8;
  static constexpr std::size_t kBlasRows = 64;
  [[nodiscard]] float* worker_copy(std::size_t worker) {
    return dequantized.data() + worker * kBlasRows * widest;
  }
  [[nodiscard]] std::span<std::byte> worker_rows(std::size_t worker) {
    return rows.span().subspan(worker * (rows.size() / threads), rows.size() / threads);
  }
};

}  // namespace sterna::runtime
