/*
 * The order matters only in that policies are loaded last: they look at everything else.
 */
#include "server/data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define SHARED_ENTRIES 65536
#define SHARED_BYTES (16u << 20)

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
	int format = lp_log_format_find(options->log_format);
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
	if (workers > LIMPET_WORKERS_MAX)
		workers = LIMPET_WORKERS_MAX;
	if (lp_workers_init(&data->workers, workers, random_seed()))
		return lp_error_set(error, -ENOMEM, "no memory for %u workers", workers);
	data->sessions = lp_sessions_new(options->max_sessions, &data->workers, random_seed());
	if (!data->sessions)
		return lp_error_set(error, -ENOMEM, "no memory for a table of %u sessions; lower --max-sessions",
				    options->max_sessions);
	data->shared = lp_shared_new(SHARED_ENTRIES, SHARED_BYTES, random_seed());
	return data->shared ? 0 : lp_error_set(error, -ENOMEM, "no memory for limpet.shared");
}

static int parse_trusted(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
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

static int choose_dialect(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	char reason[1024];
	if (!options->command || !options->command[0])
		return lp_error_set(error, LP_EUSAGE, "there is no command to run as workers");
	if (strcmp(options->dialect, "auto") == 0) {
		data->dialect = lp_dialect_detect(options->command, reason, sizeof(reason), error);
		if (!data->dialect)
			return error->code;
		lp_log_write(&data->log, LP_LOG_INFO, "dialect %s: %s (--dialect chooses another)", data->dialect->name,
			     reason);
		return 0;
	}
	data->dialect = lp_dialect_find(options->dialect);
	if (!data->dialect)
		return lp_error_set(error, LP_EUSAGE, "there is no dialect %s; see limpet run --help",
				    options->dialect);
	return 0;
}

static int load_policy(struct lp_data *data, struct lp_error *error)
{
	const struct limpet_options *options = &data->options;
	int status = lp_policy_load(&data->policy, &data->host, options->policies, options->policy_count, error);
	if (status)
		return status;
	time_t now = time(NULL);
	struct tm local;
	localtime_r(&now, &local);
	strftime(data->loaded, sizeof(data->loaded), "%H:%M:%S", &local);
	return 0;
}

int lp_data_init(struct lp_data *data, const struct limpet_options *options, struct lp_error *error)
{
	int status;
	data->options = *options;
	status = start_log(data, error);
	if (!status)
		status = make_tables(data, error);
	if (!status)
		status = parse_trusted(data, error);
	if (!status)
		status = choose_dialect(data, error);
	if (status)
		return status;
	data->host = (struct lp_policy_host){.workers = &data->workers,
					     .sessions = data->sessions,
					     .shared = data->shared,
					     .log = &data->log,
					     .trust = {data->trusted, options->trusted_count},
					     .settings = options->settings,
					     .setting_count = options->setting_count};
	return load_policy(data, error);
}

void lp_data_deinit(struct lp_data *data)
{
	lp_policy_free(data->policy);
	lp_shared_free(data->shared);
	lp_sessions_free(data->sessions);
	lp_workers_deinit(&data->workers);
	free(data->trusted);
}

int lp_data_reload(struct lp_data *data, struct lp_policy **old, struct lp_error *error)
{
	struct lp_policy *before = data->policy;
	int status = load_policy(data, error);
	if (status) {
		data->policy = before;
		return status;
	}
	data->past_policy_errors += lp_policy_errors(before);
	*old = before;
	return 0;
}
