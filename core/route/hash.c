/*
 * Hashing by multiplying and folding: 16 bytes of key a step, one 64×64-bit multiplication each, whose 128-bit product
 * carries every bit of one half to every bit of the other. Most keys here are short (addresses, session ids), so the
 * end of a key is read as two words that may overlap, never byte by byte. Words are little-endian on every machine, so
 * that the same key belongs to the same worker wherever limpet runs.
 *
 * Both factors hide a word that depends on the seed. With a known one, a stranger would write a half of the key that
 * makes the product 0, and the other half would no longer count: collisions for every seed. The length joins at the
 * very end, where no byte of the key can make up for it.
 *
 * Limits: this keeps strangers who cannot see the hashes from filling a bucket; it is no cryptographic function, and
 * with seed 0 anybody can compute it. It needs a compiler with 128-bit integers, which every 64-bit target has.
 */
#include "route/hash.h"

#include <endian.h>
#include <string.h>

/* 2^64 divided by the golden ratio, and by the square of the plastic number: odd, and related to nothing else here. */
#define GOLDEN 0x9e3779b97f4a7c15u
#define PLASTIC 0x91e10da5c79e7b1du

/* The finisher of splitmix64: a permutation in which every bit of the input changes each of the output's by half. */
static uint64_t mix_bits(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t fold_product(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t read_64(const char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return le64toh(word);
}

static uint64_t read_32(const char *bytes)
{
	uint32_t word;

	memcpy(&word, bytes, sizeof(word));
	return le32toh(word);
}

/* The last 0 – 16 bytes, all of them in two words; no two ends of the same length give the same words. */
static void read_end(const char *bytes, size_t length, uint64_t words[2])
{
	if (length >= 8) {
		words[0] = read_64(bytes);
		words[1] = read_64(bytes + length - 8);
	} else if (length >= 4) {
		words[0] = read_32(bytes);
		words[1] = read_32(bytes + length - 4);
	} else if (length > 0) {
		words[0] = (uint64_t)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[length / 2];
		words[1] = (unsigned char)bytes[length - 1];
	} else {
		words[0] = 0;
		words[1] = 0;
	}
}

uint64_t lp_hash(struct lp_slice key, uint64_t seed)
{
	const char *bytes = key.bytes;
	size_t left = key.length;
	uint64_t state = seed ^ GOLDEN;
	uint64_t hidden = mix_bits(seed ^ PLASTIC);
	uint64_t end[2];

	for (; left > 16; bytes += 16, left -= 16)
		state = fold_product(read_64(bytes) ^ state, read_64(bytes + 8) ^ hidden);
	read_end(bytes, left, end);
	return mix_bits(fold_product(end[0] ^ state, end[1] ^ hidden) ^ key.length);
}

uint64_t lp_hash_weight(uint64_t key_hash, unsigned worker_id)
{
	return mix_bits(key_hash + worker_id * GOLDEN);
}
