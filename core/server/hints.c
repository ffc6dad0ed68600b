/*
 * A browser that connects ahead of need is silent as well, so silence tells only of listeners where nobody ever spoke.
 */
#include "server/hints.h"

#include <string.h>

static bool is_heard(const struct lp_hints *hints, const char *listener)
{
	for (size_t i = 0; i < hints->heard_count; i++)
		if (hints->heard[i] == listener)
			return true;
	return hints->heard_count == LP_HINTS_LISTENERS;
}

/* The first policy that looks by such a hook, or NULL. */
static const char *find_policy(const struct lp_policy *policy, const char *hook)
{
	const char *name;

	for (lp_policy_cursor at = 0; (name = lp_policy_hook_name(policy, at)); at++)
		if (strcmp(name, hook) == 0)
			return lp_policy_hook_script(policy, at);
	return NULL;
}

void lp_hints_note(struct lp_hints *hints, struct lp_log *log, const struct lp_policy *policy,
		   const struct lp_policy_conn *view)
{
	const char *asker;

	if (!is_heard(hints, view->listener))
		hints->heard[hints->heard_count++] = view->listener;
	if (view->protocol != LP_PROTOCOL_TLS || hints->told_tls || find_policy(policy, "on_hello"))
		return;
	asker = find_policy(policy, "on_request");
	if (!asker)
		return;
	hints->told_tls = true;
	lp_log_write(
		log, LP_LOG_WARNING, LP_LOG_ABOUT(.policy = asker, .listener = view->listener),
		"a connection at %s is TLS, which limpet does not decrypt: on_request of policy %s is not asked about "
		"it, and sessions are not found. Decrypt in front of limpet (nginx or HAProxy, and --trust their "
		"address), or choose by the client's address (--policy ip_hash)",
		view->listener, asker);
}

void lp_hints_note_silence(struct lp_hints *hints, struct lp_log *log, const struct lp_policy *policy,
			   const char *listener, uint32_t timeout_ms)
{
	const char *asker = find_policy(policy, "on_request");

	if (!asker)
		asker = find_policy(policy, "on_hello");
	if (hints->told_silence || !asker || is_heard(hints, listener))
		return;
	hints->told_silence = true;
	lp_log_write(
		log, LP_LOG_WARNING, LP_LOG_ABOUT(.policy = asker, .listener = listener),
		"a client at %s said nothing for %g s and was closed: policy %s looks at what clients send first. If "
		"the server speaks first (as SMTP and MySQL do), use policies that have on_connect alone, such as "
		"ip_hash, and --no-defer-accept",
		listener, (double)timeout_ms / 1000, asker);
}
