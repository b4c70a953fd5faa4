/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expect.h: what most tests of packets say: this is the reason. To be included after <cmocka.h>.
 */
#ifndef TESTS_EXPECT_H
#define TESTS_EXPECT_H

#include "sluice/reason.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* The reason is compared by name, so that a failure can be read. */
#define expect(got, want) assert_string_equal(sl_reason_name(got), sl_reason_name(want))

#endif
