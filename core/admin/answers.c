/*
 * One line of JSON each, so that a shell can read it too.
 */
#include "admin/answers.h"

#include "admin/status.h"

static char *dump_line(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	return text;
}

char *lp_answer_done(json_t *members)
{
	json_t *object = json_pack("{s:b}", "ok", 1);
	if (object && members && json_object_update(object, members)) {
		json_decref(object);
		object = NULL;
	}
	json_decref(members);
	return dump_line(object);
}

char *lp_answer_refused(const struct lp_error *error)
{
	return dump_line(json_pack("{s:b, s:o}", "ok", 0, "reason", lp_status_string(error->text)));
}
