// One conversation: a position in a text, with the keys and values of everything before it.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "kernels/registry.h"
#include "runtime/forward.h"
#include "runtime/model.h"

namespace sterna::runtime {

class Session {
 public:
  struct Options {
    std::size_t context = 0;  // positions; 0: the model's own, at most 4096
    kernels::KvType kv = kernels::KvType::f16;
    std::size_t batch = 128;  // tokens of one prefill step
  };
  static constexpr std::size_t kDefaultContext = 4096;

  // `kernels` and `pool` must outlive the session; a pool serves one session at a time.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model, const Options& options,
                                                 const kernels::Kernels& kernels, ThreadPool& pool);

  // Tokens go in after position(). On success logits() are those of the last token. A full context is an
  // error (rewind() or make a session with a larger one), and so are weights that are left in the file and
  // cannot be read; the session is then where it was before.
  // With a `need` of less than all logits, those that it does not name may be -infinity; the rest have the
  // same bits.
  Status append(std::span<const TokenId> ids, LogitsNeed need = {});

  // The same, and sink(index of the token in ids, its logits) for every token, in order.
  using LogitsSink = std::function<void(std::size_t index, std::span<const float> logits)>;
  Status append(std::span<const TokenId> ids, const LogitsSink& sink);

  // At most batch() tokens in one step, for whoever looks at several positions at once: the logits of the
  // tokens from `first` on, [ids.size() - first, vocab], which stay until the next append; none are computed
  // when first == ids.size().
  Result<std::span<const float>> append_block(std::span<const TokenId> ids, std::size_t first);

  [[nodiscard]] std::span<const float> logits() const {
    return logits_;
  }  // [vocab]; empty before the first append
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t context() const { return cache_.context(); }
  [[nodiscard]] const Model& model() const { return *model_; }
  // What was read of the head for logits().
  [[nodiscard]] const HeadReads& head_reads() const { return act_.head_reads; }
  [[nodiscard]] const kernels::Kernels& kernels() const { return kernels_; }
  [[nodiscard]] std::size_t batch() const { return act_.batch; }
  void rewind(std::size_t position);  // forgets everything from `position` on

  // From here on the time of every step is added to `profile`, which outlives the session; nullptr: no more.
  void set_profile(Profile* profile) { profile_ = profile; }

  // The pieces of append(), for tests that go through a model layer by layer.
  ForwardContext context_for_tests() { return forward_context(); }

 private:
  Session(std::shared_ptr<const Model> model, const kernels::Kernels& kernels, ThreadPool& pool,
          Activations act, KvCache cache);
  ForwardContext forward_context() {
    return {model_->config(), model_->weights(), kernels_, pool_, act_, cache_, profile_};
  }
  Status check(std::span<const TokenId> ids) const;
  Status append(std::span<const TokenId> ids, LogitsNeed need, const LogitsSink& sink);
  Status step(std::span<const TokenId> ids, std::size_t first, LogitsNeed need);

  std::shared_ptr<const Model> model_;
  const kernels::Kernels& kernels_;
  ThreadPool& pool_;
  Activations act_;
  KvCache cache_;
  std::size_t position_ = 0;
  Profile* profile_ = nullptr;
  std::span<const float> logits_;
};

}  // namespace sterna::runtime
