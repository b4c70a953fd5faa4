/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c: `sluice run`: start, control loop, stop.
 *
 * Decides the order of the start: no worker runs, and so nothing is forwarded, before the first
 * policy is published; a start that fails ends the process. After that only a signal ends it: an
 * invalid policy, a full disk or a file watch that fails are logged, and the gateway goes on.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include "api/pushes.h"
#include "api/server.h"
#include "gateway/clock.h"
#include "commands.h"
#include "keep_pins.h"
#include "document/config.h"
#include "document/diag.h"
#include "gateway/eal.h"
#include "tell/events.h"
#include "tell/journal.h"
#include "tell/log.h"
#include "gateway/memory.h"
#include "document/policy.h"
#include "gateway/port_link.h"
#include "gateway/port_lock.h"
#include "gateway/ports.h"
#include "reload/reload.h"
#include "gateway/restart.h"
#include "reload/run_policy.h"
#include "gateway/settings_from_config.h"
#include "gateway/steer.h"
#include "tell/syslog_sink.h"
#include "tell/totals.h"
#include "reload/file_watch.h"
#include "state/model.h"
#include "state/store.h"
#include "gateway/worker_life.h"
#include "gateway/workers.h"

#define DRAIN_MS  20   /* how long an event may wait in its ring */
#define DRAIN_MAX 4096 /* events at a time, so that a flood of them does not delay the rest */
#define STOP_MS   5000 /* how long a worker may take to stop */

#define OWN_CASE_ANSWERS 3 /* of one resolver, before the warning */

static const char usage[] =
        "usage: sluice run [--no-huge-pages] -c FILE\n"
        "\n"
        "Forwards between the two ports of the config FILE as its policy allows. SIGHUP reads the\n"
        "policy again, SIGUSR1 writes the counters to the log, SIGTERM and SIGINT stop.\n"
        "--no-huge-pages is `huge-pages: false`, whatever FILE says.\n";

struct run {
	struct sl_config config;
	struct sl_settings settings;
	struct sl_eal_plan plan;
	struct sl_publication publication;
	struct sl_events *events; /* or NULL: no file */
	struct sl_syslog *syslog; /* or NULL */
	uint64_t lost_told;       /* of the events that the file did not take */
	uint64_t syslog_lost_told;
	struct sl_journal *journal;
	struct sl_events_origin origin;
	struct rte_mempool *pool;
	struct sl_run_policy policy;
	struct sl_model model;   /* of what is in force */
	struct sl_store *store;  /* NULL: the policy is a file */
	struct sl_pushes pushes; /* by the API */
	struct sl_api *api;      /* NULL: off, or not yet on */
	struct sl_port ports[SL_PORT_COUNT];
	struct sl_port_lock locks[SL_PORT_COUNT];
	struct sl_port_links links;
	struct sl_workers *workers;
	struct sl_worker_life life;
	struct sl_keep_pins keep;
	struct sl_pin_keeper *pins; /* NULL: they end with the gateway */
	int signals;
	bool eal_up;
	bool own_case_said[SL_RESOLVERS_MAX]; /* by index in the config */
	bool compiling; /* patterns were still being compiled at the end, which cannot be
	                   interrupted */
};

/* ---- log messages ---- */

static void say_ready(const struct run *run)
{
	for (int port = 0; port < SL_PORT_COUNT; port++)
		sl_log(SL_LOG_INFO, "port %s: %s, %u rx queue%s, frames up to %u bytes",
		       port == SL_PORT_SANDBOX ? "sandbox" : "uplink", run->ports[port].dev,
		       run->ports[port].rx_queues, run->ports[port].rx_queues == 1 ? "" : "s",
		       run->ports[port].frame_max);
	sl_log(SL_LOG_INFO, "ready: %u worker%s, %s, generation %llu", run->plan.workers,
	       run->plan.workers == 1 ? "" : "s",
	       run->plan.huge_pages ? "hugepages" : "no hugepages",
	       (unsigned long long)sl_reload_number(run->policy.reload));
}

/* ---- events ---- */

#define JOURNAL_BYTES (16u << 20)
#define STREAMS_MS    500 /* for readers of events, at the end */

/* A line goes to the file and to syslog, if they are asked for, and to those who read events by the
 * API. */
