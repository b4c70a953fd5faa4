/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_race.c: two workers at work while the control thread pushes. Every single packet must get
 * the verdict of the reference model for the document of the one generation by which its worker
 * judged in that turn; that generation is never older than what was acknowledged when the packet
 * came in, and never older than the one before. At the end every packet is accounted for.
 *
 * The sanitisers of the build report what they see. Environment: SLUICE_SEED, SLUICE_RACE_MS.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring_elem.h>

#include "document/config.h"
#include "document/diag.h"
#include "ids.h"
#include "inproc.h"
#include "reload/reload.h"
#include "gateway/settings_from_config.h"
#include "core/state.h"
#include "traffic.h"

#define WORKERS       2
#define TALKS_A_VLAN  12
#define TALKS         (RACE_VLANS * TALKS_A_VLAN)
#define FIRST_PORT    20000
#define MBUFS         4095
#define HANDOVER      1024
#define EVENTS        8192
#define PATIENCE_MS   60000
#define RACE_MS       6000
#define PUSHES_MIN    100 /* even on a slow machine */
#define SLOW_EACH     25  /* pushes */
#define PENDING_MAX   64  /* talks that a worker handles in a turn */
#define OTHERS_MAX    (2 * TALKS)
#define ALL_SANDBOXES UINT32_MAX

#define CONFIG                                                                                     \
	"dns: {resolvers: [203.0.113.53], pinning: off}\n"                                         \
	"limits: {flows: 4194304, flows-per-sandbox: 1048576}\n"

/* ---- a pool that sanitisers can see into ---- */

/*
 * DPDK's library is not built for the thread sanitiser, so the synchronisation inside its pools is
 * invisible to it. This pool is a stack with a lock.
 */
struct stack {
	pthread_mutex_t lock;
	unsigned n;
	void *object[];
};

static int stack_alloc(struct rte_mempool *pool)
{
	struct stack *stack = calloc(1, sizeof(*stack) + pool->size * sizeof(void *));

	if (stack == NULL)
		return -ENOMEM;
	pthread_mutex_init(&stack->lock, NULL);
	pool->pool_data = stack;
	return 0;
}

static void stack_free(struct rte_mempool *pool)
{
	struct stack *stack = pool->pool_data;

	pthread_mutex_destroy(&stack->lock);
	free(stack);
}

static int stack_put(struct rte_mempool *pool, void *const *objects, unsigned n)
{
	struct stack *stack = pool->pool_data;

	pthread_mutex_lock(&stack->lock);
	memcpy(stack->object + stack->n, objects, n * sizeof(void *));
	stack->n += n;
	pthread_mutex_unlock(&stack->lock);
	return 0;
}

static int stack_take(struct rte_mempool *pool, void **objects, unsigned n)
{
	struct stack *stack = pool->pool_data;
	int ret = -ENOBUFS;

	pthread_mutex_lock(&stack->lock);
	if (stack->n >= n) {
		stack->n -= n;
		memcpy(objects, stack->object + stack->n, n * sizeof(void *));
		ret = 0;
	}
	pthread_mutex_unlock(&stack->lock);
	return ret;
}

static unsigned stack_count(const struct rte_mempool *pool)
{
	struct stack *stack = pool->pool_data;
	unsigned n;

	pthread_mutex_lock(&stack->lock);
	n = stack->n;
	pthread_mutex_unlock(&stack->lock);
	return n;
}

static const struct rte_mempool_ops stack_ops = {
        .name = "locked_stack",
        .alloc = stack_alloc,
        .free = stack_free,
        .enqueue = stack_put,
        .dequeue = stack_take,
        .get_count = stack_count,
};

RTE_MEMPOOL_REGISTER_OPS(stack_ops);

static struct rte_mempool *make_pool(void)
{
	struct rte_mempool *pool = rte_mempool_create_empty(
	        "race", MBUFS, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, 0,
	        sizeof(struct rte_pktmbuf_pool_private), SOCKET_ID_ANY, 0);
	struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size =
	                                                   RTE_MBUF_DEFAULT_BUF_SIZE};

	assert_non_null(pool);
	assert_int_equal(rte_mempool_set_ops_byname(pool, stack_ops.name, NULL), 0);
	rte_pktmbuf_pool_init(pool, &private);
	assert_int_equal(rte_mempool_populate_default(pool), MBUFS);
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

/* ---- the crew ---- */

