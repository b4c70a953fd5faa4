/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload_scene.h: a reload with its publication, as the tests of the policy's walk share it: opened
 * with a config or with small tables, pushed to, patched, and looked at.
 */
#ifndef TESTS_UNIT_RELOAD_SCENE_H
#define TESTS_UNIT_RELOAD_SCENE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_rcu_qsbr.h>

#include "document/config.h"
#include "document/diag.h"
#include "document/policy.h"
#include "expect.h"
#include "inproc.h"
#include "reload/reload.h"
#include "rows.h"
#include "sluice/generation.h"

struct scene {
	struct sl_publication publication;
	struct sl_config config;
	struct sl_reload *reload;
	struct sl_diag diag;
	struct sl_push push;
};

static inline struct scene *scene_open(const char *config, unsigned workers,
                                       struct rte_rcu_qsbr *qsbr, uint32_t patience_ms)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct sl_reload_params params = {.workers = workers, .patience_ms = patience_ms};

	assert_non_null(scene);
	sl_diag_init(&scene->diag);
	if (config != NULL) {
		assert_int_equal(sl_config_read_buffer("config.yaml", config, strlen(config),
		                                       SL_CONFIG_FOR_REPLAY, &scene->diag,
		                                       &scene->config),
		                 0);
		params.config = &scene->config;
	}
	params.publication = &scene->publication;
	scene->publication.qsbr = qsbr;
	scene->reload = sl_reload_create(&params, &scene->diag);
	assert_non_null(scene->reload);
	return scene;
}

static inline int setup(void **state)
{
	*state = scene_open(NULL, 1, NULL, 0);
	return 0;
}

static inline int teardown(void **state)
{
	struct scene *scene = *state;

	sl_reload_free(scene->reload);
	assert_null(atomic_load(&scene->publication.current));
	sl_config_fini(&scene->config);
	sl_diag_free(&scene->diag);
	free(scene);
	return 0;
}

static inline int push(struct scene *scene, const char *text)
{
	struct sl_policy_doc *doc;
	int ret;

	sl_diag_free(&scene->diag);
	ret = sl_policy_doc_read_buffer("policy.yaml", text, strlen(text), &scene->diag, &doc);
	if (ret != 0) {
		sl_diag_print(&scene->diag, SL_DIAG_ERROR, stderr);
		fail_msg("the test's document is bad");
	}
	ret = sl_reload_push(scene->reload, doc, &scene->diag, &scene->push);
	sl_policy_doc_free(doc);
	return ret;
}

static inline void expect_pushed(struct scene *scene, const char *text)
{
	assert_int_equal(push(scene, text), 0);
}

static inline const struct sl_generation *now(const struct scene *scene)
{
	return atomic_load(&scene->publication.current);
}

static inline const struct sl_sandbox *sandbox(const struct scene *scene, unsigned vlan)
{
	return now(scene)->sandboxes[vlan];
}

static inline struct sl_policy_doc *read_doc(struct scene *scene, const char *text)
{
	struct sl_policy_doc *doc = NULL;

	sl_diag_free(&scene->diag);
	if (sl_policy_doc_read_buffer("patch.yaml", text, strlen(text), &scene->diag, &doc) != 0)
		fail_msg("the test's document is bad");
	return doc;
}

static inline int patch(struct scene *scene, const char *text, uint16_t gone)
{
	struct sl_policy_doc *doc = read_doc(scene, text);
	struct sl_reload_patch patch = {.doc = doc, .gone = &gone, .n_gone = gone != 0};
	int ret = sl_reload_patch(scene->reload, &patch, &scene->diag, &scene->push);

	sl_policy_doc_free(doc);
	return ret;
}

#endif
