/*
 * Hashes: what they depend on (every bit of the key, its length, the seed) and what they do not (where the key lies),
 * and that clients spread over workers as evenly as chance would have it.
 *
 * Even spread is measured, not felt: with n addresses and w workers, one worker's share is binomial, n/w on average
 * with a standard deviation of sqrt(n/w (1 - 1/w)). Nothing here is random from run to run, so five deviations are a
 * bound that only a worse hash breaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "guarded.h"
#include "route/hash.h"

#define ADDRESSES 100000

static struct lp_slice slice(const void *bytes, size_t length)
{
	return (struct lp_slice){.bytes = bytes, .length = length};
}

/* A generator that has nothing in common with what is tested: Knuth's MMIX. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

/* A change of these moves every client of every running limpet to another worker at its next upgrade. */
static void a_key_hashes_the_same_on_every_run_and_machine(void **state)
{
	(void)state;
	assert_int_equal(lp_hash(LP_SLICE(""), 0), 0x593fa9d461720023u);
	assert_int_equal(lp_hash(LP_SLICE("a"), 0), 0x3d17a73dc73f30e2u);
	assert_int_equal(lp_hash(LP_SLICE("10.1.2.3"), 0), 0x82d47cb8b48c2178u);
	assert_int_equal(lp_hash(LP_SLICE("2001:db8::1"), 0), 0xf75f76994fafbeb9u);
	assert_int_equal(lp_hash(LP_SLICE("lv_VI97HAXpY6yYWAAAC"), 0), 0x431889eec7ff9725u);
	assert_int_equal(lp_hash(LP_SLICE("lv_VI97HAXpY6yYWAAAC"), 1), 0xcd23ba8d8d02776bu);
	assert_int_equal(lp_hash_weight(lp_hash(LP_SLICE("10.1.2.3"), 0), 1), 0xeb8423d59b7f3e6fu);
	assert_int_equal(lp_hash_weight(lp_hash(LP_SLICE("10.1.2.3"), 0), 2), 0x3a6694644096b771u);
}

static void a_hash_depends_on_the_key_alone_and_not_on_its_place(void **state)
{
	char bytes[128];
	struct guarded guarded;

	(void)state;
	assert_int_equal(guarded_init(&guarded, sizeof(bytes)), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 37);
	for (size_t length = 0; length <= 80; length++) {
		char around[2 * sizeof(bytes)];
		uint64_t hash = lp_hash(slice(guarded_put(&guarded, bytes, length), length), 7);

		for (size_t shift = 0; shift < 17; shift++) {
			memset(around, (int)(0x55 + shift), sizeof(around));
			memcpy(around + 20 + shift, bytes, length);
			assert_int_equal(lp_hash(slice(around + 20 + shift, length), 7), hash);
		}
	}
	guarded_deinit(&guarded);
}

/* Counts, over many keys of a length, how often each bit of the hash changes with each bit of the key. */
static void check_avalanche(size_t length, uint64_t *random)
{
	enum { KEYS = 1024 };
	static unsigned changes[64 * 8][64];
	unsigned char key[64];

	memset(changes, 0, sizeof(changes));
	for (int i = 0; i < KEYS; i++) {
		for (size_t at = 0; at < length; at++)
			key[at] = (unsigned char)next_random(random);

		uint64_t hash = lp_hash(slice(key, length), 0);

		for (size_t in = 0; in < length * 8; in++) {
			key[in / 8] ^= (unsigned char)(1u << in % 8);
			uint64_t changed = hash ^ lp_hash(slice(key, length), 0);
			key[in / 8] ^= (unsigned char)(1u << in % 8);
			for (unsigned out = 0; out < 64; out++)
				changes[in][out] += changed >> out & 1;
		}
	}
	/* A standard deviation is sqrt(1024) / 2 = 16 changes. */
	for (size_t in = 0; in < length * 8; in++) {
		for (unsigned out = 0; out < 64; out++)
			assert_in_range(changes[in][out], KEYS / 2 - 6 * 16, KEYS / 2 + 6 * 16);
	}
}

