/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_file_watch.c: every way in which people and programs replace a file. The directory is real,
 * the clock is simulated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reload/file_watch.h"

#define LIMIT 4096

static char root[128]; /* a fresh directory for each test, which is the working directory */
static uint64_t now_ms;

static int enter_fresh_directory(void **state)
{
	snprintf(root, sizeof(root), "%s/sluice-test-watch-XXXXXX",
	         getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(root));
	assert_int_equal(chdir(root), 0);
	now_ms = 1000000;
	return 0;
}

static int remove_directory(void **state)
{
	char command[192];

	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command) == 0 ? 0 : -1;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Writes a temporary file, then renames it over the file. */
static void replace_file(const char *path, const char *text)
{
	write_file("new.tmp", text);
	assert_int_equal(rename("new.tmp", path), 0);
}

static void swap_link(const char *path, const char *target)
{
	assert_int_equal(symlink(target, "link.tmp"), 0);
	assert_int_equal(rename("link.tmp", path), 0);
}

static struct sl_file_watch *watch_file(const char *path)
{
	struct sl_file_watch *watch = sl_file_watch_create(path, LIMIT);

	assert_non_null(watch);
	return watch;
}

static void expect_content(struct sl_file_watch *watch, const char *text)
{
	size_t len;
	const char *bytes = sl_file_watch_bytes(watch, &len);

	assert_int_equal(len, strlen(text));
	assert_memory_equal(bytes, text, len);
}

static void expect_at_once(struct sl_file_watch *watch, const char *text)
{
	assert_int_equal(sl_file_watch_poll(watch, now_ms), SL_FILE_WATCH_CHANGED);
	expect_content(watch, text);
}

static void expect_nothing_for(struct sl_file_watch *watch, unsigned ms)
{
	for (unsigned passed = 0; passed <= ms; passed += 10, now_ms += 10)
		assert_int_equal(sl_file_watch_poll(watch, now_ms), SL_FILE_WATCH_NOTHING);
}

/* The change comes when both reads are through, not before. */
static void expect_settled(struct sl_file_watch *watch, const char *text)
{
	expect_nothing_for(watch, 90);
	now_ms += 10;
	assert_int_equal(sl_file_watch_poll(watch, now_ms), SL_FILE_WATCH_CHANGED);
	expect_content(watch, text);
}

static struct sl_file_watch *watch_and_read(const char *path, const char *text)
{
	struct sl_file_watch *watch = watch_file(path);

	assert_int_equal(sl_file_watch_read(watch, now_ms), SL_FILE_WATCH_CHANGED);
	expect_content(watch, text);
	expect_nothing_for(watch, 2000);
	return watch;
}

/* A watch of policy.yaml, which holds this text. */
static struct sl_file_watch *watch_policy(const char *text)
{
	write_file("policy.yaml", text);
	return watch_and_read("policy.yaml", text);
}

/* A watch of policy.yaml, which is a symlink to v1 with the text "one"; "two" is v2's. */
static struct sl_file_watch *watch_symlink(void)
{
	write_file("v1", "one");
	write_file("v2", "two");
	assert_int_equal(symlink("v1", "policy.yaml"), 0);
	return watch_and_read("policy.yaml", "one");
}

/* The same, to a file in another directory. */
static struct sl_file_watch *watch_symlink_away(void)
{
	mkdir("data", 0755);
	write_file("data/v1", "one");
	assert_int_equal(symlink("data/v1", "policy.yaml"), 0);
	return watch_and_read("policy.yaml", "one");
}

/* That the file is gone is said after a while, in which another one may come. */
static void expect_gone(struct sl_file_watch *watch)
{
	expect_nothing_for(watch, 290);
	now_ms += 10;
	assert_int_equal(sl_file_watch_poll(watch, now_ms), SL_FILE_WATCH_GONE);
	assert_int_equal(sl_file_watch_error(watch), ENOENT);
}

static void rename_over_is_taken_at_once_and_once(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	replace_file("policy.yaml", "two");
	expect_at_once(watch, "two");
	expect_nothing_for(watch, 3000);
	replace_file("policy.yaml", "six"); /* as long */
	expect_at_once(watch, "six");
	expect_nothing_for(watch, 3000);
	sl_file_watch_free(watch);
}

static void rename_by_absolute_path_is_taken_at_once(void **state)
{
	char path[256];
	struct sl_file_watch *watch;

	snprintf(path, sizeof(path), "%s/policy.yaml", root);
	write_file("policy.yaml", "one");
	watch = watch_and_read(path, "one");
	replace_file("policy.yaml", "two");
	expect_at_once(watch, "two");
	sl_file_watch_free(watch);
}

