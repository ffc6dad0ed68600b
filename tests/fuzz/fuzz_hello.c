/*
 * A TLS ClientHello, peeked at as it grows, and once more with its records cut elsewhere: the names stay the same.
 */
#include <stdbool.h>

#include "../unit/guarded.h"
#include "base/error.h"
#include "fuzz.h"
#include "route/hello.h"

enum { INPUT_MAX = 8192, RECORD_HEADER = 5 };

/* The handshake's bytes, without the headers of the records that a hello of so many bytes came in. */
static size_t unwrap(const uint8_t *bytes, size_t length, uint8_t *out)
{
	size_t unwrapped = 0;
	size_t at = 0;

	while (at < length) {
		size_t record = (size_t)bytes[at + 3] << 8 | bytes[at + 4];

		at += RECORD_HEADER;
		if (record > length - at)
			record = length - at;
		memcpy(out + unwrapped, bytes + at, record);
		unwrapped += record;
		at += record;
	}
	return unwrapped;
}

static size_t wrap(struct fuzz_random *random, const uint8_t *bytes, size_t length, uint8_t *out)
{
	size_t wrapped = 0;

	for (size_t at = 0; at < length;) {
		size_t record = fuzz_piece(random, length - at);
		const uint8_t header[RECORD_HEADER] = {LP_HELLO_FIRST_BYTE, 3, 1, (uint8_t)(record >> 8),
						       (uint8_t)record};

		memcpy(out + wrapped, header, sizeof(header));
		memcpy(out + wrapped + sizeof(header), bytes + at, record);
		wrapped += sizeof(header) + record;
		at += record;
	}
	return wrapped;
}

static void check_names(const struct lp_hello *hello)
{
	FUZZ_CHECK(!hello->sni.bytes || hello->sni.bytes == hello->sni_bytes);
	FUZZ_CHECK(!hello->sni.bytes || (hello->sni.length > 0 && hello->sni.length <= LP_HELLO_SNI_BYTES));
	FUZZ_CHECK(!hello->sni.bytes || !memchr(hello->sni.bytes, '\0', hello->sni.length));
	FUZZ_CHECK(hello->alpn_count <= LP_HELLO_ALPN_MAX);
	for (size_t i = 0; i < hello->alpn_count; i++) {
		FUZZ_CHECK(hello->alpn[i].length > 0 && hello->alpn[i].bytes >= hello->alpn_bytes);
		FUZZ_CHECK(hello->alpn[i].bytes + hello->alpn[i].length <= hello->alpn_bytes + LP_HELLO_ALPN_BYTES);
	}
}

static void check_cut_elsewhere(const struct lp_hello *hello, const uint8_t *bytes, size_t length)
{
	static uint8_t handshake[INPUT_MAX];
	static uint8_t records[INPUT_MAX * (RECORD_HEADER + 1)];
	struct fuzz_random random = fuzz_random_from(bytes, length);
	size_t unwrapped = unwrap(bytes, length, handshake);
	size_t wrapped = wrap(&random, handshake, unwrapped, records);
	struct lp_hello other;

	FUZZ_CHECK(lp_hello_parse(&other, records, wrapped) == (int)wrapped);
	FUZZ_CHECK(fuzz_same(hello->sni, other.sni) && hello->alpn_count == other.alpn_count);
	for (size_t i = 0; i < hello->alpn_count; i++)
		FUZZ_CHECK(fuzz_same(hello->alpn[i], other.alpn[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct guarded peeked;
	struct fuzz_random random = fuzz_random_from(bytes, length);
	struct lp_hello hello;
	int before = LP_AGAIN;

	if (!peeked.map)
		FUZZ_CHECK(guarded_init(&peeked, INPUT_MAX) == 0);
	if (length == 0 || length > INPUT_MAX)
		return 0;
	for (size_t seen = 0; seen < length;) {
		seen += fuzz_piece(&random, length - seen);
		const void *at = guarded_put(&peeked, bytes, seen);
		int status = lp_hello_parse(&hello, at, seen);

		FUZZ_CHECK(status == LP_AGAIN || status == LP_ENOTTLS || (status > 0 && (size_t)status <= seen));
		FUZZ_CHECK(before == LP_AGAIN || status == before);
		before = status;
	}
	if (before < 0)
		return 0;
	check_names(&hello);
	check_cut_elsewhere(&hello, bytes, (size_t)before);
	FUZZ_CHECK(lp_hello_parse(&hello, bytes, (size_t)before - 1) == LP_AGAIN);
	return 0;
}
