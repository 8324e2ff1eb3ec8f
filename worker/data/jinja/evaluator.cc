#include "worker/data/jinja/evaluator.h"

#include "absl/strings/str_cat.h"
#include "worker/data/jinja/budget.h"
#include "worker/data/jinja/expression_evaluator.h"
#include "worker/data/jinja/operators.h"
#include "worker/data/jinja/scope.h"
#include "worker/data/jinja/text_form.h"

namespace dropbp::data::jinja {
namespace {

using Kind = Statement::Kind;

// Attributes of a namespace are looked up one after the other.
constexpr size_t kMaxAttributes = 256;

// How a block ended.
enum class Flow { kOn, kBreak, kContinue };

absl::Status AtLine(const absl::Status& status, int line) {
  return Annotate(status, absl::StrCat("line ", line));
}

class Evaluator {
 public:
  Evaluator(Entries variables, const Clock& clock)
      : scopes_(std::move(variables)),
        expressions_(scopes_, budget_, clock),
        output_(&rendering_.text) {}

  absl::StatusOr<Rendering> Run(const Block& block) {
    absl::StatusOr<Flow> flow = Execute(block);
    if (!flow.ok()) return flow.status();
    return std::move(rendering_);
  }

 private:
  absl::StatusOr<Flow> Execute(const Block& block);
  absl::StatusOr<Flow> Execute(const Statement& statement);
  absl::StatusOr<Flow> If(const Statement& statement);
  absl::StatusOr<Flow> For(const Statement& statement);
  absl::StatusOr<std::vector<Value>> LoopItems(const Statement& statement);
  absl::Status BindTargets(const Statement& statement, const Value& value);
  void BindLoop(const std::vector<Value>& items, size_t index);
  absl::Status Set(const Statement& statement);
  absl::Status Assign(const Statement& statement, Value value);
  absl::StatusOr<Flow> Generation(const Statement& statement);
  absl::Status Print(const std::string& text);

  Budget budget_;
  Scopes scopes_;
  ExpressionEvaluator expressions_;
  Rendering rendering_;
  std::string* output_;  // rendering_.text, or the text of a set block
};

absl::StatusOr<Flow> Evaluator::Execute(const Block& block) {
  for (const auto& statement : block) {
    ASSIGN_OR_RETURN(const Flow flow, Execute(*statement));
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

absl::StatusOr<Flow> Evaluator::Execute(const Statement& statement) {
  if (absl::Status step = budget_.Step(); !step.ok()) return AtLine(step, statement.line);
  switch (statement.kind) {
    case Kind::kText:
      RETURN_IF_ERROR(AtLine(Print(statement.text), statement.line));
      return Flow::kOn;
    case Kind::kOutput: {
      ASSIGN_OR_RETURN(const Value value, expressions_.Run(*statement.expression));
      RETURN_IF_ERROR(AtLine(budget_.Step(value.weight()), statement.line));
      RETURN_IF_ERROR(AtLine(Print(ToText(value)), statement.line));
      return Flow::kOn;
    }
    case Kind::kIf:
      return If(statement);
    case Kind::kFor:
      return For(statement);
    case Kind::kGeneration:
      return Generation(statement);
    case Kind::kBreak:
      return Flow::kBreak;
    case Kind::kContinue:
      return Flow::kContinue;
    default:
      RETURN_IF_ERROR(Set(statement));
      return Flow::kOn;
  }
}

absl::Status Evaluator::Print(const std::string& text) {
  RETURN_IF_ERROR(budget_.Bytes(static_cast<int64_t>(text.size())));
  if (static_cast<int64_t>(output_->size() + text.size()) > Budget::kMaxTextBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the template prints more than ", Budget::kMaxTextBytes, " bytes"));
  }
  *output_ += text;
  return absl::OkStatus();
}

absl::StatusOr<Flow> Evaluator::If(const Statement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    ASSIGN_OR_RETURN(const Value value, expressions_.Run(*condition));
    if (value.Truth()) return Execute(body);
  }
  return Execute(statement.otherwise);
}

// The items to loop over: those for which the loop's own `if` holds.
absl::StatusOr<std::vector<Value>> Evaluator::LoopItems(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value sequence, expressions_.Run(*statement.expression));
  auto items = Iterate(sequence, budget_);
  if (!items.ok()) return AtLine(items.status(), statement.line);
  if (statement.filter == nullptr) return items;
  std::vector<Value> kept;
  for (const Value& item : *items) {
    scopes_.Enter();
    RETURN_IF_ERROR(BindTargets(statement, item));
    ASSIGN_OR_RETURN(const Value holds, expressions_.Run(*statement.filter));
    scopes_.Leave();
    if (holds.Truth()) kept.push_back(item);
  }
  return kept;
}

// Gives the names of a loop or an assignment their values; several names take a list apart.
absl::Status Evaluator::BindTargets(const Statement& statement, const Value& value) {
  if (statement.targets.size() == 1) {
    scopes_.Set(statement.targets[0], value);
    return absl::OkStatus();
  }
  if (!value.IsList() || value.items().size() != statement.targets.size()) {
    return AtLine(
        absl::InvalidArgumentError(absl::StrCat("needs a list of ", statement.targets.size(),
                                                " values, found ", value.KindName())),
        statement.line);
  }
  for (size_t i = 0; i < statement.targets.size(); ++i)
    scopes_.Set(statement.targets[i], value.items()[i]);
  return absl::OkStatus();
}

void Evaluator::BindLoop(const std::vector<Value>& items, size_t index) {
  const int64_t i = static_cast<int64_t>(index);
  const int64_t size = static_cast<int64_t>(items.size());
  const Undefined missing{"there is no item before the first or after the last"};
  scopes_.Set("loop",
              Value::MakeDict({{"index0", i},
                               {"index", i + 1},
                               {"revindex0", size - i - 1},
                               {"revindex", size - i},
                               {"first", i == 0},
                               {"last", i == size - 1},
                               {"length", size},
                               {"previtem", i == 0 ? Value(missing) : items[index - 1]},
                               {"nextitem", i == size - 1 ? Value(missing) : items[index + 1]}}));
}

absl::StatusOr<Flow> Evaluator::For(const Statement& statement) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, LoopItems(statement));
  if (items.empty()) return Execute(statement.otherwise);
  for (size_t i = 0; i < items.size(); ++i) {
    scopes_.Enter();
    BindLoop(items, i);
    RETURN_IF_ERROR(BindTargets(statement, items[i]));
    ASSIGN_OR_RETURN(const Flow flow, Execute(statement.body));
    scopes_.Leave();
    if (flow == Flow::kBreak) break;
  }
  return Flow::kOn;
}

