// The files of server/web/assets, compiled into the program (cmake/DropbpEmbed.cmake).
#pragma once

#include <string_view>

#include "absl/types/span.h"

namespace dropbp::server {

struct Asset {
  std::string_view name;  // "index.html"
  std::string_view content;
};

absl::Span<const Asset> Assets();

}  // namespace dropbp::server
