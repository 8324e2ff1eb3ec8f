#include "worker/trainer/collective/link_store.h"

#include <c10/util/Exception.h>

#include "absl/time/time.h"

namespace dropbp::trainer {
namespace {

// c10d's signatures leave no other way to tell of a failure than to throw; C10dGroup catches it.
void ThrowIfError(const absl::Status& status, const char* operation) {
  if (status.ok()) return;
  C10_THROW_ERROR(DistStoreError,
                  std::string("rendezvous store, ") + operation + ": " + status.ToString());
}

template <typename T>
T ValueOrThrow(absl::StatusOr<T> result, const char* operation) {
  ThrowIfError(result.status(), operation);
  return *std::move(result);
}

std::string ToString(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::vector<uint8_t> ToBytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

c10::intrusive_ptr<c10d::Store> LinkStore::clone() {
  return c10::make_intrusive<LinkStore>(store_, timeout_);
}

void LinkStore::set(const std::string& key, const std::vector<uint8_t>& value) {
  ThrowIfError(store_->Set(key, ToString(value)), "set");
}

std::vector<uint8_t> LinkStore::get(const std::string& key) {
  return ToBytes(ValueOrThrow(store_->Get(key, absl::FromChrono(timeout_)), "get"));
}

std::vector<uint8_t> LinkStore::compareSet(const std::string& key,
                                           const std::vector<uint8_t>& expected,
                                           const std::vector<uint8_t>& value) {
  return ToBytes(
      ValueOrThrow(store_->CompareSet(key, ToString(expected), ToString(value)), "compare-set"));
}

int64_t LinkStore::add(const std::string& key, int64_t delta) {
  return ValueOrThrow(store_->Add(key, delta), "add");
}

bool LinkStore::deleteKey(const std::string& key) {
  return ValueOrThrow(store_->Delete(key), "delete");
}

bool LinkStore::check(const std::vector<std::string>& keys) {
  return ValueOrThrow(store_->Check(keys), "check");
}

int64_t LinkStore::getNumKeys() {
  C10_THROW_ERROR(NotImplementedError, "the rendezvous store does not count its keys");
}

void LinkStore::wait(const std::vector<std::string>& keys) { wait(keys, timeout_); }

void LinkStore::wait(const std::vector<std::string>& keys,
                     const std::chrono::milliseconds& timeout) {
  ThrowIfError(store_->Wait(keys, absl::FromChrono(timeout)), "wait");
}

}  // namespace dropbp::trainer