static void tell_line(struct run *run, char line[SL_EVENTS_LINE_MAX], size_t len)
{
	len = sl_events_stamp(line, len, &run->origin, sl_journal_next(run->journal));
	sl_journal_add(run->journal, line, len);
	if (run->events != NULL)
		sl_events_add_line(run->events, line, len);
	if (run->syslog != NULL)
		sl_syslog_send(run->syslog, line, len);
}

static void take_event(void *ctx, const struct sl_event *event)
{
	char line[SL_EVENTS_LINE_MAX];

	tell_line(ctx, line, sl_events_format(event, line));
}

/* An event of the gateway's own. */
static void tell(struct run *run, const char *kind, const char *more)
{
	char line[SL_EVENTS_LINE_MAX];
	struct timespec now;

	if (run->journal == NULL)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	tell_line(run, line,
	          sl_events_note(
	                  (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000, kind,
	                  run->policy.reload != NULL ? sl_reload_number(run->policy.reload) : 0,
	                  more, line));
	if (run->events != NULL)
		sl_events_flush(run->events);
}

static void tell_push(void *ctx, const struct sl_push *push, const char *who, const char *hash)
{
	struct run *run = ctx;
	char more[512];
	int n = snprintf(more, sizeof(more), ",\"changed\":%u,\"source\":\"%s\",\"who\":%s%s%s",
	                 push->sandboxes_changed, who != NULL ? "api" : "file",
	                 who != NULL ? "\"" : "", who != NULL ? who : "null",
	                 who != NULL ? "\"" : "");

	if (hash != NULL)
		snprintf(more + n, sizeof(more) - (size_t)n, ",\"hash\":\"%s\"", hash);
	tell(run, "push", more);
}

static void tell_port(void *ctx, const struct sl_port *port, const char *state)
{
	char more[64];

	snprintf(more, sizeof(more), ",\"port\":\"%s\",\"state\":\"%s\"",
	         sl_port_role_text(port->role), state);
	tell(ctx, "port", more);
}

static void tell_worker(void *ctx, unsigned worker, bool stuck)
{
	char more[64];

	if (stuck)
		sl_log(SL_LOG_ERROR,
		       "worker %u takes no turns: it forwards nothing and enforces no new policy",
		       worker);
	else
		sl_log(SL_LOG_INFO, "worker %u takes turns again", worker);
	snprintf(more, sizeof(more), ",\"worker\":%u,\"state\":\"%s\"", worker,
	         stuck ? "stuck" : "back");
	tell(ctx, "worker", more);
}

/* Says how many lines a sink did not take. */
static void tell_lost_by(struct run *run, const char *sink, uint64_t lost, uint64_t *told)
{
	char more[64];

	snprintf(more, sizeof(more), ",\"count\":%llu,\"sink\":\"%s\"",
	         (unsigned long long)(lost - *told), sink);
	*told = lost;
	tell(run, "lost", more);
}

/* Once the sink takes some again: it shall hear of it as well. */
static void tell_lost(struct run *run)
{
	uint64_t lost = run->events != NULL ? sl_events_lost(run->events) : 0;

	if (lost != run->lost_told && sl_events_have_room(run->events))
		tell_lost_by(run, "file", lost, &run->lost_told);
	lost = run->syslog != NULL ? sl_syslog_lost(run->syslog) : 0;
	if (lost != run->syslog_lost_told && sl_syslog_have_room(run->syslog))
		tell_lost_by(run, "syslog", lost, &run->syslog_lost_told);
}

/* Called while a push waits for workers as well. */
static void drain_events(void *ctx)
{
	struct run *run = ctx;

	sl_worker_life_poll(&run->life, sl_clock_wait_ms());
	if (run->journal == NULL || run->workers == NULL)
		return;
	sl_workers_take_events(run->workers, DRAIN_MAX, take_event, run);
	if (run->events != NULL) {
		sl_events_flush(run->events); /* also what a slow reader left */
		sl_events_follow(run->events);
	}
	tell_lost(run);
}

/*
 * If a resolver answers in its own letter case, no answer is believed, and no sandbox can resolve
 * a name. A single such answer may be an attacker's guess.
 */
static void warn_of_own_case(struct run *run)
{
	char text[SL_PREFIX_TEXT_MAX];

	for (unsigned i = 0; run->workers != NULL && i < run->settings.resolver_count; i++) {
		if (run->own_case_said[i] ||
		    sl_workers_own_case(run->workers, i) < OWN_CASE_ANSWERS)
			continue;
		run->own_case_said[i] = true;
		sl_prefix_format(&run->config.dns.resolvers[i], text);
		text[strcspn(text, "/")] = '\0';
		sl_log(SL_LOG_WARNING,
		       "resolver %s answers in its own letter case, and is not believed; write "
		       "\"dns: {mix-case: false}\" if it is to be",
		       text);
	}
}

/* Updates the steering rules of the ports to the generation in force. */
static void steer(void *ctx)
{
	struct run *run = ctx;
	const struct sl_generation *current = atomic_load(&run->publication.current);

	for (int port = 0; port < SL_PORT_COUNT; port++)
		if (run->ports[port].dev != NULL && !run->ports[port].closed)
			sl_steer_port(&run->ports[port], current, run->plan.workers);
}

/* ---- the API ---- */

/* What came from the file, or from the store at the start, is what the API shows. */
static void take_document(void *ctx, const struct sl_policy_doc *doc)
{
	struct run *run = ctx;

	if (sl_pushes_took(&run->pushes, doc) != 0)
		sl_log(SL_LOG_ERROR, "no memory to show the policy by the API");
}

static void count_sandbox(void *ctx, uint16_t vlan, struct sl_sandbox_stats *out)
{
	const struct run *run = ctx;

	sl_workers_sandbox(run->workers, vlan, out);
}

static void tell_problems(void *ctx, json_t *problems)
{
	const struct run *run = ctx;

	for (int port = 0; port < SL_PORT_COUNT; port++) {
		const char *role = sl_port_role_text((enum sl_port_id)port);

		if (run->links.link[port].phase != SL_PORT_LINK_IN_USE)
			json_array_append_new(
			        problems, json_pack("{s:s, s:o}", "what", "port-down", "text",
			                            json_sprintf("port %s is down or gone", role)));
	}
	for (unsigned worker = 0; worker < run->plan.workers; worker++)
		if (__atomic_load_n(&run->life.stuck[worker], __ATOMIC_RELAXED))
			json_array_append_new(
			        problems,
			        json_pack("{s:s, s:o}", "what", "worker-stuck", "text",
			                  json_sprintf("worker %u takes no turns", worker)));
}

static json_t *stats_of_port(const struct run *run, const struct sl_workers_load *load, int port)
{
	return json_pack("{s:s, s:s?, s:b, s:I, s:I}", "port",
	                 sl_port_role_text((enum sl_port_id)port), "dev", run->ports[port].dev,
	                 "up", run->links.link[port].phase == SL_PORT_LINK_IN_USE, "rx",
	                 (json_int_t)load->rx[port], "tx", (json_int_t)load->tx[port]);
}

static void tell_stats(void *ctx, json_t *value)
{
	const struct run *run = ctx;
	struct sl_workers_load load;
	json_t *ports = json_array();

	sl_workers_load(run->workers, &load);
	for (int port = 0; port < SL_PORT_COUNT; port++)
		json_array_append_new(ports, stats_of_port(run, &load, port));
	json_object_set_new(value, "version", json_string(SLUICE_VERSION));
	json_object_set_new(value, "policy",
	                    run->config.state != NULL
	                            ? json_pack("{s:s}", "state", run->config.state)
	                            : json_pack("{s:s}", "file", run->config.policy));
	json_object_set_new(value, "workers", json_integer(run->plan.workers));
	json_object_set_new(value, "flows", json_integer((json_int_t)load.flows));
	json_object_set_new(value, "ports", ports);
}

#define ANSWER_MS 2000 /* for a worker to answer a question */

static bool ask_worker(void *ctx, unsigned worker, struct sl_ask *ask, bool *lost)
{
	struct run *run = ctx;
	bool answered = sl_workers_ask(run->workers, worker, ask, ANSWER_MS, lost);

	if (ask->kind == SL_ASK_CUT && ask->pins)
		sl_pin_keeper_soon(run->pins);
	return answered;
}

static unsigned count_workers(void *ctx)
{
	const struct run *run = ctx;

	return run->plan.workers;
}

static int start_api(struct run *run)
{
	struct sl_api_params params = {
	        .socket = run->config.control.socket,
	        .read_only_socket = run->config.control.read_only_socket,
	        .mode = run->config.control.socket_mode,
	        .group = run->config.control.socket_group,
	        .body_max = run->config.control.body_max,
	        .tls = {.listen = &run->config.control.tls.listen,
	                .cert = run->config.control.tls.cert,
	                .key = run->config.control.tls.key,
	                .client_ca = run->config.control.tls.client_ca,
	                .bound = run->config.control.tls.bound,
	                .clients = run->config.control.tls.clients,
	                .n_clients = run->config.control.tls.n_clients},
	        .pushes = &run->pushes,
	        .journal = run->journal,
	        .gateway = {.sandbox = count_sandbox,
	                    .stats = tell_stats,
	                    .ask = ask_worker,
	                    .workers = count_workers,
	                    .problems = tell_problems,
	                    .ctx = run},
	};
	char err[512];
	int ret = sl_api_start(&params, &run->api, err, sizeof(err));

	if (ret != 0)
		sl_log(SL_LOG_ERROR, "%s", err);
	return ret;
}

/* ---- the control loop ---- */

/* Logs the current counters, one a line, in the same form as at the end. */
static void log_totals(const struct run *run)
{
	struct sl_totals totals = {0};
	char *text = NULL, *rest;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return;
	if (run->workers != NULL)
		sl_workers_totals(run->workers, &totals);
	sl_totals_print(&totals, true, out);
	if (fclose(out) == 0) {
		rest = text;
		for (char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';)
			sl_log(SL_LOG_INFO, "counters: %s", line);
	}
	free(text);
}

/* Returns false if it is time to stop. */
static bool take_signal(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			log_totals(run);
			continue;
		}
		if (info.ssi_signo != SIGHUP) {
			sl_log(SL_LOG_INFO, "stopping on SIG%s", sigabbrev_np((int)info.ssi_signo));
			run->policy.ending = true;
			return false;
		}
		if (run->config.policy != NULL)
			sl_log(SL_LOG_INFO, "SIGHUP: reading %s again", run->config.policy);
		if (run->events != NULL && sl_events_reopen(run->events) != 0)
			sl_log(SL_LOG_WARNING, "%s cannot be opened again: %s", run->config.events,
			       strerror(errno));
		if (run->policy.watch != NULL)
			sl_run_policy_take(&run->policy, sl_file_watch_read(run->policy.watch,
			                                                    sl_clock_wait_ms()));
	}
	return true;
}

