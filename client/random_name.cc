#include "client/random_name.h"

#include <iterator>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dropbp::client {
namespace {

constexpr const char* kAdjectives[] = {
    "amber", "brave",  "brisk", "calm",  "clear", "crisp", "early", "fair",
    "fresh", "gentle", "glad",  "keen",  "light", "lucid", "mild",  "neat",
    "plain", "proud",  "quick", "quiet", "rapid", "sharp", "solid", "spare",
    "still", "sunny",  "swift", "tidy",  "vivid", "warm",  "wide",  "wise"};
constexpr const char* kNouns[] = {"alder", "birch",  "brook", "cedar",  "cliff",  "cloud", "coral",
                                  "delta", "dune",   "ember", "falcon", "fern",   "field", "finch",
                                  "fjord", "grove",  "heron", "holly",  "island", "lake",  "larch",
                                  "maple", "meadow", "otter", "pebble", "pine",   "reef",  "ridge",
                                  "river", "spruce", "stone", "willow"};

}  // namespace

std::string RandomHex(int bytes) {
  absl::BitGen random;
  std::string hex;
  for (int i = 0; i < bytes; ++i)
    absl::StrAppendFormat(&hex, "%02x", absl::Uniform<int>(random, 0, 256));
  return hex;
}

std::string RandomJobId() {
  absl::BitGen random;
  return absl::StrCat(kAdjectives[absl::Uniform<size_t>(random, 0, std::size(kAdjectives))], "-",
                      kNouns[absl::Uniform<size_t>(random, 0, std::size(kNouns))], "-",
                      RandomHex(2));
}

}  // namespace dropbp::client
