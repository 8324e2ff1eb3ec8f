#include "worker/agent/task_group.h"

namespace dropbp::agent {

TaskGroup::~TaskGroup() {
  std::list<Task> tasks;
  {
    absl::MutexLock lock(&mutex_);
    const auto all_done = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      for (const Task& task : tasks_) {
        if (!task.done) return false;
      }
      return true;
    };
    mutex_.Await(absl::Condition(&all_done));
    tasks.swap(tasks_);
  }
  for (Task& task : tasks) task.thread.join();
}

void TaskGroup::Run(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  for (auto task = tasks_.begin(); task != tasks_.end();) {
    if (task->done) {
      task->thread.join();
      task = tasks_.erase(task);
    } else {
      ++task;
    }
  }
  Task* task = &tasks_.emplace_back();
  task->thread = std::thread([this, task, work = std::move(work)] { Work(task, work); });
}

void TaskGroup::Work(Task* task, const std::function<void()>& work) {
  {
    absl::MutexLock lock(&mutex_);
    const auto may_run = [this]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return running_ < limit_; };
    mutex_.Await(absl::Condition(&may_run));
    ++running_;
  }
  work();
  absl::MutexLock lock(&mutex_);
  --running_;
  task->done = true;
}

}  // namespace dropbp::agent
