#include <bzlib.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/tasks/formats.h"
#include "eval/tasks/rows.h"
#include "eval/tasks/strings.h"
#include "eval/tasks/task.h"
#include "tests/support/temp_dir.h"

namespace sterna::eval {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

// A task of one file, whose name ends as given.
Result<Task> task_of(const std::string& text, TaskSpec spec = {}, const std::string& ending = ".jsonl") {
  const TempDir directory;
  directory.write("rows" + ending, text);
  spec.file = directory.file("rows" + ending);
  return load_task(spec);
}

Task good_task(const std::string& text, const TaskSpec& spec = {}, const std::string& ending = ".jsonl") {
  auto task = task_of(text, spec, ending);
  EXPECT_TRUE(task) << (task ? "" : task.error().message);
  if (task) return *std::move(task);
  Task none;
  none.items.resize(1);
  return none;
}

std::string error_of(const std::string& text, const TaskSpec& spec = {},
                     const std::string& ending = ".jsonl") {
  const auto task = task_of(text, spec, ending);
  EXPECT_FALSE(task);
  return task ? "" : task.error().message;
}

TEST(TaskFormats, HellaswagIsJoinedCapitalisedAndRidOfPageMarks) {
  const Task task = good_task(
      R"({"activity_label": "Baking", "ctx_a": "How to bake [title] Take flour. [step] Mix  it.", "ctx_b": "the BAKER",)"
      R"( "endings": ["smiles  at [header] Anna.", " sings ", "[substeps] eats", "ends."], "label": "1"})");
  EXPECT_EQ(task.format, "hellaswag");
  EXPECT_TRUE(task.has_norm);
  EXPECT_DOUBLE_EQ(task.chance, 0.25);
  const Item& item = task.items.front();
  // Each double space becomes one once, also those that a mark leaves behind.
  EXPECT_THAT(item.contexts, ElementsAre("Baking: How to bake. Take flour. Mix it. The baker"));
  EXPECT_THAT(item.continuations, ElementsAre(" smiles at Anna.", " sings", "  eats", " ends."));
  EXPECT_THAT(item.lengths, ElementsAre(15, 5, 5, 5));
  EXPECT_EQ(item.answer, 1);
  EXPECT_EQ(item.example, "Baking: How to bake. Take flour. Mix it. The baker sings");
}

TEST(TaskFormats, SixLinesAreAHellaswagItem) {
  const Task task =
      good_task("Ski: A man. he\n3\na\nb [x] c\nd\ne\nSki: Two men. they\n0\na\nb\nc\nd\n", {}, ".txt");
  EXPECT_EQ(task.format, "hellaswag-text");
  ASSERT_EQ(task.items.size(), 2);
  EXPECT_THAT(task.items[0].contexts, ElementsAre("Ski: A man. he"));
  EXPECT_THAT(task.items[0].continuations, ElementsAre(" a", " b c", " d", " e"));
  EXPECT_EQ(task.items[0].answer, 3);
  EXPECT_EQ(task.items[1].answer, 0);
}

TEST(TaskFormats, ArcFromItsOwnRowsAndFromInstructions) {
  const Task own = good_task(
      R"({"id": "x", "question": "Why?", "choices": {"text": ["so", "no", "yes"], "label": ["1", "2", "3"]}, "answerKey": "3"})");
  EXPECT_EQ(own.format, "arc");
  EXPECT_DOUBLE_EQ(own.chance, 1.0 / 3.0);
  const Task instruction = good_task(
      R"([
  {"instruction": "Please choose the correct answer to the question: Why?\n\nAnswer1: so Answer2: no Answer3: yes\n\nAnswer format: answer1/answer2/answer3", "input": "", "output": "the correct answer is answer3", "answer": "answer3"}
])",
      {}, ".json");
  EXPECT_EQ(instruction.format, "arc-instruction");
  for (const Task* task : {&own, &instruction}) {
    const Item& item = task->items.front();
    EXPECT_THAT(item.contexts, ElementsAre("Question: Why?\nAnswer:"));
    EXPECT_THAT(item.continuations, ElementsAre(" so", " no", " yes"));
    EXPECT_EQ(item.answer, 2);
  }
}

TEST(TaskFormats, Openbookqa) {
  const Task task = good_task(
      R"({"question_stem": "A frog is", "choices": {"text": ["a bird", "an animal"], "label": ["A", "B"]}, "answerKey": " B"})");
  EXPECT_EQ(task.format, "openbookqa");
  EXPECT_THAT(task.items.front().contexts, ElementsAre("A frog is"));
  EXPECT_EQ(task.items.front().answer, 1);
}

