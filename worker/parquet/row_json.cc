#include "worker/parquet/row_json.h"

#include <arrow/array.h>
#include <arrow/util/utf8.h>

#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/data/record_source.h"
#include "worker/hf/json.h"

namespace dropbp::parquet {
namespace {

using arrow::internal::checked_cast;
using nlohmann::ordered_json;

constexpr size_t kMaxFields = 1024;

absl::Status CheckFields(const std::string& where, const arrow::FieldVector& fields);

absl::Status CheckType(const std::string& column, const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::NA:
    case arrow::Type::BOOL:
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::UINT8:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
    case arrow::Type::UINT64:
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE:
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return absl::OkStatus();
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
      return CheckType(column + "[]", *type.field(0)->type());
    case arrow::Type::STRUCT:
      return CheckFields(column + ".", type.fields());
    case arrow::Type::DICTIONARY:
      return CheckType(column, *checked_cast<const arrow::DictionaryType&>(type).value_type());
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("column ", hf::QuoteForError(column), " has the type ", type.ToString(),
                       ", legal are text, numbers, bool, lists and structs of these"));
  }
}

// The columns of a file, or the fields of a struct.
absl::Status CheckFields(const std::string& where, const arrow::FieldVector& fields) {
  if (fields.size() > kMaxFields) {
    return absl::InvalidArgumentError(absl::StrCat("found ", fields.size(), " columns ", where,
                                                   "..., legal are at most ", kMaxFields));
  }
  std::set<std::string> seen;
  for (const auto& field : fields) {
    const std::string name = where + field->name();
    if (!arrow::util::ValidateUTF8(field->name()) || !seen.insert(field->name()).second) {
      return absl::InvalidArgumentError(absl::StrCat("found the column ", hf::QuoteForError(name),
                                                     ", legal are names in UTF-8, each once"));
    }
    RETURN_IF_ERROR(CheckType(name, *field->type()));
  }
  return absl::OkStatus();
}

// Turns values of one row into JSON while the row keeps to its bounds.
class Converter {
 public:
  absl::StatusOr<ordered_json> Value(const arrow::Array& array, int64_t i);

 private:
  absl::Status CountValue();
  absl::Status CountBytes(size_t bytes);
  absl::StatusOr<ordered_json> Text(std::string_view text);
  absl::StatusOr<ordered_json> Number(double number);
  absl::StatusOr<ordered_json> List(const arrow::Array& values, int64_t begin, int64_t size);
  absl::StatusOr<ordered_json> Struct(const arrow::StructArray& array, int64_t i);
  template <typename Array>
  absl::StatusOr<ordered_json> Entry(const arrow::Array& array, int64_t i) {
    const auto& list = checked_cast<const Array&>(array);
    return List(*list.values(), list.value_offset(i), list.value_length(i));
  }

  size_t bytes_ = 0;
  size_t values_ = 0;
};

template <typename Array>
auto At(const arrow::Array& array, int64_t i) {
  return checked_cast<const Array&>(array).GetView(i);
}

