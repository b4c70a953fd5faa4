/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pin_load.c: which pins of a file are given back, and which file is believed.
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

#include "state/pin_disk.h"
#include "state/pin_file.h"
#include "state/pin_load.h"
#include "state/pin_owner.h"

#define WRITTEN  1700000000ull
#define BACK_MAX 16

struct scene {
	char folder[40], path[64], other[64];
	struct sl_settings settings;
	struct sl_generation *generation;
	struct sl_sandbox sandboxes[3];
	struct sl_model model;
	struct sl_pin_bytes pins, file;
	uint32_t n_pins, n_sandboxes;

	struct sl_pin_load load;
	unsigned room;
	char back[1024]; /* "VLAN name left of life", in the order in which they came */
};

/* ---- the scene: 101 is named, 102 is not ---- */

static int scene_open(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	*state = scene;
	strcpy(scene->folder, "/tmp/sluice-pins-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	snprintf(scene->path, sizeof(scene->path), "%s/pins", scene->folder);
	snprintf(scene->other, sizeof(scene->other), "%s/other", scene->folder);
	scene->settings.resolver_count = 2;
	scene->settings.resolvers[0] = (struct sl_addr){SL_FAMILY_4, {203, 0, 113, 53}};
	scene->settings.resolvers[1] = (struct sl_addr){SL_FAMILY_4, {203, 0, 113, 54}};
	scene->generation = calloc(1, sizeof(*scene->generation));
	scene->sandboxes[0] = (struct sl_sandbox){.vlan = 101, .name = "one"};
	scene->sandboxes[1] = (struct sl_sandbox){.vlan = 102};
	scene->generation->sandboxes[101] = &scene->sandboxes[0];
	scene->generation->sandboxes[102] = &scene->sandboxes[1];
	sl_model_init(&scene->model);
	sl_model_set_entry(&scene->model, 101,
	                   "{\"name\":\"one\",\"policy\":\"deny-all\",\"vlan\":101}");
	sl_model_set_entry(&scene->model, 102,
	                   "{\"policy\":{\"allow\":[\"a.example\"]},\"vlan\":102}");
	sl_pin_file_begin(&scene->file, WRITTEN, scene->settings.resolvers, 2);
	scene->room = BACK_MAX;
	return 0;
}

static int scene_close(void **state)
{
	struct scene *scene = *state;
	char command[64];

	sl_model_fini(&scene->model);
	sl_pin_bytes_free(&scene->pins);
	sl_pin_bytes_free(&scene->file);
	snprintf(command, sizeof(command), "rm -r %s", scene->folder);
	assert_int_equal(system(command), 0);
	free(scene->generation);
	free(scene);
	return 0;
}

static void put_pin(struct scene *scene, const char *name, uint32_t life_s, uint64_t left_s)
{
	struct sl_pin_record pin = {.addr = {SL_FAMILY_4, {198, 51, 100, 1}},
	                            .name = name,
	                            .name_len = (uint8_t)strlen(name),
	                            .life_s = life_s,
	                            .expires_s = WRITTEN + left_s};

	assert_true(sl_pin_file_put_pin(&scene->pins, &pin));
	scene->n_pins++;
}

/* The pins so far are those of this VLAN's sandbox, as it is now. */
static void put_sandbox(struct scene *scene, uint16_t vlan)
{
	struct sl_pin_owner owner;

	assert_true(sl_pin_owner_read(&scene->model, vlan, scene->generation->sandboxes[vlan]->name,
	                              &owner));
	sl_pin_file_put_sandbox(&scene->file, vlan, &owner, &scene->pins, scene->n_pins);
	sl_pin_bytes_free(&scene->pins);
	scene->n_pins = 0;
	scene->n_sandboxes++;
}

static void put_file(struct scene *scene)
{
	assert_true(sl_pin_file_end(&scene->file, scene->n_sandboxes));
	assert_int_equal(sl_pin_disk_write(scene->path, scene->file.at, scene->file.len), 0);
}

/* Both sandboxes with a pin each. */
static void put_both(struct scene *scene)
{
	put_pin(scene, "a.example", 3600, 600);
	put_sandbox(scene, 101);
	put_pin(scene, "b.example", 3600, 700);
	put_sandbox(scene, 102);
	put_file(scene);
}

static bool restore(void *ctx, const struct sl_kept_pin *pin)
{
	struct scene *scene = ctx;
	size_t n = strlen(scene->back);

	if (scene->room == 0)
		return false;
	scene->room--;
	assert_memory_equal(pin->addr.bytes, "\xc6\x33\x64\x01", 5);
	snprintf(scene->back + n, sizeof(scene->back) - n, "%u %.*s %u of %u\n", pin->vlan,
	         pin->name_len, pin->name, pin->left_s, pin->life_s);
	return true;
}

static int load_at(struct scene *scene, uint64_t now_s)
{
	struct sl_pin_load_params params = {
	        .path = scene->path,
	        .now_s = now_s,
	        .generation = scene->generation,
	        .model = &scene->model,
	        .settings = &scene->settings,
	        .restore = restore,
	        .ctx = scene,
	};

	scene->back[0] = '\0';
	return sl_pin_load(&params, &scene->load);
}

static void assert_ignored(struct scene *scene, int ret, const char *why)
{
	assert_int_equal(load_at(scene, WRITTEN), ret);
	assert_string_equal(scene->back, "");
	assert_int_equal(scene->load.restored, 0);
	if (strstr(scene->load.why, why) == NULL)
		fail_msg("\"%s\", not \"%s\"", scene->load.why, why);
}

#define BOTH "101 a.example 590 of 3600\n102 b.example 690 of 3600\n"

/* ---- whose ---- */

static void pins_are_back_with_what_is_left_of_them(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, BOTH);
	assert_int_equal(scene->load.restored, 2);
	assert_int_equal(scene->load.sandboxes, 2);
	assert_int_equal(load_at(scene, WRITTEN + 600), 0);
	assert_string_equal(scene->back, "102 b.example 100 of 3600\n");
	assert_int_equal(scene->load.ended, 1);
	assert_int_equal(scene->load.sandboxes, 1);
	assert_int_equal(load_at(scene, WRITTEN - 1000), 0); /* the clock was set back */
	assert_string_equal(scene->back, "101 a.example 600 of 3600\n102 b.example 700 of 3600\n");
}