struct crew;

struct port {
	struct member *member;
	enum sl_port_id id;
};

/* A worker and what its thread knows. */
struct member {
	struct crew *crew;
	unsigned id;
	pthread_t thread;
	struct sl_worker *worker;
	struct rte_ring *events;
	struct port ports[SL_PORT_COUNT];
	uint64_t random;

	struct race_talk *own[TALKS]; /* whose frames it receives */
	unsigned n_own, next;

	/* this turn's */
	struct race_talk *taken_in[OTHERS_MAX];
	unsigned n_taken_in;
	unsigned received; /* of its own sandboxes, by itself */

	/* What it gave the other worker, in that order; the other one reads it after the ring. */
	struct race_talk *given[OTHERS_MAX];
	uint64_t n_given;
	uint64_t others_done; /* of what the other one gave to this one */

	struct race_taken generations; /* by which it judged */
	uint64_t tx, judged, passed, handed, cut_talks;
	_Atomic uint64_t turns;
};

struct crew {
	uint64_t seed;
	struct sl_config config;
	struct sl_settings settings;
	struct sl_publication publication;
	struct sl_reload *reload;
	struct rte_mempool *pool;
	struct rte_ring *handover[WORKERS];
	struct sl_quic_ids *quic_ids;
	struct member member[WORKERS];
	struct race_talk talks[TALKS];
	_Atomic uint64_t acknowledged;
	atomic_bool stop;
	uint64_t events;
};

static void __attribute__((noreturn, format(printf, 3, 4)))
violated(const struct member *member, const struct race_talk *talk, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "SLUICE_SEED=%llu, worker %u: ", (unsigned long long)member->crew->seed,
	        member->id);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	if (talk != NULL)
		race_talk_print(talk);
	abort();
}

/* ---- frames in and out ---- */

static struct member *owner_of(struct crew *crew, uint16_t vlan)
{
	return &crew->member[sl_worker_of_vlan(vlan, WORKERS)];
}

static struct rte_mbuf *next_frame(struct member *member, struct race_talk *talk)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(member->crew->pool);
	size_t len;

	if (mbuf == NULL)
		violated(member, talk, "no mbuf is left");
	talk->acknowledged = atomic_load(&member->crew->acknowledged);
	len = race_talk_packet(talk, &member->random, rte_pktmbuf_mtod(mbuf, uint8_t *),
	                       rte_pktmbuf_tailroom(mbuf));
	mbuf->data_len = (uint16_t)len;
	mbuf->pkt_len = (uint32_t)len;
	atomic_store_explicit(&talk->result, RACE_PENDING, memory_order_relaxed);
	if (owner_of(member->crew, talk->vlan) == member) {
		member->taken_in[member->n_taken_in++] = talk;
		member->received++;
	} else {
		member->given[member->n_given++ % OTHERS_MAX] = talk;
		member->handed++;
	}
	return mbuf;
}

/* A random number of the talks whose turn it is at this port. */
static uint16_t receive(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	const struct port *port = ctx;
	struct member *member = port->member;
	uint16_t got = 0;

	n = (uint16_t)race_draw(&member->random, n + 1u);
	for (unsigned i = 0; i < PENDING_MAX && got < n; i++) {
		struct race_talk *talk = member->own[member->next++ % member->n_own];
		int result = atomic_load_explicit(&talk->result, memory_order_acquire);

		if (result == RACE_PENDING)
			continue;
		if (result != RACE_NONE)
			race_talk_next(talk, &member->random, result == RACE_PASSED);
		atomic_store_explicit(&talk->result, RACE_NONE, memory_order_relaxed);
		if (race_talk_port(talk) == port->id)
			pkts[got++] = next_frame(member, talk);
	}
	return got;
}

static uint16_t leave(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	const struct port *port = ctx;
	struct member *member = port->member;

	for (uint16_t i = 0; i < n; i++) {
		uint16_t vlan, serial = race_talk_of(rte_pktmbuf_mtod(pkts[i], const uint8_t *),
		                                     pkts[i]->pkt_len, port->id, &vlan);
		struct race_talk *talk;

		if (serial >= FIRST_PORT && serial < FIRST_PORT + TALKS) {
			talk = &member->crew->talks[serial - FIRST_PORT];
			if (talk->vlan != vlan || owner_of(member->crew, vlan) != member)
				violated(member, talk, "a frame left on VLAN %u", vlan);
			/*
			 * an alert that the gateway makes goes back to the port that the packet
			 * came from
			 */
			if (race_talk_port(talk) != port->id)
				talk->seen = true;
		}
		rte_pktmbuf_free(pkts[i]);
	}
	member->tx += n;
	return n;
}

