// Which addresses stay on this machine.
#pragma once

#include <string_view>

namespace dropbp {

// Whether HOST:PORT or unix:PATH can be reached from this machine only: the host is localhost, an
// IPv4 address of 127.0.0.0/8, or [::1]. Names are not looked up: any other name is elsewhere, also
// one like 127.0.0.1.example.com.
bool IsLoopbackAddress(std::string_view address);

}  // namespace dropbp