static void rename_of_other_files_is_no_news(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	replace_file("policy.yaml.bak", "two");
	write_file("other", "x");
	expect_nothing_for(watch, 2000);
	sl_file_watch_free(watch);
}

static void two_renames_before_a_look_are_one_change(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	replace_file("policy.yaml", "two");
	replace_file("policy.yaml", "three");
	expect_at_once(watch, "three");
	expect_nothing_for(watch, 2000);
	sl_file_watch_free(watch);
}

static void written_in_place_is_taken_after_two_equal_reads(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	write_file("policy.yaml", "two");
	expect_settled(watch, "two");
	expect_nothing_for(watch, 3000);
	sl_file_watch_free(watch);
}

static void written_in_place_and_open_is_not_taken_before_close(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");
	int fd;

	fd = open("policy.yaml", O_WRONLY | O_TRUNC);
	expect_nothing_for(watch, 1500);
	assert_int_equal(write(fd, "half", 4), 4);
	expect_nothing_for(watch, 3000);
	assert_int_equal(write(fd, "whole", 5), 5);
	close(fd);
	expect_settled(watch, "halfwhole");
	sl_file_watch_free(watch);
}

/*
 * Simulates a file that is bind-mounted, or on a network file system: its directory gets no
 * notification of writes. A hard link in another directory has the same effect.
 */
static struct sl_file_watch *watch_untold(const char *text)
{
	struct sl_file_watch *watch;

	assert_int_equal(mkdir("elsewhere", 0755), 0);
	write_file("elsewhere/policy.yaml", text);
	assert_int_equal(link("elsewhere/policy.yaml", "policy.yaml"), 0);
	watch = watch_and_read("policy.yaml", text);
	return watch;
}

/* Within one check and the two reads after it. */
static void expect_within(struct sl_file_watch *watch, unsigned ms, const char *text)
{
	for (unsigned passed = 0; passed <= ms; passed += 10, now_ms += 10)
		if (sl_file_watch_poll(watch, now_ms) == SL_FILE_WATCH_CHANGED) {
			expect_content(watch, text);
			return;
		}
	fail();
}

static void written_where_nobody_tells_is_taken_by_a_look(void **state)
{
	struct sl_file_watch *watch = watch_untold("one");

	write_file("elsewhere/policy.yaml", "longer");
	expect_within(watch, 1200, "longer");
	expect_nothing_for(watch, 3000);
	/* a new time alone is not a change */
	assert_int_equal(utimensat(AT_FDCWD, "elsewhere/policy.yaml", NULL, 0), 0);
	expect_nothing_for(watch, 3000);
	sl_file_watch_free(watch);
}

static void written_where_nobody_tells_with_size_and_time_kept_is_taken(void **state)
{
	struct sl_file_watch *watch = watch_untold("one");
	struct timespec times[2];
	struct stat st;

	assert_int_equal(stat("policy.yaml", &st), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	write_file("elsewhere/policy.yaml", "two");
	assert_int_equal(utimensat(AT_FDCWD, "elsewhere/policy.yaml", times, 0), 0);
	expect_within(watch, 1200, "two");
	expect_nothing_for(watch, 3000);
	sl_file_watch_free(watch);
}

/* A writer that is seen is waited for, however long it takes. */
static void written_slowly_by_who_is_seen_is_not_taken_half(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");
	int fd;

	fd = open("policy.yaml", O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "half", 4), 4);
	expect_nothing_for(watch, 5000);
	assert_int_equal(write(fd, " and whole", 10), 10);
	close(fd);
	expect_settled(watch, "half and whole");
	sl_file_watch_free(watch);
}

static void written_again_between_the_reads_waits_for_the_last(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	write_file("policy.yaml", "two");
	expect_nothing_for(watch, 50);
	write_file("policy.yaml", "three");
	expect_settled(watch, "three");
	expect_nothing_for(watch, 2000);
	sl_file_watch_free(watch);
}

static void changing_unannounced_between_the_reads_is_read_again(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");
	int fd;

	fd = open("policy.yaml", O_WRONLY | O_APPEND);
	write_file("policy.yaml", "two"); /* one writer closes, another still writes */
	expect_nothing_for(watch, 50);
	assert_int_equal(write(fd, "+", 1), 1);
	expect_nothing_for(watch, 120);
	now_ms += 10;
	expect_at_once(watch, "two+");
	close(fd);
	sl_file_watch_free(watch);
}

static void created_anew_and_still_open_is_not_taken(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");
	int fd;

	unlink("policy.yaml");
	fd = open("policy.yaml", O_WRONLY | O_CREAT, 0644);
	assert_int_equal(write(fd, "ha", 2), 2);
	expect_nothing_for(watch, 5000);
	assert_int_equal(write(fd, "lf", 2), 2);
	close(fd);
	expect_settled(watch, "half");
	sl_file_watch_free(watch);
}