/* ---- a turn, and its expected results ---- */

static uint64_t received(const struct sl_worker *worker)
{
	const struct sl_stats *stats = sl_worker_stats(worker);

	return stats->rx[SL_PORT_SANDBOX] + stats->rx[SL_PORT_UPLINK];
}

/* The frames that the other worker handed over, in the order in which it did. */
static void note_handed_over(struct member *member, uint64_t n)
{
	const struct member *other = &member->crew->member[1 - member->id];

	if (n > TALKS)
		violated(member, NULL, "%llu frames were handed over at once",
		         (unsigned long long)n);
	while (n-- > 0)
		member->taken_in[member->n_taken_in++] =
		        other->given[member->others_done++ % OTHERS_MAX];
}

static void check_talk(struct member *member, struct race_talk *talk)
{
	uint64_t now = member->generations.number[member->generations.count - 1];
	enum race_ground before = talk->ground;
	struct race_talk was = *talk;
	bool must = race_talk_must_pass(talk, &member->crew->config, &member->generations);

	if (now < talk->acknowledged)
		violated(member, &was,
		         "judged by generation %llu, %llu was acknowledged when it came",
		         (unsigned long long)now, (unsigned long long)talk->acknowledged);
	if (must != talk->seen)
		violated(member, &was, "generation %llu %s it, but it %s", (unsigned long long)now,
		         must ? "allows" : "denies", talk->seen ? "left" : "did not leave");
	member->judged++;
	member->passed += must;
	member->cut_talks += before != RACE_CLOSED && !must;
	talk->seen = false;
	atomic_store_explicit(&talk->result, must ? RACE_PASSED : RACE_DROPPED,
	                      memory_order_release);
}

static void note_generation(struct member *member, uint64_t acknowledged)
{
	const struct sl_generation *published = atomic_load(&member->crew->publication.current);
	struct race_taken *taken = &member->generations;
	uint64_t now = member->worker->swept; /* the generation of the turn */

	if (now < acknowledged || now > published->number)
		violated(member, NULL, "generation %llu is outside %llu .. %llu",
		         (unsigned long long)now, (unsigned long long)acknowledged,
		         (unsigned long long)published->number);
	if (taken->count > 0 && now < taken->number[taken->count - 1])
		violated(member, NULL, "generation %llu after %llu", (unsigned long long)now,
		         (unsigned long long)taken->number[taken->count - 1]);
	if (taken->count == 0 || now > taken->number[taken->count - 1])
		taken->number[taken->count++] = now;
}

static void turn(struct member *member)
{
	uint64_t before = received(member->worker);
	uint64_t acknowledged = atomic_load(&member->crew->acknowledged);

	member->n_taken_in = member->received = 0;
	sl_worker_turn(member->worker);
	note_generation(member, acknowledged);
	note_handed_over(member, received(member->worker) - before - member->received);
	for (unsigned i = 0; i < member->n_taken_in; i++)
		check_talk(member, member->taken_in[i]);
	atomic_fetch_add_explicit(&member->turns, 1, memory_order_relaxed);
}

static void *work(void *arg)
{
	struct member *member = arg;
	struct rte_rcu_qsbr *qsbr = member->crew->publication.qsbr;

	rte_rcu_qsbr_thread_register(qsbr, member->id);
	rte_rcu_qsbr_thread_online(qsbr, member->id);
	while (!atomic_load(&member->crew->stop)) {
		turn(member);
		if (race_draw(&member->random, 64) != 0)
			continue;
		rte_rcu_qsbr_thread_offline(qsbr, member->id);
		usleep(race_draw(&member->random, 200));
		rte_rcu_qsbr_thread_online(qsbr, member->id);
	}
	rte_rcu_qsbr_thread_offline(qsbr, member->id);
	rte_rcu_qsbr_thread_unregister(qsbr, member->id);
	return NULL;
}

/* ---- the control thread ---- */

static void drain_events(void *ctx)
{
	struct crew *crew = ctx;
	struct sl_event event;

	for (unsigned i = 0; i < WORKERS; i++)
		while (rte_ring_dequeue_elem(crew->member[i].events, &event, sizeof(event)) == 0)
			crew->events++;
}

