// The tables of the job store and how a store of an older version becomes one of this version.
#pragma once

#include "server/store/database.h"

namespace dropbp::server {

// Runs the migrations that the store has not seen yet, each in its own transaction. PRAGMA
// user_version counts them. FAILED_PRECONDITION if a newer program wrote the store.
absl::Status MigrateSchema(Database& db);

// The version this program writes.
int64_t SchemaVersion();

}  // namespace dropbp::server
