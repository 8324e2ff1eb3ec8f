// What the coordinator says of a job that may not fit into the memory of its workers' slots.
#include "core/plan/memory_verdict.h"
#include "proto/support/job_spec_proto.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr int64_t kLongest = 200;

class JobMemoryTest : public ClusterTest {
 protected:
  // Of one rank of the fixture's job, its longest sample being `tokens` long.
  int64_t Peak(int64_t tokens, int64_t dtype_bytes) {
    JobSpec spec = JobSpecFromProto(Request("").spec());
    spec.dataset.max_length = tokens;
    return EstimateJobMemory(ModelShapeFromProto(TestShape()), spec, 10,
                             {.dtype_bytes = dtype_bytes})
        ->peak;
  }

  // The agent says hello again, with the memory of each of its two slots.
  void Connect(int64_t slot_bytes) {
    agent_.Connect(*coordinator_);
    v1::SessionRequest frame;
    v1::WorkerHello& hello = *frame.mutable_hello();
    hello.set_worker_id("a");
    hello.set_incarnation(11);
    hello.add_models("tiny");
    v1::WorkerModel& model = *hello.add_model_configs();
    model.set_name("tiny");
    *model.mutable_shape() = TestShape();
    for (int slot : {0, 1}) {
      v1::DeviceSlot& device = *hello.add_slots();
      device.set_index(slot);
      device.set_kind(v1::DeviceSlot::CPU);
      device.set_memory_bytes(slot_bytes);
    }
    agent_.stream = std::make_shared<TestStream>();
    ASSERT_TRUE(coordinator_->Receive(agent_.stream, frame).ok());
  }

  // The data is checked.
  void Prepared(const std::string& job_id, int64_t longest) {
    v1::SessionRequest frame;
    v1::PrepareResult& result = *frame.mutable_prepare_result();
    result.set_job_id(job_id);
    *result.mutable_model_shape() = TestShape();
    v1::DatasetReport& report = *result.mutable_dataset_report();
    report.set_samples(80);
    report.set_tokens(8000);
    report.set_supervised_tokens(4000);
    report.set_longest(longest);
    ASSERT_TRUE(agent_.Send(*coordinator_, frame).ok());
  }

  std::vector<std::string> Warnings(const std::string& job_id) {
    std::vector<std::string> found;
    const std::vector<v1::JobEvent> events = coordinator_->NewestEvents(job_id, 100).value();
    for (const v1::JobEvent& event : events) {
      if (event.type() == v1::JobEvent::PLAN_CHANGED &&
          event.message().rfind("Memory may be short", 0) == 0) {
        found.push_back(event.message());
      }
    }
    return found;
  }

  TestAgent agent_{"a", 11, 2};
};

TEST_F(JobMemoryTest, FailsAJobThatNoSlotsCanHoldBeforeADeviceIsTaken) {
  Connect(Peak(kLongest, 2) / 2);
  Submit("job");
  Prepared("job", kLongest);
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_THAT(
      Get("job").state_message(),
      AllOf(StartsWith("Not enough memory: with samples of 200 tokens a rank is estimated"),
            HasSubstr("hold 1 of 2 such ranks: the largest, worker 'a', has"),
            HasSubstr("shared by 2 cpu slots"), HasSubstr("training.micro_batch_size: 1 (")));
  EXPECT_THAT(agent_.Starts(), IsEmpty());
}

TEST_F(JobMemoryTest, CountsTheLongestSampleAndNotTheLimit) {
  Connect(2 * Peak(100, 4));
  ASSERT_GT(Peak(512, 4), 2 * Peak(100, 4)) << "the limit is 512";
  Submit("job");
  Prepared("job", 100);
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  EXPECT_THAT(Warnings("job"), IsEmpty());
}

TEST_F(JobMemoryTest, WarnsOfAJobThatNearlyFillsItsSlots) {
  Connect(Peak(kLongest, 4));
  Submit("job");
  Prepared("job", kLongest);
  ASSERT_THAT(Warnings("job"), SizeIs(1));
  EXPECT_THAT(Warnings("job")[0], AllOf(HasSubstr("that a cpu slot of worker 'a' has"),
                                        HasSubstr("where the processor multiplies bf16"),
                                        HasSubstr("training.activation_checkpointing: true (")));
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Ready(*coordinator_, "job", 1, rank).ok());
  EXPECT_THAT(Get("job").state_message(), HasSubstr("training. Memory may be short"));
}

TEST_F(JobMemoryTest, SaysNothingOfSlotsWhoseMemoryIsNotKnown) {
  Connect(0);
  Submit("job");
  Prepared("job", kLongest);
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  EXPECT_THAT(Warnings("job"), IsEmpty());
}

TEST_F(JobMemoryTest, WarnsBeforeTheDataIsReadAndRefusesNothing) {
  v1::CreateJobRequest request = Request("job");
  request.set_validate_only(true);
  EXPECT_THAT(coordinator_->CreateJob(request)->state_message(), IsEmpty()) << "no worker";
  Connect(Peak(512, 2) / 2);
  const std::string warning = coordinator_->CreateJob(request)->state_message();
  EXPECT_THAT(warning, AllOf(StartsWith("Not enough memory, unless all samples are shorter:"),
                             HasSubstr("with samples of 512 tokens")));
  Submit("job");
  Prepared("job", 20);
  EXPECT_EQ(State("job"), v1::Job::STARTING) << "the samples are short";
}

}  // namespace
}  // namespace dropbp::server
