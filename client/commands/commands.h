// The commands of `dropbp`, one file each. Each function adds its command to the command line; when
// the person chose it, it runs in session.Run().
#pragma once

#include "CLI/CLI.hpp"
#include "client/session.h"

namespace dropbp::client {

void AddSubmit(CLI::App& app, Session& session);
void AddValidate(CLI::App& app, Session& session);
void AddList(CLI::App& app, Session& session);
void AddGet(CLI::App& app, Session& session);
void AddWatch(CLI::App& app, Session& session);
void AddLogs(CLI::App& app, Session& session);
void AddCancel(CLI::App& app, Session& session);
void AddDelete(CLI::App& app, Session& session);
void AddPause(CLI::App& app, Session& session);
void AddResume(CLI::App& app, Session& session);
void AddWait(CLI::App& app, Session& session);
void AddCheckpoints(CLI::App& app, Session& session);
void AddDownload(CLI::App& app, Session& session);
void AddWorkers(CLI::App& app, Session& session);
void AddDrain(CLI::App& app, Session& session);
void AddPlan(CLI::App& app, Session& session);
void AddHealth(CLI::App& app, Session& session);
void AddCompletion(CLI::App& app, Session& session);
void AddVersion(CLI::App& app, Session& session);

}  // namespace dropbp::client
