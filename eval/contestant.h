// A model under evaluation, and what every measure gets beside its models.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "eval/journal.h"
#include "runtime/session.h"
#include "runtime/thread_pool.h"

namespace sterna::eval {

// The session is shared by the measures, one after the other; each begins with rewind(0).
struct Contestant {
  std::string name;       // short, unique in a report
  std::string checksum;   // of the weights, hexadecimal: names the model in the journal
  std::string tokenizer;  // of the vocabulary: models with the same value may be compared token by token
  bool is_baseline = false;
  std::unique_ptr<runtime::Session> session;

  [[nodiscard]] const runtime::Model& model() const { return session->model(); }
};

struct Surroundings {
  Journal& journal;           // what is done already, and where to note what was done
  runtime::ThreadPool& pool;  // the sessions', too
  // done of total units of one measure, of which `what` is the name; may be empty
  std::function<void(std::size_t done, std::size_t total, const std::string& what)> progress;
  std::function<bool()> cancelled;  // true: end with an error at the next unit; may be empty

  void report(std::size_t done, std::size_t total, const std::string& what) const {
    if (progress) progress(done, total, what);
  }
  [[nodiscard]] bool stop() const { return cancelled && cancelled(); }
};

}  // namespace sterna::eval
