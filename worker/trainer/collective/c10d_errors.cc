#include "worker/trainer/collective/c10d_errors.h"

#include <c10/util/Exception.h>

#include "absl/strings/str_cat.h"

namespace dropbp::trainer {

absl::Status RunCollective(const std::string& where, const std::function<void()>& collective) {
  try {
    collective();
    return absl::OkStatus();
  } catch (const c10::NotImplementedError& error) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    return absl::UnavailableError(absl::StrCat(where, ": ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat(where, ": ", error.what()));
  }
}

}  // namespace dropbp::trainer
