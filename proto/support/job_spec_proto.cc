// Both directions walk the field table: "a.b" is field b of message field a, and a word of a choice
// is the enum value of the same name in upper case.
#include "proto/support/job_spec_proto.h"

#include <google/protobuf/reflection.h>

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/text.h"
#include "core/job/job_fields.h"

namespace dropbp {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Words = std::vector<std::string>;
using Pairs = std::map<std::string, std::string>;
using Numbers = std::map<std::string, double>;

// Reflection has no plain access to maps.
template <typename Access>
constexpr bool kIsMap =
    std::is_same_v<Access, Pairs& (*)(JobSpec&)> || std::is_same_v<Access, Numbers& (*)(JobSpec&)>;

// Not the number of any enum value: stands for a word that is not legal, so that it is refused and
// never a default.
constexpr int kNoSuchValue = -1;

struct FieldName {
  std::string section;  // empty for fields of JobSpec itself
  std::string key;
};

FieldName Split(std::string_view path) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) return {"", std::string(path)};
  return {std::string(path.substr(0, dot)), std::string(path.substr(dot + 1))};
}

const FieldDescriptor* Find(const Message& message, const std::string& name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr)
    CheckFailed(__FILE__, __LINE__, "no field " + name + " in " + message.GetTypeName());
  return field;
}

// Values from the message. Only called for fields that are set.

void Read(const Message& message, const FieldDescriptor* field, std::string& value) {
  const auto* reflection = message.GetReflection();
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) {
    value = reflection->GetString(message, field);
    return;
  }
  const int number = reflection->GetEnumValue(message, field);
  if (number == 0) return;  // unspecified: the default stays
  const EnumValueDescriptor* named = field->enum_type()->FindValueByNumber(number);
  value = named != nullptr ? absl::AsciiStrToLower(named->name()) : absl::StrCat(number);
}

void Read(const Message& message, const FieldDescriptor* field, int64_t& value) {
  const auto* reflection = message.GetReflection();
  value = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32
              ? reflection->GetInt32(message, field)
              : reflection->GetInt64(message, field);
}

void Read(const Message& message, const FieldDescriptor* field, double& value) {
  value = message.GetReflection()->GetDouble(message, field);
}

void Read(const Message& message, const FieldDescriptor* field, bool& value) {
  value = message.GetReflection()->GetBool(message, field);
}

void Read(const Message& message, const FieldDescriptor* field, Words& value) {
  const auto words = message.GetReflection()->GetRepeatedFieldRef<std::string>(message, field);
  value.assign(words.begin(), words.end());
}

// Values into the message.

void Write(const std::string& value, Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) {
    reflection->SetString(&message, field, ToValidUtf8(value));
    return;
  }
  const EnumValueDescriptor* named =
      field->enum_type()->FindValueByName(absl::AsciiStrToUpper(value));
  reflection->SetEnumValue(&message, field, named != nullptr ? named->number() : kNoSuchValue);
}

void Write(int64_t value, Message& message, const FieldDescriptor* field) {
  using Limits = std::numeric_limits<int32_t>;
  const auto* reflection = message.GetReflection();
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    // Values beyond 32 bits are beyond every range of the table; clamped they still are.
    const int64_t clamped = std::clamp<int64_t>(value, Limits::min(), Limits::max());
    reflection->SetInt32(&message, field, static_cast<int32_t>(clamped));
  } else {
    reflection->SetInt64(&message, field, value);
  }
}

void Write(double value, Message& message, const FieldDescriptor* field) {
  message.GetReflection()->SetDouble(&message, field, value);
}

void Write(bool value, Message& message, const FieldDescriptor* field) {
  message.GetReflection()->SetBool(&message, field, value);
}

void Write(const Words& value, Message& message, const FieldDescriptor* field) {
  for (const std::string& word : value)
    message.GetReflection()->AddString(&message, field, ToValidUtf8(word));
}

bool IsSet(const Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  return field->is_repeated() ? reflection->FieldSize(message, field) > 0
                              : reflection->HasField(message, field);
}

void ReadField(const v1::JobSpec& proto, const JobField& field, JobSpec& spec) {
  const FieldName name = Split(field.path);
  const Message* message = &proto;
  if (!name.section.empty()) {
    message = &proto.GetReflection()->GetMessage(proto, Find(proto, name.section));
  }
  const FieldDescriptor* descriptor = Find(*message, name.key);
  if (!IsSet(*message, descriptor)) return;
  std::visit(
      [&](auto access) {
        if constexpr (!kIsMap<decltype(access)>) {
          Read(*message, descriptor, access(spec));
        }
      },
      field.access);
}

void WriteField(JobSpec& spec, const JobField& field, v1::JobSpec& proto) {
  const FieldName name = Split(field.path);
  Message* message = &proto;
  if (!name.section.empty()) {
    message = proto.GetReflection()->MutableMessage(&proto, Find(proto, name.section));
  }
  const FieldDescriptor* descriptor = Find(*message, name.key);
  std::visit(
      [&](auto access) {
        if constexpr (!kIsMap<decltype(access)>) {
          Write(access(spec), *message, descriptor);
        }
      },
      field.access);
}

}  // namespace

JobSpec JobSpecFromProto(const v1::JobSpec& proto) {
  JobSpec spec;
  for (const JobField& field : JobFields()) ReadField(proto, field, spec);
  // Reflection has no plain access to maps; there are only these.
  spec.dataset.fields = {proto.dataset().fields().begin(), proto.dataset().fields().end()};
  spec.dataset.mix = {proto.dataset().mix().begin(), proto.dataset().mix().end()};
  spec.labels = {proto.labels().begin(), proto.labels().end()};
  const v1::LoraSpec& lora = proto.lora();
  spec.lora.rank_pattern = {lora.rank_pattern().begin(), lora.rank_pattern().end()};
  spec.lora.alpha_pattern = {lora.alpha_pattern().begin(), lora.alpha_pattern().end()};
  return spec;
}

v1::JobSpec JobSpecToProto(const JobSpec& spec) {
  v1::JobSpec proto;
  JobSpec copy = spec;
  for (const JobField& field : JobFields()) WriteField(copy, field, proto);
  for (const auto& [key, name] : spec.dataset.fields)
    (*proto.mutable_dataset()->mutable_fields())[ToValidUtf8(key)] = ToValidUtf8(name);
  for (const auto& [key, weight] : spec.dataset.mix)
    (*proto.mutable_dataset()->mutable_mix())[ToValidUtf8(key)] = weight;
  for (const auto& [key, value] : spec.labels)
    (*proto.mutable_labels())[ToValidUtf8(key)] = ToValidUtf8(value);
  v1::LoraSpec& lora = *proto.mutable_lora();
  for (const auto& [key, value] : spec.lora.rank_pattern)
    (*lora.mutable_rank_pattern())[ToValidUtf8(key)] = value;
  for (const auto& [key, value] : spec.lora.alpha_pattern)
    (*lora.mutable_alpha_pattern())[ToValidUtf8(key)] = value;
  return proto;
}

}  // namespace dropbp