static void every_bit_of_a_key_changes_every_bit_of_the_hash_half_the_time(void **state)
{
	static const size_t lengths[] = {2, 3, 4, 7, 8, 12, 16, 17, 20, 24, 33};
	uint64_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		check_avalanche(lengths[i], &random);
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool all_different(uint64_t *hashes, size_t count)
{
	qsort(hashes, count, sizeof(*hashes), compare_hashes);
	for (size_t i = 1; i < count; i++) {
		if (hashes[i] == hashes[i - 1])
			return false;
	}
	return true;
}

static void keys_of_one_byte_repeated_differ_by_their_length(void **state)
{
	uint64_t hashes[200];
	char bytes[200];

	(void)state;
	for (int byte = 0; byte < 256; byte += 51) {
		memset(bytes, byte, sizeof(bytes));
		for (size_t length = 0; length < 200; length++)
			hashes[length] = lp_hash(slice(bytes, length), 0);
		assert_true(all_different(hashes, 200));
	}
}

/* Every key of up to two bytes, of two bytes twelve apart, and of a counter in text: 32 bits would collide. */
static void small_sets_of_similar_keys_have_no_collision(void **state)
{
	static uint64_t hashes[3 * 65536 + 256];
	size_t count = 0;
	char key[24] = {0};

	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		key[0] = (char)i;
		key[1] = (char)(i >> 8);
		if (i < 256)
			hashes[count++] = lp_hash(slice(key, 1), 0);
		hashes[count++] = lp_hash(slice(key, 2), 0);
	}
	memset(key, 0, sizeof(key));
	for (unsigned i = 0; i < 65536; i++) {
		key[3] = (char)i;
		key[15] = (char)(i >> 8);
		hashes[count++] = lp_hash(slice(key, 20), 0);
		hashes[count++] = lp_hash(slice(key, (size_t)snprintf(key + 4, 10, "%u", i) + 5), 0);
		memset(key, 0, sizeof(key));
	}
	assert_true(all_different(hashes, count));
}

/* What a stranger who knows the code but not the seed would write: words that cancel its constants or its lengths. */
static void no_key_blanks_out_another_part_of_itself(void **state)
{
	static const uint64_t constants[] = {
		0x9e3779b97f4a7c15u, 0x91e10da5c79e7b1du, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu, 0, UINT64_MAX};
	uint64_t random = 5;

	(void)state;
	for (size_t i = 0; i < 36; i++) {
		uint64_t words[3] = {constants[i / 6], constants[i % 6], 1};
		uint64_t seed = (uint64_t)next_random(&random) << 32 | next_random(&random);
		uint64_t hashes[5];

		hashes[0] = lp_hash(slice(words, 24), seed);
		words[0]++;
		hashes[1] = lp_hash(slice(words, 24), seed);
		words[0]--;
		words[1]++;
		hashes[2] = lp_hash(slice(words, 24), seed);
		words[1]--;
		words[2] = 0x0101;
		hashes[3] = lp_hash(slice(words, 17), seed);
		words[0] ^= 17 ^ 18;
		hashes[4] = lp_hash(slice(words, 18), seed);
		assert_true(all_different(hashes, 5));
	}
}

static void another_seed_gives_unrelated_hashes(void **state)
{
	uint64_t hashes[2 * 4096];
	unsigned same_bits = 0;

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		hashes[2 * i] = lp_hash(slice(&i, sizeof(i)), 1);
		hashes[2 * i + 1] = lp_hash(slice(&i, sizeof(i)), 2);
		same_bits += (unsigned)__builtin_popcountll(~(hashes[2 * i] ^ hashes[2 * i + 1]));
	}
	/* Half of 4096 * 64 bits, with a standard deviation of 256. */
	assert_in_range(same_bits, 4096 * 32 - 5 * 256, 4096 * 32 + 5 * 256);
	assert_true(all_different(hashes, 2 * 4096));
}

/* Addresses of one kind: the i-th of them. */
typedef struct lp_ip (*address_fn)(uint32_t i, uint64_t *random);

