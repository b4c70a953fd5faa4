/*
 * reload_later.c: pushes whose names take long to compile. They wait here while others go on, and
 * make their walk when the background thread is done.
 *
 * A job must never undo what a push that came after it has brought into force; the compiler knows
 * by the order of arrival.
 */
#include <errno.h>
#include <stdlib.h>

#include "diag.h"
#include "reload_walk.h"

static void append(struct sl_reload *reload, struct sl_reload_later *later)
{
	struct sl_reload_later **tail = &reload->later;

	while (*tail != NULL)
		tail = &(*tail)->next;
	*tail = later;
}

int sl_reload_submit(struct sl_reload *reload, const struct sl_reload_job *job,
                     struct sl_diag *diag, struct sl_push *out)
{
	struct sl_reload_later *later = calloc(1, sizeof(*later));
	struct sl_push push;
	int ret = -ENOMEM;

	if (later != NULL) {
		later->job = *job;
		later->request = sl_reload_request(reload, job->doc, job->patch);
		ret = sl_reload_walk(reload, &later->request, diag, &later->waiting, &push);
		if (out != NULL)
			*out = push;
	}
	if (ret != -EINPROGRESS) {
		free(later);
		return ret;
	}
	append(reload, later);
	return ret;
}

static void finish_later(struct sl_reload *reload, struct sl_reload_later *later, int ret,
                         struct sl_diag *diag, const struct sl_push *push)
{
	sl_compile_release(&reload->compiler, &later->waiting);
	later->job.done(later->job.ctx, ret, diag, push);
	free(later);
}

/* True if the job is through; false: more names came to be compiled, it waits on. */
static bool try_later(struct sl_reload *reload, struct sl_reload_later *later)
{
	struct sl_waiting before = later->waiting;
	struct sl_diag diag;
	struct sl_push push;
	int ret;

	sl_diag_init(&diag);
	later->waiting = (struct sl_waiting){0};
	ret = sl_reload_walk(reload, &later->request, &diag, &later->waiting, &push);
	sl_compile_release(&reload->compiler, &before);
	if (ret != -EINPROGRESS)
		finish_later(reload, later, ret, &diag, &push);
	sl_diag_free(&diag);
	return ret != -EINPROGRESS;
}

/* What a job's end calls may submit another: the list is taken off first. */
void sl_reload_poll(struct sl_reload *reload)
{
	struct sl_reload_later *list = reload->later;

	reload->later = NULL;
	while (list != NULL) {
		struct sl_reload_later *later = list;

		list = later->next;
		later->next = NULL;
		if (!sl_compile_ready(&reload->compiler, &later->waiting) ||
		    !try_later(reload, later))
			append(reload, later);
	}
}

unsigned sl_reload_pending(const struct sl_reload *reload)
{
	unsigned n = 0;

	for (const struct sl_reload_later *later = reload->later; later != NULL;
	     later = later->next)
		n++;
	return n;
}

void sl_reload_cancel_later(struct sl_reload *reload)
{
	while (reload->later != NULL) {
		struct sl_reload_later *later = reload->later;
		struct sl_push push = {.generation = reload->number};
		struct sl_diag diag;

		reload->later = later->next;
		sl_diag_init(&diag);
		finish_later(reload, later, -ECANCELED, &diag, &push);
		sl_diag_free(&diag);
	}
}
