/*
 * The order matters only in that policies are loaded last: they look at everything else.
 */
#include "server/balancer_private.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin_http.h"
#include "server/setup.h"
#include "worker/program.h"

#define SHARED_ENTRIES 65536
/* Workers beyond --workers, where each process of a program can become one. */
#define MEMBERS 64

#define SHARED_BYTES (16u << 20)

/* Whose rates are known at a time. */
#define RATED_ADDRESSES 65536

static uint64_t random_seed(void)
{
	uint64_t seed = 0;
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = (uint64_t)time(NULL); /* Before the kernel has any: guessable, and still right. */
	return seed | 1;
}

static int start_log(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	int level = lp_log_level_find(options->log_level);
	int format = lp_log_format_find(options->log_format, options->log_fd);
	if (level < 0 || format < 0)
		return lp_error_set(error, LP_EUSAGE, "there is no log level %s or no log format %s",
				    options->log_level, options->log_format);
	lp_log_init(&data->log, options->log_fd, (enum lp_log_level)level, (enum lp_log_format)format);
	return 0;
}

static int make_tables(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	unsigned workers = options->workers ? options->workers : uv_available_parallelism();
	data->processes = workers < LIMPET_WORKERS_MAX ? workers : LIMPET_WORKERS_MAX;
	workers = data->processes + (data->dialect->registers ? MEMBERS : 0);
	if (workers > LIMPET_WORKERS_MAX)
		workers = LIMPET_WORKERS_MAX;
	if (lp_workers_init(&data->workers, workers, random_seed()))
		return lp_error_set(error, -ENOMEM, "no memory for %u workers", workers);
	data->sessions = lp_sessions_new(options->max_sessions, &data->workers, random_seed());
	if (!data->sessions)
		return lp_error_set(error, -ENOMEM, "no memory for a table of %u sessions; lower --max-sessions",
				    options->max_sessions);
	data->shared = lp_shared_new(SHARED_ENTRIES, SHARED_BYTES, random_seed());
	data->recorder = lp_recorder_new();
	data->decisions = lp_decisions_new();
	if (!data->shared || !data->recorder || !data->decisions)
		return lp_error_set(error, -ENOMEM, "no memory for limpet.shared, the recorder and the decision log");
	return 0;
}

static int parse_trusted(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	if (!lp_forwarded_header_find(options->forwarded_header, &data->forwarded_header))
		return lp_error_set(error, LP_EUSAGE, "proxies write no header %s; see limpet run --help",
				    options->forwarded_header);
	data->trusted = calloc(options->trusted_count + 1, sizeof(*data->trusted));
	if (!data->trusted)
		return lp_error_set(error, -ENOMEM, "no memory for %zu trusted ranges", options->trusted_count);
	for (size_t i = 0; i < options->trusted_count; i++) {
		int status = lp_network_parse(options->trusted[i], &data->trusted[i], error);
		if (status)
			return status;
	}
	return 0;
}

/* --session alone is enough: without a policy, the included one looks the sessions up. */
static int name_sessions(struct lp_data *data, struct lp_error *error)
{
	static const char *const implied[] = {"session"};
	struct limpet_options *options = &data->options;
	int status = lp_session_rules_new(options->sessions, options->session_count, &data->rules, error);
	if (!status)
		status = lp_session_rules_learnt(data->rules, options->session_count, options->learn, data->learnt,
						 error);
	if (!status)
		status = lp_setup_check_sessions(data, error);
	if (!status && options->session_count && !options->policy_count) {
		options->policies = implied;
		options->policy_count = 1;
	}
	return status;
}

/* Addresses that wait, or that came in the last second. */
static int make_per_address(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	uint32_t half = options->max_waiting / 2; /* So that one address alone does not have all places. */
	struct lp_per_address_config config = {.max_waiting = options->max_per_ip,
					       .share = options->max_per_ip < half ? options->max_per_ip : half,
					       .max_rate = options->max_rate_per_ip,
					       .room = options->max_waiting,
					       .seed = random_seed(),
					       .trust = {.networks = data->trusted, .count = options->trusted_count}};
	if (!config.max_waiting && !config.max_rate)
		return 0;
	if (config.max_rate && config.room < RATED_ADDRESSES)
		config.room = RATED_ADDRESSES;
	data->per_address = lp_per_address_new(&config);
	return data->per_address ? 0 : lp_error_set(error, -ENOMEM, "no memory to count what each address has");
}

/* Workers are root's if we are, and stay so. */
static bool workers_are_root(const struct limpet_options *options)
{
	return geteuid() == 0 && !options->user;
}

