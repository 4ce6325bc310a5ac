#include "eval/report/json.h"

#include <cmath>
#include <concepts>
#include <limits>
#include <string>
#include <type_traits>

#include "eval/report/verdict.h"

namespace sterna::eval::report {
namespace {

using Json = nlohmann::ordered_json;

// One list of fields for both directions: what is written is read back. `v(name, field)` is called for each.

template <class V>
void visit(V& v, Estimate& e) {
  v("value", e.value);
  v("error", e.error);
}

template <class V>
void visit(V& v, Quantile& q) {
  v("share", q.share);
  v("value", q.value);
  v("low", q.low);
  v("high", q.high);
}

template <class V>
void visit(V& v, Protocol& p) {
  v("name", p.name);
  v("window", p.window);
  v("stride", p.stride);
  v("bos", p.bos);
}

template <class V>
void visit(V& v, PositionRange& r) {
  v("first", r.first);
  v("last", r.last);
  v("tokens", r.tokens);
  v("nll", r.nll);
  v("kl", r.kl);
  v("top1", r.top1);
}

template <class V>
void visit(V& v, Divergence& d) {
  v("kl", d.kl);
  v("kl_quantiles", d.kl_quantiles);
  v("kl_max", d.kl_max);
  v("top1", d.top1);
  v("top5", d.top5);
  v("p_change", d.p_change);
  v("p_change_rms", d.p_change_rms);
  v("p_change_quantiles", d.p_change_quantiles);
  v("nll_change", d.nll_change);
  v("by_position", d.by_position);
}

template <class V>
void visit(V& v, TextResult& t) {
  v("text", t.text);
  v("protocol", t.protocol);
  v("tokens", t.tokens);
  v("scored_tokens", t.scored_tokens);
  v("scored_bytes", t.scored_bytes);
  v("nll", t.nll);
  v("perplexity", t.perplexity);
  v("bits_per_byte", t.bits_per_byte);
  v("divergence", t.divergence);
}

template <class V>
void visit(V& v, PairedTest& t) {
  v("only_baseline", t.only_baseline);
  v("only_model", t.only_model);
  v("difference", t.difference);
  v("p_value", t.p_value);
}

template <class V>
void visit(V& v, TaskResult& t) {
  v("task", t.task);
  v("items", t.items);
  v("shots", t.shots);
  v("left_out", t.left_out);
  v("truncated", t.truncated);
  v("chance", t.chance);
  v("acc", t.acc);
  v("acc_norm", t.acc_norm);
  v("perplexity", t.perplexity);
  v("acc_test", t.acc_test);
  v("acc_norm_test", t.acc_norm_test);
}

template <class V>
void visit(V& v, Answer& a) {
  v("prompt", a.prompt);
  v("text", a.text);
  v("tokens", a.tokens);
  v("loops", a.loops);
  v("finished", a.finished);
  v("first_difference", a.first_difference);
}

template <class V>
void visit(V& v, GenerationResult& g) {
  v("name", g.name);
  v("limit", g.limit);
  v("looping", g.looping);
  v("length", g.length);
  v("distinct1", g.distinct1);
  v("distinct2", g.distinct2);
  v("distinct3", g.distinct3);
  v("agreement", g.agreement);
  v("answers", g.answers);
}

template <class V>
void visit(V& v, NeedleCell& c) {
  v("length", c.length);
  v("depth", c.depth);
  v("asked", c.asked);
  v("found", c.found);
}

template <class V>
void visit(V& v, Cost& c) {
  v("file_bytes", c.file_bytes);
  v("bits_per_weight", c.bits_per_weight);
  v("bits_per_weight_whole", c.bits_per_weight_whole);
  v("peak_resident_bytes", c.peak_resident_bytes);
  v("load_seconds", c.load_seconds);
  v("prefill", c.prefill);
  v("decode", c.decode);
  v("prefill_tokens", c.prefill_tokens);
  v("decode_tokens", c.decode_tokens);
}

template <class V>
void visit(V& v, ModelResult& m) {
  v("name", m.name);
  v("path", m.path);
  v("kind", m.kind);
  v("checksum", m.checksum);
  v("tokenizer", m.tokenizer);
  v("is_baseline", m.is_baseline);
  v("cost", m.cost);
  v("texts", m.texts);
  v("tasks", m.tasks);
  v("generations", m.generations);
  v("needle", m.needle);
}

template <class V>
void visit(V& v, Report& r) {
  v("version", r.version);
  v("command", r.command);
  v("date", r.date);
  v("cpu", r.cpu);
  v("isa", r.isa);
  v("threads", r.threads);
  v("suite", r.suite);
  v("kv", r.kv);
  v("notes", r.notes);
  v("models", r.models);
}

class Writer {
 public:
  template <class T>
  void operator()(const char* name, T& field) {
    object_[name] = value(field);
  }
  template <class T>
  static Json value(T& field) {
    if constexpr (std::is_same_v<T, double>) {
      return std::isfinite(field) ? Json(field) : Json(nullptr);
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return field;
    } else {
      Writer writer;
      visit(writer, field);
      return std::move(writer.object_);
    }
  }
  template <class T>
  static Json value(std::vector<T>& list) {
    Json array = Json::array();
    for (T& entry : list) array.push_back(value(entry));
    return array;
  }
  template <class T>
  static Json value(std::optional<T>& field) {
    return field ? value(*field) : Json(nullptr);
  }

