// Parquet: the program dropbp-parquet reads the file and prints a line of JSON for every row (see
// worker/parquet/main.cc for what it prints, and why it is a program of its own).
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "worker/data/record_source.h"

namespace dropbp::data {
namespace {

namespace fs = std::filesystem;

// Beside the running program, or in the folder libexec beside its own.
std::string FindProgram() {
  std::error_code ignored;
  const fs::path own = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  const fs::path installed = own.parent_path() / "libexec/dropbp-parquet";
  return fs::exists(installed, ignored) ? installed : own / "dropbp-parquet";
}

// Starts `program` with `in` as its standard input and `out` as its standard output.
absl::StatusOr<pid_t> Start(const std::string& program, const std::vector<std::string>& arguments,
                            int in, int out) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  const absl::Cleanup free = [&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  };
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  // It ends when this process no longer reads.
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  posix_spawnattr_setsigmask(&attributes, &pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  if (error == 0) return pid;
  return absl::FailedPreconditionError(absl::StrCat(
      "cannot start ", program, ", which reads Parquet files: ", std::strerror(error)));
}

class ParquetRows : public RecordSource {
 public:
  ParquetRows(const std::string& path, pid_t reader, int pipe)
      : path_(path), reader_(reader), rows_(JsonLinesSource(ByteReader::OfPipe(path, pipe))) {}
  ~ParquetRows() override {
    if (reader_ <= 0) return;
    kill(reader_, SIGKILL);
    waitpid(reader_, nullptr, 0);
  }

  absl::StatusOr<bool> Next(Item& item) override {
    ASSIGN_OR_RETURN(const bool more, rows_->Next(item));
    if (!more) return Finish(item.line);
    if (!item.value.ok()) return true;
    if (item.value->is_array()) return FileRefused(item.value->at(0).get<std::string>());
    if (item.value->is_string())
      item.value = absl::InvalidArgumentError(item.value->get<std::string>());
    return true;
  }

  const char* unit() const override { return "row"; }

 private:
  absl::Status FileRefused(absl::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": ", why));
  }

  // No more rows: false if that is all of them.
  absl::StatusOr<bool> Finish(int64_t rows) {
    if (reader_ == 0) return false;
    int end = 0;
    pid_t ended;
    while ((ended = waitpid(reader_, &end, 0)) < 0 && errno == EINTR) {
    }
    const bool well = ended == reader_ && end == 0;
    reader_ = 0;
    if (well) return false;
    return FileRefused(absl::StrCat("cannot be read as Parquet: the library ended with ",
                                    WIFSIGNALED(end) ? absl::StrCat("signal ", WTERMSIG(end), " (",
                                                                    strsignal(WTERMSIG(end)), ")")
                                                     : absl::StrCat("status ", WEXITSTATUS(end)),
                                    " behind row ", rows));
  }

  const std::string path_;
  pid_t reader_;
  const std::unique_ptr<RecordSource> rows_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RecordSource>> ParquetSource(const std::string& path,
                                                            const std::vector<std::string>& keys) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  const absl::Cleanup close_file = [file] { close(file); };
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  const auto reader = Start(FindProgram(), keys, file, ends[1]);
  close(ends[1]);
  if (!reader.ok()) {
    close(ends[0]);
    return reader.status();
  }
  return std::make_unique<ParquetRows>(path, *reader, ends[0]);
}

}  // namespace dropbp::data
