// What an address says: whether it stays on this machine, and its port.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dropbp {

// Whether HOST:PORT or unix:PATH can be reached from this machine only: the host is localhost, an
// IPv4 address of 127.0.0.0/8, or [::1]. Names are not looked up: any other name is elsewhere, also
// one like 127.0.0.1.example.com.
bool IsLoopbackAddress(std::string_view address);

// The port of HOST:PORT; nothing where what stands after the last colon is none. 0 is a port: that
// of an address to listen on means any.
std::optional<uint16_t> PortOf(std::string_view address);

}  // namespace dropbp