struct slow_job {
	struct crew *crew;
	struct sl_policy_doc *doc;
	struct sl_reload_patch patch;
	uint16_t vlan;
	bool pending;
	char entry[sizeof(((struct race_model *)NULL)->entry[0])];
};

struct pushes {
	unsigned documents, patches, slow, changed;
};

static void acknowledge(struct crew *crew, const struct sl_push *push, struct pushes *pushes)
{
	pushes->changed += push->changed;
	atomic_store(&crew->acknowledged, push->generation);
}

/* Pushes the model's change: all of it as a document, or as a patch of what changed. */
static void push_change(struct crew *crew, const struct race_model *model, uint32_t mask,
                        bool whole, struct pushes *pushes)
{
	struct sl_policy_doc *doc = race_read(model, whole ? ALL_SANDBOXES : mask);
	uint64_t next = sl_reload_number(crew->reload) + 1;
	uint16_t gone[RACE_VLANS];
	struct sl_reload_patch patch = {.doc = doc, .gone = gone};
	struct sl_push push;
	struct sl_diag diag;
	int ret;

	race_documents_set(next, race_read(model, ALL_SANDBOXES));
	for (uint16_t vlan = 1; vlan <= RACE_VLANS; vlan++)
		if ((mask >> vlan & 1) != 0 && model->entry[vlan][0] == '\0')
			gone[patch.n_gone++] = vlan;
	sl_diag_init(&diag);
	ret = whole ? sl_reload_push(crew->reload, doc, &diag, &push)
	            : sl_reload_patch(crew->reload, &patch, &diag, &push);
	sl_diag_print(&diag, SL_DIAG_ERROR, stderr);
	assert_int_equal(ret, 0);
	sl_diag_free(&diag);
	sl_policy_doc_free(doc);
	pushes->documents += whole;
	pushes->patches += !whole;
	acknowledge(crew, &push, pushes);
}

static void slow_done(void *ctx, int ret, struct sl_diag *diag, const struct sl_push *push)
{
	struct slow_job *job = ctx;

	sl_diag_print(diag, SL_DIAG_ERROR, stderr);
	assert_true(ret == 0 || ret == -ECANCELED);
	atomic_store(&job->crew->acknowledged, push->generation);
	sl_policy_doc_free(job->doc);
	job->pending = false;
}

/* A policy for a sandbox of its own whose patterns take long to compile. */
static void submit_slowly(struct crew *crew, struct race_model *model, struct slow_job *job,
                          struct pushes *pushes)
{
	uint16_t vlan = (uint16_t)(1 + race_draw(&model->state, RACE_VLANS));
	struct sl_reload_job ask = {.patch = &job->patch, .done = slow_done, .ctx = job};
	struct race_model aside = *model;
	struct sl_push push;
	struct sl_diag diag;

	race_change_slowly(&aside, vlan, pushes->slow++);
	*job = (struct slow_job){.crew = crew, .vlan = vlan, .pending = true};
	memcpy(job->entry, aside.entry[vlan], sizeof(job->entry));
	job->doc = race_read(&aside, UINT32_C(1) << vlan);
	job->patch.doc = job->doc;
	sl_diag_init(&diag);
	assert_int_equal(sl_reload_submit(crew->reload, &ask, &diag, &push), -EINPROGRESS);
	sl_diag_free(&diag);
}

