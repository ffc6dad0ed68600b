/*
 * What a Node worker may say on its channel, through a real channel: once as one piece, and once cut anywhere. The
 * channel tells the same of both. Each input is said to a worker that has connections in flight, in each manner of
 * acknowledging them.
 */
#include "fuzz_channel.h"

enum { INPUT_MAX = 16384 };

static const char online[] = "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}\n";
static const char query[] =
	"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"port\":3000,\"addressType\":4,\"seq\":1}\n";

static uint64_t say(const struct lp_dialect *dialect, const uint8_t *bytes, size_t length, struct fuzz_random *random)
{
	static uv_loop_t loop;
	struct fuzz_channel fuzz;

	fuzz_channel_open(&fuzz, dialect, &loop);
	fuzz_say(&fuzz, online, sizeof(online) - 1);
	fuzz_say(&fuzz, query, sizeof(query) - 1);
	FUZZ_CHECK(fuzz.ready);
	fuzz_hand_over(&fuzz);
	for (size_t said = 0; said < length;) {
		size_t piece = random ? fuzz_piece(random, length - said) : length;

		fuzz_say(&fuzz, bytes + said, piece);
		said += piece;
	}
	FUZZ_CHECK(!fuzz.ended);
	lp_channel_drain(&fuzz.channel);
	return fuzz_channel_close(&fuzz, &loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const struct lp_dialect *const dialects[] = {&lp_dialect_cluster, &lp_dialect_socketio_sticky};
	struct fuzz_random random = fuzz_random_from(bytes, length);

	if (length > INPUT_MAX)
		return 0;
	for (size_t i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++)
		FUZZ_CHECK(say(dialects[i], bytes, length, NULL) == say(dialects[i], bytes, length, &random));
	return 0;
}