#define IDLE_MS 1000 /* without a file to look at */

/* Waits for something to do, and does it. Returns false if it is time to stop. */
static bool look_after_once(struct run *run)
{
	struct sl_file_watch *watch = run->policy.watch;
	struct pollfd fds[] = {
	        {.fd = run->signals, .events = POLLIN},
	        {.fd = watch != NULL ? sl_file_watch_fd(watch) : -1, .events = POLLIN},
	        {.fd = sl_port_links_fd(&run->links), .events = POLLIN},
	        {.fd = run->pushes.fd, .events = POLLIN},
	};
	int timeout_ms =
	        watch != NULL ? sl_file_watch_timeout_ms(watch, sl_clock_wait_ms()) : IDLE_MS;

	if (timeout_ms > DRAIN_MS)
		timeout_ms = DRAIN_MS;
	if (sl_run_policy_waits(&run->policy) && timeout_ms > SL_RUN_POLICY_POLL_MS)
		timeout_ms = SL_RUN_POLICY_POLL_MS;
	timeout_ms = sl_port_links_timeout_ms(&run->links, timeout_ms);
	poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);
	if (fds[0].revents != 0 && !take_signal(run))
		return false;
	if (watch != NULL)
		sl_run_policy_take(&run->policy, sl_file_watch_poll(watch, sl_clock_wait_ms()));
	sl_pushes_poll(&run->pushes);
	sl_run_policy_poll(&run->policy);
	if (sl_port_links_poll(&run->links, sl_clock_wait_ms()))
		steer(run);
	sl_pin_keeper_poll(run->pins, sl_clock_wait_ms());
	drain_events(run);
	warn_of_own_case(run);
	return true;
}

