#include "eval/tasks/task.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "eval/tasks/formats.h"
#include "eval/tasks/rows.h"

namespace sterna::eval {
namespace {

struct Items {
  const Format* format = nullptr;
  std::vector<Item> items;
};

Result<Items> read_items(const std::string& path, const std::string& format) {
  STERNA_TRY(const std::vector<Row> rows, read_rows(path));
  Items result;
  STERNA_TRY(result.format, choose_format(format, rows.front(), path));
  result.items.reserve(rows.size());
  for (const Row& row : rows) {
    STERNA_TRY(Item item, result.format->read(Fields(row.fields, fmt::format("{}:{}", path, row.line))));
    result.items.push_back(std::move(item));
  }
  return result;
}

// The file's name without its folder and what follows the first dot: "ARC-Easy" of "eval/ARC-Easy.test.json".
std::string name_of(const std::string& path) {
  const std::string file = path.substr(path.rfind('/') + 1);
  return file.substr(0, file.find('.', 1));
}

using Groups = std::map<std::string, std::vector<const Item*>, std::less<>>;

// The first `shots` items of the item's group that are not the item itself.
Result<std::string> prefix_of(const Item& item, const Groups& groups, const TaskSpec& spec) {
  std::string prefix = item.description;
  std::size_t found = 0;
  const auto group = groups.find(item.group);
  for (std::size_t i = 0; found < spec.shots && group != groups.end() && i < group->second.size(); ++i) {
    const std::string& example = group->second[i]->example;
    if (example == item.example) continue;
    prefix += example;
    prefix += "\n\n";
    ++found;
  }
  if (found == spec.shots) return prefix;
  return fail(
      "{}: {} examples before every question are asked for, but only {} rows{}{} can serve: ask for fewer",
      spec.shots_file.empty() ? spec.file : spec.shots_file, spec.shots, found,
      item.group.empty() ? "" : " of ", item.group);
}

Status add_prefixes(std::span<const Item> sources, const TaskSpec& spec, Task& task) {
  Groups groups;
  for (const Item& source : sources) groups[source.group].push_back(&source);
  std::map<std::string, std::size_t> index;
  for (Item& item : task.items) {
    STERNA_TRY(const std::string prefix, prefix_of(item, groups, spec));
    const auto [entry, added] = index.try_emplace(prefix, task.prefixes.size());
    if (added) task.prefixes.push_back(prefix);
    item.prefix = entry->second;
  }
  return {};
}

}  // namespace

double chance_of(const Task& task) {
  if (task.greedy_target) return 0;
  double sum = 0;
  for (const Item& item : task.items) sum += 1 / static_cast<double>(item.choices());
  return sum / static_cast<double>(task.items.size());
}

Result<Task> load_task(const TaskSpec& spec) {
  STERNA_TRY(Items data, read_items(spec.file, spec.format));
  Task task;
  task.name = spec.name.empty() ? name_of(spec.file) : spec.name;
  task.format = data.format->name;
  task.shots = spec.shots;
  task.greedy_target = data.format->greedy_target;
  task.has_norm = data.format->has_norm;
  const std::size_t count = spec.limit == 0 ? data.items.size() : std::min(spec.limit, data.items.size());
  task.items.assign(data.items.begin(), data.items.begin() + static_cast<std::ptrdiff_t>(count));
  if (spec.shots_file.empty()) {
    STERNA_CHECK(add_prefixes(data.items, spec, task));
  } else {
    STERNA_TRY(const Items examples, read_items(spec.shots_file, "auto"));
    STERNA_CHECK(add_prefixes(examples.items, spec, task));
  }
  task.chance = chance_of(task);
  return task;
}

}  // namespace sterna::eval
