// The stages of a decoding in progress (see decoder.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/decoder.h"

namespace sterna::runtime::tokenization {

// Takes tokens and hands tokens on to the next stage. Behind a stage that fuses all tokens into one, what is
// handed on are the parts of that one token.
class DecodeStage {
 public:
  virtual ~DecodeStage() = default;
  virtual void push(std::string_view token) = 0;
  virtual void finish() {}  // the stage before has finished

  void set_next(DecodeStage* next) { next_ = next; }

 protected:
  void emit(std::string_view token) { next_->push(token); }

 private:
  DecodeStage* next_ = nullptr;
};

// The last stage appends everything to `out`. There is at least that one.
std::vector<std::unique_ptr<DecodeStage>> make_stages(const std::vector<DecoderStep>& steps,
                                                      std::string& out);

}  // namespace sterna::runtime::tokenization
