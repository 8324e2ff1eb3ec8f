// A thin door to SQLite: values in, rows out, every failure a Status that names the statement.
#pragma once

#include <sqlite3.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "core/base/status.h"

namespace dropbp::server {

// Bytes bound as a BLOB; a plain string_view is bound as TEXT.
struct Blob {
  std::string_view bytes;
};
using SqlValue = std::variant<int64_t, std::string_view, Blob>;
using SqlValues = std::initializer_list<SqlValue>;

// The rows of one query. Not thread-safe; must not outlive its Database.
class Rows {
 public:
  // Moves to the next row; false at the end or after a failure, which status() then tells.
  bool Next();
  int64_t Int(int column) const;
  // Content of a TEXT or BLOB column.
  std::string Bytes(int column) const;
  const absl::Status& status() const { return status_; }

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  absl::Status status_;
};

// One connection. Not thread-safe: its owner has one lock around every use.
class Database {
 public:
  // Opens or creates the file with WAL journal and synchronous=FULL.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one statement that returns no rows.
  absl::Status Run(std::string_view sql, SqlValues values = {});
  // Runs several statements without values, separated by semicolons.
  absl::Status RunScript(const std::string& sql);
  Rows Query(std::string_view sql, SqlValues values = {});
  template <typename Values>
  Rows QueryWith(std::string_view sql, const Values& values) {
    return Bound(sql, values.data(), values.size());
  }
  // Rowid of the newest INSERT.
  int64_t LastInsertId() const { return sqlite3_last_insert_rowid(db_); }

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  Rows Bound(std::string_view sql, const SqlValue* values, size_t count);

  sqlite3* db_;
};

// A write transaction: rolled back unless it is committed.
class Transaction {
 public:
  explicit Transaction(Database& db) : db_(db), begun_(db.Run("BEGIN IMMEDIATE")) {}
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Whether the transaction could begin.
  const absl::Status& status() const { return begun_; }
  // Returns when the content is on the disk.
  absl::Status Commit();

 private:
  Database& db_;
  absl::Status begun_;
  bool done_ = false;
};

}  // namespace dropbp::server