/* ---- start ---- */

/*
 * Signals without a meaning for the gateway whose default action would end or stop the process:
 * one that is sent by mistake, or to a whole process group, must not cut off every sandbox.
 */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGUSR2,   SIGALRM, SIGVTALRM, SIGPROF, SIGPIPE,
	                              SIGWINCH,  SIGTTIN, SIGTTOU,   SIGIO,   SIGPWR,
	                              SIGSTKFLT, SIGXCPU, SIGXFSZ};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* The same for the real-time signals. Called when the ports are open: drivers use some of them. */
static void ignore_realtime_signals(void)
{
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
		struct sigaction action;

		if (sigaction(number, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
		    action.sa_handler == SIG_DFL)
			signal(number, SIG_IGN);
	}
}

/* Before the EAL, whose threads inherit the mask. */
static int block_signals(void)
{
	sigset_t set;
	int fd;

	ignore_signals();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return -1;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		sl_log(SL_LOG_ERROR, "no signalfd: %s", strerror(errno));
	return fd;
}

static int read_config(struct run *run, const char *path)
{
	struct sl_diag diag;
	int ret;

	sl_diag_init(&diag);
	ret = sl_config_read_file(path, SL_CONFIG_FOR_RUN, &diag, &run->config);
	if (ret == 0)
		ret = sl_settings_from_config(&run->config, false, &diag, &run->settings);
	sl_run_policy_say(&diag);
	sl_diag_free(&diag);
	return ret;
}