/* What was used last is given back last: it stays where there is no longer room for all. */
static void pins_come_in_the_order_of_their_use(void **state)
{
	struct scene *scene = *state;

	put_pin(scene, "c.example", 100, 90);
	put_pin(scene, "a.example", 3600, 3000);
	put_pin(scene, "d.example", 3600, 3595);
	put_pin(scene, "b.example", 86400, 86000);
	put_sandbox(scene, 101);
	put_file(scene);
	assert_int_equal(load_at(scene, WRITTEN), 0);
	assert_string_equal(scene->back,
	                    "101 a.example 3000 of 3600\n101 b.example 86000 of 86400\n"
	                    "101 c.example 90 of 100\n101 d.example 3595 of 3600\n");
	scene->room = 3;
	assert_int_equal(load_at(scene, WRITTEN), 0);
	assert_int_equal(scene->load.restored, 3);
	assert_int_equal(scene->load.no_room, 1);
}

static void pins_of_a_sandbox_with_another_name_are_not_given_to_it(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	scene->sandboxes[0].name = "two";
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, "102 b.example 690 of 3600\n");
	assert_int_equal(scene->load.strangers, 1);
	scene->sandboxes[0].name = NULL; /* it may be the same: nobody knows */
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, "102 b.example 690 of 3600\n");
	scene->sandboxes[0].name = "on";
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, "102 b.example 690 of 3600\n");
}

/* Its names are judged by the policy in force: test_pins.c. */
static void policy_of_a_named_sandbox_may_be_another(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	sl_model_set_entry(&scene->model, 101,
	                   "{\"name\":\"one\",\"policy\":\"allow-all\",\"vlan\":101}");
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, BOTH);
}

static void policy_of_a_nameless_sandbox_has_to_be_the_same(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	sl_model_set_entry(&scene->model, 102,
	                   "{\"policy\":{\"allow\":[\"b.example\"]},\"vlan\":102}");
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, "101 a.example 590 of 3600\n");
	assert_int_equal(scene->load.strangers, 1);
	/* the same by its name in `policies` */
	sl_model_set_policy(&scene->model, "p", "{\"allow\":[\"a.example\"]}");
	sl_model_set_entry(&scene->model, 102, "{\"policy\":\"p\",\"vlan\":102}");
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, BOTH);
	scene->sandboxes[1].name = "two"; /* a name is none that it had */
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, "101 a.example 590 of 3600\n");
}

static void pins_of_a_vlan_without_a_sandbox_are_nobodys(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	scene->generation->sandboxes[101] = NULL;
	scene->generation->sandboxes[103] = &scene->sandboxes[0]; /* it moved */
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, "102 b.example 690 of 3600\n");
}

/* An operator who no longer trusts a resolver does not trust what it said. */
static void pins_of_a_resolver_that_was_taken_out_are_ignored(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	scene->settings.resolvers[2] = (struct sl_addr){SL_FAMILY_4, {203, 0, 113, 55}};
	scene->settings.resolver_count = 3; /* one more is fine */
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, BOTH);
	scene->settings.resolvers[1] = scene->settings.resolvers[2];
	scene->settings.resolver_count = 2;
	assert_ignored(scene, -EPERM, "no longer one of dns.resolvers");
}

/* ---- which file ---- */

static void no_file_is_no_problem(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(load_at(scene, WRITTEN), -ENOENT);
}

static void file_that_is_damaged_is_ignored_as_a_whole(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	scene->file.at[scene->file.len - 40] ^= 1; /* in the second sandbox */
	assert_int_equal(sl_pin_disk_write(scene->path, scene->file.at, scene->file.len), 0);
	assert_ignored(scene, -EBADMSG, "its checksum is wrong");
	assert_int_equal(truncate(scene->path, 0), 0);
	assert_ignored(scene, -EBADMSG, "it is cut short");
}

