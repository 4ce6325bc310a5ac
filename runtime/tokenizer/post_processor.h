// The post-processor of a tokenizer.json: adds the tokens that frame a text, such as the
// beginning-of-sequence token.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/json_fields.h"
#include "runtime/tokenizer/token_id.h"

namespace sterna::runtime::tokenization {

class PostProcessor {
 public:
  // Supported: null, TemplateProcessing (its "single" part), ByteLevel (which concerns offsets only), and a
  // Sequence of them with at most one template. Ids must be below `id_limit`.
  static Result<PostProcessor> parse(const Field& field, std::size_t id_limit);

  [[nodiscard]] std::vector<TokenId> apply(std::vector<TokenId> ids) const;

 private:
  struct Item {
    bool text = false;         // the place of the text's own ids, else:
    std::vector<TokenId> ids;  // fixed ones
  };
  Status add(const Field& field, std::size_t id_limit);
  Status add_template(const Field& field, std::size_t id_limit);
  Status add_item(const Field& item, const Field& special_tokens, std::size_t id_limit);

  bool has_template_ = false;
  std::vector<Item> items_;
};

}  // namespace sterna::runtime::tokenization