static int open_events(struct run *run)
{
	sl_events_origin_read(&run->origin);
	run->journal = sl_journal_create(JOURNAL_BYTES);
	if (run->journal == NULL) {
		sl_log(SL_LOG_ERROR, "no memory for the latest events");
		return -ENOMEM;
	}
	if (run->config.syslog != NULL) {
		run->syslog = sl_syslog_open(run->config.syslog);
		if (run->syslog == NULL) {
			sl_log(SL_LOG_ERROR, "no memory for events to syslog");
			return -ENOMEM;
		}
	}
	if (run->config.events == NULL)
		return 0;
	run->events = sl_events_open(run->config.events, SL_EVENTS_DROP);
	if (run->events == NULL) {
		sl_log(SL_LOG_ERROR, "events cannot be written to %s: %s", run->config.events,
		       strerror(errno));
		return -EIO;
	}
	return 0;
}

static void say_memory(const struct run *run, const struct sl_eal_machine *machine)
{
	if (run->config.machine.huge_pages == SL_CONFIG_HUGE_PAGES_AUTO && !run->plan.huge_pages &&
	    machine->huge_free > 0)
		sl_log(SL_LOG_INFO, "%llu MiB of hugepages are free, %u are needed: using none",
		       (unsigned long long)(machine->huge_free >> 20), run->plan.memory_mib);
	if (run->plan.workers_share)
		sl_log(SL_LOG_WARNING, "there are more workers than CPUs");
}

/* Before the EAL, which opens them. */
static int lock_devices(struct run *run)
{
	char err[512];

	for (int port = 0; port < SL_PORT_COUNT; port++) {
		const char *dev =
		        port == SL_PORT_SANDBOX ? run->config.sandbox.dev : run->config.uplink.dev;

		if (sl_port_lock_take(&run->locks[port], sl_port_role_text((enum sl_port_id)port),
		                      dev, err, sizeof(err)) != 0) {
			sl_log(SL_LOG_ERROR, "%s", err);
			return -EBUSY;
		}
	}
	return 0;
}

static int start_eal(struct run *run, const char *path)
{
	struct sl_eal_machine machine;
	uint32_t need_mib = sl_memory_mib(&run->config);
	char err[512];
	int ret;

	sl_eal_machine_read(&machine);
	ret = sl_eal_plan_run(&run->config, &machine, need_mib, &run->plan, err, sizeof(err));
	if (ret == 0)
		ret = sl_eal_start(&run->plan, err, sizeof(err));
	if (ret == -ENOMEM && run->plan.huge_pages &&
	    run->config.machine.huge_pages == SL_CONFIG_HUGE_PAGES_AUTO) {
		sl_log(SL_LOG_INFO, "%s; starting again without them", err);
		sl_restart_without_huge_pages(path, err, sizeof(err));
	}
	if (ret != 0) {
		sl_log(SL_LOG_ERROR, "%s", err);
		return -EIO;
	}
	run->eal_up = true;
	say_memory(run, &machine);
	return 0;
}