TEST(TaskFormats, PiqaTakesItsLabelsFromTheRowOrFromTheListBeside) {
  const std::string row = R"({"goal": "dry shoes", "sol1": "paper ", "sol2": "water")";
  const Task own = good_task(row + R"(, "label": 0})");
  EXPECT_EQ(own.format, "piqa");
  EXPECT_THAT(own.items.front().contexts, ElementsAre("Question: dry shoes\nAnswer:"));
  EXPECT_THAT(own.items.front().continuations, ElementsAre(" paper ", " water"));
  EXPECT_THAT(own.items.front().lengths, ElementsAre(6, 5));

  const TempDir directory;
  directory.write("valid.jsonl", row + "}\n" + row + "}\n");
  directory.write("valid-labels.lst", "1\n0\n");
  const auto task = load_task({.file = directory.file("valid.jsonl")});
  ASSERT_TRUE(task);
  EXPECT_EQ(task->items[0].answer, 1);
  EXPECT_EQ(task->items[1].answer, 0);
  directory.write("valid-labels.lst", "1\n");
  const auto short_list = load_task({.file = directory.file("valid.jsonl")});
  ASSERT_FALSE(short_list);
  EXPECT_THAT(short_list.error().message, HasSubstr("valid-labels.lst: 1 labels for the 2 rows"));
}

TEST(TaskFormats, WinograndeScoresTheRestOfTheSentence) {
  const Task task = good_task(
      R"({"sentence": "The cup is in the _ , so  it fits. ", "option1": "box", "option2": "bag", "answer": "2"})");
  EXPECT_EQ(task.format, "winogrande");
  EXPECT_FALSE(task.has_norm);
  const Item& item = task.items.front();
  EXPECT_THAT(item.contexts, ElementsAre("The cup is in the box", "The cup is in the bag"));
  EXPECT_THAT(item.continuations, ElementsAre(" , so  it fits."));
  EXPECT_EQ(item.choices(), 2);
  EXPECT_EQ(item.answer, 1);
  EXPECT_EQ(item.continuation(1), " , so  it fits.");
  EXPECT_EQ(item.example, "The cup is in the bag , so  it fits.");
}

TEST(TaskFormats, BoolqInBothForms) {
  for (const char* answer : {R"("label": 1)", R"("answer": true)"}) {
    const Task task =
        good_task(std::string(R"({"passage": "Tin is soft.", "question": "is tin soft", )") + answer + "}");
    EXPECT_EQ(task.format, "boolq");
    EXPECT_THAT(task.items.front().contexts, ElementsAre("Tin is soft.\nQuestion: is tin soft?\nAnswer:"));
    EXPECT_THAT(task.items.front().continuations, ElementsAre(" no", " yes"));
    EXPECT_EQ(task.items.front().answer, 1);
  }
}

TEST(TaskFormats, MmluAnswersWithLetters) {
  const Task task = good_task(
      R"({"question": " 7 x 8? \n", "subject": "high_school_maths", "choices": ["54", "56", "63"], "answer": 1})");
  EXPECT_EQ(task.format, "mmlu");
  EXPECT_FALSE(task.has_norm);
  EXPECT_THAT(task.items.front().contexts, ElementsAre("7 x 8?\nA. 54\nB. 56\nC. 63\nAnswer:"));
  EXPECT_THAT(task.items.front().continuations, ElementsAre(" A", " B", " C"));
  EXPECT_THAT(task.prefixes,
              ElementsAre("The following are multiple choice questions (with answers) about high school "
                          "maths.\n\n"));
}

TEST(TaskFormats, LambadaAsksForTheLastWord) {
  const Task task = good_task(R"({"text": "He drank a cup of tea"})");
  EXPECT_EQ(task.format, "lambada");
  EXPECT_TRUE(task.greedy_target);
  EXPECT_EQ(task.chance, 0);
  EXPECT_THAT(task.items.front().contexts, ElementsAre("He drank a cup of"));
  EXPECT_THAT(task.items.front().continuations, ElementsAre(" tea"));
  EXPECT_EQ(good_task(R"({"text": "Tea"})").items.front().contexts.front(), "");
}

TEST(TaskFormats, OwnRowsCountCharactersNotBytes) {
  const Task task = good_task(R"({"context": "猫は", "choices": ["好きだ", "naïve €", "a"], "answer": 2})");
  EXPECT_EQ(task.format, "choices");
  EXPECT_THAT(task.items.front().lengths, ElementsAre(3, 7, 1));
  EXPECT_EQ(task.items.front().example, "猫は a");
}