static void editor_with_backup_is_taken_once(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	assert_int_equal(rename("policy.yaml", "policy.yaml~"), 0);
	write_file("policy.yaml", "two");
	unlink("policy.yaml~");
	expect_settled(watch, "two");
	expect_nothing_for(watch, 3000);
	sl_file_watch_free(watch);
}

static void symlink_swap_is_taken_at_once_and_once(void **state)
{
	struct sl_file_watch *watch = watch_symlink();

	swap_link("policy.yaml", "v2");
	expect_at_once(watch, "two");
	expect_nothing_for(watch, 3000);
	sl_file_watch_free(watch);
}

static void symlink_made_anew_is_taken_at_once(void **state)
{
	struct sl_file_watch *watch = watch_symlink();

	unlink("policy.yaml");
	assert_int_equal(symlink("v2", "policy.yaml"), 0);
	expect_at_once(watch, "two");
	expect_nothing_for(watch, 3000);
	sl_file_watch_free(watch);
}

static void symlink_target_written_in_place_is_settled(void **state)
{
	struct sl_file_watch *watch = watch_symlink_away();

	write_file("data/v1", "two");
	expect_settled(watch, "two");
	sl_file_watch_free(watch);
}

static void symlink_target_renamed_over_is_taken_at_once(void **state)
{
	struct sl_file_watch *watch = watch_symlink_away();

	replace_file("data/v1", "two");
	expect_at_once(watch, "two");
	expect_nothing_for(watch, 2000);
	sl_file_watch_free(watch);
}

/* Kubernetes: policy.yaml -> ..data/policy.yaml, ..data -> ..<time>, the old directory removed. */
static void configmap_swap_is_taken_at_once_and_once(void **state)
{
	struct sl_file_watch *watch = NULL;

	for (int round = 1; round <= 3; round++) {
		char dir[16], file[32], text[16];

		snprintf(dir, sizeof(dir), "..%d", round);
		snprintf(file, sizeof(file), "%s/policy.yaml", dir);
		snprintf(text, sizeof(text), "round %d", round);
		mkdir(dir, 0755);
		write_file(file, text);
		if (round == 1) {
			assert_int_equal(symlink(dir, "..data"), 0);
			assert_int_equal(symlink("..data/policy.yaml", "policy.yaml"), 0);
			watch = watch_and_read("policy.yaml", text);
			continue;
		}
		expect_nothing_for(watch, 1000);
		assert_int_equal(symlink(dir, "..data_tmp"), 0);
		assert_int_equal(rename("..data_tmp", "..data"), 0);
		expect_at_once(watch, text);
		snprintf(file, sizeof(file), "..%d/policy.yaml", round - 1);
		unlink(file);
		snprintf(dir, sizeof(dir), "..%d", round - 1);
		assert_int_equal(rmdir(dir), 0);
		expect_nothing_for(watch, 3000);
	}
	sl_file_watch_free(watch);
}

static void directory_renamed_away_and_replaced_is_found(void **state)
{
	struct sl_file_watch *watch;

	mkdir("a", 0755);
	write_file("a/policy.yaml", "one");
	watch = watch_and_read("a/policy.yaml", "one");
	mkdir("b", 0755);
	write_file("b/policy.yaml", "two");
	assert_int_equal(rename("a", "old"), 0);
	assert_int_equal(rename("b", "a"), 0);
	expect_settled(watch, "two");
	replace_file("a/policy.yaml", "three");
	expect_at_once(watch, "three");
	sl_file_watch_free(watch);
}

static void deleted_is_said_once_and_later_files_are_taken(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	unlink("policy.yaml");
	expect_gone(watch);
	expect_nothing_for(watch, 5000);
	replace_file("policy.yaml", "two");
	expect_at_once(watch, "two");
	unlink("policy.yaml");
	expect_gone(watch);
	sl_file_watch_free(watch);
}

static void dangling_symlink_is_gone_until_its_target_comes(void **state)
{
	struct sl_file_watch *watch = watch_symlink();

	swap_link("policy.yaml", "later/v2");
	expect_gone(watch);
	mkdir("later", 0755);
	expect_nothing_for(watch, 50);
	replace_file("later/v2", "two");
	expect_at_once(watch, "two");
	sl_file_watch_free(watch);
}

static void missing_at_first_is_taken_when_it_comes(void **state)
{
	struct sl_file_watch *watch = watch_file("sub/policy.yaml");

	assert_int_equal(sl_file_watch_read(watch, now_ms), SL_FILE_WATCH_GONE);
	mkdir("sub", 0755);
	expect_nothing_for(watch, 20);
	replace_file("sub/policy.yaml", "one");
	expect_at_once(watch, "one");
	sl_file_watch_free(watch);
}