static void file_that_others_may_use_is_ignored(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	for (mode_t bit = 1; bit <= 0040; bit *= 2) {
		assert_int_equal(chmod(scene->path, 0600 | bit), 0);
		assert_ignored(scene, -EPERM, "others may use it: its mode is 06");
	}
	assert_int_equal(chmod(scene->path, 0600), 0);
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, BOTH);
}

static void file_of_another_user_is_ignored(void **state)
{
	struct scene *scene = *state;

	if (geteuid() != 0)
		skip();
	put_both(scene);
	assert_int_equal(chown(scene->path, 1, 0), 0);
	assert_ignored(scene, -EPERM, "it belongs to user 1, and not to 0");
}

static void what_is_no_regular_file_is_ignored(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	assert_int_equal(rename(scene->path, scene->other), 0);
	assert_int_equal(symlink(scene->other, scene->path), 0);
	assert_ignored(scene, -ELOOP, "symbolic link");
	assert_int_equal(unlink(scene->path), 0);
	assert_int_equal(mkfifo(scene->path, 0600), 0); /* which nobody writes to */
	assert_ignored(scene, -EPERM, "no regular file");
	assert_int_equal(unlink(scene->path), 0);
	assert_int_equal(mkdir(scene->path, 0700), 0);
	assert_ignored(scene, -EPERM, "no regular file");
}

static void file_that_is_too_large_is_ignored(void **state)
{
	struct scene *scene = *state;

	put_both(scene);
	assert_int_equal(truncate(scene->path, (off_t)SL_PIN_FILE_MAX + 1), 0);
	assert_ignored(scene, -EPERM, "larger than 1024 MiB");
}

/* ---- writing ---- */

static void file_written_is_its_users_alone(void **state)
{
	struct scene *scene = *state;
	mode_t before = umask(0);
	struct stat st;

	put_both(scene);
	assert_int_equal(stat(scene->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	umask(0777);
	assert_int_equal(sl_pin_disk_write(scene->path, scene->file.at, scene->file.len), 0);
	umask(before);
	assert_int_equal(stat(scene->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* What a gateway left that was killed while it wrote, or somebody put there. */
static void half_a_file_is_in_nobodys_way(void **state)
{
	struct scene *scene = *state;
	char fresh[80];
	struct stat st;
	int fd;

	snprintf(fresh, sizeof(fresh), "%s.new", scene->path);
	fd = open(fresh, O_CREAT | O_WRONLY, 0666);
	assert_true(fd >= 0 && write(fd, "half", 4) == 4);
	close(fd);
	put_both(scene);
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, BOTH);
	assert_int_equal(symlink(scene->other, fresh), 0);
	assert_int_equal(sl_pin_disk_write(scene->path, scene->file.at, scene->file.len), 0);
	assert_int_equal(lstat(fresh, &st), -1);
	assert_int_equal(stat(scene->other, &st), -1); /* the link was not followed */
}

static void file_that_cannot_be_replaced_stays(void **state)
{
	struct scene *scene = *state;
	char path[80];
	struct stat st;

	put_both(scene);
	assert_int_equal(mkdir(scene->other, 0700), 0);
	assert_int_equal(sl_pin_disk_write(scene->other, scene->file.at, scene->file.len), -EISDIR);
	snprintf(path, sizeof(path), "%s.new", scene->other);
	assert_int_equal(stat(path, &st), -1); /* nothing is left */
	snprintf(path, sizeof(path), "%s/pins", scene->path);
	assert_int_equal(sl_pin_disk_write(path, scene->file.at, scene->file.len), -ENOTDIR);
	assert_int_equal(load_at(scene, WRITTEN + 10), 0);
	assert_string_equal(scene->back, BOTH);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, scene_open, scene_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CASE(pins_are_back_with_what_is_left_of_them),
	        CASE(pins_come_in_the_order_of_their_use),
	        CASE(pins_of_a_sandbox_with_another_name_are_not_given_to_it),
	        CASE(policy_of_a_named_sandbox_may_be_another),
	        CASE(policy_of_a_nameless_sandbox_has_to_be_the_same),
	        CASE(pins_of_a_vlan_without_a_sandbox_are_nobodys),
	        CASE(pins_of_a_resolver_that_was_taken_out_are_ignored),
	        CASE(no_file_is_no_problem),
	        CASE(file_that_is_damaged_is_ignored_as_a_whole),
	        CASE(file_that_others_may_use_is_ignored),
	        CASE(file_of_another_user_is_ignored),
	        CASE(what_is_no_regular_file_is_ignored),
	        CASE(file_that_is_too_large_is_ignored),
	        CASE(file_written_is_its_users_alone),
	        CASE(half_a_file_is_in_nobodys_way),
	        CASE(file_that_cannot_be_replaced_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
