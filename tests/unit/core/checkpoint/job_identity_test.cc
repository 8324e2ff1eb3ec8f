#include "core/checkpoint/job_identity.h"

#include <gtest/gtest.h>

#include <set>

#include "core/job/job_fields.h"

namespace dropbp {
namespace {

// Another legal or illegal value of the field's type.
void Change(const JobField& field, JobSpec& spec) {
  struct Changer {
    JobSpec& spec;
    void operator()(std::string& (*access)(JobSpec&)) const { access(spec) += "x"; }
    void operator()(int64_t& (*access)(JobSpec&)) const { access(spec) += 1; }
    void operator()(double& (*access)(JobSpec&)) const { access(spec) += 0.125; }
    void operator()(bool& (*access)(JobSpec&)) const { access(spec) = !access(spec); }
    void operator()(std::map<std::string, double>& (*access)(JobSpec&)) const {
      access(spec)["x"] = 1;
    }
    void operator()(std::vector<std::string>& (*access)(JobSpec&)) const {
      access(spec).push_back("x");
    }
    void operator()(std::map<std::string, std::string>& (*access)(JobSpec&)) const {
      access(spec)["x"] = "y";
    }
  };
  std::visit(Changer{spec}, field.access);
}

TEST(JobIdentityTest, DiffersWithEveryFieldThatDeterminesTraining) {
  const std::set<std::string_view> free = {"max_restarts",
                                           "priority",
                                           "labels",
                                           "checkpoint.every_steps",
                                           "checkpoint.every_minutes",
                                           "checkpoint.keep",
                                           "resources.ranks",
                                           "resources.device"};
  const std::string plain = JobIdentity(JobSpec());
  for (const JobField& field : JobFields()) {
    JobSpec changed;
    Change(field, changed);
    EXPECT_EQ(JobIdentity(changed) == plain, free.contains(field.path)) << field.path;
  }
}

TEST(JobIdentityTest, TellsNeighbouringValuesApart) {
  JobSpec a;
  JobSpec b;
  a.model = "m";
  a.method = "xlora";
  b.model = "mx";
  b.method = "lora";
  EXPECT_NE(JobIdentity(a), JobIdentity(b));
}

}  // namespace
}  // namespace dropbp
