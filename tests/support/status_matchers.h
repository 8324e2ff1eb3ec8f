// absl::Status in tests.
#pragma once

#include <gtest/gtest.h>

#include "core/base/status.h"

#define ASSERT_OK(expression)                     \
  do {                                            \
    const absl::Status ok_status_ = (expression); \
    ASSERT_TRUE(ok_status_.ok()) << ok_status_;   \
  } while (false)

// Ends the test if `expression` is an error, else moves its value into `target`.
#define ASSERT_OK_AND_ASSIGN(target, expression) \
  DROPBP_ASSERT_OK_AND_ASSIGN(DROPBP_STATUS_CONCAT(statusor_, __LINE__), target, expression)
#define DROPBP_ASSERT_OK_AND_ASSIGN(statusor, target, expression) \
  auto statusor = (expression);                                   \
  ASSERT_TRUE(statusor.ok()) << statusor.status();                \
  target = *std::move(statusor)
