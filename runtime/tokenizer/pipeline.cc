#include "runtime/tokenizer/pipeline.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sterna::runtime::tokenization {

namespace {

using nlohmann::json;

constexpr std::size_t kLongestJson = std::size_t{1} << 30U;

// Events of the JSON parser. A tree of a whole Llama 3 tokenizer.json (9 MB, 400,000 strings) would take
// three times as long to build as reading it.
class PipelineReader {
 public:
  PipelineReader(Pipeline& pipeline, std::string_view where) : pipeline_(pipeline), where_(where) {}

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  bool null() { return scalar(nullptr); }
  bool boolean(bool value) { return scalar(value); }
  bool number_integer(json::number_integer_t value) { return scalar(value); }
  bool number_unsigned(json::number_unsigned_t value) {
    if (area_ != Area::kVocabulary) return scalar(value);
    if (value >= kIdLimit)
      return fail_with(fmt::format("model.vocab: '{}' has the id {}, the highest supported is {}", key_,
                                   value, kIdLimit - 1));
    pipeline_.vocabulary.add(key_, static_cast<TokenId>(value));
    return true;
  }
  bool number_float(json::number_float_t value, const std::string& /*text*/) { return scalar(value); }
  bool string(std::string& value) {
    return area_ == Area::kMerges ? merge_string(value) : scalar(std::move(value));
  }
  bool binary(json::binary_t& /*value*/) { return false; }  // JSON text has none

  bool start_object(std::size_t /*size*/) {
    if (area_ == Area::kTree && in_model() && key_ == "vocab") {
      area_ = Area::kVocabulary;
      pipeline_.has_vocabulary = true;
      return true;
    }
    return open(json::object());
  }
  bool key(std::string& value) {
    key_ = std::move(value);
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(std::size_t /*size*/) {
    if (area_ == Area::kMerges && !pair_) {
      pair_.emplace();
      return true;
    }
    if (area_ == Area::kTree && in_model() && key_ == "merges") {
      area_ = Area::kMerges;
      pipeline_.has_merges = true;
      return true;
    }
    return open(json::array());
  }
  bool end_array() {
    if (area_ != Area::kMerges || !pair_) return close();
    if (pair_->size() != 2) return bad_merge();
    pipeline_.merges.add((*pair_)[0], (*pair_)[1]);
    pair_.reset();
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string& /*token*/, const Exception& /*exception*/) {
    return fail_with(fmt::format("not valid JSON at byte {}", position));
  }

 private:
  enum class Area { kTree, kVocabulary, kMerges };

  [[nodiscard]] bool in_model() const { return open_.size() == 2 && model_ == open_[1]; }

  bool fail_with(std::string_view what) {
    if (!error_) error_ = fail("{}: {}", where_, what);
    return false;
  }
  bool bad_merge() {
    return fail_with(fmt::format("model.merges[{}]: two strings or \"left right\" are needed",
                                 pipeline_.merges.entries.size()));
  }
  bool merge_string(std::string& value) {
    if (pair_) {
      pair_->push_back(std::move(value));
      return true;
    }
    const Status added = add_merge(value, pipeline_.merges, where_);
    if (!added) error_ = added.error();
    return added.ok();
  }

  json* place(json&& value) {
    if (open_.empty()) {
      pipeline_.tree = std::move(value);
      return &pipeline_.tree;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    json& member = parent[key_];
    member = std::move(value);
    return &member;
  }
  template <class Value>
  bool scalar(Value&& value) {
    if (area_ == Area::kVocabulary)
      return fail_with(fmt::format("model.vocab: the id of '{}' is not an integer of 0 or more", key_));
    if (area_ == Area::kMerges) return bad_merge();
    place(json(std::forward<Value>(value)));
    return true;
  }
  bool open(json&& value) {
    if (area_ != Area::kTree) return scalar(nullptr);
    const bool is_model = open_.size() == 1 && key_ == "model";
    open_.push_back(place(std::move(value)));
    if (is_model) model_ = open_.back();
    return true;
  }
  bool close() {
    if (area_ == Area::kTree) open_.pop_back();
    area_ = Area::kTree;
    return true;
  }

  Pipeline& pipeline_;
  std::string_view where_;
  std::optional<Error> error_;
  Area area_ = Area::kTree;
  std::string key_;
  std::vector<json*> open_;  // from the root to the innermost open container
  const json* model_ = nullptr;
  std::optional<std::vector<std::string>> pair_;  // inside a merge of the form ["left", "right"]
};

}  // namespace

Status add_merge(std::string_view merge, MergeList& merges, std::string_view where) {
  const std::size_t space = merge.find(' ');
  if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
    return fail("{}: model.merges[{}]: '{}' is not two tokens separated by one space", where,
                merges.entries.size(), merge);
  }
  merges.add(merge.substr(0, space), merge.substr(space + 1));
  return {};
}

Result<Pipeline> read_pipeline(std::string_view text, std::string_view where) {
  if (text.size() > kLongestJson) {
    return fail("{}: the tokenizer's JSON has {} bytes, at most {} are supported", where, text.size(),
                kLongestJson);
  }
  Pipeline pipeline;
  PipelineReader reader(pipeline, where);
  if (!json::sax_parse(text.begin(), text.end(), &reader)) {
    return reader.error() ? *reader.error() : fail("{}: not valid JSON", where);
  }
  if (!pipeline.tree.is_object()) return fail("{}: the tokenizer is not a JSON object", where);
  return pipeline;
}

}  // namespace sterna::runtime::tokenization