 private:
  Json object_ = Json::object();
};

class Reader {
 public:
  Reader(const Json& object, std::string path) : object_(object), path_(std::move(path)) {}

  template <class T>
  void operator()(const char* name, T& field) {
    if (!status_) return;
    const auto found = object_.find(name);
    if (found == object_.end()) return;
    status_ = read(*found, path_.empty() ? std::string(name) : path_ + "." + name, field);
  }
  [[nodiscard]] const Status& status() const { return status_; }

  template <class T>
  static Status read(const Json& json, const std::string& path, T& field) {
    if (!json.is_object()) return fail("{}: an object is needed", path);
    Reader reader(json, path);
    visit(reader, field);
    return reader.status();
  }
  static Status read(const Json& json, const std::string& path, double& field) {
    if (!json.is_number() && !json.is_null()) return fail("{}: a number or null is needed", path);
    field = json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
    return {};
  }
  static Status read(const Json& json, const std::string& path, std::string& field) {
    if (!json.is_string()) return fail("{}: a string is needed", path);
    field = json.get<std::string>();
    return {};
  }
  static Status read(const Json& json, const std::string& path, bool& field) {
    if (!json.is_boolean()) return fail("{}: true or false is needed", path);
    field = json.get<bool>();
    return {};
  }
  template <std::unsigned_integral T>
  static Status read(const Json& json, const std::string& path, T& field) {
    if (!json.is_number_unsigned()) return fail("{}: a count is needed", path);
    field = json.get<T>();
    return {};
  }
  template <class T>
  static Status read(const Json& json, const std::string& path, std::vector<T>& list) {
    if (!json.is_array()) return fail("{}: an array is needed", path);
    list.resize(json.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      STERNA_CHECK(read(json[i], fmt::format("{}[{}]", path, i), list[i]));
    }
    return {};
  }
  template <class T>
  static Status read(const Json& json, const std::string& path, std::optional<T>& field) {
    if (json.is_null()) {
      field.reset();
      return {};
    }
    return read(json, path, field.emplace());
  }

 private:
  const Json& object_;
  std::string path_;
  Status status_;
};

Json verdict_json(const Verdict& verdict) {
  Json models = Json::array();
  for (const ModelVerdict& m : verdict.models) {
    models.push_back({{"name", m.name},
                      {"grade", grade_name(m.grade)},
                      {"pareto", m.pareto},
                      {"dominated_by", m.dominated_by},
                      {"text", m.text}});
  }
  return {{"headline", verdict.headline}, {"paragraph", verdict.paragraph}, {"models", std::move(models)}};
}

}  // namespace

Json to_json(const Report& report) {
  Report fields = report;  // the list of fields is written for reading, too
  Json json = {{"format", 1}, {"verdict", verdict_json(judge(report))}};
  json.update(Writer::value(fields));
  return json;
}

Result<Report> from_json(const Json& json) {
  if (!json.is_object()) return fail("the report is not an object of JSON");
  const auto format = json.find("format");
  if (format == json.end() || !format->is_number_integer() || *format != 1) {
    return fail("format: 1 is needed; this is no report, or one of a later version");
  }
  Report report;
  Reader reader(json, "");
  visit(reader, report);
  if (!reader.status()) return reader.status().error();
  return report;
}

}  // namespace sterna::eval::report
