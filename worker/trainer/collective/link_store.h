// The rendezvous store as c10d sees it.
#pragma once

#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// A c10d::Store over the attempt's rendezvous store. Thread-safe. A failed operation throws
// c10::DistStoreError, as c10d's own stores do.
class LinkStore : public c10d::Store {
 public:
  LinkStore(std::shared_ptr<RendezvousStore> store, std::chrono::milliseconds timeout)
      : c10d::Store(timeout), store_(std::move(store)) {}

  c10::intrusive_ptr<c10d::Store> clone() override;
  void set(const std::string& key, const std::vector<uint8_t>& value) override;
  std::vector<uint8_t> get(const std::string& key) override;
  std::vector<uint8_t> compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                  const std::vector<uint8_t>& value) override;
  int64_t add(const std::string& key, int64_t delta) override;
  bool deleteKey(const std::string& key) override;
  bool check(const std::vector<std::string>& keys) override;
  // Not offered by the rendezvous store, and not used by c10d's groups: throws.
  int64_t getNumKeys() override;
  void wait(const std::vector<std::string>& keys) override;
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override;

 private:
  std::shared_ptr<RendezvousStore> store_;
};

}  // namespace dropbp::trainer
