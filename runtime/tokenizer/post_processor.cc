#include "runtime/tokenizer/post_processor.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace sterna::runtime::tokenization {

Result<PostProcessor> PostProcessor::parse(const Field& field, std::size_t id_limit) {
  PostProcessor processor;
  STERNA_CHECK(processor.add(field, id_limit));
  return processor;
}

Status PostProcessor::add(const Field& field, std::size_t id_limit) {
  if (field.is_null()) return {};
  STERNA_CHECK(field.require_object());
  if (field.depth() > kDeepestComponent) return field.error("post-processors are nested too deeply");
  STERNA_TRY(const std::string type, field["type"].string());
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return add_template(field, id_limit);
  if (type != "Sequence") {
    return field.unsupported("post-processor", type, "TemplateProcessing, ByteLevel and Sequence");
  }
  const Field list = field["processors"];
  STERNA_CHECK(list.require_array());
  for (std::size_t i = 0; i < list.array_size(); ++i) STERNA_CHECK(add(list[i], id_limit));
  return {};
}

Status PostProcessor::add_template(const Field& field, std::size_t id_limit) {
  if (has_template_) return field.error("a second TemplateProcessing is not supported");
  has_template_ = true;
  const Field single = field["single"];
  STERNA_CHECK(single.require_array());
  for (std::size_t i = 0; i < single.array_size(); ++i) {
    STERNA_CHECK(add_item(single[i], field["special_tokens"], id_limit));
  }
  return {};
}

Status PostProcessor::add_item(const Field& item, const Field& special_tokens, std::size_t id_limit) {
  const Field sequence = item["Sequence"];
  if (!sequence.is_null()) {
    STERNA_TRY(const std::string name, sequence["id"].string());
    if (name != "A") return sequence["id"].error("only the sequence 'A' is known for a single text");
    items_.push_back({true, {}});
    return {};
  }
  STERNA_TRY(const std::string name, item["SpecialToken"]["id"].string());
  const Field ids = special_tokens[name]["ids"];
  STERNA_CHECK(ids.require_array());
  Item fixed;
  for (std::size_t i = 0; i < ids.array_size(); ++i) {
    STERNA_TRY(const std::int64_t id, ids[i].integer(0, static_cast<std::int64_t>(id_limit) - 1));
    fixed.ids.push_back(static_cast<TokenId>(id));
  }
  items_.push_back(std::move(fixed));
  return {};
}

std::vector<TokenId> PostProcessor::apply(std::vector<TokenId> ids) const {
  if (!has_template_) return ids;
  std::vector<TokenId> out;
  for (const Item& item : items_) {
    const auto& part = item.text ? ids : item.ids;
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

}  // namespace sterna::runtime::tokenization
