#include "core/job/job_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/text.h"
#include "core/job/job_values.h"
#include "core/job/yaml_documents.h"

namespace dropbp {
namespace {

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxProblems = 50;
int LineOf(const YAML::Mark& mark) { return mark.line + 1; }

std::string KindOf(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Scalar:
      return absl::StrCat("\"", Excerpt(node.Scalar()), "\"");
    default:
      return "nothing";
  }
}

bool IsSection(std::string_view path) {
  const std::string prefix = absl::StrCat(AbslView(path), ".");
  const auto fields = JobFields();
  return std::any_of(fields.begin(), fields.end(), [&](const JobField& field) {
    return absl::StartsWith(AbslView(field.path), prefix);
  });
}

std::string DescribeUnknown(std::string_view path) {
  const std::string nearest = NearestJobField(path);
  return nearest.empty() ? "unknown field"
                         : absl::StrCat("unknown field; did you mean ", nearest, "?");
}

// The field of key-value pairs of which `path` names one entry, such as "labels.team"; null: none.
const JobField* PairsFieldOf(std::string_view path) {
  for (const JobField& field : JobFields()) {
    if (IsPairs(field) && path.size() > field.path.size() && path.starts_with(field.path) &&
        path[field.path.size()] == '.') {
      return &field;
    }
  }
  return nullptr;
}

// What names a data file at `path`; null: no such path.
std::string* FileAt(std::string_view path, JobFile& job) {
  if (path == "dataset.file") return &job.dataset_file;
  return path == "dataset.validation_file" ? &job.validation_file : nullptr;
}

// Walks a document and collects every problem with its line.
class Reader {
 public:
  void Document(const YAML::Node& root) {
    if (root.IsMap()) {
      Section(root, "");
    } else {
      Problem("job file", absl::StrCat("found ", KindOf(root), ", legal is a mapping of fields"));
    }
  }

  // Notes a problem at the line of the key that is being read.
  void Problem(std::string_view field, std::string_view what) {
    problems_.emplace_back(line_, absl::StrCat(AbslView(field), ": ", AbslView(what)));
  }

  void GoToLine(int line) { line_ = line; }

  absl::StatusOr<JobFile> Result(std::string_view source);

 private:
  void Note(const std::optional<FieldViolation>& violation) {
    if (violation) Problem(violation->field, violation->description);
  }

  void Section(const YAML::Node& map, const std::string& prefix);
  void Entry(const YAML::Node& value, const std::string& path);
  void Field(const JobField& field, const YAML::Node& value);
  void List(const JobField& field, const YAML::Node& value);
  void Pairs(const JobField& field, const YAML::Node& value);
  void Name(const YAML::Node& value);
  void DataFile(const std::string& path, std::string& file, const YAML::Node& value);

