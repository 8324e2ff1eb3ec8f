#include "worker/trainer/train/failure.h"

#include <c10/util/Exception.h>

#include <new>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dropbp::trainer {
namespace {

absl::Status OutOfMemory(const std::string& where, const std::string& advice,
                         const std::string& what) {
  return absl::ResourceExhaustedError(
      absl::StrCat(where, ": out of memory. ", advice, " (", what, ")"));
}

// The CPU allocator throws a plain c10::Error.
bool IsCpuOutOfMemory(const std::string& what) {
  return absl::StrContains(what, "DefaultCPUAllocator") ||
         absl::StrContains(what, "not enough memory");
}

}  // namespace

absl::Status RunTorch(const std::string& where, const std::function<absl::Status()>& body,
                      const std::string& memory_advice) {
  try {
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return OutOfMemory(where, memory_advice, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (IsCpuOutOfMemory(what)) return OutOfMemory(where, memory_advice, what);
    return absl::InternalError(absl::StrCat(where, ": ", what));
  } catch (const std::bad_alloc& error) {
    return OutOfMemory(where, memory_advice, error.what());
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(where, ": ", error.what()));
  }
}

FailureKind KindOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return FailureKind::kRetryable;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return FailureKind::kInternal;
    default:
      return FailureKind::kUserError;
  }
}

}  // namespace dropbp::trainer
