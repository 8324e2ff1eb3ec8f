// Names nobody has to think of.
#pragma once

#include <string>

namespace dropbp::client {

// 2 * `bytes` random hexadecimal digits.
std::string RandomHex(int bytes);

// A legal job id that is easy to say and to type, for example "quiet-maple-3f2a".
std::string RandomJobId();

}  // namespace dropbp::client
