/*
 * As in JavaScript null and false are nothing: keys stay.
 */
#include "broker/store_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* Negative for what is no number, or no number of seconds. */
static double read_seconds(struct lp_slice value)
{
	char text[32] = {0};
	char *end;
	if (value.length == 0 || value.length >= sizeof(text))
		return -1;
	memcpy(text, value.bytes, value.length);
	if (strcmp(text, "null") == 0 || strcmp(text, "false") == 0)
		return 0;
	double seconds = strtod(text, &end);
	return *end == '\0' && seconds >= 0 ? seconds : -1;
}

int lp_store_options_read(struct lp_slice config, double *seconds)
{
	struct lp_json json;
	struct lp_slice name, value;
	int found = 0;
	if (!config.bytes || lp_json_open(&json, config))
		return 0;
	while (lp_json_next(&json, &name, &value) == 1) {
		*seconds = name.length == 10 && memcmp(name.bytes, "expireKeys", 10) == 0 ? read_seconds(value) : -1;
		if (*seconds < 0)
			return -EINVAL;
		found = 1;
	}
	return found;
}
