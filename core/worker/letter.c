/*
 * Of the members that have a name of ours, the last of each counts, as it does for JSON.parse. A member is found by its
 * name's length first: few names share one.
 */
#include "worker/letter.h"

#include <errno.h>
#include <string.h>

static const struct lp_slice names[LP_LETTER_FIELDS] = {
	[LP_LETTER_CMD] = {"cmd", 3},
	[LP_LETTER_TYPE] = {"type", 4},
	[LP_LETTER_DATA] = {"data", 4},
	[LP_LETTER_SOURCE] = {"source", 6},
	[LP_LETTER_ENGINE_SOURCE] = {"_source", 7},
	[LP_LETTER_UID] = {"uid", 3},
	[LP_LETTER_REQUESTER] = {"requesterUid", 12},
	[LP_LETTER_NSP] = {"nsp", 3},
	[LP_LETTER_SENDER] = {"senderId", 8},
	[LP_LETTER_RECIPIENT] = {"recipientId", 11},
	[LP_LETTER_NAME] = {"name", 4},
	[LP_LETTER_TOPIC] = {"topic", 5},
	[LP_LETTER_MSG] = {"msg", 3},
	[LP_LETTER_METHOD] = {"method", 6},
	[LP_LETTER_COLLECTION] = {"collection", 10},
	[LP_LETTER_KEY] = {"key", 3},
	[LP_LETTER_JSON] = {"json", 4},
	[LP_LETTER_CONFIG] = {"config", 6},
	[LP_LETTER_REQUEST] = {"requestId", 9},
};

static void keep(struct lp_letter *letter, struct lp_slice name, struct lp_slice value)
{
	for (size_t i = 0; i < LP_LETTER_FIELDS; i++) {
		if (names[i].length == name.length && memcmp(names[i].bytes, name.bytes, name.length) == 0) {
			letter->fields[i] = value;
			return;
		}
	}
}

int lp_letter_read(struct lp_letter *letter, struct lp_slice bytes)
{
	struct lp_json json;
	struct lp_slice name, value;
	int status;
	*letter = (struct lp_letter){.bytes = bytes};
	if (lp_json_open(&json, bytes))
		return lp_json_check(bytes);
	while ((status = lp_json_next(&json, &name, &value)) == 1)
		keep(letter, name, value);
	return status;
}