TEST(TaskFormats, PythonsStringFunctions) {
  EXPECT_EQ(capitalized("éLÈVE Ünder"), "Élève ünder");
  EXPECT_EQ(capitalized(""), "");
  EXPECT_EQ(capitalized("ǆ"), "ǅ");  // title case, not upper case
  EXPECT_EQ(stripped("\u00A0\x1F a b\u3000\n"), "a b");
  EXPECT_EQ(without_page_marks("a [b\nc] d"), "a [b\nc] d");  // brackets on one line only
  EXPECT_EQ(without_page_marks("a [[b] c] d"), "a c] d");     // up to the first closing one
  EXPECT_EQ(without_page_marks("a    b"), "a  b");
}

TEST(TaskFiles, CompressedTextIsRead) {
  const std::string text = R"({"context": "a", "choices": ["b", "c"], "answer": 1})";
  std::string packed(1000, '\0');
  auto size = static_cast<unsigned>(packed.size());
  ASSERT_EQ(BZ2_bzBuffToBuffCompress(packed.data(), &size, const_cast<char*>(text.data()),
                                     static_cast<unsigned>(text.size()), 9, 0, 0),
            BZ_OK);
  packed.resize(size);
  EXPECT_EQ(good_task(packed, {}, ".jsonl.bz2").items.size(), 1);
  EXPECT_THAT(error_of(packed.substr(0, size - 5), {}, ".jsonl.bz2"),
              HasSubstr("rows.jsonl.bz2: not a whole bzip2 file"));
  EXPECT_THAT(error_of("BZ" + packed, {}, ".jsonl.bz2"), HasSubstr("not a whole bzip2 file"));
}

TEST(TaskFiles, LimitAndName) {
  const std::string row = R"({"context": "a", "choices": ["b", "c"], "answer": 1})";
  const Task task = good_task(row + "\n\n" + row + "\n" + row + "\n", {.limit = 2}, ".test.jsonl");
  EXPECT_EQ(task.items.size(), 2);
  EXPECT_EQ(task.name, "rows");
  EXPECT_EQ(good_task(row, {.name = "mine"}).name, "mine");
}

TEST(TaskFiles, ErrorsNameFileLineAndField) {
  const std::string good = R"({"context": "a", "choices": ["b", "c"], "answer": 1})";
  const auto second = [&](const std::string& row) { return error_of(good + "\n" + row + "\n"); };
  EXPECT_THAT(second(R"({"context": "a", "choices": ["b", "c"]})"),
              AllOf(HasSubstr("rows.jsonl:2: the field 'answer' is missing"),
                    HasSubstr("use a part of the data set")));
  EXPECT_THAT(second(R"({"context": "a", "choices": ["b", "c"], "answer": -1})"),
              HasSubstr("holds no answer"));
  EXPECT_THAT(second(R"({"context": "a", "choices": ["b", "c"], "answer": ""})"),
              HasSubstr("holds no answer"));
  EXPECT_THAT(second(R"({"context": "a", "choices": ["b", "c"], "answer": 2})"),
              HasSubstr("'answer' is 2, the answer must be a number from 0 to 1"));
  EXPECT_THAT(second(R"({"context": "a", "choices": ["b", "c"], "answer": "c"})"),
              HasSubstr("must be a number"));
  EXPECT_THAT(second(R"({"context": "a", "choices": ["b"], "answer": 0})"), HasSubstr("two or more texts"));
  EXPECT_THAT(second(R"({"context": 7, "choices": ["b", "c"], "answer": 0})"),
              HasSubstr("'context' is number"));
  EXPECT_THAT(second(R"({"choices": ["b", "c"], "answer": 0})"),
              HasSubstr("rows.jsonl:2: the field 'context' is missing"));
  EXPECT_THAT(second("{\"context\": "), HasSubstr("rows.jsonl:2: not valid JSON"));
  EXPECT_THAT(second("[1]"), HasSubstr("rows.jsonl:2: a JSON object is expected"));
}