static int detect_dialect(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	char reason[1024];
	char lost[3 * PATH_MAX];
	data->dialect = lp_dialect_detect(options->command, workers_are_root(options), reason, sizeof(reason), lost,
					  sizeof(lost), error);
	if (lost[0])
		lp_log_write(&data->log, LP_LOG_WARNING, NULL, "%s", lost);
	if (!data->dialect)
		return error->code;
	lp_log_write(&data->log, LP_LOG_INFO, NULL, "dialect %s: %s (--dialect chooses another)", data->dialect->name,
		     reason);
	return 0;
}

static int find_dialect(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	char path[PATH_MAX];
	char why[2 * PATH_MAX + 256];
	if (!options->command || !options->command[0])
		return lp_error_set(error, LP_EUSAGE, "there is no command to run as workers");
	if (strcmp(options->dialect, "auto") == 0)
		return detect_dialect(data, error);
	data->dialect = lp_dialect_find(options->dialect);
	if (!data->dialect)
		return lp_error_set(error, LP_EUSAGE, "there is no dialect %s; see limpet run --help",
				    options->dialect);
	enum lp_obstacle obstacle = data->dialect->registers
					    ? lp_program_obstacle(options->command[0], workers_are_root(options), path)
					    : LP_OBSTACLE_NONE;
	if (obstacle != LP_OBSTACLE_NONE) {
		lp_program_explain(obstacle, path, why, sizeof(why));
		lp_log_write(&data->log, LP_LOG_WARNING, NULL, "%s", why);
	}
	return 0;
}

/* What only dialects of Node workers can do. */
static int change_dialect(struct lp_data *data,
			  bool (*change)(const struct lp_dialect *dialect, struct lp_dialect *changed),
			  const char *option, struct lp_error *error)
{
	struct lp_dialect changed;
	if (!change(data->dialect, &changed))
		return lp_error_set(error, LP_EUSAGE,
				    "%s is for Node workers, but workers speak the dialect %s: leave it out, or name "
				    "theirs with --dialect",
				    option, data->dialect->name);
	data->adapted = changed;
	data->dialect = &data->adapted;
	return 0;
}

static int choose_stop(struct lp_data *data, struct lp_error *error)
{
	static const struct {
		const char *name;
		int signal;
	} signals[] = {{"auto", 0},          {"SIGINT", SIGINT},   {"SIGTERM", SIGTERM},
		       {"SIGQUIT", SIGQUIT}, {"SIGUSR2", SIGUSR2}, {"SIGWINCH", SIGWINCH}};
	const char *name = data->options.stop_with;
	if (strcmp(name, "shutdown") == 0)
		return change_dialect(data, lp_dialect_say_shutdown, "--stop-with shutdown", error);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		data->stop_signal = signals[i].signal;
		if (strcmp(name, signals[i].name) == 0)
			return 0;
	}
	return lp_error_set(error, LP_EUSAGE, "workers cannot be told to stop with %s; see limpet run --help", name);
}

static int choose_dialect(struct lp_data *data, struct lp_error *error)
{
	const char *serialization = data->options.node_serialization;
	int status = find_dialect(data, error);
	if (!status && strcmp(serialization, "advanced") == 0)
		status = change_dialect(data, lp_dialect_advance, "--node-serialization advanced", error);
	else if (!status && strcmp(serialization, "json") != 0)
		status =
			lp_error_set(error, LP_EUSAGE, "there is no serialization %s: json or advanced", serialization);
	if (!status && data->options.wait_ready)
		status = change_dialect(data, lp_dialect_wait_ready, "--wait-ready", error);
	return status ? status : choose_stop(data, error);
}

/* Take the policies of a trial, as they were read for it, into use. The trial stays as their twin if one is needed. */
static int adopt_policies(struct lp_data *data, struct lp_trial *trial, struct lp_loaded *loaded,
			  struct lp_error *error)
{
	int status = lp_policy_copy(&loaded->policy, lp_trial_policy(trial), &data->host, error);
	if (status)
		return status;
	if (data->options.max_moved < 100)
		loaded->twin = trial;
	else
		lp_trial_free(trial);
	loaded->when = time(NULL);
	lp_clock_format(loaded->when, loaded->at);
	return 0;
}

static void unload_policies(struct lp_data *data, struct lp_loaded *loaded)
{
	if (loaded->policy) {
		data->past_policy_errors += lp_policy_errors(loaded->policy);
		data->past_policy_kills += lp_policy_kills(loaded->policy);
	}
	lp_policy_free(loaded->policy);
	lp_trial_free(loaded->twin);
	*loaded = (struct lp_loaded){0};
}

/* The policies that limpet begins with are tried too, but there is nothing to keep in their place. */
static int load_first(struct lp_data *data, struct lp_error *error)
{
	struct lp_error mistake;
	struct lp_trial *trial;
	int status = lp_trial_new(&trial, &data->host, &data->options, error);
	if (status)
		return status;
	if (lp_trial_run(trial, data->recorder, &mistake))
		lp_log_write(&data->log, LP_LOG_WARNING, NULL, "%s; starting all the same, a reload would be refused",
			     mistake.text);
	status = adopt_policies(data, trial, &data->current, error);
	if (status)
		lp_trial_free(trial);
	return status;
}

