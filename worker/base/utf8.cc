#include "worker/base/utf8.h"

#include <utf8proc.h>

namespace dropbp {

std::string ToValidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    utf8proc_int32_t codepoint = -1;
    const utf8proc_ssize_t bytes =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                         static_cast<utf8proc_ssize_t>(text.size()), &codepoint);
    if (bytes > 0) {
      valid.append(text.substr(0, bytes));
    } else {
      valid.append("\xEF\xBF\xBD");
    }
    text.remove_prefix(bytes > 0 ? bytes : 1);
  }
  return valid;
}

}  // namespace dropbp