absl::Status Evaluator::Set(const Statement& statement) {
  if (statement.kind == Kind::kSet) {
    ASSIGN_OR_RETURN(Value value, expressions_.Run(*statement.expression));
    return Assign(statement, std::move(value));
  }
  std::string text;
  std::string* outer = std::exchange(output_, &text);
  scopes_.Enter();
  absl::StatusOr<Flow> flow = Execute(statement.body);
  scopes_.Leave();
  output_ = outer;
  if (!flow.ok()) return flow.status();
  return Assign(statement, Value(std::move(text)));
}

absl::Status Evaluator::Assign(const Statement& statement, Value value) {
  RETURN_IF_ERROR(AtLine(budget_.Step(static_cast<int64_t>(scopes_.size() / 64)), statement.line));
  if (statement.text.empty()) return BindTargets(statement, value);
  const Value* space = scopes_.Find(statement.text);
  if (space == nullptr || !space->IsNamespace()) {
    return AtLine(
        absl::InvalidArgumentError(absl::StrCat("'", statement.text, "' is no namespace")),
        statement.line);
  }
  if (value.depth() >= Value::kMaxDepth) {
    return AtLine(absl::InvalidArgumentError(
                      "a namespace, or a value nested too deep, cannot be put into a namespace"),
                  statement.line);
  }
  if (space->entries().size() >= kMaxAttributes && space->Find(statement.targets[0]) == nullptr) {
    return AtLine(absl::InvalidArgumentError(
                      absl::StrCat("a namespace of more than ", kMaxAttributes, " attributes")),
                  statement.line);
  }
  space->SetInNamespace(statement.targets[0], std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<Flow> Evaluator::Generation(const Statement& statement) {
  const size_t begin = output_->size();
  scopes_.Enter();
  ASSIGN_OR_RETURN(const Flow flow, Execute(statement.body));
  scopes_.Leave();
  if (output_ == &rendering_.text) rendering_.generation.emplace_back(begin, output_->size());
  return flow;
}

}  // namespace

absl::StatusOr<Rendering> Render(const Block& block, Entries variables, const Clock& clock) {
  return Evaluator(std::move(variables), clock).Run(block);
}

}  // namespace dropbp::data::jinja