static int make_pool(struct run *run)
{
	uint32_t mbufs = sl_memory_mbufs(&run->config);

	run->pool = rte_pktmbuf_pool_create("frames", mbufs, SL_MEMORY_CACHE_MBUFS, 0,
	                                    sl_ports_data_room(&run->config), SOCKET_ID_ANY);
	if (run->pool == NULL) {
		sl_log(SL_LOG_ERROR,
		       "no memory for %u packet buffers (%s): raise `memory` or lower `mbufs`",
		       mbufs, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	return 0;
}

/* Returns 0 once a policy is in force, whose patterns may take long to compile. */
static int await_policy(struct run *run)
{
	while (sl_reload_number(run->policy.reload) == 0 && sl_run_policy_waits(&run->policy))
		if (!look_after_once(run))
			return -EINTR;
	return sl_reload_number(run->policy.reload) != 0 ? 0 : -EINVAL;
}

static int watch_file(struct run *run)
{
	/* the watch starts before the file is read, so that no change in between is missed */
	run->policy.watch = sl_file_watch_create(run->config.policy, SL_POLICY_FILE_MAX);
	if (run->policy.watch == NULL) {
		sl_log(SL_LOG_ERROR, "%s cannot be watched: %s", run->config.policy,
		       strerror(errno));
		return -errno;
	}
	if (sl_file_watch_read(run->policy.watch, sl_clock_wait_ms()) != SL_FILE_WATCH_CHANGED) {
		sl_log(SL_LOG_ERROR, "%s: %s", run->config.policy,
		       strerror(sl_file_watch_error(run->policy.watch)));
		return -EIO;
	}
	sl_run_policy_push(&run->policy);
	return await_policy(run);
}

static int take_stored(void *ctx, enum sl_store_kind kind, const char *key, const char *text)
{
	struct sl_model *model = ctx;
	unsigned long vlan = strtoul(key, NULL, 10);

	if (kind == SL_STORE_POLICY)
		return sl_model_set_policy(model, key, text);
	if (kind != SL_STORE_SANDBOX || vlan < 1 || vlan > SL_POLICY_VLAN_MAX)
		return -EBADMSG;
	return sl_model_set_entry(model, (uint16_t)vlan, text);
}

/* What was pushed last, before the first frame. An empty store is a gateway without sandboxes. */
static int push_stored(struct run *run)
{
	char *text = sl_model_document(&run->model);
	struct sl_policy_doc *doc = NULL;
	struct sl_push push = {0};
	struct sl_diag diag;
	int ret = -ENOMEM;

	sl_diag_init(&diag);
	if (text != NULL)
		ret = sl_policy_doc_read_buffer(run->config.state, text, strlen(text), &diag, &doc);
	if (ret == 0)
		ret = sl_reload_push(run->policy.reload, doc, &diag, &push);
	if (ret == 0)
		take_document(run, doc);
	sl_run_policy_say(&diag);
	sl_diag_free(&diag);
	sl_policy_doc_free(doc);
	free(text);
	if (ret != 0)
		sl_log(SL_LOG_ERROR, "%s: what was pushed last cannot be put into force",
		       run->config.state);
	else
		sl_log(SL_LOG_INFO, "policy generation %llu enforced: %u sandboxes, from %s",
		       (unsigned long long)push.generation, push.sandboxes, run->config.state);
	return ret;
}

static int open_state(struct run *run)
{
	char err[512];
	int ret = sl_store_open(run->config.state, &run->store, err, sizeof(err));

	if (ret != 0) {
		sl_log(SL_LOG_ERROR, "%s", err);
		return ret;
	}
	ret = sl_store_each(run->store, take_stored, &run->model);
	if (ret != 0) {
		sl_log(SL_LOG_ERROR, "%s cannot be read: %s", run->config.state,
		       ret == -EBADMSG ? "it is damaged" : strerror(-ret));
		return ret;
	}
	run->pushes.store = run->store;
	return push_stored(run);
}

/* The first policy: a gateway that has none does not start. */
static int load_policy(struct run *run)
{
	struct sl_reload_params params = {
	        .config = &run->config,
	        .publication = &run->publication,
	        .workers = run->plan.workers,
	        .idle = drain_events,
	        .idle_ctx = run,
	        .left = sl_run_policy_left,
	        .left_ctx = &run->policy,
	};
	struct sl_diag diag;

	run->policy = (struct sl_run_policy){
	        .path = run->config.policy != NULL ? run->config.policy : run->config.state,
	        .enforced = steer,
	        .taken = take_document,
	        .pushed = tell_push,
	        .ctx = run,
	};
	sl_diag_init(&diag);
	if (sl_workers_init_publication(&run->publication, run->plan.workers) == 0)
		run->policy.reload = sl_reload_create(&params, &diag);
	sl_run_policy_say(&diag);
	sl_diag_free(&diag);
	if (run->policy.reload == NULL) {
		sl_log(SL_LOG_ERROR, "no memory for the policy's tables: raise `memory`");
		return -ENOMEM;
	}
	run->pushes.reload = run->policy.reload;
	return run->config.state != NULL ? open_state(run) : watch_file(run);
}

static int open_ports(struct run *run)
{
	char err[512];

	for (int port = 0; port < SL_PORT_COUNT; port++) {
		if (sl_port_open(&run->ports[port], (enum sl_port_id)port, &run->config,
		                 run->plan.workers, run->pool, err, sizeof(err)) != 0) {
			sl_log(SL_LOG_ERROR, "%s", err);
			run->ports[port].dev = NULL;
			return -EIO;
		}
		sl_port_warn(&run->ports[port]);
	}
	ignore_realtime_signals();
	run->links = (struct sl_port_links){
	        .config = &run->config,
	        .workers = run->plan.workers,
	        .pool = run->pool,
	        .qsbr = run->publication.qsbr,
	        .told = tell_port,
	        .ctx = run,
	};
	sl_port_links_begin(&run->links, run->ports, run->locks, sl_clock_wait_ms());
	steer(run);
	return 0;
}

static int start_workers(struct run *run)
{
	struct sl_workers_params params = {
	        .count = run->plan.workers,
	        .idle_sleep_us = run->config.machine.idle_sleep_us,
	        .settings = &run->settings,
	        .publication = &run->publication,
	        .pool = run->pool,
	        .ports = run->ports,
	        .events = true,
	};
	char err[512];

	run->workers = sl_workers_create(&params, err, sizeof(err));
	run->keep = (struct sl_keep_pins){
	        .config = &run->config,
	        .settings = &run->settings,
	        .publication = &run->publication,
	        .model = &run->model,
	        .workers = run->workers,
	        .worker_count = run->plan.workers,
	};
	if (run->workers != NULL)
		sl_keep_pins_load(&run->keep);
	if (run->workers == NULL || sl_workers_launch(run->workers, err, sizeof(err)) != 0) {
		sl_log(SL_LOG_ERROR, "%s", err);
		return -EIO;
	}
	run->life = (struct sl_worker_life){
	        .qsbr = run->publication.qsbr,
	        .workers = run->plan.workers,
	        .told = tell_worker,
	        .ctx = run,
	};
	return 0;
}

static int start(struct run *run, const char *path, bool no_huge_pages)
{
	int ret;

	run->signals = block_signals();
	sl_model_init(&run->model);
	run->pushes = (struct sl_pushes){
	        .model = &run->model, .enforced = steer, .pushed = tell_push, .ctx = run};
	ret = run->signals < 0 || sl_pushes_init(&run->pushes) != 0 ? -EIO : read_config(run, path);
	if (no_huge_pages)
		run->config.machine.huge_pages = SL_CONFIG_HUGE_PAGES_NONE;
	if (ret == 0)
		ret = lock_devices(run);
	if (ret == 0)
		ret = open_events(run);
	if (ret == 0)
		ret = start_eal(run, path);
	if (ret == 0)
		ret = load_policy(run);
	if (ret == 0)
		ret = make_pool(run);
	if (ret == 0)
		ret = open_ports(run);
	if (ret == 0)
		ret = start_workers(run);
	if (ret == 0)
		run->pins = sl_keep_pins_start(&run->keep);
	if (ret == 0)
		ret = start_api(run);
	return ret;
}

/* ---- stop ---- */

static int print_totals(const struct run *run)
{
	struct sl_totals totals = {0};

	sl_workers_totals(run->workers, &totals);
	sl_totals_print(&totals, true, stdout);
	sl_totals_print_stages(&totals, stdout);
	fflush(stdout);
	if (sl_totals_balance(&totals))
		return 0;
	sl_log(SL_LOG_ERROR, "packets in and out do not balance; this is a bug");
	return 1;
}

/* Releases everything in the opposite order. Returns the exit code so far. */
static int stop(struct run *run, bool started)
{
	int ret = 0;

	sl_pushes_end(&run->pushes);
	if (started)
		tell(run, "stop", "");
	if (run->journal != NULL)
		sl_journal_end(run->journal, sl_journal_clock_ms() + STREAMS_MS);
	sl_api_stop(run->api);
	if (run->workers != NULL && !sl_workers_stop(run->workers, STOP_MS)) {
		/* its memory is still in use: the kernel frees it */
		sl_log(SL_LOG_ERROR, "a worker does not stop");
		if (run->events != NULL)
			sl_events_flush(run->events);
		_exit(1);
	}
	sl_keep_pins_end(&run->keep, run->pins);
	run->pins = NULL;
	drain_events(run);
	if (started)
		ret = print_totals(run);
	sl_port_links_end(&run->links);
	for (int port = 0; port < SL_PORT_COUNT; port++) {
		uint64_t missed =
		        run->ports[port].dev != NULL ? sl_port_missed(&run->ports[port]) : 0;

		if (missed > 0)
			sl_log(SL_LOG_WARNING,
			       "port %s lost %llu frames before a worker could take them",
			       port == SL_PORT_SANDBOX ? "sandbox" : "uplink",
			       (unsigned long long)missed);
		sl_port_close(&run->ports[port]);
	}
	sl_workers_free(run->workers);
	sl_file_watch_free(run->policy.watch);
	run->compiling = run->policy.reload != NULL && sl_reload_busy(run->policy.reload);
	if (run->compiling)
		sl_log(SL_LOG_INFO, "patterns that were being compiled were never in force");
	else
		sl_reload_free(run->policy.reload);
	sl_store_close(run->store);
	sl_pushes_fini(&run->pushes);
	sl_model_fini(&run->model);
	sl_journal_free(run->journal);
	sl_workers_fini_publication(&run->publication);
	rte_mempool_free(run->pool);
	if (run->events != NULL && sl_events_lost(run->events) > 0)
		sl_log(SL_LOG_WARNING, "%llu events were lost",
		       (unsigned long long)sl_events_lost(run->events));
	sl_syslog_close(run->syslog);
	if (sl_events_close(run->events) != 0)
		ret = 1;
	if (run->eal_up)
		rte_eal_cleanup();
	for (int port = 0; port < SL_PORT_COUNT; port++)
		sl_port_lock_release(&run->locks[port]);
	sl_eal_plan_free(&run->plan);
	sl_config_fini(&run->config);
	if (run->signals >= 0)
		close(run->signals);
	return ret;
}

static int run_gateway(const char *path, bool no_huge_pages)
{
	static struct run run;
	int ret;

	sl_log_style(true, NULL);
	if (start(&run, path, no_huge_pages) == 0) {
		sl_run_policy_realtime(&run.policy, true);
		say_ready(&run);
		tell(&run, "start", ",\"version\":\"" SLUICE_VERSION "\"");
		while (look_after_once(&run))
			;
		ret = stop(&run, true);
	} else {
		stop(&run, false);
		ret = run.policy.ending ? 0 : 1;
	}
	if (run.compiling) /* do not wait for the compiler at the end: exit ends its thread */
		_exit(ret);
	return ret;
}

int sl_run_main(int argc, char **argv)
{
	static const struct option longs[] = {
	        {"config", required_argument, NULL, 'c'},
	        {SL_RESTART_NO_HUGE_PAGES, no_argument, NULL, 'n'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	const char *path = NULL;
	bool no_huge_pages = false;
	int option;

	while ((option = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'n':
			no_huge_pages = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (path == NULL || optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	return run_gateway(path, no_huge_pages);
}
