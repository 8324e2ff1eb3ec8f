#include "proto/support/job_spec_proto.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "core/job/job_fields.h"
#include "core/job/job_values.h"

namespace dropbp {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Words = std::vector<std::string>;
using Pairs = std::map<std::string, std::string>;

bool SameSpec(const JobSpec& a, const JobSpec& b) {
  return std::all_of(JobFields().begin(), JobFields().end(), [&](const JobField& field) {
    return FormatField(field, a) == FormatField(field, b);
  });
}

// Texts of legal values for a field: every choice, or two points of a range.
Words LegalTexts(const JobField& field) {
  Words texts;
  if (!field.choices.empty()) {
    for (std::string_view choice : field.choices) texts.emplace_back(choice);
  } else if (std::holds_alternative<bool& (*)(JobSpec&)>(field.access)) {
    texts = {"true", "false"};
  } else if (field.max < std::numeric_limits<double>::infinity()) {
    texts = {FormatNumber(field.min), FormatNumber(field.below_max ? field.max / 2 : field.max)};
  } else {
    texts = {"some text", "caf\xc3\xa9"};
  }
  return texts;
}

JobSpec ThereAndBack(const JobSpec& spec) {
  v1::JobSpec proto;
  EXPECT_TRUE(proto.ParseFromString(JobSpecToProto(spec).SerializeAsString()));
  return JobSpecFromProto(proto);
}

// Dotted paths of all leaf fields of a message.
void CollectPaths(const Descriptor* message, const std::string& prefix,
                  std::map<std::string, const FieldDescriptor*>& paths) {
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    if (field->message_type() != nullptr && !field->is_map()) {
      CollectPaths(field->message_type(), prefix + field->name() + ".", paths);
    } else {
      paths[prefix + field->name()] = field;
    }
  }
}

std::map<std::string, const FieldDescriptor*> ProtoPaths() {
  std::map<std::string, const FieldDescriptor*> paths;
  CollectPaths(v1::JobSpec::descriptor(), "", paths);
  return paths;
}

TEST(JobSpecProtoTest, HasATableEntryForEveryProtoFieldAndTheReverse) {
  std::set<std::string> in_proto;
  for (const auto& [path, field] : ProtoPaths()) in_proto.insert(path);
  std::set<std::string> in_table;
  for (const JobField& field : JobFields()) in_table.insert(std::string(field.path));
  EXPECT_EQ(in_proto, in_table);
}

TEST(JobSpecProtoTest, LetsEveryScalarBeLeftOut) {
  for (const auto& [path, field] : ProtoPaths()) {
    EXPECT_TRUE(field->is_repeated() || field->has_presence()) << path;
  }
}

TEST(JobSpecProtoTest, HasAWordForEveryEnumValueAndTheReverse) {
  for (const auto& [path, field] : ProtoPaths()) {
    const EnumDescriptor* type = field->enum_type();
    if (type == nullptr) continue;
    std::set<std::string> values;
    for (int i = 0; i < type->value_count(); ++i) {
      if (type->value(i)->number() != 0)
        values.insert(absl::AsciiStrToLower(type->value(i)->name()));
    }
    const auto& choices = FindJobField(path)->choices;
    EXPECT_EQ(values, std::set<std::string>(choices.begin(), choices.end())) << path;
  }
}

TEST(JobSpecProtoTest, BringsEveryLegalValueOfEveryFieldThereAndBack) {
  for (const JobField& field : JobFields()) {
    if (IsPairs(field)) continue;
    for (const std::string& text : LegalTexts(field)) {
      JobSpec spec;
      const auto violation = SetFromText(field, text, spec);
      ASSERT_FALSE(violation) << field.path << " = " << text << ": " << violation->description;
      const JobSpec back = ThereAndBack(spec);
      EXPECT_EQ(FormatField(field, back), text) << field.path;
      EXPECT_TRUE(SameSpec(back, spec)) << field.path;
    }
  }
}

TEST(JobSpecProtoTest, BringsListsAndPairsThereAndBack) {
  JobSpec spec;
  spec.lora.target_modules = {"q_proj", "v_proj"};
  spec.labels = {{"team", "nlp"}, {"run", "7"}};
  spec.dataset.fields = {{"prompt", "question"}};
  spec.dataset.mix = {{std::string(64, 'a'), 0.25}};
  spec.lora.rank_pattern = {{"layers.0.*", 8}};
  spec.lora.alpha_pattern = {{"q_proj", 0.5}, {"v_proj", 3}};
  const JobSpec back = ThereAndBack(spec);
  EXPECT_EQ(back.lora.rank_pattern, spec.lora.rank_pattern);
  EXPECT_EQ(back.lora.alpha_pattern, spec.lora.alpha_pattern);
  EXPECT_THAT(back.lora.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(back.labels, spec.labels);
  EXPECT_EQ(back.dataset.fields, spec.dataset.fields);
  EXPECT_EQ(back.dataset.mix, spec.dataset.mix);
}

TEST(JobSpecProtoTest, WritesEveryFieldOfADefaultSpec) {
  const v1::JobSpec proto = JobSpecToProto(JobSpec());
  EXPECT_TRUE(proto.has_model());
  EXPECT_EQ(proto.method(), v1::JobSpec::LORA);
  EXPECT_TRUE(proto.training().has_steps());
  EXPECT_EQ(proto.training().learning_rate(), 2e-4);
  EXPECT_EQ(proto.resources().ranks(), 1);
  EXPECT_TRUE(MessageDifferencer::Equals(JobSpecToProto(JobSpecFromProto(proto)), proto));
}

TEST(JobSpecProtoTest, TakesDefaultsForWhatTheMessageLeavesOut) {
  EXPECT_TRUE(SameSpec(JobSpecFromProto(v1::JobSpec()), JobSpec()));
  v1::JobSpec proto;
  proto.set_method(v1::JobSpec::METHOD_UNSPECIFIED);
  proto.mutable_training()->set_steps(5);
  proto.mutable_dropbp()->set_drop_rate(0);
  const JobSpec spec = JobSpecFromProto(proto);
  EXPECT_EQ(spec.method, "lora");
  EXPECT_EQ(spec.training.steps, 5);
  EXPECT_EQ(spec.training.global_batch_size, TrainingSpec().global_batch_size);
  EXPECT_EQ(spec.dropbp.drop_rate, 0);  // set to zero is not left out
}

TEST(JobSpecProtoTest, LeavesIllegalValuesIllegalSoThatValidationFindsThem) {
  JobSpec spec;
  spec.method = "prefix";
  spec.resources.ranks = int64_t{1} << 40;
  const JobSpec back = ThereAndBack(spec);
  EXPECT_TRUE(CheckJobField(*FindJobField("method"), back));
  EXPECT_TRUE(CheckJobField(*FindJobField("resources.ranks"), back));
  v1::JobSpec proto;
  proto.set_method(static_cast<v1::JobSpec::Method>(77));
  EXPECT_EQ(JobSpecFromProto(proto).method, "77");
}

TEST(JobSpecProtoTest, WritesOnlyValidUtf8) {
  JobSpec spec;
  spec.model = "bad\xff";
  spec.labels = {{"k\xff", "v\xff"}};
  EXPECT_EQ(ThereAndBack(spec).model, "bad?");
  EXPECT_THAT(ThereAndBack(spec).labels, ElementsAre(std::pair("k?", "v?")));
}

}  // namespace
}  // namespace dropbp