int lp_data_init(struct lp_data *data, const struct limpet_options *options, struct lp_error *error)
{
	int status;
	data->options = *options;
	status = start_log(data, error);
	if (!status)
		status = lp_setup_check_listeners(options, error);
	if (!status && options->admin)
		status = lp_admin_check(options->admin, options->admin_host_count, error);
	if (!status)
		status = choose_dialect(data, error);
	if (!status)
		status = make_tables(data, error);
	if (!status)
		status = parse_trusted(data, error);
	if (!status)
		status = name_sessions(data, error);
	if (!status)
		status = make_per_address(data, error);
	if (status)
		return status;
	data->host = (struct lp_policy_host){
		.workers = &data->workers,
		.sessions = data->sessions,
		.shared = data->shared,
		.log = &data->log,
		.trust = {data->trusted, options->trusted_count, data->forwarded_header},
		.rules = data->rules,
		.rule_count = options->session_count,
		.settings = options->settings,
		.setting_count = options->setting_count,
		.retired = &data->retired,
		.limits = {.memory_bytes = options->policy_memory_bytes, .time_ms = options->policy_time_ms}};
	status = load_first(data, error);
	if (!status)
		lp_setup_report(data);
	return status;
}

void lp_data_worker_up(struct lp_data *data, unsigned worker)
{
	lp_policy_worker_up(data->current.policy, worker);
	if (data->proven.policy)
		lp_policy_worker_up(data->proven.policy, worker);
}

void lp_data_worker_down(struct lp_data *data, unsigned worker)
{
	lp_policy_worker_down(data->current.policy, worker);
	if (data->proven.policy)
		lp_policy_worker_down(data->proven.policy, worker);
}

void lp_data_deinit(struct lp_data *data)
{
	unload_policies(data, &data->current);
	unload_policies(data, &data->proven);
	lp_retired_threads_join(&data->retired);
	lp_per_address_free(data->per_address);
	lp_recorder_free(data->recorder);
	lp_decisions_free(data->decisions);
	lp_shared_free(data->shared);
	lp_sessions_free(data->sessions);
	lp_workers_deinit(&data->workers);
	free(data->trusted);
	free(data->rules);
}

static int refuse_reload(struct lp_error *error)
{
	struct lp_error why = *error;
	return lp_error_set(error, why.code, "reload refused: %s", why.text);
}

int lp_data_reload(struct lp_data *data, struct lp_error *error)
{
	struct lp_loaded next = {0};
	struct lp_trial *trial;
	int status = lp_trial_new(&trial, &data->host, &data->options, error);
	if (status)
		return status;
	status = lp_trial_run(trial, data->recorder, error);
	if (!status && data->current.twin)
		status = lp_trial_compare(trial, data->current.twin, data->recorder, data->options.max_moved, error);
	if (status)
		refuse_reload(error);
	else
		status = adopt_policies(data, trial, &next, error);
	if (status) {
		lp_trial_free(trial);
		return status;
	}
	if (data->proven.policy)
		unload_policies(data, &data->current);
	else
		data->proven = data->current;
	data->current = next;
	data->probation = (struct lp_probation){0};
	lp_setup_report(data);
	return 0;
}

int lp_data_can_reload(struct lp_data *data, struct lp_error *error)
{
	struct lp_trial *trial;
	int status = lp_trial_new(&trial, &data->host, &data->options, error);
	lp_trial_free(trial);
	return status;
}

bool lp_data_asked(struct lp_data *data)
{
	if (!data->proven.policy)
		return false;
	switch (lp_probation_note(&data->probation, lp_policy_errors(data->current.policy))) {
	case LP_PROBATION_ON:
		break;
	case LP_PROBATION_PASSED:
		unload_policies(data, &data->proven);
		break;
	case LP_PROBATION_FAILED:
		unload_policies(data, &data->current);
		data->current = data->proven;
		data->proven = (struct lp_loaded){0};
		return true;
	}
	return false;
}

uint64_t lp_data_policy_errors(const struct lp_data *data)
{
	uint64_t proven = data->proven.policy ? lp_policy_errors(data->proven.policy) : 0;
	return data->past_policy_errors + proven + lp_policy_errors(data->current.policy);
}

uint64_t lp_data_policy_kills(const struct lp_data *data)
{
	uint64_t proven = data->proven.policy ? lp_policy_kills(data->proven.policy) : 0;
	return data->past_policy_kills + proven + lp_policy_kills(data->current.policy);
}
