// A console whose output a test can read, also while a command still writes to it.
#pragma once

#include <ostream>
#include <streambuf>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/console.h"

namespace dropbp::client {

// Thread-safe.
class CapturedText : public std::streambuf {
 public:
  std::string text() const {
    absl::MutexLock lock(&mutex_);
    return text_;
  }

 protected:
  int_type overflow(int_type c) override {
    const char byte = static_cast<char>(c);
    xsputn(&byte, 1);
    return c;
  }
  std::streamsize xsputn(const char* bytes, std::streamsize count) override {
    absl::MutexLock lock(&mutex_);
    text_.append(bytes, count);
    return count;
  }

 private:
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

class CapturedConsole {
 public:
  Console console() { return {.out = Sink{out_stream_}, .err = Sink{err_stream_}}; }
  std::string out() const { return out_.text(); }
  std::string err() const { return err_.text(); }

 private:
  CapturedText out_;
  CapturedText err_;
  std::ostream out_stream_{&out_};
  std::ostream err_stream_{&err_};
};

}  // namespace dropbp::client