  JobFile job_;
  int line_ = 1;
  std::vector<std::pair<int, std::string>> problems_;
};

void Reader::Section(const YAML::Node& map, const std::string& prefix) {
  std::map<std::string, int> lines;
  for (const auto& entry : map) {
    const YAML::Node& key = entry.first;
    const YAML::Node& value = entry.second;
    GoToLine(LineOf(key.Mark()));
    if (!key.IsScalar()) {
      Problem(prefix.empty() ? "job file" : prefix,
              absl::StrCat("found ", KindOf(key), " as a key"));
      continue;
    }
    const std::string name = Excerpt(key.Scalar());
    const std::string path = prefix.empty() ? name : absl::StrCat(prefix, ".", name);
    const auto [first, is_new] = lines.emplace(name, line_);
    if (is_new) {
      Entry(value, path);
    } else {
      Problem(path, absl::StrCat("found a second time, first in line ", first->second));
    }
  }
}

void Reader::Entry(const YAML::Node& value, const std::string& path) {
  job_.lines[path] = line_;
  if (path == "name") {
    Name(value);
  } else if (std::string* file = FileAt(path, job_)) {
    DataFile(path, *file, value);
  } else if (const JobField* field = FindJobField(path)) {
    Field(*field, value);
  } else if (!IsSection(path)) {
    Problem(path, DescribeUnknown(path));
  } else if (value.IsMap()) {
    Section(value, path);
  } else if (!value.IsNull()) {
    Problem(path, absl::StrCat("found ", KindOf(value), ", legal is a mapping of fields"));
  }
}

void Reader::Field(const JobField& field, const YAML::Node& value) {
  if (IsPairs(field) && value.IsMap()) {
    Pairs(field, value);
  } else if (IsList(field) && value.IsSequence()) {
    List(field, value);
  } else if (value.IsScalar()) {
    Note(SetFromText(field, value.Scalar(), job_.spec));
  } else {
    Problem(field.path, absl::StrCat("found ", KindOf(value), ", legal is ", LegalValues(field)));
  }
}

void Reader::List(const JobField& field, const YAML::Node& value) {
  std::vector<std::string> elements;
  for (const YAML::Node& element : value) {
    if (!element.IsScalar()) {
      Problem(field.path, absl::StrCat("found ", KindOf(element), " in the list, legal is text"));
      return;
    }
    elements.push_back(element.Scalar());
  }
  Note(SetFromList(field, elements, job_.spec));
}

void Reader::Pairs(const JobField& field, const YAML::Node& value) {
  for (const auto& entry : value) {
    const YAML::Node& key = entry.first;
    const YAML::Node& text = entry.second;
    GoToLine(LineOf(key.Mark()));
    if (key.IsScalar() && text.IsScalar()) {
      job_.lines[absl::StrCat(AbslView(field.path), ".", key.Scalar())] = line_;
      Note(SetEntry(field, key.Scalar(), text.Scalar(), job_.spec));
    } else {
      Problem(field.path,
              absl::StrCat("found ", KindOf(key.IsScalar() ? text : key), ", legal is text"));
    }
  }
}

void Reader::Name(const YAML::Node& value) {
  if (value.IsScalar() && IsLegalJobId(value.Scalar())) {
    job_.name = value.Scalar();
  } else {
    Problem("name",
            absl::StrCat("found ", KindOf(value),
                         ", legal is 1 to 63 lower-case letters, digits and '-', from a letter to "
                         "a letter or digit"));
  }
}

void Reader::DataFile(const std::string& path, std::string& file, const YAML::Node& value) {
  if (value.IsScalar() && !value.Scalar().empty()) {
    file = value.Scalar();
  } else {
    Problem(path, absl::StrCat("found ", KindOf(value), ", legal is the path of a data file"));
  }
}

absl::StatusOr<JobFile> Reader::Result(std::string_view source) {
  if (problems_.empty()) return std::move(job_);
  std::stable_sort(problems_.begin(), problems_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> lines;
  for (const auto& [line, what] : problems_) {
    if (lines.size() == kMaxProblems) {
      lines.push_back(absl::StrCat("and ", problems_.size() - kMaxProblems, " more"));
      break;
    }
    lines.push_back(absl::StrCat(AbslView(source), ":", line, ": ", what));
  }
  return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
}

}  // namespace

absl::StatusOr<JobFile> ParseJobFile(std::string_view yaml, std::string_view source) {
  if (yaml.size() > kMaxBytes) {
    return absl::InvalidArgumentError(absl::StrCat(AbslView(source), ": found ", yaml.size(),
                                                   " bytes, legal is at most ", kMaxBytes));
  }
  Reader reader;
  try {
    const std::string text(yaml);
    const std::vector<int> documents = FindYamlDocuments(text);
    if (documents.size() < 2) {
      reader.Document(YAML::Load(text));
    } else {
      reader.GoToLine(documents[1]);
      reader.Problem("job file", "found a second YAML document, legal is one");
    }
  } catch (const YAML::Exception& error) {
    reader.GoToLine(LineOf(error.mark));
    reader.Problem("job file", absl::StrCat("not YAML: ", error.msg));
  }
  return reader.Result(source);
}

namespace {

// Sets a list from "a,b" or, where elements have commas of their own, from YAML's "[a, b]".
std::optional<FieldViolation> SetFromListText(const JobField& field, const std::string& text,
                                              JobSpec& spec) {
  if (!absl::StartsWith(text, "[")) return SetFromList(field, absl::StrSplit(text, ','), spec);
  try {
    return SetFromList(field, YAML::Load(text).as<std::vector<std::string>>(), spec);
  } catch (const YAML::Exception&) {
    return FieldViolation{std::string(field.path),
                          absl::StrCat("found \"", Excerpt(text),
                                       "\", legal is a list: a,b or in YAML's form [a, b]")};
  }
}

}  // namespace

absl::Status SetJobField(std::string_view assignment, JobFile& job) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("found \"", Excerpt(assignment),
                     "\", legal is field=value, for example training.steps=20"));
  }
  const std::string path(assignment.substr(0, equals));
  const std::string value(assignment.substr(equals + 1));
  std::optional<FieldViolation> violation;
  if (path == "name") {
    if (!value.empty() && !IsLegalJobId(value)) {
      violation = {path, absl::StrCat("found \"", value,
                                      "\", legal is 1 to 63 lower-case letters, digits and '-'")};
    } else {
      job.name = value;
    }
  } else if (std::string* file = FileAt(path, job)) {
    *file = value;
  } else if (const JobField* pairs = PairsFieldOf(path); pairs != nullptr) {
    violation = SetEntry(*pairs, path.substr(pairs->path.size() + 1), value, job.spec);
  } else if (const JobField* field = FindJobField(path); field == nullptr) {
    violation = {Excerpt(path), DescribeUnknown(path)};
  } else if (IsList(*field)) {
    violation = SetFromListText(*field, value, job.spec);
  } else {
    violation = SetFromText(*field, value, job.spec);
  }
  if (violation) return absl::InvalidArgumentError(DescribeViolations({*violation}));
  job.lines.erase(path);
  return absl::OkStatus();
}

std::string PlaceOf(const JobFile& job, std::string_view source, std::string_view field) {
  const auto line = job.lines.find(std::string(field));
  if (line == job.lines.end()) return std::string(field);
  return absl::StrCat(AbslView(source), ":", line->second, ": ", AbslView(field));
}

}  // namespace dropbp
