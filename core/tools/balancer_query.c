/*
 * A balancer of another version may answer less or more: what is missing is "" or 0, what is unknown is passed over.
 */
#include "tools/balancer_query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int lp_query_find_balancer(const struct limpet_options *options, char *path, struct lp_error *error)
{
	if (!options->control)
		return lp_control_find(options->name, path, error);
	snprintf(path, LP_CONTROL_PATH_SIZE, "%s", options->control);
	return 0;
}

int lp_query_balancer(const char *path, const char *request, int patience_ms, json_t **answer, struct lp_error *error)
{
	char *text;
	const json_t *refused;
	const json_t *unknown;
	int status = lp_control_ask(path, request, patience_ms, &text, NULL, error);

	*answer = NULL;
	if (status)
		return status;
	*answer = json_loads(text, 0, NULL);
	free(text);
	refused = json_object_get(*answer, "ok");
	unknown = json_object_get(*answer, "error");
	if (!json_is_object(*answer))
		status = lp_error_set(error, -EPROTO, "what answers at %s is no balancer, or one of another version",
				      path);
	else if (json_is_false(refused))
		status = lp_error_set(error, -EPERM, "%s", lp_query_text(*answer, "reason"));
	else if (unknown)
		status = lp_error_set(error, -EPROTO, "the balancer at %s: %s", path, lp_query_text(*answer, "error"));
	if (status) {
		json_decref(*answer);
		*answer = NULL;
	}
	return status;
}

const char *lp_query_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

long long lp_query_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}