static void hard_link_to_a_complete_file_is_settled(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	write_file("v2", "two");
	unlink("policy.yaml");
	assert_int_equal(link("v2", "policy.yaml"), 0);
	expect_settled(watch, "two");
	sl_file_watch_free(watch);
}

static void directory_in_its_place_fails_and_says_why(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	unlink("policy.yaml");
	mkdir("dir", 0755);
	assert_int_equal(rename("dir", "policy.yaml"), 0);
	assert_int_equal(sl_file_watch_poll(watch, now_ms), SL_FILE_WATCH_FAILED);
	assert_int_equal(sl_file_watch_error(watch), EISDIR);
	expect_nothing_for(watch, 5000);
	rmdir("policy.yaml");
	replace_file("policy.yaml", "two");
	expect_at_once(watch, "two");
	sl_file_watch_free(watch);
}

static void huge_file_is_read_to_its_bound_only(void **state)
{
	struct sl_file_watch *watch = watch_file("policy.yaml");
	char *big = malloc(100000 + 1);
	size_t len;

	memset(big, 'x', 100000);
	big[100000] = '\0';
	write_file("policy.yaml", big);
	assert_int_equal(sl_file_watch_read(watch, now_ms), SL_FILE_WATCH_CHANGED);
	sl_file_watch_bytes(watch, &len);
	assert_int_equal(len, LIMIT + 1);
	free(big);
	sl_file_watch_free(watch);
}

static void empty_file_is_content(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	write_file("policy.yaml", "");
	expect_settled(watch, "");
	sl_file_watch_free(watch);
}

static void symlink_loop_is_an_error(void **state)
{
	struct sl_file_watch *watch;

	assert_int_equal(symlink("b", "a"), 0);
	assert_int_equal(symlink("a", "b"), 0);
	watch = watch_file("a");
	assert_int_equal(sl_file_watch_read(watch, now_ms), SL_FILE_WATCH_FAILED);
	assert_int_equal(sl_file_watch_error(watch), ELOOP);
	sl_file_watch_free(watch);
}

static void asked_to_read_it_reads_the_same_again(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	assert_int_equal(sl_file_watch_read(watch, now_ms), SL_FILE_WATCH_CHANGED);
	expect_content(watch, "one");
	sl_file_watch_free(watch);
}

static void timeout_is_never_for_ever(void **state)
{
	struct sl_file_watch *watch = watch_policy("one");

	assert_in_range(sl_file_watch_timeout_ms(watch, now_ms), 0, 1000);
	write_file("policy.yaml", "two");
	sl_file_watch_poll(watch, now_ms);
	assert_int_equal(sl_file_watch_timeout_ms(watch, now_ms), 100);
	assert_int_equal(sl_file_watch_timeout_ms(watch, now_ms + 5000), 0);
	sl_file_watch_free(watch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_fresh_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(rename_over_is_taken_at_once_and_once),
	        TEST(rename_by_absolute_path_is_taken_at_once),
	        TEST(rename_of_other_files_is_no_news),
	        TEST(two_renames_before_a_look_are_one_change),
	        TEST(written_in_place_is_taken_after_two_equal_reads),
	        TEST(written_in_place_and_open_is_not_taken_before_close),
	        TEST(written_where_nobody_tells_is_taken_by_a_look),
	        TEST(written_where_nobody_tells_with_size_and_time_kept_is_taken),
	        TEST(written_slowly_by_who_is_seen_is_not_taken_half),
	        TEST(written_again_between_the_reads_waits_for_the_last),
	        TEST(changing_unannounced_between_the_reads_is_read_again),
	        TEST(created_anew_and_still_open_is_not_taken),
	        TEST(editor_with_backup_is_taken_once),
	        TEST(symlink_swap_is_taken_at_once_and_once),
	        TEST(symlink_made_anew_is_taken_at_once),
	        TEST(symlink_target_written_in_place_is_settled),
	        TEST(symlink_target_renamed_over_is_taken_at_once),
	        TEST(configmap_swap_is_taken_at_once_and_once),
	        TEST(directory_renamed_away_and_replaced_is_found),
	        TEST(deleted_is_said_once_and_later_files_are_taken),
	        TEST(dangling_symlink_is_gone_until_its_target_comes),
	        TEST(missing_at_first_is_taken_when_it_comes),
	        TEST(hard_link_to_a_complete_file_is_settled),
	        TEST(directory_in_its_place_fails_and_says_why),
	        TEST(huge_file_is_read_to_its_bound_only),
	        TEST(empty_file_is_content),
	        TEST(symlink_loop_is_an_error),
	        TEST(asked_to_read_it_reads_the_same_again),
	        TEST(timeout_is_never_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