absl::StatusOr<ordered_json> Converter::Value(const arrow::Array& array, int64_t i) {
  RETURN_IF_ERROR(CountValue());
  if (array.IsNull(i)) return ordered_json();
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      return ordered_json(At<arrow::BooleanArray>(array, i));
    case arrow::Type::INT8:
      return ordered_json(At<arrow::Int8Array>(array, i));
    case arrow::Type::INT16:
      return ordered_json(At<arrow::Int16Array>(array, i));
    case arrow::Type::INT32:
      return ordered_json(At<arrow::Int32Array>(array, i));
    case arrow::Type::INT64:
      return ordered_json(At<arrow::Int64Array>(array, i));
    case arrow::Type::UINT8:
      return ordered_json(At<arrow::UInt8Array>(array, i));
    case arrow::Type::UINT16:
      return ordered_json(At<arrow::UInt16Array>(array, i));
    case arrow::Type::UINT32:
      return ordered_json(At<arrow::UInt32Array>(array, i));
    case arrow::Type::UINT64:
      return ordered_json(At<arrow::UInt64Array>(array, i));
    case arrow::Type::FLOAT:
      return Number(At<arrow::FloatArray>(array, i));
    case arrow::Type::DOUBLE:
      return Number(At<arrow::DoubleArray>(array, i));
    case arrow::Type::STRING:
      return Text(At<arrow::StringArray>(array, i));
    case arrow::Type::LARGE_STRING:
      return Text(At<arrow::LargeStringArray>(array, i));
    case arrow::Type::STRING_VIEW:
      return Text(At<arrow::StringViewArray>(array, i));
    case arrow::Type::LIST:
      return Entry<arrow::ListArray>(array, i);
    case arrow::Type::LARGE_LIST:
      return Entry<arrow::LargeListArray>(array, i);
    case arrow::Type::FIXED_SIZE_LIST:
      return Entry<arrow::FixedSizeListArray>(array, i);
    case arrow::Type::STRUCT:
      return Struct(checked_cast<const arrow::StructArray&>(array), i);
    case arrow::Type::DICTIONARY: {
      const auto& dictionary = checked_cast<const arrow::DictionaryArray&>(array);
      return Value(*dictionary.dictionary(), dictionary.GetValueIndex(i));
    }
    default:
      return absl::InternalError(absl::StrCat("found ", array.type()->ToString()));
  }
}

absl::Status Converter::CountValue() {
  if (++values_ <= data::kMaxRecordValues) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("more than ", data::kMaxRecordValues, " values"));
}

absl::Status Converter::CountBytes(size_t bytes) {
  bytes_ += bytes;
  if (bytes_ <= data::kMaxRecordBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("longer than ", data::kMaxRecordBytes, " bytes"));
}

absl::StatusOr<ordered_json> Converter::Text(std::string_view text) {
  RETURN_IF_ERROR(CountBytes(text.size()));
  if (!arrow::util::ValidateUTF8(text)) return absl::InvalidArgumentError("invalid UTF-8");
  return ordered_json(text);
}

absl::StatusOr<ordered_json> Converter::Number(double number) {
  if (std::isfinite(number)) return ordered_json(number);
  return absl::InvalidArgumentError(absl::StrCat("found ", number, ", legal are finite numbers"));
}

absl::StatusOr<ordered_json> Converter::List(const arrow::Array& values, int64_t begin,
                                             int64_t size) {
  ordered_json list = ordered_json::array();
  for (int64_t i = begin; i < begin + size; ++i) {
    ASSIGN_OR_RETURN(ordered_json value, Value(values, i));
    list.push_back(std::move(value));
  }
  return list;
}

absl::StatusOr<ordered_json> Converter::Struct(const arrow::StructArray& array, int64_t i) {
  ordered_json object = ordered_json::object();
  for (int field = 0; field < array.num_fields(); ++field) {
    ASSIGN_OR_RETURN(ordered_json value, Value(*array.field(field), i));
    if (!value.is_null())
      object.emplace(array.struct_type()->field(field)->name(), std::move(value));
  }
  return object;
}

}  // namespace

absl::Status CheckColumns(const arrow::FieldVector& columns) {
  arrow::util::InitializeUTF8();
  return CheckFields("", columns);
}

absl::StatusOr<ordered_json> RowJson(const arrow::RecordBatch& batch, int64_t row) {
  Converter converter;
  ordered_json object = ordered_json::object();
  for (int column = 0; column < batch.num_columns(); ++column) {
    const std::string& name = batch.column_name(column);
    auto value = converter.Value(*batch.column(column), row);
    if (!value.ok())
      return Annotate(value.status(), absl::StrCat("column ", hf::QuoteForError(name)));
    if (!value->is_null()) object.emplace(name, *std::move(value));
  }
  return object;
}

}  // namespace dropbp::parquet
