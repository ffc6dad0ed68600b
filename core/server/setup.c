/*
 * Each check names the option, what it meets, and the way out. What is certain to fail is refused; what may be meant so is
 * a warning.
 */
#include "server/setup.h"

#include <stdio.h>
#include <string.h>

/* What to do about a dialect that does not show limpet what the workers answer. */
static const char *way_to_learn(const struct lp_dialect *dialect)
{
	return dialect->sessions == LP_SESSIONS_NAMED
		       ? "its workers name their sessions themselves (limpet_worker_session in limpet/worker.h)"
		       : "start the program with --dialect preload, which reads its responses";
}

/* The first --session that the dialect's workers do not report, or NULL. */
static const char *find_untold(const struct lp_data *data)
{
	for (size_t i = 0; i < data->options.session_count; i++) {
		bool is_sid = lp_session_rule_is_sid(&data->rules[i]);

		if (data->dialect->sessions < (is_sid ? LP_SESSIONS_SIDS : LP_SESSIONS_NAMED))
			return data->options.sessions[i];
	}
	return NULL;
}

int lp_setup_check_sessions(const struct lp_data *data, struct lp_error *error)
{
	const struct lp_dialect *dialect = data->dialect;
	const char *untold = find_untold(data);
	bool chosen = strcmp(data->options.dialect, "auto") == 0;

	if (data->options.learn && *data->options.learn && dialect->sessions != LP_SESSIONS_LEARNT)
		return lp_error_set(
			error, LP_EUSAGE, "--learn %s: limpet does not see what workers of dialect %s%s answer; %s",
			data->options.learn, dialect->name, chosen ? ", which it chose," : "", way_to_learn(dialect));
	if (untold)
		return lp_error_set(error, LP_EUSAGE, "--session %s: workers of dialect %s%s do not report %s; %s",
				    untold, dialect->name, chosen ? ", which limpet chose," : "",
				    dialect->sessions == LP_SESSIONS_SIDS ? "other sessions than Engine.IO's (sid)"
									  : "sessions",
				    way_to_learn(dialect));
	return 0;
}
