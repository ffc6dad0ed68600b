/*
 * What a process may say that has registered: on the preloaded library's channel (frames, some with descriptors that nobody
 * asked for), and on Node's (JSON, or V8's frames). The first byte of the input chooses; the rest is what is said.
 *
 * The library's channel hears frames, one a line (in which a tab stands for a newline), of a worker that has connections
 * in flight. Node's hears the same in one piece and cut anywhere, and tells the same of both.
 */
#include "fuzz_channel.h"
#include "wire/scm_rights.h"

enum { INPUT_MAX = 16384 };

static uv_loop_t loop;

/* Every fourth frame has a descriptor with it, every eighth two of them. */
static void say_frame(struct fuzz_channel *fuzz, const uint8_t *text, size_t length, struct fuzz_random *random)
{
	int pair[2];
	if (fuzz_random_below(random, 4)) {
		fuzz_say(fuzz, text, length);
		return;
	}
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	FUZZ_CHECK(lp_scm_rights_send(fuzz->worker_end, (const char *)text, length, pair[0]) == (ssize_t)length);
	lp_channel_hear(&fuzz->channel);
	close(pair[0]);
	close(pair[1]);
}

static void say_frames(const uint8_t *bytes, size_t length, struct fuzz_random *random)
{
	struct fuzz_channel fuzz;
	fuzz_channel_open(&fuzz, &lp_dialect_preload, &loop);
	fuzz_say(&fuzz, "listen 0", 8);
	fuzz_say(&fuzz, "ready", 5);
	FUZZ_CHECK(fuzz.ready);
	fuzz_hand_over(&fuzz);
	for (size_t at = 0; at < length && !fuzz.ended;) {
		uint8_t text[INPUT_MAX];
		size_t frame = 0;
		for (; at < length && bytes[at] != '\n'; at++)
			text[frame++] = bytes[at] == '\t' ? '\n' : bytes[at];
		at++;
		if (frame > 0) /* An empty message cannot be told from the end. */
			say_frame(&fuzz, text, frame, random);
	}
	FUZZ_CHECK(fuzz.channel.sent == FUZZ_CONNECTIONS);
	lp_channel_hear_out(&fuzz.channel);
	fuzz_channel_close(&fuzz, &loop);
}

/* Returns what the channel told. */
static uint64_t say_as_node(const struct lp_dialect *dialect, const uint8_t *bytes, size_t length,
			    struct fuzz_random *random)
{
	struct fuzz_channel fuzz;
	fuzz_channel_open(&fuzz, dialect, &loop);
	for (size_t said = 0; said < length && !fuzz.ended;) {
		size_t piece = random ? fuzz_piece(random, length - said) : length;
		fuzz_say(&fuzz, bytes + said, piece);
		said += piece;
	}
	lp_channel_drain(&fuzz.channel);
	return fuzz_channel_close(&fuzz, &loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct fuzz_random random = fuzz_random_from(bytes, length);
	struct lp_dialect advanced;
	if (length < 1 || length > INPUT_MAX)
		return 0;
	FUZZ_CHECK(lp_dialect_advance(&lp_dialect_node, &advanced));
	const struct lp_dialect *dialect = bytes[0] % 4 == 1 ? &lp_dialect_node : &advanced;
	if (bytes[0] % 4 < 1)
		say_frames(bytes + 1, length - 1, &random);
	else
		FUZZ_CHECK(say_as_node(dialect, bytes + 1, length - 1, NULL) ==
			   say_as_node(dialect, bytes + 1, length - 1, &random));
	return 0;
}
