/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadline.h: pool elements in the order of their deadlines. All elements of a list have the same
 * time to live, so appending keeps them in order without a search.
 *
 * The element's struct begins with struct sl_deadline.
 */
#ifndef DATAPLANE_DEADLINE_H
#define DATAPLANE_DEADLINE_H

#include "state.h"

struct sl_deadline {
	uint32_t next; /* first, as the pool links freed elements here */
	uint32_t prev;
	uint32_t due_ms; /* worker clock */
};

static inline struct sl_deadline *sl_deadline_at(const struct sl_pool *pool, uint32_t index)
{
	return sl_pool_at(pool, index);
}

static inline void sl_deadline_append(struct sl_pool *pool, struct sl_deadlines *list,
                                      uint32_t index, uint32_t due_ms)
{
	struct sl_deadline *element = sl_deadline_at(pool, index);

	element->next = 0;
	element->prev = list->tail;
	element->due_ms = due_ms;
	if (list->tail != 0)
		sl_deadline_at(pool, list->tail)->next = index;
	else
		list->head = index;
	list->tail = index;
}

static inline void sl_deadline_remove(struct sl_pool *pool, struct sl_deadlines *list,
                                      uint32_t index)
{
	struct sl_deadline *element = sl_deadline_at(pool, index);

	if (element->prev != 0)
		sl_deadline_at(pool, element->prev)->next = element->next;
	else
		list->head = element->next;
	if (element->next != 0)
		sl_deadline_at(pool, element->next)->prev = element->prev;
	else
		list->tail = element->prev;
}

/* The oldest element if its deadline has passed, else 0. */
static inline uint32_t sl_deadline_due(const struct sl_worker *worker, const struct sl_pool *pool,
                                       const struct sl_deadlines *list)
{
	if (list->head == 0 || !sl_due(worker, sl_deadline_at(pool, list->head)->due_ms))
		return 0;
	return list->head;
}

#endif