/* The job comes into force now, later, or (where its sandbox got something else) never. */
static void poll_slowly(struct crew *crew, struct race_model *model, struct slow_job *job)
{
	uint64_t before = sl_reload_number(crew->reload);
	struct race_model with = *model;

	memcpy(with.entry[job->vlan], job->entry, sizeof(job->entry));
	race_documents_set(before + 1, race_read(&with, ALL_SANDBOXES));
	sl_reload_poll(crew->reload);
	if (sl_reload_number(crew->reload) != before)
		*model = with;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Lets both workers run for a while, most often a short one. */
static void let_work(struct crew *crew, uint64_t *random)
{
	uint64_t want = race_draw(random, 8) == 0 ? 200 : race_draw(random, 12), until[WORKERS];

	for (unsigned i = 0; i < WORKERS; i++)
		until[i] = atomic_load(&crew->member[i].turns) + want;
	for (unsigned i = 0; i < WORKERS; i++)
		while (atomic_load(&crew->member[i].turns) < until[i]) {
			drain_events(crew);
			usleep(20);
		}
}

static struct pushes push_for(struct crew *crew, struct race_model *model, uint64_t ms)
{
	uint64_t end = now_ms() + ms;
	struct slow_job job = {0};
	struct pushes pushes = {0};

	while ((now_ms() < end || pushes.changed < PUSHES_MIN) &&
	       sl_reload_number(crew->reload) + 2 < RACE_GENERATIONS) {
		uint32_t mask;

		let_work(crew, &model->state);
		if (job.pending)
			poll_slowly(crew, model, &job);
		else if (race_draw(&model->state, SLOW_EACH) == 0 || pushes.slow == 0)
			submit_slowly(crew, model, &job, &pushes);
		mask = race_change(model, 1 + race_draw(&model->state, 3));
		push_change(crew, model, mask, race_draw(&model->state, 2) == 0, &pushes);
	}
	while (job.pending) {
		poll_slowly(crew, model, &job);
		usleep(1000);
	}
	return pushes;
}

/* ---- making and ending it ---- */

static uint64_t real_time_us(void *ctx)
{
	struct timespec now;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct rte_ring *make_ring(const char *kind, unsigned id, unsigned element, unsigned count,
                                  unsigned flags)
{
	char name[RTE_RING_NAMESIZE];
	struct rte_ring *ring;

	snprintf(name, sizeof(name), "race-%s-%u", kind, id);
	ring = rte_ring_create_elem(name, element, count, SOCKET_ID_ANY, flags);
	assert_non_null(ring);
	return ring;
}

static void make_member(struct crew *crew, unsigned id)
{
	struct member *member = &crew->member[id];
	struct sl_worker_params params = {
	        .id = id,
	        .count = WORKERS,
	        .settings = &crew->settings,
	        .publication = &crew->publication,
	        .pool = crew->pool,
	        .handover = crew->handover,
	        .quic_ids = crew->quic_ids,
	        .now_us = real_time_us,
	};
	char err[256] = "";

	member->crew = crew;
	member->id = id;
	member->random = crew->seed + id + 1;
	member->events = make_ring("events", id, sizeof(struct sl_event), EVENTS,
	                           RING_F_SP_ENQ | RING_F_SC_DEQ);
	params.events = member->events;
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		member->ports[port] = (struct port){member, (enum sl_port_id)port};
		params.port[port] = (struct sl_port_io){receive, leave, &member->ports[port]};
	}
	member->worker = sl_worker_create(&params, err, sizeof(err));
	if (member->worker == NULL)
		fail_msg("%s", err);
}

/* A third of a sandbox's frames arrive where it does not belong. */
static void make_talks(struct crew *crew)
{
	uint64_t random = crew->seed + 17;

	for (unsigned i = 0; i < TALKS; i++) {
		struct race_talk *talk = &crew->talks[i];
		struct member *by;

		race_talk_init(talk, &random, (uint16_t)(1 + i % RACE_VLANS),
		               (uint16_t)(FIRST_PORT + i));
		by = owner_of(crew, talk->vlan);
		if (race_draw(&random, 3) == 0)
			by = &crew->member[1 - by->id];
		by->own[by->n_own++] = talk;
	}
}

static void make_reload(struct crew *crew)
{
	struct sl_reload_params params = {
	        .config = &crew->config,
	        .publication = &crew->publication,
	        .workers = WORKERS,
	        .patience_ms = PATIENCE_MS,
	        .idle = drain_events,
	        .idle_ctx = crew,
	};
	size_t bytes = rte_rcu_qsbr_get_memsize(WORKERS);
	struct sl_diag diag;

	sl_diag_init(&diag);
	assert_int_equal(sl_config_read_buffer("race", CONFIG, strlen(CONFIG), SL_CONFIG_FOR_REPLAY,
	                                       &diag, &crew->config),
	                 0);
	assert_int_equal(sl_settings_from_config(&crew->config, false, &diag, &crew->settings), 0);
	crew->publication.qsbr = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_int_equal(rte_rcu_qsbr_init(crew->publication.qsbr, WORKERS), 0);
	crew->reload = sl_reload_create(&params, &diag);
	assert_non_null(crew->reload);
	sl_diag_free(&diag);
}

/* In = sum of reasons + held, and what left by the ports is what tx counts. */
static void check_balance(const struct crew *crew)
{
	uint64_t in = 0, out = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		const struct sl_stats *stats = sl_worker_stats(crew->member[i].worker);

		in += received(crew->member[i].worker);
		out += stats->held;
		for (int reason = 0; reason < SL_REASON_COUNT; reason++)
			out += sl_stats_reason(stats, (enum sl_reason)reason);
		assert_int_equal(stats->tx[0] + stats->tx[1], crew->member[i].tx);
		assert_int_equal(stats->handed_over, crew->member[i].handed);
		assert_int_equal(stats->handover_lost, 0);
	}
	assert_int_equal(in, out);
}