TEST(TaskFiles, ErrorsOfWholeFiles) {
  EXPECT_THAT(error_of(""), HasSubstr("rows.jsonl: "));
  EXPECT_THAT(error_of(" \n\n"), HasSubstr("empty: a task needs at least one row"));
  EXPECT_THAT(error_of("[]"), HasSubstr("an empty list"));
  EXPECT_THAT(error_of("[{\"text\": \"a b\"},\n"), HasSubstr("the JSON list has no end"));
  EXPECT_THAT(error_of("[{\"text\": \"a b\"},\n\n7]"),
              HasSubstr("rows.jsonl:3: a JSON object is expected, found '7'"));
  EXPECT_THAT(error_of("[\n{\"text\": \"a}\\\"b\"},\n{\"text\":\n 4}]"),
              HasSubstr("rows.jsonl:3: the field 'text' is number"));
  EXPECT_THAT(error_of("just a text\nof two lines\n"), HasSubstr("(2 lines)"));
  EXPECT_THAT(error_of("\xFF\n0\na\nb\nc\nd\n"), HasSubstr("not UTF-8 text"));
  EXPECT_THAT(error_of("Ski: he\n4\na\nb\nc\nd\n"), HasSubstr("rows.jsonl:1: the field 'label' is 4"));
  EXPECT_THAT(error_of(R"({"prompt": "a"})"),
              AllOf(HasSubstr("rows.jsonl:1"), HasSubstr("'prompt'"), HasSubstr("piqa")));
  EXPECT_THAT(error_of(R"({"text": "a b"})", {.format = "lambda"}),
              HasSubstr("no task format 'lambda'; there are:"));
  EXPECT_THAT(error_of(R"({"text": "a b "})"), HasSubstr("the field 'text' ends without a word"));
  EXPECT_THAT(error_of(R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})"),
              HasSubstr("the field 'sentence' has no gap"));
  EXPECT_THAT(
      error_of(
          R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"})"),
      HasSubstr("the field 'answerKey' is 'C', which is none of the labels A, B"));
  EXPECT_THAT(error_of(R"({"instruction": "Say something", "answer": "true"})"),
              HasSubstr("not of ARC's form"));
  EXPECT_FALSE(load_task({.file = "/nowhere/rows.jsonl"}));
}

std::string own_row(const std::string& context, const std::string& answer) {
  return nlohmann::json{{"context", context}, {"choices", {answer, "-"}}, {"answer", 0}}.dump() + "\n";
}

TEST(FewShot, ExamplesAreTheFirstOtherRows) {
  const std::string text = own_row("a", "1") + own_row("b", "2") + own_row("c", "3") + own_row("a", "1");
  const Task task = good_task(text, {.shots = 2});
  EXPECT_EQ(task.shots, 2);
  const auto prefix = [&](std::size_t i) { return task.prefixes[task.items[i].prefix]; };
  EXPECT_EQ(prefix(0), "b 2\n\nc 3\n\n");
  EXPECT_EQ(prefix(1), "a 1\n\nc 3\n\n");
  EXPECT_EQ(prefix(2), "a 1\n\nb 2\n\n");
  EXPECT_EQ(prefix(3), "b 2\n\nc 3\n\n");  // a copy of a row is the row itself
  EXPECT_EQ(task.prefixes.size(), 3);      // items 0 and 3 share theirs
  EXPECT_THAT(error_of(text, {.shots = 4}),
              AllOf(HasSubstr("rows.jsonl: 4 examples"), HasSubstr("only 2 rows")));
}

TEST(FewShot, ExamplesFromAnotherFileAndOfTheSameSubject) {
  const auto row = [](const std::string& subject, const std::string& question) {
    return nlohmann::json{
               {"question", question}, {"subject", subject}, {"choices", {"x", "y"}}, {"answer", 1}}
               .dump() +
           "\n";
  };
  const TempDir directory;
  directory.write("dev.jsonl", row("law", "l1") + row("art", "a1") + row("art", "a2"));
  const TaskSpec spec{.shots = 1, .shots_file = directory.file("dev.jsonl")};
  const Task task = good_task(row("art", "q") + row("law", "r"), spec);
  EXPECT_EQ(task.prefixes[task.items[0].prefix],
            "The following are multiple choice questions (with answers) about art.\n\na1\nA. x\nB. "
            "y\nAnswer: B\n\n");
  EXPECT_THAT(task.prefixes[task.items[1].prefix], HasSubstr("about law.\n\nl1\n"));
  EXPECT_THAT(error_of(row("music", "q"), spec), HasSubstr("only 0 rows of music can serve"));
}

TEST(FewShot, LambadaAndWinograndeAsExamples) {
  const Task lambada = good_task("{\"text\": \"a b\"}\n{\"text\": \"c d\"}\n", {.shots = 1});
  EXPECT_EQ(lambada.prefixes[lambada.items[1].prefix], "a  b\n\n");  // both spaces, as lm-eval writes them
  const Task winogrande =
      good_task(R"({"sentence": "A _ is.", "option1": "x", "option2": "y", "answer": "2"})"
                "\n"
                R"({"sentence": "B _ is.", "option1": "x", "option2": "y", "answer": "1"})"
                "\n",
                {.shots = 1});
  EXPECT_EQ(winogrande.prefixes[winogrande.items[1].prefix], "A y is.\n\n");
}

}  // namespace
}  // namespace sterna::eval
