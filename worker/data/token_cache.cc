#include "worker/data/token_cache.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"

namespace dropbp::data {
namespace {

// The number counts up when the same file and settings come to mean other samples; what was made
// before then is not found, since the key has it too.
constexpr std::string_view kMagic = "dropbp tokens 2\n";
constexpr size_t kDigestBytes = 64;
constexpr int64_t kMaxCacheBytes = int64_t{64} << 30;
constexpr const char* kModelFiles[] = {
    "tokenizer.json",      "tokenizer.model", "tokenizer_config.json", "added_tokens.json",
    "chat_template.jinja", "config.json",     "generation_config.json"};

class Writer {
 public:
  void Number(int64_t value) { Bytes(&value, sizeof value); }
  void Text(std::string_view text) {
    Number(static_cast<int64_t>(text.size()));
    bytes_ += text;
  }
  void Bytes(const void* data, size_t size) { bytes_.append(static_cast<const char*>(data), size); }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what Writer wrote; after a first read beyond the end everything is zero and ok() false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  int64_t Number() {
    int64_t value = 0;
    Bytes(&value, sizeof value);
    return value;
  }
  std::string Text() { return std::string(Take(Number())); }
  void Bytes(void* out, size_t size) {
    const std::string_view taken = Take(static_cast<int64_t>(size));
    if (ok_ && size > 0) std::memcpy(out, taken.data(), size);
  }
  // How many things of at least `bytes_each` can still come.
  int64_t Count(int64_t bytes_each) {
    const int64_t count = Number();
    ok_ &= count >= 0 && count <= static_cast<int64_t>(bytes_.size()) / bytes_each;
    return ok_ ? count : 0;
  }

 private:
  std::string_view Take(int64_t size) {
    ok_ &= size >= 0 && size <= static_cast<int64_t>(bytes_.size());
    if (!ok_) return {};
    const std::string_view taken = bytes_.substr(0, static_cast<size_t>(size));
    bytes_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view bytes_;
  bool ok_ = true;
};

// The numbers of a report in a fixed order.
template <typename Report, typename Visit>
void ForEachNumber(Report& report, Visit visit) {
  visit(report.samples);
  visit(report.tokens);
  visit(report.supervised_tokens);
  visit(report.truncated);
  visit(report.dropped);
  visit(report.duplicates);
  visit(report.longest);
}

void WriteSample(const Sample& sample, Writer& out) {
  out.Number(sample.line);
  out.Number(static_cast<int64_t>(sample.ids.size()));
  out.Bytes(sample.ids.data(), sample.ids.size() * sizeof(TokenId));
  std::string mask(sample.ids.size(), '\0');
  for (size_t i = 0; i < mask.size(); ++i) mask[i] = sample.supervised[i] ? 1 : 0;
  out.Bytes(mask.data(), mask.size());
}

Sample ReadSample(Reader& in) {
  Sample sample;
  sample.line = in.Number();
  const size_t count = static_cast<size_t>(in.Count(sizeof(TokenId) + 1));
  sample.ids.resize(count);
  in.Bytes(sample.ids.data(), count * sizeof(TokenId));
  std::string mask(count, '\0');
  in.Bytes(mask.data(), count);
  sample.supervised.resize(count);
  for (size_t i = 0; i < count; ++i) sample.supervised[i] = mask[i] != 0;
  return sample;
}

// All settings of the data but the artifact.
void WriteSettings(const DatasetSpec& spec, Writer& out) {
  for (const std::string* word :
       {&spec.file_type, &spec.format, &spec.loss_on, &spec.overlength, &spec.duplicates})
    out.Text(*word);
  out.Number(spec.max_length);
  for (const auto& [key, name] : spec.fields) {
    out.Text(key);
    out.Text(name);
  }
}

}  // namespace

bool TokenCache::Covers(const std::string& path, const DatasetSpec& spec) {
  return !spec.artifact.empty() && std::filesystem::path(path).filename().string() == spec.artifact;
}

absl::StatusOr<TokenCache> TokenCache::For(const std::string& path, const DatasetSpec& spec,
                                           const std::string& model_dir) {
  Writer key;
  key.Text(kMagic);
  key.Text(spec.artifact);
  WriteSettings(spec, key);
  for (const char* name : kModelFiles) {
    const std::string file = absl::StrCat(model_dir, "/", name);
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) continue;
    ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(file));
    key.Text(name);
    key.Text(digest);
  }
  return TokenCache(absl::StrCat(path, ".", Sha256Hex(key.bytes()).substr(0, 32)));
}

std::optional<TokenizedDataset> TokenCache::Read() const {
  const absl::StatusOr<std::string> content = ReadFile(path_, kMaxCacheBytes);
  if (!content.ok() || content->size() < kMagic.size() + kDigestBytes) return std::nullopt;
  const std::string_view whole = *content;
  const std::string_view body = whole.substr(0, whole.size() - kDigestBytes);
  if (Sha256Hex(body) != whole.substr(body.size()) || body.substr(0, kMagic.size()) != kMagic)
    return std::nullopt;
  Reader in(body.substr(kMagic.size()));
  TokenizedDataset dataset;
  ForEachNumber(dataset.report, [&](int64_t& number) { number = in.Number(); });
  dataset.report.format = in.Text();
  const int64_t count = in.Count(2 * sizeof(int64_t));
  for (int64_t i = 0; i < count && in.ok(); ++i) dataset.samples.push_back(ReadSample(in));
  if (!in.ok()) return std::nullopt;
  return dataset;
}

absl::Status TokenCache::Write(const TokenizedDataset& dataset) const {
  Writer out;
  out.bytes() = kMagic;
  ForEachNumber(dataset.report, [&](const int64_t& number) { out.Number(number); });
  out.Text(dataset.report.format);
  out.Number(static_cast<int64_t>(dataset.samples.size()));
  for (const Sample& sample : dataset.samples) WriteSample(sample, out);
  out.bytes() += Sha256Hex(out.bytes());
  // Ranks of one node may write it at the same time.
  const std::string own = absl::StrCat(path_, ".", getpid());
  RETURN_IF_ERROR(WriteFileAtomically(own, out.bytes()));
  if (std::rename(own.c_str(), path_.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, path_);
}

}  // namespace dropbp::data