/* Checks what the run did: a run that did too little has shown nothing. */
static void check_coverage(const struct crew *crew, const struct pushes *pushes)
{
	uint64_t judged = 0, passed = 0, handed = 0, cut = 0;

	for (unsigned i = 0; i < WORKERS; i++) {
		judged += crew->member[i].judged;
		passed += crew->member[i].passed;
		handed += crew->member[i].handed;
		cut += crew->member[i].cut_talks;
	}
	print_message("%u documents, %u patches, %u slow ones, %u generations; %llu packets "
	              "judged, %llu passed, %llu handed over, %llu cut\n",
	              pushes->documents, pushes->patches, pushes->slow, pushes->changed,
	              (unsigned long long)judged, (unsigned long long)passed,
	              (unsigned long long)handed, (unsigned long long)cut);
	assert_true(pushes->changed >= PUSHES_MIN && pushes->slow > 0);
	assert_true(judged >= 5000 && handed >= 200 && cut >= 100);
	assert_true(passed > judged / 10 && passed < judged - judged / 10);
}

static void end_crew(struct crew *crew)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct member *member = &crew->member[i];
		struct rte_mbuf *mbuf;

		/* frames in flight when it stopped */
		while (rte_ring_dequeue(crew->handover[i], (void **)&mbuf) == 0)
			rte_pktmbuf_free(mbuf);
		sl_worker_free(member->worker);
		rte_ring_free(member->events);
		rte_ring_free(crew->handover[i]);
	}
	sl_quic_ids_free(crew->quic_ids);
	assert_int_equal(rte_mempool_avail_count(crew->pool), MBUFS);
	sl_reload_free(crew->reload);
	race_documents_free();
	rte_mempool_free(crew->pool);
	free(crew->publication.qsbr);
	sl_config_fini(&crew->config);
}

static void test_every_packet_is_judged_by_one_generation(void **state)
{
	static struct crew crew;
	static struct race_model model;
	const char *seed = getenv("SLUICE_SEED"), *ms = getenv("SLUICE_RACE_MS");
	struct pushes pushes = {0};

	(void)state;
	crew.seed = seed != NULL ? strtoull(seed, NULL, 0) : now_ms() * 2654435761u;
	print_message("SLUICE_SEED=%llu\n", (unsigned long long)crew.seed);
	model.state = crew.seed;
	make_reload(&crew);
	crew.pool = make_pool();
	make_talks(&crew);
	for (unsigned i = 0; i < WORKERS; i++)
		crew.handover[i] =
		        make_ring("handover", i, sizeof(void *), HANDOVER, RING_F_SC_DEQ);
	crew.quic_ids = sl_quic_ids_create(crew.settings.flows);
	assert_non_null(crew.quic_ids);
	for (unsigned i = 0; i < WORKERS; i++)
		make_member(&crew, i);
	push_change(&crew, &model, race_change(&model, 4 * RACE_VLANS), true, &pushes);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(
		        pthread_create(&crew.member[i].thread, NULL, work, &crew.member[i]), 0);
	pushes = push_for(&crew, &model, ms != NULL ? strtoull(ms, NULL, 0) : RACE_MS);
	atomic_store(&crew.stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(crew.member[i].thread, NULL);
	check_balance(&crew);
	end_crew(&crew);
	check_coverage(&crew, &pushes);
}

static void test_an_id_is_one_workers_at_a_time(void **state)
{
	(void)state;
	race_for_ids();
}

static void test_an_id_is_judged_by_one_worker(void **state)
{
	(void)state;
	race_for_connections();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_packet_is_judged_by_one_generation),
	        cmocka_unit_test(test_an_id_is_one_workers_at_a_time),
	        cmocka_unit_test(test_an_id_is_judged_by_one_worker),
	};

	inproc_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