static struct lp_ip ipv4(uint32_t number)
{
	return (struct lp_ip){
		.family = LP_FAMILY_IPV4,
		.bytes = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct lp_ip ipv6(uint64_t network, uint64_t host)
{
	struct lp_ip ip = {.family = LP_FAMILY_IPV6};

	for (int i = 0; i < 8; i++) {
		ip.bytes[i] = (uint8_t)(network >> (56 - 8 * i));
		ip.bytes[8 + i] = (uint8_t)(host >> (56 - 8 * i));
	}
	return ip;
}

static struct lp_ip ipv4_in_blocks(uint32_t i, uint64_t *random)
{
	(void)random;
	return ipv4(0x0a000000u + i);
}

static struct lp_ip ipv4_anywhere(uint32_t i, uint64_t *random)
{
	(void)i;
	return ipv4(next_random(random));
}

static struct lp_ip ipv6_in_one_64(uint32_t i, uint64_t *random)
{
	(void)random;
	return ipv6(0x20010db800000000u, i + 1u);
}

static struct lp_ip ipv6_one_in_each_64(uint32_t i, uint64_t *random)
{
	(void)random;
	return ipv6(0x20010db800000000u + i, 1);
}

static struct lp_ip ipv6_anywhere(uint32_t i, uint64_t *random)
{
	(void)i;
	uint64_t network = (uint64_t)next_random(random) << 32 | next_random(random);

	return ipv6(network, (uint64_t)next_random(random) << 32 | next_random(random));
}

static const address_fn kinds[] = {ipv4_in_blocks, ipv4_anywhere, ipv6_in_one_64, ipv6_one_in_each_64, ipv6_anywhere};

static void check_spread(const uint64_t *hashes, unsigned worker_count)
{
	double mean = (double)ADDRESSES / worker_count;
	double variance = mean * (1 - 1.0 / worker_count);
	unsigned shares[64] = {0};

	for (size_t i = 0; i < ADDRESSES; i++) {
		uint64_t highest = 0;
		unsigned winner = 1;

		for (unsigned id = 1; id <= worker_count; id++) {
			uint64_t weight = lp_hash_weight(hashes[i], id);

			if (weight > highest) {
				highest = weight;
				winner = id;
			}
		}
		shares[winner - 1]++;
	}
	for (unsigned i = 0; i < worker_count; i++) {
		double off = shares[i] - mean;

		if (off * off > 25 * variance)
			fail_msg("worker %u of %u has %u of %d addresses, %.0f were fair", i + 1, worker_count,
				 shares[i], ADDRESSES, mean);
	}
}

static void check_spread_of(bool as_text)
{
	static const unsigned worker_counts[] = {2, 3, 4, 5, 7, 8, 12, 16, 24, 32, 48, 63, 64};
	static uint64_t hashes[ADDRESSES];

	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		uint64_t random = 42;

		for (uint32_t i = 0; i < ADDRESSES; i++) {
			struct lp_ip ip = kinds[kind](i, &random);
			char text[LP_IP_TEXT_SIZE];
			struct lp_slice key = slice(ip.bytes, ip.family == LP_FAMILY_IPV4 ? 4 : 16);

			if (as_text)
				key = slice(text, lp_ip_format(&ip, text));
			hashes[i] = lp_hash(key, 0);
		}
		for (size_t i = 0; i < sizeof(worker_counts) / sizeof(*worker_counts); i++)
			check_spread(hashes, worker_counts[i]);
	}
}

static void addresses_as_text_spread_as_chance_would_have_it(void **state)
{
	(void)state;
	check_spread_of(true);
}

static void addresses_as_bytes_spread_as_chance_would_have_it(void **state)
{
	(void)state;
	check_spread_of(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_hashes_the_same_on_every_run_and_machine),
		cmocka_unit_test(a_hash_depends_on_the_key_alone_and_not_on_its_place),
		cmocka_unit_test(every_bit_of_a_key_changes_every_bit_of_the_hash_half_the_time),
		cmocka_unit_test(keys_of_one_byte_repeated_differ_by_their_length),
		cmocka_unit_test(small_sets_of_similar_keys_have_no_collision),
		cmocka_unit_test(no_key_blanks_out_another_part_of_itself),
		cmocka_unit_test(another_seed_gives_unrelated_hashes),
		cmocka_unit_test(addresses_as_text_spread_as_chance_would_have_it),
		cmocka_unit_test(addresses_as_bytes_spread_as_chance_would_have_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
