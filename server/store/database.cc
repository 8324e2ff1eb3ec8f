#include "server/store/database.h"

#include "absl/strings/str_cat.h"

namespace dropbp::server {
namespace {

absl::Status SqlError(sqlite3* db, const std::string& doing) {
  const std::string message = absl::StrCat("job store: ", doing, ": ", sqlite3_errmsg(db));
  switch (sqlite3_errcode(db)) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
      return absl::UnavailableError(message);
    default:
      return absl::InternalError(message);
  }
}

int BindValue(sqlite3_stmt* statement, int index, const SqlValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    return sqlite3_bind_int64(statement, index, *number);
  }
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return sqlite3_bind_text64(statement, index, text->data() ? text->data() : "", text->size(),
                               SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  const std::string_view bytes = std::get<Blob>(value).bytes;
  return sqlite3_bind_blob64(statement, index, bytes.data() ? bytes.data() : "", bytes.size(),
                             SQLITE_TRANSIENT);
}

}  // namespace

bool Rows::Next() {
  if (!status_.ok()) return false;
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) {
    status_ = SqlError(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get()));
  }
  return false;
}

int64_t Rows::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string Rows::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> db(new Database(handle));
  if (result != SQLITE_OK) return SqlError(handle, absl::StrCat("opening ", path));
  // A second coordinator on the same folder is refused at once instead of sharing the file.
  const absl::Status settled = db->RunScript(
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
      "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
      "BEGIN IMMEDIATE; COMMIT;");
  if (!settled.ok() && sqlite3_errcode(handle) == SQLITE_BUSY) {
    return absl::UnavailableError(
        absl::StrCat(path,
                     ": another program has this store open; a data folder belongs to one "
                     "coordinator at a time"));
  }
  RETURN_IF_ERROR(Annotate(settled, path));
  return db;
}

Database::~Database() { sqlite3_close_v2(db_); }

Rows Database::Bound(std::string_view sql, const SqlValue* values, size_t count) {
  Rows rows;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db_, sql.data(), sql.size(), &statement, nullptr) != SQLITE_OK) {
    rows.status_ = SqlError(db_, std::string(sql));
    return rows;
  }
  rows.statement_.reset(statement);
  for (size_t i = 0; i < count; ++i) {
    if (BindValue(statement, static_cast<int>(i) + 1, values[i]) != SQLITE_OK) {
      rows.status_ = SqlError(db_, std::string(sql));
    }
  }
  return rows;
}

Rows Database::Query(std::string_view sql, SqlValues values) {
  return Bound(sql, values.begin(), values.size());
}

absl::Status Database::Run(std::string_view sql, SqlValues values) {
  Rows rows = Query(sql, values);
  while (rows.Next()) {
  }
  return rows.status();
}

absl::Status Database::RunScript(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return SqlError(db_, sql);
  }
  return absl::OkStatus();
}

Transaction::~Transaction() {
  if (begun_.ok() && !done_) (void)db_.Run("ROLLBACK");
}

absl::Status Transaction::Commit() {
  RETURN_IF_ERROR(db_.Run("COMMIT"));
  done_ = true;
  return absl::OkStatus();
}

}  // namespace dropbp::server
